"""Who may do a job now: a lease per job, whose token grows with every new holder.

A node that was paused for a minute (a suspended machine, a long swap) may wake up believing it still holds a lease that
another has taken since. So every write of a job checks its token inside the same transaction: that of an older holder
is refused. With one node on one SQLite file nobody competes, and a lease still ends the run that overlived its process.
"""

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from zmart_lite.errors import LeaseLost
from zmart_lite.store.engine.db import Store, Tx, WriteAhead

T = TypeVar("T")


class Lease(NamedTuple):
    name: str
    holder: str
    token: int


def take_lease(tx: Tx, name: str, holder: str, ttl_ms: int) -> Lease | None:
    """The lease under a new token; None while somebody else holds it."""
    row = tx.one("SELECT * FROM leases WHERE name = ?", (name,))
    if row is not None and row["holder"] != holder and row["expires_ms"] > tx.now_ms:
        return None
    token = 1 if row is None else row["token"] + 1
    tx.execute(
        "INSERT INTO leases (name, holder, token, expires_ms) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " holder = excluded.holder, token = excluded.token, expires_ms = excluded.expires_ms",
        (name, holder, token, tx.now_ms + ttl_ms),
    )
    return Lease(name, holder, token)


def renew_lease(tx: Tx, lease: Lease, ttl_ms: int) -> bool:
    """Hold it longer; False if another has taken it."""
    values = (tx.now_ms + ttl_ms, lease.name, lease.token)
    return tx.execute("UPDATE leases SET expires_ms = ? WHERE name = ? AND token = ?", values) == 1


def release_lease(tx: Tx, lease: Lease) -> None:
    tx.execute("UPDATE leases SET expires_ms = 0 WHERE name = ? AND token = ?", (lease.name, lease.token))


def release_all(tx: Tx) -> None:
    """End what an earlier process held. Only for a database that no other process can have open."""
    tx.execute("UPDATE leases SET expires_ms = 0")


def require_lease(tx: Tx, lease: Lease) -> None:
    """Raises LeaseLost if another holder has taken the lease since."""
    if tx.value("SELECT token FROM leases WHERE name = ?", (lease.name,)) != lease.token:
        raise LeaseLost(f"{lease.name} has been taken over by another holder.")


class UnitsOfWork(Protocol):
    """What jobs need of the store."""

    now_ms: Callable[[], int]

    async def read(self, run: Callable[[Tx], T]) -> T: ...

    async def write(self, run: Callable[[Tx], T]) -> T: ...


class JobStore(UnitsOfWork, Protocol):
    """What jobs need that look after the database itself."""

    path: Path

    @property
    def failed(self) -> str | None: ...

    async def write_ahead(self) -> WriteAhead: ...


HELD: ContextVar[Lease | None] = ContextVar("held_lease", default=None)
"""The lease of the run that is going on in this task, and in the tasks it started."""


class FencedStore:
    """The store for jobs: inside a run, a write is refused once the run's lease has gone to somebody else."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.now_ms = store.now_ms
        self.path = store.path

    @property
    def failed(self) -> str | None:
        """As the store's."""
        return self._store.failed

    async def write_ahead(self) -> WriteAhead:
        """As the store's."""
        return await self._store.write_ahead()

    async def read(self, run: Callable[[Tx], T]) -> T:
        return await self._store.read(run)

    async def write(self, run: Callable[[Tx], T]) -> T:
        """As the store's. Raises LeaseLost, having changed nothing."""
        lease = HELD.get()
        if lease is None:
            return await self._store.write(run)

        def fenced(tx: Tx) -> T:
            require_lease(tx, lease)
            return run(tx)

        return await self._store.write(fenced)
