"""Binds the database to one cluster and one program: facts of two chains in one database could never be told apart."""

from solders.pubkey import Pubkey

from zmart_lite.chain.rpc import ClockReading, Rpc
from zmart_lite.config import Config
from zmart_lite.errors import StartupError
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import chainlog


class Pinning:
    """A cluster that is out of reach at the start is bound to when it first answers."""

    def __init__(self, config: Config, store: Store, rpc: Rpc) -> None:
        self._config, self._store, self._rpc = config, store, rpc
        self._is_pinned = False

    async def pin(self) -> ClockReading:
        """Bind to the cluster as it answers now; its clock. Raises StartupError for a database of another cluster or
        program and for addresses of two clusters, ChainError where the cluster does not answer.
        """
        await self._store.write(lambda tx: pin(tx, self._config))
        genesis_hash = await self._rpc.get_genesis_hash()
        reading = await self._rpc.get_clock()
        await self._store.write(lambda tx: pin(tx, self._config, genesis_hash=genesis_hash))
        self._rpc.require_cluster(genesis_hash)
        if not self._config.embedded_devnet:
            self._rpc.require_slots()
        if foreign := await self._rpc.list_foreign():
            raise StartupError(f"chain.rpc_urls: {', '.join(foreign)} is a node of another cluster than chain.rpc_url.")
        self._is_pinned = True
        return reading

    async def require_known(self) -> None:
        """Take only the cluster that the database already belongs to, if it belongs to one."""
        pinned = await self._store.read(lambda tx: chainlog.find_meta(tx, "genesis_hash"))
        self._rpc.require_cluster(None if pinned is None else bytes.fromhex(pinned))
        if not self._config.embedded_devnet:
            self._rpc.require_slots()

    async def note_cluster(self) -> None:
        """Bind to the cluster that was out of reach at the start, now that it answered."""
        genesis_hash = self._rpc.genesis_hash
        if self._is_pinned or genesis_hash is None:
            return
        await self._store.write(lambda tx: pin(tx, self._config, genesis_hash=genesis_hash))
        self._is_pinned = True


def pin(tx: Tx, config: Config, *, genesis_hash: bytes | None = None) -> None:
    """Bind the database to the program of the configuration and, if it is known, to a cluster.

    Raises StartupError if it belongs to another.
    """
    store = config.store
    _pin(
        tx,
        "program_id",
        bytes(Pubkey.from_string(config.chain.program_id)),
        f"The database {store.sqlite_path} belongs to another program. Set chain.program_id back",
    )
    if genesis_hash is not None:
        back = "Set chain.rpc_url back"
        if config.embedded_devnet:
            back = f"The embedded devnet was begun anew: put its {store.ledger_path} back"
        _pin(tx, "genesis_hash", genesis_hash, f"The database {store.sqlite_path} belongs to another cluster. {back}")


def _pin(tx: Tx, key: str, value: bytes, refusal: str) -> None:
    known = chainlog.find_meta(tx, key)
    if known is None:
        chainlog.set_meta(tx, key, value.hex())
    elif known != value.hex():
        raise StartupError(
            f"{refusal}, or store.dir to an empty folder. ({key} {known[:16]}…, now {value.hex()[:16]}…)"
        )
