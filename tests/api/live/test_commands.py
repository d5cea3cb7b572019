import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_lite.api.live.commands import Command, ResumePoint, decode_command, resume_point
from zmart_lite.errors import BadRequest
from zmart_lite.push.channels import PUBLIC, Channel

MARKET = bytes([1]) * 32


def test_the_forms_of_subscribing() -> None:
    market = Channel("market", MARKET)
    forms = {
        f'{{"action":"subscribe","market_id":"{MARKET.hex()}"}}': Command("subscribe", (market,), by_market=True),
        '{"action":"subscribe","channel":"public"}': Command("subscribe", (PUBLIC,)),
        '{"action":"subscribe","channels":["public","public"],"channel":null}': Command("subscribe", (PUBLIC,)),
        '{"action":"unsubscribe","channel":"public","from":5}': Command("unsubscribe", (PUBLIC,)),
        '{"action":"resume","from":"5"}': Command("resume", resume=ResumePoint(5)),
        '{"action":"resume","from":5,"more":true}': Command("resume", resume=ResumePoint(5)),
        '{"action":"pong"}': Command("pong"),
    }
    for text, expected in forms.items():
        assert decode_command(text) == expected
    both = decode_command(f'{{"action":"subscribe","channel":"public","market_id":"{MARKET.hex()}"}}')
    assert both == Command("subscribe", (PUBLIC, market))


@pytest.mark.parametrize(
    ("text", "offset"),
    [("0", 0), ("42", 42), (str(2**63 - 1), 2**63 - 1), (str(2**63), None), ("-1", None), ("", None), ("٣", None)],
)
def test_offsets_as_text(text: str, offset: int | None) -> None:
    assert resume_point(text) == ResumePoint(offset)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
commands = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "unsubscribe", "resume", "pong"]) | json_values},
    optional={"channel": json_values, "channels": json_values, "market_id": json_values, "from": json_values},
)


@given(commands.map(json.dumps) | json_values.map(json.dumps) | st.text())
def test_nonsense_is_a_bad_request_and_nothing_else(text: str) -> None:
    try:
        assert decode_command(text).action in ("subscribe", "unsubscribe", "resume", "pong")
    except BadRequest as error:
        refusal = error.message
    else:
        refusal = ""
    assert len(refusal) < 200


def test_deep_nesting_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        decode_command("[" * 4_000)
