"""``event_data`` of an EventRow: an event's fields as JSON, by the types its IDL gives them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from zmart_lite import models
from zmart_lite.codec import Codec
from zmart_lite.shown import address_text, hash_text

Show = Callable[[Any], Any]


class _Shown(NamedTuple):
    field: str
    show: Show


class EventData:
    """Shows stored events; compiled once from the codec's IDL."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        types = {entry["name"]: entry["type"]["fields"] for entry in codec.idl["types"] if "fields" in entry["type"]}
        self._by_class: dict[type[Any], tuple[_Shown, ...]] = {
            getattr(models, entry["name"]): tuple(
                _Shown(field["name"], _show_of(field["name"], field["type"])) for field in types[entry["name"]]
            )
            for entry in codec.idl["events"]
        }
        self._by_class[models.WinningsClaimedLegacy] = (
            _Shown("market_id", bytes.hex),
            _Shown("user", address_text),
            _Shown("amount", str),
            _Shown("resolver_fee", str),
            _Shown("timestamp", _same),
        )

    def shown(self, data: bytes, market_id: str | None) -> dict[str, Any]:
        """The event in ``data``. ``market_id`` (hex) is added where the event names its market by address only."""
        event = self._codec.decode_event(data)
        out = {part.field: part.show(value) for part, value in zip(self._by_class[type(event)], event, strict=True)}
        if isinstance(event, models.WinningsClaimed | models.WinningsClaimedLegacy):
            out["market_id"] = market_id
        return out


def _same(value: Any) -> Any:
    return value


def _show_of(name: str, idl_type: Any) -> Show:
    if isinstance(idl_type, dict) and "option" in idl_type:
        inner = _show_of(name, idl_type["option"])
        return lambda value: None if value is None else inner(value)
    if idl_type == "u64":
        return str
    if idl_type == "pubkey":
        return address_text
    if isinstance(idl_type, dict) and "array" in idl_type:
        return bytes.hex if name == "market_id" else _hash
    return _same


def _hash(value: bytes) -> str:
    return hash_text(value) or value.hex()
