"""The rows of a batch's transactions and events, which get their keys at once and are written together."""

from collections.abc import Mapping
from typing import Any

from zmart_lite.indexer import fold
from zmart_lite.models import ChainEvent, ChainTransaction
from zmart_lite.store import chainlog
from zmart_lite.store.db import Tx


class NewRows:
    """What the log gets within one open transaction. There is one writer, so that keys can be given out beforehand."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._transactions: list[chainlog.TransactionRow] = []
        self._events: list[chainlog.EventRow] = []
        self._transaction_key, self._event_key = chainlog.next_keys(tx)

    def add_transaction(
        self, found: ChainTransaction, *, complete: bool, finality: int, source: str, checked: bool
    ) -> int:
        """The transaction's key."""
        key = self._transaction_key
        self._transaction_key += 1
        self._transactions.append(
            chainlog.transaction_row(key, found, complete=complete, finality=finality, source=source, checked=checked)
        )
        return key

    def add_event(
        self,
        transaction_id: int,
        found: ChainTransaction,
        event_index: int,
        event_type: str,
        event: ChainEvent,
        *,
        market: int | None,
        wallet: int | None,
        data: bytes,
        facts: Mapping[str, Any] | None,
    ) -> int:
        """The event's key. ``market`` and ``wallet``: the keys of their rows."""
        key = self._event_key
        self._event_key += 1
        self._events.append(
            chainlog.event_row(
                key,
                transaction_id,
                found,
                event_index,
                event_type,
                market=market,
                wallet=wallet,
                timestamp=fold.event_time(event),
                data=data,
                facts=facts,
            )
        )
        return key

    def write(self) -> None:
        chainlog.add_transactions(self._tx, self._transactions)
        chainlog.add_events(self._tx, self._events)
        self._transactions.clear()
        self._events.clear()
