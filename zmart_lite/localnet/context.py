"""What every RPC method works on, and the parts of an answer they share."""

import time
from dataclasses import dataclass, field
from typing import Any

from solders.keypair import Keypair

from zmart_lite.codec import Codec
from zmart_lite.localnet.forks import Forks
from zmart_lite.localnet.ledger import Bank, Ledger
from zmart_lite.localnet.params import MIN_CONTEXT_SLOT_NOT_REACHED, Config, RpcError
from zmart_lite.localnet.releases import Release
from zmart_lite.localnet.tempers import Tempers
from zmart_lite.models import Commitment


@dataclass(slots=True)
class RpcContext:
    """One devnet as its RPC sees it."""

    ledger: Ledger
    codec: Codec
    faucet: Keypair
    identity: Keypair
    info: dict[str, Any] = field(default_factory=dict)
    airdrops: int = 0
    impersonated: set[bytes] = field(default_factory=set)
    """Addresses whose signature no transaction needs."""
    tempers: Tempers = field(init=False)
    forks: Forks = field(init=False)

    def __post_init__(self) -> None:
        self.tempers = Tempers(self.ledger)
        self.forks = Forks(time.monotonic)
        self.ledger.on_rollback(self._note_fork)

    def _note_fork(self, _: frozenset[bytes], reaching: Commitment) -> None:
        # Accounts that are set by hand undo what was processed only.
        if reaching is not Commitment.PROCESSED:
            self.forks.note()

    @property
    def release(self) -> Release:
        """The release of the cluster's RPC whose answers these are."""
        return self.ledger.options.release

    def bank(self, config: Config, default: Commitment = Commitment.FINALIZED, name: str = "commitment") -> Bank:
        """The bank that a call asks for. Raises :class:`RpcError` where its ``minContextSlot`` lies ahead."""
        bank = self.ledger.bank(config.commitment(name, default))
        minimum = config.u64("minContextSlot")
        if minimum is not None and bank.slot < minimum:
            text = "Minimum context slot has not been reached"
            raise RpcError(MIN_CONTEXT_SLOT_NOT_REACHED, text, {"contextSlot": bank.slot})
        return bank


def with_context(bank: Bank, value: Any) -> dict[str, Any]:
    return {"context": {"apiVersion": bank.release.version, "slot": bank.slot}, "value": value}
