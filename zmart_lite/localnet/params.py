"""Reading JSON-RPC parameters, with the cluster's messages for what is wrong with them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import based58
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.models import Commitment

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
PREFLIGHT_FAILURE = -32002
SIGNATURE_VERIFICATION_FAILURE = -32003
BLOCK_NOT_AVAILABLE = -32004
NODE_UNHEALTHY = -32005
SLOT_SKIPPED = -32007
NO_SNAPSHOT = -32008
TRANSACTION_HISTORY_NOT_AVAILABLE = -32011
UNSUPPORTED_TRANSACTION_VERSION = -32015
MIN_CONTEXT_SLOT_NOT_REACHED = -32016
FILTER_TRANSACTION_NOT_FOUND = -32020

U64_MAX = (1 << 64) - 1
BASE58_KEPT = 4_096
_COMMITMENTS = {level.name.lower(): level for level in Commitment}
_ENCODED_SIZES = {32: 44, 64: 88}


class RpcError(Exception):
    """The JSON-RPC error object of an answer."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def invalid(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


def decode_base58(text: str) -> bytes:
    """Raises ``ValueError`` for anything that is not base58."""
    return bytes(based58.b58decode(text.encode("ascii")))


@lru_cache(BASE58_KEPT)
def encode_base58(data: bytes) -> str:
    """Remembered: it takes time with the square of the length, and the same transactions are asked for often."""
    return bytes(based58.b58encode(data)).decode("ascii")


class Params:
    """The positional parameters of one call; the last may be a configuration object."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, index: int) -> Any:
        return self._values[index] if index < len(self._values) else None

    def require(self, index: int) -> Any:
        value = self.get(index)
        if value is None:
            raise invalid(f"`params` should have at least {index + 1} argument(s)")
        return value

    def pubkey(self, index: int) -> bytes:
        return read_pubkey(self.require(index))

    def text(self, index: int) -> str:
        return read_text(self.require(index))

    def u64(self, index: int) -> int:
        return read_u64(self.require(index))

    def texts(self, index: int, limit: int) -> list[str]:
        values = self.require(index)
        if not isinstance(values, list):
            raise invalid(f"Invalid params: invalid type: {_kind(values)}, expected a sequence.")
        if len(values) > limit:
            raise invalid(f"Too many inputs provided; max {limit}")
        return [read_text(value) for value in values]

    def config(self, index: int) -> "Config":
        value = self.get(index)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise invalid(f"Invalid params: invalid type: {_kind(value)}, expected a configuration object.")
        return Config(value)


class Config:
    """A configuration object. Unknown fields are ignored, as the cluster does."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def get(self, name: str) -> Any:
        return self.fields.get(name)

    def commitment(self, name: str = "commitment", default: Commitment = Commitment.FINALIZED) -> Commitment:
        value = self.get(name)
        if value is None:
            return default
        level = _COMMITMENTS.get(value) if isinstance(value, str) else None
        if level is None:
            known = "`processed`, `confirmed`, `finalized`"
            raise invalid(f"Invalid params: unknown variant `{value}`, expected one of {known}.")
        return level

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self.get(name)
        if value is None:
            return default
        if value not in choices:
            known = ", ".join(f"`{choice}`" for choice in choices)
            raise invalid(f"Invalid params: unknown variant `{value}`, expected one of {known}.")
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid(f"Invalid params: invalid type: {_kind(value)}, expected a boolean.")
        return value

    def u64(self, name: str) -> int | None:
        value = self.get(name)
        return None if value is None else read_u64(value)

    def signature(self, name: str) -> bytes | None:
        value = self.get(name)
        return None if value is None else read_signature(value)


def read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid(f"Invalid params: invalid type: {_kind(value)}, expected a string.")
    return value


def read_u64(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"Invalid params: invalid type: {_kind(value)}, expected u64.")
    if not 0 <= value <= U64_MAX:
        raise invalid(f"Invalid params: invalid value: integer `{value}`, expected u64.")
    return value


def read_pubkey(value: Any) -> bytes:
    try:
        return bytes(Pubkey.from_string(read_text(value)))
    except ValueError:
        raise invalid(f"Invalid param: {_base58_fault(value, 32)}") from None


def read_signature(value: Any) -> bytes:
    try:
        return bytes(Signature.from_string(read_text(value)))
    except ValueError:
        raise invalid(f"Invalid param: {_base58_fault(value, 64)}") from None


def read_hash(value: Any) -> bytes:
    try:
        return bytes(Hash.from_string(read_text(value)))
    except ValueError:
        raise invalid(f"Invalid param: {_base58_fault(value, 32)}") from None


def _base58_fault(text: str, size: int) -> str:
    """How the cluster names what is wrong with an encoded key."""
    if len(text) > _ENCODED_SIZES[size]:
        return "WrongSize"
    try:
        decode_base58(text)
    except ValueError:
        return "Invalid"
    return "WrongSize"


def _kind(value: Any) -> str:
    """What serde calls a JSON value."""
    match value:
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
        case list():
            return "sequence"
        case dict():
            return "map"
        case _:
            return "null"
