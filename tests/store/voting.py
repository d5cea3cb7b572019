"""A vote through the node as rows, without telling anybody."""

from zmart_lite.models import VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import kept
from zmart_lite.store.state import votes
from zmart_lite.store.state.votes import NewVote, Tally


def add_vote(tx: Tx, market: int, wallet: int, kind: VoteType, vote: bool) -> tuple[int, Tally]:
    """Store it and count it: (vote id, tally after it). Raises what the node refuses it with."""
    weight = votes.require_weight(tx, market, wallet, kind)
    row = tx.one("SELECT state, ready_for_approval FROM markets WHERE id = ?", (market,))
    votes.require_open(row, kind)
    vote_id = insert_vote(tx, market, wallet, kind, vote, weight)
    tally = votes.find_tally(tx, market, kind).plus(vote, weight)
    votes.save_tally(tx, market, kind, tally, changed=True)
    kept.count_votes(tx, market, kind, 1)
    return vote_id, tally


def insert_vote(tx: Tx, market: int, wallet: int, kind: VoteType, vote: bool = True, weight: int = 1) -> int:
    """Store a vote alone, without its tally; its id. Raises Conflict ``already_voted``."""
    if votes.list_voted(tx, [(market, wallet, int(kind))]):
        raise votes.already_voted()
    vote_id = votes.next_vote_id(tx)
    votes.insert_votes(tx, [NewVote(vote_id, market, wallet, int(kind), vote, str(weight))], tx.now_ms)
    return vote_id
