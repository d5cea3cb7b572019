"""The rows of a batch's transactions and events, which get their keys at once and are written together."""

from collections.abc import Mapping
from typing import Any

import msgspec

from zmart_lite.models import ChainTransaction
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog


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
        self._transaction_key = key + 1
        signature, slot, index_in_block, block_time, failed, _, _ = found
        self._transactions.append(
            (
                key,
                signature,
                slot,
                index_in_block,
                block_time,
                int(failed),
                int(complete),
                finality,
                source,
                int(checked),
                self._tx.now_ms,
            )
        )
        return key

    def add_event(
        self,
        transaction_id: int,
        found: ChainTransaction,
        event_index: int,
        event_type: str,
        *,
        timestamp: int,
        market: int | None,
        wallet: int | None,
        data: bytes,
        facts: Mapping[str, Any] | None,
    ) -> int:
        """The event's key. ``market`` and ``wallet``: the keys of their rows."""
        key = self._event_key
        self._event_key = key + 1
        self._events.append(
            (
                key,
                transaction_id,
                event_index,
                event_type,
                market,
                wallet,
                found.slot,
                found.index_in_block or 0,
                timestamp,
                data,
                msgspec.json.encode(facts).decode() if facts else None,
            )
        )
        return key

    def write(self) -> None:
        chainlog.add_transactions(self._tx, self._transactions)
        chainlog.add_events(self._tx, self._events)
        self._transactions.clear()
        self._events.clear()
