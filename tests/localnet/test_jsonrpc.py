"""One reading of JSON-RPC for HTTP and pubsub: ids are kept, notifications are silent, nothing raises."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_lite.localnet import jsonrpc
from zmart_lite.localnet.ledger import LedgerRefused
from zmart_lite.localnet.params import RpcError

BATCH_MAX = 4


def call(name: str, params: Any) -> Any:
    match name:
        case "echo":
            return jsonrpc.positional(params).get(0)
        case "refused":
            raise LedgerRefused("not now")
        case "data":
            raise RpcError(-1, "with data", {"more": 1})
        case _:
            raise jsonrpc.unknown_method()


def asked(request: Any) -> Any:
    answer = jsonrpc.answer(msgspec.json.encode(request), call, BATCH_MAX)
    return msgspec.json.decode(answer) if answer else None


def test_results_and_errors_carry_the_id() -> None:
    assert asked({"jsonrpc": "2.0", "id": "a", "method": "echo", "params": [5]}) == {
        "jsonrpc": "2.0", "result": 5, "id": "a",
    }  # fmt: skip
    for name, error in (
        ("none", {"code": -32601, "message": "Method not found"}),
        ("refused", {"code": -32602, "message": "not now"}),
        ("data", {"code": -1, "message": "with data", "data": {"more": 1}}),
    ):
        assert asked({"jsonrpc": "2.0", "id": 3, "method": name}) == {"jsonrpc": "2.0", "error": error, "id": 3}
    named = asked({"jsonrpc": "2.0", "id": 3, "method": "echo", "params": {}})
    assert named["error"] == {"code": -32602, "message": "`params` should be an array"}
    assert named["id"] == 3


def test_an_id_of_null_is_answered_and_a_missing_one_is_not() -> None:
    assert asked({"jsonrpc": "2.0", "id": None, "method": "echo"}) == {"jsonrpc": "2.0", "result": None, "id": None}
    for name in ("echo", "none", "refused"):
        assert asked({"jsonrpc": "2.0", "method": name}) is None
    assert asked([{"jsonrpc": "2.0", "method": "none"}] * 2) is None


@pytest.mark.parametrize("request_id", [True, [], {}])
def test_an_id_is_a_text_a_number_or_null(request_id: Any) -> None:
    answer = asked({"jsonrpc": "2.0", "id": request_id, "method": "echo"})
    assert (answer["error"]["code"], answer["id"]) == (-32600, None)


def test_batches_are_bounded() -> None:
    one = {"jsonrpc": "2.0", "id": 1, "method": "echo"}
    assert len(asked([one] * BATCH_MAX)) == BATCH_MAX
    assert asked([one] * (BATCH_MAX + 1))["error"]["code"] == -32600


def test_the_answers_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonrpc, "BATCH_BYTES_MAX", 10)
    first, second = asked([{"jsonrpc": "2.0", "id": number, "method": "echo"} for number in (1, 2)])
    assert (first["result"], second["error"]["code"], second["id"]) == (None, -32603, 2)


def test_the_methods_of_a_body_are_found() -> None:
    assert jsonrpc.calls_in(b'[{"method":"a"},{"method":5},7,{"method":"b"}]') == ["a", "b"]
    assert jsonrpc.calls_in(b'{"method":"a"}') == ["a"]
    assert jsonrpc.calls_in(b"{") == jsonrpc.calls_in(b"5") == []


members = st.dictionaries(
    st.sampled_from(["jsonrpc", "id", "method", "params", "more"]),
    st.sampled_from(["2.0", "echo", "none", None, 1, 1.5, True]) | st.lists(st.integers(0, 3)) | st.just({}),
)


@given(members | st.lists(members, max_size=6))
def test_what_has_an_id_is_answered_with_it(request: Any) -> None:
    answer = asked(request)
    calls = request if isinstance(request, list) else [request]
    if not 0 < len(calls) <= BATCH_MAX:
        return
    ids = [each["id"] for each in calls if isinstance(each.get("id"), str | int | float) and each["id"] is not True]
    answers = answer if isinstance(answer, list) else [answer]
    assert [each["id"] for each in answers if each is not None and each["id"] is not None] == ids
