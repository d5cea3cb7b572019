"""In what the releases of Agave answer differently, as far as this devnet models it.

Sources: the CHANGELOG of Agave, and the crates solana-rpc, solana-rpc-client-types and
solana-transaction-status-client-types
of these releases.

| since | what |
|---|---|
| 3.1 | a wrong signature met by a simulation is the simulation's ``err``, no longer error -32003 |
| 4.0 | `getSignaturesForAddress` refuses a `before` or `until` that it does not know with -32020 |
| 4.0 | `getSignaturesForAddress` and `getTransaction` tell `transactionIndex` |
| 4.0 | an instruction with too few accounts ends in `MissingAccount`, no longer `NotEnoughAccountKeys` |
| 4.0 | another program stands at the address of the memo program, which logs the text on a line of its own |
| 4.0 | the Rent sysvar holds the price of exemption itself, with a threshold of 1 |
| 4.0 | `getClusterNodes` tells `clientId` |
| 4.2 | version-1 transactions are taken |
"""

from typing import NamedTuple


class Release(NamedTuple):
    """A release of the cluster's software. ``version`` is what it calls itself."""

    major: int
    minor: int
    version: str

    def has(self, major: int, minor: int) -> bool:
        """Whether it behaves as that release and later ones do."""
        return (self.major, self.minor) >= (major, minor)


RELEASES = {
    "3.0": Release(3, 0, "3.0.10"),
    "3.1": Release(3, 1, "3.1.14"),
    "4.0": Release(4, 0, "4.0.0"),
    "4.2": Release(4, 2, "4.2.2"),
    "4.4": Release(4, 4, "4.4.0"),
}
"""By the names that ``localnet.api`` takes."""
NEWEST = RELEASES["4.4"]
