"""Account versions: the newest state, and for each block that may still be asked about or dropped, what it overwrote.

The state after block ``h`` is the newest state with the deltas of all later blocks undone, so that keeping it costs as
much memory as changed, and a lookup at an older commitment one dict access per later block that changed anything.
"""

from collections.abc import Iterator

from zmart_lite.localnet.runtime import Account

Delta = dict[bytes, Account | None]


class AccountStates:
    """All accounts of the ledger. Account objects handed in or out are never changed, only replaced."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, Account] = {}
        self._by_owner: dict[bytes, dict[bytes, None]] = {}
        self._open: Delta = {}
        self._deltas: dict[int, Delta] = {}
        self._open_height = 0

    def __len__(self) -> int:
        return len(self._accounts)

    def items(self) -> Iterator[tuple[bytes, Account]]:
        """The newest version of every account."""
        return iter(self._accounts.items())

    def get(self, key: bytes) -> Account | None:
        """The newest version."""
        return self._accounts.get(key)

    def get_at(self, key: bytes, height: int) -> Account | None:
        """The version after the block of that height."""
        for delta in self._later_deltas(height):
            if key in delta:
                return delta[key]
        return self._accounts.get(key)

    def owned_at(self, owner: bytes, height: int) -> list[tuple[bytes, Account]]:
        """The accounts of a program after the block of that height, in the order in which they came to be owned."""
        keys = dict(self._by_owner.get(owner, {}))
        for delta in self._later_deltas(height):
            keys.update((key, None) for key, account in delta.items() if account is not None and account.owner == owner)
        found = ((key, self.get_at(key, height)) for key in keys)
        return [(key, account) for key, account in found if account is not None and account.owner == owner]

    def put(self, key: bytes, account: Account | None) -> None:
        """Write a version as part of the open block. An account without lamports ceases to exist."""
        if account is not None and account.lamports == 0:
            account = None
        self._open.setdefault(key, self._accounts.get(key))
        self._replace(key, account)

    def open_changes(self) -> dict[bytes, Account | None]:
        """The newest versions of what the open block changed so far."""
        return {key: self._accounts.get(key) for key in self._open}

    def changed_in(self, height: int) -> frozenset[bytes]:
        """The accounts that a sealed block changed; empty once it is forgotten."""
        return frozenset(self._deltas.get(height, ()))

    def seal(self) -> None:
        """End the open block."""
        if self._open:
            self._deltas[self._open_height] = self._open
            self._open = {}
        self._open_height += 1

    def start_at(self, open_height: int) -> None:
        """Number the open block; everything written so far is part of the base state and cannot be undone."""
        self._open_height = open_height
        self._open = {}
        self._deltas.clear()

    def undo_after(self, height: int) -> frozenset[bytes]:
        """Go back to the state after the block of that height. Returns the accounts that changed by that."""
        touched: set[bytes] = set()
        for delta in reversed(list(self._later_deltas(height))):
            touched.update(delta)
            for key, account in delta.items():
                self._replace(key, account)
        for later in range(height + 1, self._open_height + 1):
            self._deltas.pop(later, None)
        self._open = {}
        self._open_height = height + 1
        return frozenset(touched)

    def forget_through(self, height: int) -> None:
        """Give up the way back to states before the block of that height."""
        while self._deltas and (oldest := next(iter(self._deltas))) <= height:
            del self._deltas[oldest]

    def _later_deltas(self, height: int) -> Iterator[Delta]:
        if self._deltas:
            for later in range(height + 1, self._open_height):
                delta = self._deltas.get(later)
                if delta is not None:
                    yield delta
        if self._open and height < self._open_height:
            yield self._open

    def _replace(self, key: bytes, account: Account | None) -> None:
        old = self._accounts.get(key)
        if old is not None and (account is None or old.owner != account.owner):
            del self._by_owner[old.owner][key]
        if account is None:
            self._accounts.pop(key, None)
        else:
            self._accounts[key] = account
            self._by_owner.setdefault(account.owner, {})[key] = None
