"""The kinds of trouble that a simulated node meets, each at least once in a run."""

from collections.abc import Mapping
from typing import NamedTuple

from zmart_lite.simulation.deliveries import FATES, FORGERIES
from zmart_lite.simulation.poison import GARBAGE

DELIVERED = "deliver"
HISTORY = frozenset({"getSignaturesForAddress"})
TRANSACTION = frozenset({"getTransaction"})
TRANSACTIONS = HISTORY | TRANSACTION
KNOWLEDGE = TRANSACTIONS | {"getSignatureStatuses", "getAccountInfo", "getBlock"}
ACCOUNTS = frozenset({"getAccountInfo", "getMultipleAccounts", "getProgramAccounts"})
SLOTS = frozenset({"getSlot", "getTransaction", "getSignaturesForAddress", "getAccountInfo", "getMultipleAccounts"})
ANY: frozenset[str] = frozenset()


class Trouble(NamedTuple):
    """A temper of the devnet as a run uses it: for these methods, for at most so many calls each time."""

    methods: frozenset[str] = ANY
    calls_max: int = 6


SLOW = Trouble(ANY, 1)
"""It takes real time."""

TROUBLES: Mapping[str, Trouble] = {
    **dict.fromkeys(("401", "429", "500", "503", "behind", "cut", "malformed", "page"), Trouble()),
    **dict.fromkeys(("timeout", "lost_answer"), SLOW),
    "slow": Trouble(ANY, 2),
    **dict.fromkeys(("skips", "repeats", "short_pages", "other_order", "unknown_place"), Trouble(HISTORY)),
    **dict.fromkeys(("no_block_times", "no_places", "no_history", "too_new"), Trouble(TRANSACTIONS)),
    **dict.fromkeys(("empty_logs", "cut_logs", "null_logs", "no_inner", "newer_version"), Trouble(TRANSACTION)),
    **dict.fromkeys(("unknown", "stale"), Trouble(KNOWLEDGE)),
    "more_members": Trouble(),
    "times_off": Trouble(TRANSACTIONS),
    "context_back": Trouble(ACCOUNTS),
    "slots_ahead": Trouble(SLOTS),
    "slots_jump": Trouble(SLOTS),
    "other_genesis": Trouble(frozenset({"getGenesisHash"}), 2),
}
EVENTS = ("fork", "fork_again", "truncated", "kill", "version_one")
POISON = (*GARBAGE, "largest", "least", "extreme_config", "long_account", "zero_shares")
UPGRADE = "upgrade"
EDGES = ("edge_b", "edge_liquidity", "hostile_hash")
"""What markets are created with, now and then."""
LAYOUTS = ("unknown_layout", "longer_layout", "shorter_layout")
"""What a node meets that is upgraded too late."""
EVENTS_REPEATED = 3
"""How often a run meets each event. What else is not left to dice happens once."""
KINDS: frozenset[str] = frozenset(
    {*TROUBLES, *FORGERIES, *FATES, *EVENTS, *POISON, *EDGES, *LAYOUTS, UPGRADE} - {DELIVERED}
)
"""All that happens in a run."""


def chosen(names: frozenset[str]) -> frozenset[str]:
    """Those that happen if these are wanted: without an upgrade nobody meets a layout. Raises ``ValueError``."""
    if unknown := names - KINDS:
        raise ValueError(f"no such kind: {', '.join(sorted(unknown))}. There are: {', '.join(sorted(KINDS))}")
    return names | {UPGRADE} if names & set(LAYOUTS) else names
