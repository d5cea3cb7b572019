"""Sends the node's own transactions, each exactly once, through its intent row.

The row is written first; the signed bytes are in it before they are sent; the same bytes are sent again until they
land or expire, and only then is the action signed anew, as a new round. Whatever step a crash falls between,
:meth:`Actions.settle` goes on from the row. A confirmed action is followed until it is final; one that the chain
dropped is taken up again. The state of markets changes by the event that comes back through the
indexer, never here.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from solders.instruction import Instruction
from solders.keypair import Keypair

from zmart_lite.chain import instructions, tx
from zmart_lite.chain.program_errors import ProgramFailure, failure_in
from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.config import Config, read_keypair
from zmart_lite.errors import SimulationFailed, TransactionExpired, TransactionFailed
from zmart_lite.jobs.together import together
from zmart_lite.models import Commitment, VoteType
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.leases import UnitsOfWork
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import intents

logger = logging.getLogger(__name__)

SETTLE_BATCH = 100
FOLLOWED_BATCH = 256
"""As many signatures as the cluster tells of in one call."""
UNINDEXED_AFTER_S = 60
"""A confirmed transaction that is not indexed by then is looked for on the cluster."""
AT_ONCE = 16
"""Transactions under way at the same time: waiting for confirmations takes long, and costs nothing."""
FAILED_RETRY_S = 900
"""After a failure for good, which a person has been told of, jobs leave the action alone for so long."""

DONE_ALREADY = {
    "aggregate_proposal_votes": ("InvalidStateForVoting",),
    "approve_proposal": ("InvalidStateTransition",),
    "finalize_market": ("InvalidMarketState",),
    "resolve_market": ("InvalidMarketState", "AlreadyResolved"),
    "cancel_market": ("MarketAlreadyCancelled", "CannotCancelMarket"),
}
"""Errors that say that the market has moved on: there is nothing left to do."""
NOT_YET = ("DisputePeriodNotEnded", "InvalidTimestamp", "BlockhashNotFound")
"""Errors that a later run cures by itself."""


class Keys(NamedTuple):
    """The keys the node signs with. Without ``admin`` approvals wait for a wallet."""

    backend: Keypair | None
    admin: Keypair | None

    @classmethod
    def configured(cls, config: Config) -> "Keys":
        """Those of the configuration; either may be missing. Raises ConfigError for one that cannot be read."""
        backend, admin = config.chain.backend_keypair, config.chain.admin_keypair
        return cls(
            read_keypair(backend, "chain.backend_keypair") if backend else None,
            read_keypair(admin, "chain.admin_keypair") if admin else None,
        )


class Action(NamedTuple):
    """How an action becomes an instruction: which key signs it, and what it calls."""

    signer: str
    build: Callable[[Codec, bytes, bytes, Mapping[str, Any]], Instruction]


def _finalize(codec: Codec, market_id: bytes, signer: bytes, args: Mapping[str, Any]) -> Instruction:
    return instructions.finalize_market(codec, market_id, signer, args["dispute_agree"], args["dispute_disagree"])


def _aggregate(codec: Codec, market_id: bytes, signer: bytes, args: Mapping[str, Any]) -> Instruction:
    return instructions.aggregate_proposal_votes(codec, market_id, signer, args["likes"], args["dislikes"])


def _resolve(codec: Codec, market_id: bytes, signer: bytes, args: Mapping[str, Any]) -> Instruction:
    return instructions.resolve_market(codec, market_id, signer, args["outcome"], bytes.fromhex(args["evidence_hash"]))


def _approve(codec: Codec, market_id: bytes, signer: bytes, _: Mapping[str, Any]) -> Instruction:
    return instructions.approve_proposal(codec, market_id, signer)


def _cancel(codec: Codec, market_id: bytes, signer: bytes, _: Mapping[str, Any]) -> Instruction:
    return instructions.cancel_market(codec, market_id, signer)


def _pause(codec: Codec, _: bytes, signer: bytes, __: Mapping[str, Any]) -> Instruction:
    return instructions.emergency_pause(codec, signer)


def _configure(codec: Codec, _: bytes, signer: bytes, args: Mapping[str, Any]) -> Instruction:
    return instructions.build(codec, "update_global_config", args, {"admin": signer})


ACTIONS = {
    "aggregate_proposal_votes": Action("backend", _aggregate),
    "finalize_market": Action("backend", _finalize),
    "resolve_market": Action("backend", _resolve),
    "approve_proposal": Action("admin", _approve),
    "cancel_market": Action("admin", _cancel),
    "emergency_pause": Action("admin", _pause),
    "update_global_config": Action("admin", _configure),
}


class Actions:
    """The node's transactions. ``index`` fetches and indexes a landed transaction by its signature."""

    def __init__(
        self,
        store: UnitsOfWork,
        codec: Codec,
        rpc: Rpc,
        keys: Keys,
        metrics: Metrics,
        fees: FeePolicy,
        index: Callable[[bytes], Awaitable[bool]],
    ) -> None:
        self.keys = keys
        self._store = store
        self._codec = codec
        self._rpc = rpc
        self._metrics = metrics
        self._fees = fees
        self._index = index
        self._busy: set[int] = set()

    async def act(
        self,
        action: str,
        subject: str,
        args: Mapping[str, Any],
        *,
        market: int | None = None,
        reason: str | None = None,
    ) -> Row:
        """Carry out an action (or go on with the one under way) and return its intent as it then stands.

        ``subject`` is the market's id in hex, or ``protocol``. Raises RpcUnavailable when the cluster cannot be
        reached; the intent then stays and is taken up again.
        """
        intent, _ = await self._store.write(
            lambda tx_: intents.open_intent(tx_, action, subject, args, market=market, reason=reason)
        )
        return await self.pursue(intent)

    async def settle(self, *, planned_by_jobs: bool = True) -> int:
        """Go on with every intent that a crash or an outage left, or a fork undid; how many.

        Without ``planned_by_jobs`` what a job planned and nobody has signed yet waits for that job.
        """
        unsettled = await self._store.read(
            lambda tx_: intents.list_unsettled(tx_, SETTLE_BATCH, planned_by_jobs=planned_by_jobs)
        )
        await together(unsettled, self.pursue, AT_ONCE)
        return len(unsettled)

    async def follow_finality(self) -> int:
        """Note which confirmed actions have become final; how many have to be taken up again by :meth:`settle`.

        What the indexer retracts is reopened there. This looks for transactions that vanished before they were indexed.
        """
        rows = await self._store.read(lambda tx_: intents.list_unfinalized(tx_, FOLLOWED_BATCH))
        final = [(row["id"], row["landed_slot"]) for row in rows if row["finality"] == Commitment.FINALIZED]
        until_ms = self._store.now_ms() - UNINDEXED_AFTER_S * 1_000
        unindexed = [row for row in rows if row["finality"] is None and row["confirmed_ms"] <= until_ms]
        lost = []
        signatures = [row["signature"] for row in unindexed]
        statuses = await self._rpc.get_signature_statuses(signatures, search_history=True) if signatures else []
        for signature, status in zip(signatures, statuses, strict=True):
            if status is None or status.err is not None:
                lost.append(signature)
            else:
                await self._index(signature)
        if final or lost:
            await self._store.write(lambda tx_: _note_finality(tx_, final, lost))
        return len(lost)

    async def pursue(self, intent: Row) -> Row:
        """Sign if need be, send, confirm, record how it ended. One task at a time works on an intent."""
        if intent["id"] in self._busy:
            return intent
        if intent["status"] == "confirmed":  # and not indexed: nothing is to be sent
            await self._index(intent["signature"])
            return intent
        self._busy.add(intent["id"])
        try:
            resumed = intent["status"] == "sent"
            if not resumed and not await self._sign(intent):
                return await self._reload(intent)
            await self._deliver(await self._reload(intent), resumed=resumed)
        finally:
            self._busy.discard(intent["id"])
        return await self._reload(intent)

    def count_aggregation(self, kind: VoteType, votes_count: int, *, done: bool, met: bool) -> None:
        """Count one bringing of a market's votes on chain."""
        name = kind.name.lower()
        self._metrics.aggregations_total.labels(name, "ok" if done else "failed").inc()
        if done:
            self._metrics.votes_per_market.labels(name).observe(votes_count)
            if met:
                self._metrics.aggregation_threshold_met_total.labels(name).inc()

    async def _reload(self, intent: Row) -> Row:
        found = await self._store.read(lambda tx_: intents.find_intent(tx_, intent["id"]))
        return found if found is not None else intent

    async def _sign(self, intent: Row) -> bool:
        """Put the signed bytes into the intent; False if it has ended or must wait instead."""
        action = ACTIONS[intent["action"]]
        key: Keypair | None = getattr(self.keys, action.signer)
        if key is None:
            await self._end(
                intent, "failed", ProgramFailure("KeyMissing", None, None, ()), "The key is not configured."
            )
            return False
        signer = bytes(key.pubkey())
        market_id = b"" if intent["subject"] == intents.PROTOCOL else bytes.fromhex(intent["subject"])
        instruction = action.build(self._codec, market_id, signer, intents.args_of(intent))
        try:
            planned = await tx.plan(self._rpc, instruction, signer, self._fees)
        except SimulationFailed as error:
            await self._refused(intent, failure_in(error, self._codec))
            return False
        signed = tx.sign(planned, [key])
        return await self._store.write(
            lambda tx_: intents.set_signed(
                tx_, intent["id"], signed.raw, signed.signature, signed.last_valid_block_height
            )
        )

    async def _deliver(self, intent: Row, *, resumed: bool) -> None:
        raw, signature = intent["signed_transaction"], intent["signature"]
        try:
            landed = await tx.send_and_confirm(self._rpc, raw, intent["last_valid_block_height"], already_sent=resumed)
        except TransactionExpired as error:
            await self._end(intent, "expired", ProgramFailure("BlockhashExpired", None, None, ()), str(error))
        except (SimulationFailed, TransactionFailed) as error:
            await self._refused(intent, failure_in(error, self._codec))
        else:
            await self._index(signature)
            await self._store.write(lambda tx_: _confirm(tx_, intent, landed.slot))
            self._metrics.transitions_total.labels(intent["action"], "confirmed").inc()
            logger.info("%s confirmed for %s", intent["action"], intent["subject"])

    async def _refused(self, intent: Row, failure: ProgramFailure) -> None:
        """The program refused: done already, not yet possible, or something for a person."""
        if failure.name in DONE_ALREADY.get(intent["action"], ()):
            await self._end(intent, "abandoned", failure, "The market has moved on.")
        elif failure.name in NOT_YET:
            await self._end(intent, "expired", failure, "The program does not allow this yet.")
        else:
            await self._end(intent, "failed", failure, f"The program refused: {failure.name}.", alert=True)

    async def _end(
        self, intent: Row, status: str, failure: ProgramFailure, message: str, *, alert: bool = False
    ) -> None:
        def unit(tx_: Tx) -> None:
            intents.set_ended(tx_, intent["id"], status, name=failure.name, number=failure.number, message=message)
            if alert:
                text = f"{intent['action']} failed: {failure.name}."
                data = {"intent": intent["id"], "error": failure.name, "logs": list(failure.logs)}
                messages.raise_alert(
                    tx_, "state_transition_failure", "HIGH", text, subject=intent["subject"], data=data
                )

        await self._store.write(unit)
        self._metrics.transitions_total.labels(intent["action"], status).inc()
        logger.warning("%s for %s ended %s: %s", intent["action"], intent["subject"], status, failure.name)


def _note_finality(tx_: Tx, final: Sequence[tuple[int, int]], lost: Sequence[bytes]) -> None:
    for intent_id, slot in final:
        intents.set_finalized(tx_, intent_id, slot)
    for signature in lost:
        intents.reopen(tx_, signature)


def _confirm(tx_: Tx, intent: Row, slot: int) -> None:
    intents.set_confirmed(tx_, intent["id"], slot)
    messages.resolve_alert(tx_, "state_transition_failure", intent["subject"])
