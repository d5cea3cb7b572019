"""Answers that are well formed and wrong, or refused, as nodes of a cluster and providers give them now and then.

Each kind is a function of the call and its true result. Whoever indexes a chain has to come out right in spite of them:
histories that skip or repeat, pages shorter than asked for, slots, times and places that are wrong or not told, logs
that are missing, things that a node says it does not know or cannot tell.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from solders.hash import Hash

from zmart_lite.localnet import jsonrpc
from zmart_lite.localnet.params import (
    FILTER_TRANSACTION_NOT_FOUND,
    MIN_CONTEXT_SLOT_NOT_REACHED,
    TRANSACTION_HISTORY_NOT_AVAILABLE,
    UNSUPPORTED_TRANSACTION_VERSION,
    RpcError,
)

LEFT_OUT_EVERY = 3
"""A history that skips leaves out every third row."""
LINES_KEPT = 2


class Asked(NamedTuple):
    """A call as it came. ``value`` is the temper's number, ``turn`` counts the calls that met it from 0."""

    method: str
    params: list[Any]
    value: int
    turn: int

    @property
    def options(self) -> dict[str, Any]:
        return next((each for each in self.params if isinstance(each, dict)), {})


Change = Callable[[Asked, Any], Any]
"""The result in place of the true one. May change it, or raise :class:`RpcError`."""


class Distortion(NamedTuple):
    """A kind: what it does, in words for people, and the number that it takes where none is given."""

    change: Change
    text: str
    value: int = 0


# Rows of an address's history


def _history(change: Callable[[list[Any]], list[Any]]) -> Change:
    """A change of answers that are rows of an address's history; others stay as they are."""
    return lambda _asked, result: change(result) if isinstance(result, list) else result


def _skip(rows: list[Any]) -> list[Any]:
    return [row for number, row in enumerate(rows) if number % LEFT_OUT_EVERY]


def _repeat(rows: list[Any]) -> list[Any]:
    """Every row twice, and the rows of a slot in the opposite order."""
    doubled = [row for row in reversed(rows) for _ in range(2)]
    return sorted(doubled, key=lambda row: -row["slot"])


