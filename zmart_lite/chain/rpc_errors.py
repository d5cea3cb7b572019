"""What each error of an RPC node asks us to do. Decided here and nowhere else.

Codes and texts are those of ``solana-rpc-client-api`` 3.0.0 to 4.4.0 and 4.5.0-alpha.4 (``custom_error.rs``) and of
JSON-RPC 2.0, besides those that services in front of nodes are known to send. One code can mean several things:
services use those of nodes for their own limits, so that some are told apart by the text.
"""

import re
from enum import Enum
from typing import NamedTuple

PREFLIGHT_FAILED = -32002
UNSUPPORTED_VERSION = -32015
PLACE_UNKNOWN = -32020


class Remedy(Enum):
    """What may help."""

    RETRY = "ask again"
    """The question is in order, and its answer comes with time."""
    PAUSE = "leave the node alone, then ask again"
    """The node itself is not well, or has enough of us: another one is asked meanwhile."""
    OTHER_NODE = "ask another node"
    """This node will never know, another one may: an error at once where there is none."""
    START_AGAIN = "forget the place in the history"
    """No node knows the transaction from which a history should go on."""
    GIVE_UP = "give up"
    """The question is wrong, or the answer is no."""


class ErrorCode(NamedTuple):
    """A row of the table. ``name`` as in the source; ``since``: the first release that has it."""

    code: int
    name: str
    since: str
    remedy: Remedy


TABLE = (
    ErrorCode(-32001, "BlockCleanedUp", "3.0", Remedy.OTHER_NODE),
    ErrorCode(PREFLIGHT_FAILED, "SendTransactionPreflightFailure", "3.0", Remedy.GIVE_UP),
    ErrorCode(-32003, "TransactionSignatureVerificationFailure", "3.0", Remedy.GIVE_UP),
    ErrorCode(-32004, "BlockNotAvailable", "3.0", Remedy.RETRY),
    ErrorCode(-32005, "NodeUnhealthy", "3.0", Remedy.PAUSE),
    ErrorCode(-32006, "TransactionPrecompileVerificationFailure", "3.0", Remedy.GIVE_UP),
    ErrorCode(-32007, "SlotSkipped", "3.0", Remedy.OTHER_NODE),
    ErrorCode(-32008, "NoSnapshot", "3.0", Remedy.GIVE_UP),
    ErrorCode(-32009, "LongTermStorageSlotSkipped", "3.0", Remedy.OTHER_NODE),
    ErrorCode(-32010, "KeyExcludedFromSecondaryIndex", "3.0", Remedy.OTHER_NODE),
    ErrorCode(-32011, "TransactionHistoryNotAvailable", "3.0", Remedy.OTHER_NODE),
    ErrorCode(-32012, "ScanError", "3.0", Remedy.RETRY),
    ErrorCode(-32013, "TransactionSignatureLenMismatch", "3.0", Remedy.GIVE_UP),
    ErrorCode(-32014, "BlockStatusNotAvailableYet", "3.0", Remedy.RETRY),
    ErrorCode(UNSUPPORTED_VERSION, "UnsupportedTransactionVersion", "3.0", Remedy.GIVE_UP),
    ErrorCode(-32016, "MinContextSlotNotReached", "3.0", Remedy.RETRY),
    ErrorCode(-32017, "EpochRewardsPeriodActive", "3.0", Remedy.RETRY),
    ErrorCode(-32018, "SlotNotEpochBoundary", "3.0", Remedy.OTHER_NODE),
    ErrorCode(-32019, "LongTermStorageUnreachable", "3.0", Remedy.RETRY),
    # Where older releases answer with an empty page. Another node may have a longer ledger, so all of them are asked.
    ErrorCode(PLACE_UNKNOWN, "FilterTransactionNotFound", "4.0", Remedy.START_AGAIN),
    ErrorCode(-32021, "NoSlotHistory", "4.1", Remedy.OTHER_NODE),
    ErrorCode(-32022, "LeaderScheduleIdentityNotFound", "4.4", Remedy.GIVE_UP),
    ErrorCode(-32600, "InvalidRequest", "JSON-RPC", Remedy.GIVE_UP),
    ErrorCode(-32601, "MethodNotFound", "JSON-RPC", Remedy.OTHER_NODE),
    ErrorCode(-32602, "InvalidParams", "JSON-RPC", Remedy.GIVE_UP),
    ErrorCode(-32603, "InternalError", "JSON-RPC", Remedy.PAUSE),
    ErrorCode(-32700, "ParseError", "JSON-RPC", Remedy.GIVE_UP),
    # Of services: HTTP statuses as codes, with and without JSON-RPC's prefix.
    ErrorCode(-32429, "TooManyRequests", "services", Remedy.PAUSE),
    ErrorCode(408, "RequestTimeout", "services", Remedy.RETRY),
    ErrorCode(429, "TooManyRequests", "services", Remedy.PAUSE),
    ErrorCode(500, "InternalServerError", "services", Remedy.PAUSE),
    ErrorCode(502, "BadGateway", "services", Remedy.PAUSE),
    ErrorCode(503, "ServiceUnavailable", "services", Remedy.PAUSE),
    ErrorCode(504, "GatewayTimeout", "services", Remedy.PAUSE),
)

_BY_CODE = {row.code: row.remedy for row in TABLE}

LIMIT_REACHED = re.compile(r"request limit|rate.?limit|too many requests|limited to \d+/sec", re.IGNORECASE)
"""Of services that count requests: some answer so with -32007 or -32003, which are other things on a node."""
SCAN_TOO_LARGE = "exceeded the limit"
"""``ScanError::Aborted`` of solana-accounts-db: the same question never fits into what the node may collect."""
SCAN_ERROR = -32012

_UNSUPPORTED = re.compile(r"Transaction version \((\d{1,3})\) is not supported")
VERSION_MAX = 127
"""The version is what the first byte has beside its highest bit."""


def remedy_for(code: int, message: str) -> Remedy:
    """What to do about an error. Codes that nobody knows are refusals: trying again might do twice what it should
    once.
    """
    if LIMIT_REACHED.search(message):
        return Remedy.PAUSE
    if code == SCAN_ERROR and SCAN_TOO_LARGE in message:
        return Remedy.OTHER_NODE
    return _BY_CODE.get(code, Remedy.GIVE_UP)


def version_refused(code: int | None, message: str) -> int | None:
    """The version of a transaction that was not told because we asked for older ones only; None for other errors."""
    found = _UNSUPPORTED.search(message) if code == UNSUPPORTED_VERSION else None
    version = None if found is None else int(found[1])
    return version if version is not None and version <= VERSION_MAX else None
