"""What is remembered of recent blocks: by which blockhash and message a transaction is judged."""

from tests.localnet.chain_harness import Chain, payment
from zmart_lite.localnet.ages import KEPT_BLOCKS, Ages, identity


def test_another_blockhash_makes_another_transaction() -> None:
    chain = Chain()
    first = chain.transaction(payment(1))
    chain.ledger.seal_block()
    second = chain.transaction(payment(1))
    assert identity(first.message) != identity(second.message)


def test_what_is_too_old_is_forgotten() -> None:
    ages = Ages()
    ages.add_block(b"first", 0)
    ages.add_message(b"message", 1)
    for height in range(1, KEPT_BLOCKS + 2):
        ages.add_block(height.to_bytes(4, "big"), height)
    assert ages.height_of(b"first") is None
    assert ages.has_landed(b"message", KEPT_BLOCKS)
    ages.add_block(b"last", KEPT_BLOCKS + 2)
    assert not ages.has_landed(b"message", KEPT_BLOCKS)


def test_a_fork_is_forgotten() -> None:
    ages = Ages()
    for height in range(4):
        ages.add_block(bytes([height]), height)
        ages.add_message(b"in" + bytes([height]), height)
    ages.go_back_to(1)
    assert list(ages.newest_blockhashes(9, 9)) == [b"\1", b"\0"]
    assert ages.has_landed(b"in\1", 9)
    assert not ages.has_landed(b"in\2", 9)
