"""What failed transactions mean, in words: for errors that there are, and for those that people meet."""

import pytest

from zmart_lite.chain.error_texts import TEXTS, explained
from zmart_lite.chain.program_errors import ACCOUNT_IN_USE, BLOCKHASH_NOT_FOUND, INSUFFICIENT_FUNDS
from zmart_lite.codec import Codec

ELSEWHERE = {
    ACCOUNT_IN_USE,
    INSUFFICIENT_FUNDS,
    BLOCKHASH_NOT_FOUND,
    "AccountNotInitialized",
    "AccountNotFound",
    "AlreadyProcessed",
    "InsufficientFundsForFee",
    "ProgramAccountNotFound",
    "InsufficientFundsForRent",
    "PrivilegeEscalation",
}


def test_every_text_is_of_an_error_that_there_is() -> None:
    names = {error["name"] for error in Codec(bytes(32)).idl["errors"]}
    assert TEXTS.keys() <= names | ELSEWHERE
    for text in TEXTS.values():
        assert text[0].islower()
        assert not text.endswith(".")


@pytest.mark.parametrize(("name", "told"), [
    ("SlippageExceeded", "SlippageExceeded: the price has moved further than allowed"),
    ("Custom", "Custom"),
])  # fmt: skip
def test_what_is_not_known_is_only_named(name: str, told: str) -> None:
    assert explained(name) == told
