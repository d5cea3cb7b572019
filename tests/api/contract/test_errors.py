"""From exceptions to answers: each class has its status, and nothing of a driver's text gets out."""

import pytest

from zmart_lite.api.contract.errors import TRANSLATIONS, as_request_error
from zmart_lite.errors import (
    ChainError,
    Conflict,
    ProgramError,
    ReadTooLong,
    RpcRefused,
    RpcUnavailable,
    SimulationFailed,
    StoreUnavailable,
    TransactionFailed,
    UndecodableData,
    ZmartError,
)

SECRET = "https://rpc.example/?api-key=hunter2"


@pytest.mark.parametrize(("error", "status", "reason"), [
    (ProgramError("SlippageExceeded"), 409, "program_error"),
    (SimulationFailed(SECRET, {}, ["log"] * 50), 409, "simulation_failed"),
    (TransactionFailed(SECRET, {}, ["log"] * 50, 7), 409, "transaction_failed"),
    (RpcUnavailable(SECRET, 7.4), 503, "rpc_unavailable"),
    (RpcRefused(SECRET, -32_000), 503, "rpc_unavailable"),
    (ChainError(SECRET), 503, "rpc_unavailable"),
    (StoreUnavailable(SECRET), 503, "store_unavailable"),
    (ReadTooLong(SECRET), 503, "store_unavailable"),
    (Conflict("Too late.", reason="wrong_time"), 409, "wrong_time"),
])  # fmt: skip
def test_known_ones(error: ZmartError, status: int, reason: str) -> None:
    found = as_request_error(error)
    assert found is not None
    assert (found.status, found.reason) == (status, reason)
    assert "hunter2" not in f"{found.message}{found.details}{found.headers}"
    if isinstance(found.details, dict) and "logs" in found.details:
        assert len(found.details["logs"]) <= 20


def test_waiting_time_of_the_cluster_is_passed_on() -> None:
    found = as_request_error(RpcUnavailable("busy", 7.4))
    assert found is not None
    assert found.headers["Retry-After"] == "7"


@pytest.mark.parametrize("error", [UndecodableData("x"), RuntimeError("x"), KeyError("x"), ZmartError("x")])
def test_unforeseen_ones(error: Exception) -> None:
    assert as_request_error(error) is None


def test_every_translation_is_of_our_own_errors() -> None:
    assert all(issubclass(kind, ZmartError) for kind in TRANSLATIONS)
