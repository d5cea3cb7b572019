"""The versions of the global config: which one held at a place of the log, and how they come about.

A trade's event does not tell its fee parts; the config in force when it happened does. So versions are folded in chain
order like markets, and an event that comes late has them folded again from its slot on, and with them the markets
traded since.
"""

from collections.abc import Mapping
from typing import Any

from zmart_lite import rules
from zmart_lite.codec import Codec
from zmart_lite.indexer import fold
from zmart_lite.indexer.fold import FactsMissing
from zmart_lite.indexer.places import Place, facts_in, place_of
from zmart_lite.models import ChainEvent
from zmart_lite.rules import FeeRates
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, positions


class ConfigLog:
    """The config's versions within one open transaction."""

    def __init__(self, tx: Tx, codec: Codec, context: messages.FeedContext) -> None:
        self._tx = tx
        self._codec = codec
        self._context = context
        self._last: tuple[markets.LogPlace, FeeRates] | None = None

    def rates_at(self, place: Place) -> FeeRates | None:
        """The fees in force at a place; None, and a reading of the config's account is asked for, if it is not
        known.
        """
        if self._last is None:
            last = markets.find_last_config(self._tx)
            if last is None:
                self._context.config_unknown = True
                return None
            self._last = last[0], rules.fee_rates(last[1])
        if place > self._last[0]:
            return self._last[1]
        config = markets.find_config_at(self._tx, place)
        return None if config is None else rules.fee_rates(config)

    def is_late(self, place: Place) -> bool:
        """Whether something that depends on the config at ``place`` has been folded already."""
        last = markets.find_last_config(self._tx)
        if (last is not None and place < last[0]) or chainlog.has_config_events_after(self._tx, place):
            return True
        return positions.has_trades_from(self._tx, place.slot, place.index_in_block)

    def add(self, event: ChainEvent, facts: Mapping[str, Any], place: Place, event_id: int) -> None:
        """Enter the version that an event makes; a reading of the account is asked for where that is not known."""
        before = markets.find_config_at(self._tx, place)
        try:
            config = fold.fold_config(before, event, facts, self._codec.config_pda()[1])
        except FactsMissing:
            self._context.config_unknown = True
            return
        markets.add_config(self._tx, config, slot=place.slot, index_in_block=place.index_in_block, event_id=event_id)
        self._last = None
        self._context.forget_config()

    def refold(self, slot: int) -> list[int]:
        """Fold the versions from ``slot`` on again; the markets to fold again after that."""
        markets.forget_configs(self._tx, slot)
        self._last = None
        self._context.forget_config()
        for row in chainlog.list_config_events(self._tx, slot):
            self.add(self._codec.decode_event(row["data"]), facts_in(row), place_of(row), row["id"])
        return positions.list_markets_traded_from(self._tx, slot)
