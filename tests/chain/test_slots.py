"""zmart_lite/chain/slots.py: a chain is followed however it runs, and what cannot be is not believed."""

from hypothesis import given
from hypothesis import strategies as st

from zmart_lite.chain.slots import CLAIM_S, SLOTS_AHEAD_MAX, SLOTS_PER_S_MAX, Tip

FAR = 10**9


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 1), st.integers(0, SLOTS_AHEAD_MAX)), max_size=30))
def test_a_chain_that_runs_is_always_believed(steps: list[tuple[float, float, int]]) -> None:
    """Any pauses, any rate up to the bound, and answers of nodes that lag by as much as they please."""
    tip, now_s, slot = Tip(), 0.0, 1_000
    assert tip.note(slot, now_s, 1)
    for pause_s, rate, lag in steps:
        now_s += pause_s
        slot += int(pause_s * rate * SLOTS_PER_S_MAX)
        assert tip.note(slot - lag, now_s, 1)
        limit = tip.limit(now_s)
        assert limit is not None
        assert limit >= slot


@given(st.lists(st.tuples(st.floats(0.1, 5), st.integers(10**6, FAR)), min_size=1, max_size=8), st.booleans())
def test_a_window_of_lies_is_not_believed_and_leaves_nothing(lies: list[tuple[float, int]], mixed: bool) -> None:
    """Up to forty seconds, one node or, mixed with it, one that tells the truth."""
    tip, now_s, slot = Tip(), 0.0, 1_000
    tip.note(slot, now_s, 1)
    for pause_s, ahead in lies:
        now_s += pause_s
        slot += int(pause_s * 2.5)
        assert not tip.note(slot + ahead, now_s, 1)
        if mixed:
            assert tip.note(slot, now_s, 2)
    assert tip.note(slot, now_s, 1)
    limit = tip.limit(now_s)
    assert limit is not None
    assert limit <= slot + SLOTS_AHEAD_MAX + 40 * SLOTS_PER_S_MAX


def test_a_jump_is_believed_when_another_node_says_the_same_or_it_lasts() -> None:
    tip = Tip()
    assert tip.limit(0) is None
    tip.note(1_000, 0, 1)
    assert not tip.note(FAR, 1, 1)
    assert tip.note(FAR + 2, 1.5, 2)
    assert tip.note(FAR + 3, 2, 1)

    tip = Tip()
    tip.note(1_000, 0, 1)
    said = [tip.note(FAR + second, second, 1) for second in range(1, int(CLAIM_S) + 2)]
    assert said == [False] * int(CLAIM_S) + [True]


def test_claims_that_do_not_go_together_are_never_believed() -> None:
    tip = Tip()
    tip.note(1_000, 0, 1)
    assert not any(tip.note(FAR * (2 - second % 2), second, 1) for second in range(1, 300))


def test_a_tip_that_was_wrong_is_given_up() -> None:
    """Believed at the first start, when nothing was known."""
    tip = Tip()
    tip.note(FAR, 0, 1)
    assert all(tip.note(1_000 + second, second, 1) for second in range(1, int(CLAIM_S) + 3))
    limit = tip.limit(CLAIM_S + 3)
    assert limit is not None
    assert limit < 10_000
