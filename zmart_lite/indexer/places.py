"""Where events stand in the chain's log, and how stored ones are read back."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from zmart_lite.store.engine.db import Row


class Place(NamedTuple):
    """Where an event stands in the log; places compare in chain order."""

    slot: int
    index_in_block: int
    transaction_id: int
    event_index: int


def place_of(row: Row) -> Place:
    """The place of an event's row."""
    return Place(row["slot"], row["index_in_block"], row["transaction_id"], row["event_index"])


def facts_in(row: Row) -> Mapping[str, Any]:
    """The facts kept with an event's row."""
    return cast(Mapping[str, Any], msgspec.json.decode(row["facts"])) if row["facts"] else {}
