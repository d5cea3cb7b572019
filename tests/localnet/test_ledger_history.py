"""Indexes by signature, address and slot, and their bounds; account versions against a slow model."""

from hypothesis import given
from hypothesis import strategies as st

from tests.localnet.chain_harness import ALICE, BOB, CAROL, Chain
from zmart_lite.localnet import history as histories
from zmart_lite.localnet.banks import AccountStates
from zmart_lite.localnet.history import History
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.runtime import Account

KEYS = [bytes([n]) * 32 for n in range(3)]


def test_history_of_an_address_is_newest_first_and_bounded_by_positions() -> None:
    chain = Chain()
    landed = [chain.pay(n, ALICE, BOB if n % 2 else CAROL) for n in range(1, 10)]
    of_bob = [each for each in reversed(landed) if bytes(BOB.pubkey()) in each.account_keys]
    history = chain.ledger.history
    assert list(history.of_address(bytes(BOB.pubkey()), None, None)) == of_bob
    assert list(history.of_address(bytes(BOB.pubkey()), of_bob[0].position, of_bob[3].position)) == of_bob[1:3]
    assert list(history.of_address(b"\x99" * 32, None, None)) == []


def test_slots_are_listed_within_bounds() -> None:
    chain = Chain()
    chain.ledger.produce_blocks(10)
    chain.ledger.drop_blocks(2)
    chain.ledger.produce_blocks(2)
    assert chain.ledger.history.slots_from(6, 100, 100) == [6, 7, 8, 12, 13]
    assert chain.ledger.history.slots_from(6, 12, 2) == [6, 7]
    assert chain.ledger.history.slots_from(9, 11, 5) == []


def test_oldest_transactions_are_pruned() -> None:
    chain = Chain(LedgerOptions(0, finalized_lag=1))
    chain.ledger.history = History(transactions_max=20, empty_blocks_max=50)
    seed = Chain(LedgerOptions(0, finalized_lag=1))
    chain.ledger.history.add_block(next(iter(seed.ledger.history.blocks())))
    landed = [chain.pay(n) for n in range(1, 20 + histories.PRUNE_BATCH + 5)]
    history = chain.ledger.history
    assert history.find(landed[0].signature) is None
    assert history.block(landed[0].slot) is None
    assert history.find(landed[-1].signature) is landed[-1]
    kept = list(history.of_address(bytes(BOB.pubkey()), None, None))
    assert kept == list(reversed(landed))[: len(kept)]
    assert 20 <= len(kept) < 20 + histories.PRUNE_BATCH
    assert history.first_slot == kept[-1].slot
    assert history.transaction_count == len(landed)


def test_empty_blocks_are_pruned_and_those_with_transactions_kept() -> None:
    chain = Chain()
    chain.ledger.history._empty_blocks_max = 40
    landed = chain.pay(1)
    chain.ledger.produce_blocks(histories.PRUNE_BATCH + 60)
    history = chain.ledger.history
    assert history.block(landed.slot) is not None
    assert history.block(landed.slot + 1) is None
    assert len(list(history.blocks())) <= 41 + histories.PRUNE_BATCH
    assert history.find(landed.signature) is landed


account = st.one_of(st.none(), st.builds(Account, st.integers(0, 5), st.sampled_from(KEYS), st.just(b"x")))
block = st.lists(st.tuples(st.sampled_from(KEYS), account), max_size=4)


@given(st.lists(block, max_size=8), st.data())
def test_every_height_has_its_own_state(blocks: list[list[tuple[bytes, Account | None]]], data: st.DataObject) -> None:
    states = AccountStates()
    model: list[dict[bytes, Account]] = []
    now: dict[bytes, Account] = {}
    states.start_at(0)
    for writes in blocks:
        for key, version in writes:
            states.put(key, version)
            now.pop(key, None)
            if version is not None and version.lamports:
                now[key] = version
        states.seal()
        model.append(dict(now))
    for height, expected in enumerate(model):
        assert {key: found for key in KEYS if (found := states.get_at(key, height))} == expected
        for owner in KEYS:
            assert dict(states.owned_at(owner, height)) == {k: v for k, v in expected.items() if v.owner == owner}
    if model:
        back = data.draw(st.integers(0, len(model) - 1))
        states.undo_after(back)
        assert dict(states.items()) == model[back]
        assert dict(states.owned_at(KEYS[0], back)) == {k: v for k, v in model[back].items() if v.owner == KEYS[0]}
