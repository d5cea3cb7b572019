"""The outcome of the last restore drill."""

from typing import NamedTuple

import msgspec

from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog

META_KEY = "restore_drill"


class Drilled(NamedTuple):
    """``duration_s``: from the copy to a database that is proved (RTO); ``backup_age_s``: how old the copy was (RPO);
    ``accounts``: compared; ``moved_on``: markets that the chain has changed since the copy.
    """

    at_ms: int
    file: str
    ok: bool
    duration_s: float
    backup_age_s: float
    accounts: int = 0
    moved_on: int = 0
    error: str | None = None


def find_drill(tx: Tx) -> Drilled | None:
    """The last drill; None before the first."""
    text = chainlog.find_meta(tx, META_KEY)
    return None if text is None else msgspec.json.decode(text, type=Drilled)


def set_drill(tx: Tx, drilled: Drilled) -> None:
    chainlog.set_meta(tx, META_KEY, msgspec.json.encode(drilled).decode())
