"""Canonical texts and content ids, against ids that IPFS itself gives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_lite.drafts import (
    CHUNK_BYTES_MAX,
    MarketText,
    canonical_json,
    cid_v0,
    cid_v1_raw,
    end_date_text,
    is_cid_v0,
)

TEXT = MarketText("Will it rain “tomorrow”?", "Bücher\nund\tmehr", "science", ("wetter", "東京"), 1_767_323_045)


@pytest.mark.parametrize(
    ("content", "cid"),
    [
        (b"hello world\n", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"),
        (b"", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    ],
)
def test_cid_v0_is_that_of_kubo(content: bytes, cid: str) -> None:
    assert cid_v0(content) == cid
    assert is_cid_v0(cid)


def test_cid_v1_is_that_of_pinata() -> None:
    assert cid_v1_raw(b"Hello World!") == "bafkreid7qoywk77r7rj3slobqfekdvs57qwuwh5d2z3sqsw52iabe3mqne"


def test_more_than_one_chunk_has_no_id_here() -> None:
    assert is_cid_v0(cid_v0(bytes(CHUNK_BYTES_MAX)))
    for cid in (cid_v0, cid_v1_raw):
        with pytest.raises(ValueError, match="chunk"):
            cid(bytes(CHUNK_BYTES_MAX + 1))


def test_canonical_text() -> None:
    assert canonical_json(TEXT) == (
        '{"category":"science","description":"Bücher\\nund\\tmehr","end_date":"2026-01-02T03:04:05Z",'
        '"question":"Will it rain “tomorrow”?","tags":["wetter","東京"],"version":1}'
    )


def test_dates_have_four_digits_of_year() -> None:
    assert end_date_text(0) == "1970-01-01T00:00:00Z"
    with pytest.raises(ValueError, match=r"not a date|range"):
        end_date_text(10**13)


@given(st.text(min_size=1, max_size=200).filter(str.isprintable), st.lists(st.text(max_size=8), max_size=4))
def test_the_text_survives_and_its_spelling_is_unique(question: str, tags: list[str]) -> None:
    text = TEXT._replace(question=question, tags=tuple(tags))
    spelled = canonical_json(text)
    assert json.loads(spelled)["question"] == question
    assert json.loads(spelled)["tags"] == tags
    assert canonical_json(text) == spelled


@given(st.binary(max_size=2_000))
def test_every_content_has_a_valid_id(content: bytes) -> None:
    assert is_cid_v0(cid_v0(content))
    assert cid_v0(content) != cid_v0(content + b"\0")


@pytest.mark.parametrize(
    "text",
    ["", "Qm", "Qm" + "1" * 43, "Qm" + "0" * 44, "bafkreid7qoywk77r7rj3slobqfekdvs57qwuwh5d2z3sq", "Qm" + "é" * 44],
)
def test_what_is_no_cid_v0(text: str) -> None:
    assert not is_cid_v0(text)


def test_another_hash_of_46_characters_is_no_cid_v0() -> None:
    assert not is_cid_v0("1" + cid_v0(b"x")[1:])
