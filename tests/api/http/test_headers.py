"""Header lines: what stands in them, and that nothing from outside ends one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_lite.api.http.headers import CommonHeaders, lines_of, pairs_of
from zmart_lite.config import Server

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1).map(str.encode)
VALUES = st.binary().filter(lambda value: not set(value) & set(b"\r\n"))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_lines_keep_names_and_values(pairs: list[tuple[bytes, bytes]]) -> None:
    assert pairs_of(lines_of(pairs)) == pairs


@pytest.mark.parametrize(
    "pair", [(b"x-name", b"a\r\nset-cookie: b"), (b"x-name", b"a\nb"), (b"x-name", b"a\rb"), (b"x\r\ny", b"a")]
)
def test_a_header_cannot_end_its_line(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="line break"):
        lines_of([(b"x-other", b"1"), pair])


def test_only_origins_of_the_settings_are_allowed() -> None:
    common = CommonHeaders(Server(cors_origins=("https://app.example",)))
    for origin, is_allowed in (("https://App.example", True), ("https://evil.example", False), (None, False)):
        headers = pairs_of(common.of(origin, policy=True))
        allowed = [value for name, value in headers if name == b"access-control-allow-origin"]
        assert allowed == ([str(origin).encode()] if is_allowed else [])
        assert (b"vary", b"Origin") in headers
        assert b"content-security-policy" in dict(headers)
        assert b"content-security-policy" not in dict(pairs_of(common.of(origin, policy=False)))