def _shorten(rows: list[Any]) -> list[Any]:
    return rows[: (len(rows) + 1) // 2]


def _turn_round(rows: list[Any]) -> list[Any]:
    """The rows of each slot in the opposite order: a node that does not keep the order within a block."""
    turned = rows[::-1]
    turned.sort(key=lambda row: -row["slot"])
    return turned


# Members of an answer


def _without(name: str) -> Change:
    """Set one field to null wherever it stands at the top of the answer or of its rows."""

    def change(_asked: Asked, result: Any) -> Any:
        for row in result if isinstance(result, list) else [result]:
            if isinstance(row, dict) and name in row:
                row[name] = None
        return result

    return change


def _moved(result: Any, names: frozenset[str], by: int) -> Any:
    """The same with ``by`` added to each number of these names, at any depth, never below 0."""
    if isinstance(result, dict):
        return {
            name: max(each + by, 0) if name in names and isinstance(each, int) else _moved(each, names, by)
            for name, each in result.items()
        }
    return [_moved(each, names, by) for each in result] if isinstance(result, list) else result


_SLOTS = frozenset({"slot", "absoluteSlot", "parentSlot"})
_SLOT_METHODS = frozenset({"getSlot", "getFirstAvailableBlock"})
_TIMES = frozenset({"blockTime"})


def _slots(asked: Asked, result: Any, by: int) -> Any:
    return max(result + by, 0) if asked.method in _SLOT_METHODS else _moved(result, _SLOTS, by)


def _slots_ahead(asked: Asked, result: Any) -> Any:
    return _slots(asked, result, asked.value)


def _slots_jump(asked: Asked, result: Any) -> Any:
    return _slots(asked, result, asked.value if asked.turn % 2 else -asked.value)


def _context_back(asked: Asked, result: Any) -> Any:
    if isinstance(result, dict) and isinstance(result.get("context"), dict):
        result["context"] = _moved(result["context"], _SLOTS, -asked.value)
    return result


def _heights_back(asked: Asked, result: Any) -> Any:
    if asked.method == "getBlockHeight":
        return max(result - asked.value, 0)
    return _moved(result, frozenset({"blockHeight"}), -asked.value)


def _times_off(asked: Asked, result: Any) -> Any:
    if asked.method == "getBlockTime" and isinstance(result, int):
        return result + asked.value
    return _moved(result, _TIMES, asked.value)


def _logs(change: Callable[[int, list[str]], list[str] | None]) -> Change:
    """A change of the logs of a transaction; other answers stay as they are."""

    def distort(asked: Asked, result: Any) -> Any:
        meta = result.get("meta") if isinstance(result, dict) else None
        if isinstance(meta, dict) and meta.get("logMessages") is not None:
            meta["logMessages"] = change(asked.value, meta["logMessages"])
        return result

    return distort


def _no_inner(_asked: Asked, result: Any) -> Any:
    if isinstance(result, dict) and isinstance(result.get("meta"), dict):
        result["meta"]["innerInstructions"] = None
    return result


def _more_members(_asked: Asked, result: Any) -> Any:
    """Members that no release has yet, in every object."""
    if isinstance(result, dict):
        return {name: _more_members(_asked, each) for name, each in result.items()} | {"laterMember": {"slot": "soon"}}
    return [_more_members(_asked, each) for each in result] if isinstance(result, list) else result


def _newer_version(asked: Asked, result: Any) -> Any:
    if not isinstance(result, dict) or "transaction" not in result:
        return result
    if (asked.options.get("maxSupportedTransactionVersion") or 0) < asked.value:
        raise RpcError(
            UNSUPPORTED_TRANSACTION_VERSION,
            f"Transaction version ({asked.value}) is not supported by the requesting client. Please try the request "
            f'again with the following configuration parameter: "maxSupportedTransactionVersion": {asked.value}',
        )
    return result | {"version": asked.value}


# Things a node does not know, or will not say


def _forget(_asked: Asked, result: Any) -> Any:
    """The answer of a node that does not know what it was asked for."""
    if isinstance(result, dict) and "value" in result:
        value = result["value"]
        return result | {"value": [None] * len(value) if isinstance(value, list) else None}
    return [] if isinstance(result, list) else None


def _other_genesis(asked: Asked, result: Any) -> Any:
    """Everything else is answered as before: an address that was moved to another cluster."""
    if asked.method != "getGenesisHash":
        return result
    return str(Hash(hashlib.sha256(b"another cluster" + str(result).encode()).digest()))


def _unknown_place(asked: Asked, result: Any) -> Any:
    """Any ``before`` or ``until`` is one that this node never saw: a page was read from another."""
    place = asked.options.get("before") or asked.options.get("until")
    if asked.method == "getSignaturesForAddress" and place:
        raise RpcError(FILTER_TRANSACTION_NOT_FOUND, f"Transaction {place} not found")
    return result


def _no_history(_asked: Asked, _result: Any) -> Any:
    raise RpcError(TRANSACTION_HISTORY_NOT_AVAILABLE, "Transaction history is not available from this node")


def _too_new(_asked: Asked, _result: Any) -> Any:
    text = "Minimum context slot has not been reached"
    raise RpcError(MIN_CONTEXT_SLOT_NOT_REACHED, text, {"contextSlot": 1})


DISTORTIONS: Mapping[str, Distortion] = {
    "context_back": Distortion(_context_back, "`context.slot` lies `value` slots back", 40),
    "cut_logs": Distortion(_logs(lambda kept, lines: lines[:kept]), "only the first `value` log lines", LINES_KEPT),
    "empty_logs": Distortion(_logs(lambda _value, _lines: []), "transactions without any log line"),
    "heights_back": Distortion(_heights_back, "block heights are `value` too low", 40),
    "more_members": Distortion(_more_members, "every object has a member that no release knows"),
    "newer_version": Distortion(
        _newer_version, "transactions are of version `value`: -32015 to who asks for less, else told", 1
    ),
    "no_block_times": Distortion(_without("blockTime"), "`blockTime` is null"),
    "no_history": Distortion(_no_history, "-32011: the node keeps no history"),
    "no_inner": Distortion(_no_inner, "`innerInstructions` is null"),
    "no_places": Distortion(_without("transactionIndex"), "`transactionIndex` is null"),
    "null_logs": Distortion(_logs(lambda _value, _lines: None), "`logMessages` is null"),
    "other_genesis": Distortion(_other_genesis, "the genesis hash is another cluster's"),
    "other_order": Distortion(_history(_turn_round), "the rows of a slot come in the opposite order"),
    "repeats": Distortion(_history(_repeat), "every row of a history comes twice"),
    "short_pages": Distortion(_history(_shorten), "pages of a history have half of their rows"),
    "skips": Distortion(_history(_skip), "every third row of a history is left out"),
    "slots_ahead": Distortion(_slots_ahead, "`value` is added to every slot", 1_000_000_000),
    "slots_jump": Distortion(_slots_jump, "slots are `value` too low, then too high, and so on", 5_000),
    "times_off": Distortion(_times_off, "block times are `value` seconds off", 86_400),
    "too_new": Distortion(_too_new, "-32016: the minimum context slot has not been reached"),
    "unknown": Distortion(_forget, "the node does not know what it was asked for: null, or an empty list"),
    "unknown_place": Distortion(_unknown_place, "-32020 for any `before` or `until`"),
}


def distorted(kind: str, asked: Asked, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer to one call, changed. Errors stay what they are."""
    if "result" not in answer:
        return answer
    try:
        return answer | {"result": DISTORTIONS[kind].change(asked, answer["result"])}
    except RpcError as refused:
        return jsonrpc.failure(answer.get("id"), refused)
