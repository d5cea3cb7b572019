"""The tree of exceptions is the one its module draws, and each of them carries what its docstring says."""

import inspect
import re

import pytest

from zmart_lite import errors
from zmart_lite.errors import (
    Conflict,
    ProgramError,
    RequestError,
    RpcUnavailable,
    SimulationFailed,
    TransactionFailed,
    Unauthorized,
    Unavailable,
    ValidationFailed,
    ZmartError,
)

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]
REQUEST_ERRORS = [each for each in CLASSES if issubclass(each, RequestError) and each is not RequestError]


def drawn_tree() -> set[tuple[str, str]]:
    """(class, parent) pairs of the drawing: indentation by ``├──``, and ``Child`` behind ``──`` on the same line."""
    pairs, path = set(), ["ZmartError"]
    for line in (errors.__doc__ or "").splitlines():
        if not (found := re.match(r"\s*([│ ]*)[├└]──\s*(.+)", line)):
            continue
        depth = (line.index("─") - 6) // 5
        chain = [re.match(r"\w+", part.strip())[0] for part in found[2].split(" ── ")]  # type: ignore[index]
        path = path[: depth + 1]
        for name in chain:
            pairs.add((name, path[-1]))
            path.append(name)
    return pairs


def test_the_drawing_is_the_tree() -> None:
    assert drawn_tree() == {(each.__name__, each.__mro__[1].__name__) for each in CLASSES if each is not ZmartError}


def test_every_exception_has_a_default_message_or_asks_for_one() -> None:
    for each in CLASSES:
        assert each.__doc__, each
        required = [
            parameter.name
            for parameter in list(inspect.signature(each).parameters.values())
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        if not required:
            assert each().message == each.__doc__.strip()


def test_a_message_is_what_the_exception_says() -> None:
    assert str(Conflict("No.")) == Conflict("No.").message == "No."


@pytest.mark.parametrize("each", REQUEST_ERRORS)
def test_refusals_have_their_own_status_and_code(each: type[RequestError]) -> None:
    assert 400 <= each.status < 600
    assert re.fullmatch(r"[A-Z_]+", each.code)
    assert each.status != RequestError.status


def test_codes_are_distinct() -> None:
    assert len({each.code for each in REQUEST_ERRORS}) == len(REQUEST_ERRORS)


def test_a_refusal_carries_reason_details_and_headers() -> None:
    refused = Conflict("Again?", reason="already_voted", details={"vote": 1}, headers={"X-A": "b"})
    assert (refused.status, refused.code, refused.reason) == (409, "CONFLICT", "already_voted")
    assert (refused.details, refused.headers) == ({"vote": 1}, {"X-A": "b"})
    assert Conflict().headers == {}


def test_validation_lists_every_field() -> None:
    refused = ValidationFailed([("wallet", "is missing"), ("vote", "is not a boolean")])
    assert (refused.status, refused.code, refused.message) == (400, "VALIDATION_ERROR", "Validation failed")
    assert refused.details == [
        {"field": "wallet", "message": "is missing"},
        {"field": "vote", "message": "is not a boolean"},
    ]


def test_headers_that_the_protocol_wants_are_there() -> None:
    assert Unauthorized(reason="missing").headers == {"WWW-Authenticate": "Bearer"}
    assert Unavailable(reason="store", retry_after_s=7).headers == {"Retry-After": "7"}


def test_errors_of_the_chain_carry_what_the_caller_needs() -> None:
    assert ProgramError("SlippageExceeded").name == ProgramError("SlippageExceeded").message == "SlippageExceeded"
    assert RpcUnavailable(retry_after_s=1.5).retry_after_s == 1.5
    failed = SimulationFailed("no", {"InstructionError": [0, {"Custom": 1}]}, ["a"], 5)
    assert (failed.rpc_code, failed.logs, failed.units) == (-32002, ("a",), 5)
    assert TransactionFailed("no", "AccountInUse", slot=9).slot == 9
