"""Votes and their tallies. A tally is kept with every vote, so that no reader and no job ever counts votes again.

Votes cast through the node and votes cast on chain are one tally: a vote on chain replaces the same wallet's vote
through the node. A dispute vote weighs the voter's shares, which cannot change any more while a market is disputed; a
vote on chain by somebody without shares is kept with weight 0 and counts for nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from zmart_lite.errors import Conflict, Forbidden
from zmart_lite.models import Commitment, MarketState, VoteType
from zmart_lite.shown import TIME_MAX_S
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept
from zmart_lite.store.state import markets, positions

VOTING_STATE = {VoteType.PROPOSAL: MarketState.PROPOSED, VoteType.DISPUTE: MarketState.DISPUTED}

FINALIZED = int(Commitment.FINALIZED)
VOTERS_PER_QUERY_MAX = 256

VOTE_COLUMNS = "v.*, m.market_id, w.address AS wallet_address, t.signature"
VOTE_JOINS = (
    " JOIN markets m ON m.id = v.market JOIN wallets w ON w.id = v.wallet LEFT JOIN events e ON e.id = v.event_id"
    " LEFT JOIN transactions t ON t.id = e.transaction_id"
)
VOTE_SELECT = f"SELECT {VOTE_COLUMNS} FROM votes v{VOTE_JOINS}"


class Recording(NamedTuple):
    """Counts that an event has put on chain at ``recorded_at`` (chain time); None where they are not known."""

    recorded_at: int
    yes: int | None
    no: int | None
    event_id: int


class Recorded(NamedTuple):
    """The counts that stand on chain, the threshold in force when they came there, and the transaction that did it."""

    yes: int
    no: int
    threshold_bps: int
    signature: bytes
    slot: int
    is_final: bool


class Tally(NamedTuple):
    """Counts of a market's votes of one kind: heads, and weights (of disputes: shares with 9 decimals)."""

    likes: int = 0
    dislikes: int = 0
    agree_weight: int = 0
    disagree_weight: int = 0
    last_aggregated_at: int | None = None
    recorded: Recorded | None = None

    @property
    def total(self) -> int:
        return self.likes + self.dislikes

    def plus(self, vote: bool, weight: int, heads: int = 1) -> "Tally":
        """The tally with one vote more (``heads`` = 1) or taken back (-1)."""
        if weight == 0:
            return self
        change = weight * heads
        likes, dislikes, agree_weight, disagree_weight, aggregated_at, recorded = self
        if vote:
            return Tally(likes + heads, dislikes, agree_weight + change, disagree_weight, aggregated_at, recorded)
        return Tally(likes, dislikes + heads, agree_weight, disagree_weight + change, aggregated_at, recorded)


def find_tally(tx: Tx, market: int, kind: VoteType) -> Tally:
    """The tally; zeros while nobody has voted."""
    row = tx.one(
        "SELECT y.*, e.slot, e.index_in_block, e.transaction_id, e.event_index, t.signature, t.finality FROM tallies y"
        " LEFT JOIN events e ON e.id = y.recorded_event LEFT JOIN transactions t ON t.id = e.transaction_id"
        " WHERE y.market = ? AND y.kind = ?",
        (market, int(kind)),
    )
    if row is None:
        return Tally()
    return Tally(
        row["likes"],
        row["dislikes"],
        int(row["agree_weight"]),
        int(row["disagree_weight"]),
        row["last_aggregated_at"],
        _recorded(tx, row, kind),
    )


def _recorded(tx: Tx, row: Row, kind: VoteType) -> Recorded | None:
    yes, no, signature = row["recorded_yes"], row["recorded_no"], row["signature"]
    if signature is None or yes is None or no is None:
        return None
    place = row["slot"], row["index_in_block"], row["transaction_id"], row["event_index"]
    config = markets.find_config_at(tx, place)
    if config is None:
        return None
    is_proposal = kind is VoteType.PROPOSAL
    threshold_bps = config.proposal_approval_threshold if is_proposal else config.dispute_success_threshold
    return Recorded(yes, no, threshold_bps, signature, row["slot"], row["finality"] == FINALIZED)


def save_tally(tx: Tx, market: int, kind: VoteType, tally: Tally, *, changed: bool) -> None:
    tx.execute(
        "INSERT INTO tallies"
        " (market, kind, likes, dislikes, agree_weight, disagree_weight, changed, last_aggregated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (market, kind) DO UPDATE SET likes = excluded.likes,"
        " dislikes = excluded.dislikes, agree_weight = excluded.agree_weight,"
        " disagree_weight = excluded.disagree_weight, changed = excluded.changed,"
        " last_aggregated_at = excluded.last_aggregated_at",
        (
            market,
            int(kind),
            tally.likes,
            tally.dislikes,
            str(tally.agree_weight),
            str(tally.disagree_weight),
            int(changed),
            tally.last_aggregated_at,
        ),
    )


def find_vote(tx: Tx, market: int, wallet: int, kind: VoteType) -> Row | None:
    return tx.one(f"{VOTE_SELECT} WHERE v.market = ? AND v.wallet = ? AND v.kind = ?", (market, wallet, int(kind)))


def get_vote(tx: Tx, vote_id: int) -> Row:
    return cast(Row, tx.one(f"{VOTE_SELECT} WHERE v.id = ?", (vote_id,)))


def vote_weight(tx: Tx, market: int, wallet: int, kind: VoteType) -> int:
    return positions.held_shares(tx, market, wallet) if kind is VoteType.DISPUTE else 1


def require_weight(tx: Tx, market: int, wallet: int | None, kind: VoteType) -> int:
    """What a wallet's vote weighs. Raises Forbidden ``no_position`` where only holders vote."""
    weight = 0 if wallet is None and kind is VoteType.DISPUTE else vote_weight(tx, market, wallet or 0, kind)
    if weight == 0:
        raise Forbidden("Only holders of a position in this market vote on its dispute.", reason="no_position")
    return weight


def require_own(wallet: bytes, named: bytes | None) -> None:
    """Raises Forbidden ``wallet_mismatch`` if the ballot names another wallet than the one that signed in."""
    if named is not None and named != wallet:
        raise Forbidden("The wallet in the body is not the one that signed in.", reason="wallet_mismatch")


def require_open(market: Row, kind: VoteType) -> None:
    """``market``: any row with its state and whether it is ready for approval. Raises Conflict ``wrong_state``.

    Once counts that pass stand on chain, a proposal waits for its approval only: what were accepted then might never be
    counted there. What came before that is brought on chain by one more count, ahead of the approval.
    """
    if market["state"] != VOTING_STATE[kind]:
        state = MarketState(market["state"]).name
        raise Conflict(
            f"The market is {state}; {kind.name.lower()} votes are open while it is {VOTING_STATE[kind].name}.",
            reason="wrong_state",
        )
    if kind is VoteType.PROPOSAL and market["ready_for_approval"]:
        raise Conflict(
            "The vote on this proposal is over: its counts have passed and stand on chain; it waits for approval.",
            reason="wrong_state",
        )


class NewVote(NamedTuple):
    """A vote through the node. ``market`` and ``wallet`` are the keys of their rows; ``weight`` is a decimal number."""

    id: int
    market: int
    wallet: int
    kind: int
    vote: bool
    weight: str


def next_vote_id(tx: Tx) -> int:
    return cast(int, tx.value("SELECT coalesce(max(id), 0) + 1 FROM votes"))


def insert_votes(tx: Tx, new: Sequence[NewVote], voted_ms: int) -> None:
    """Store votes without their tallies. ``voted_ms``: the chain's time in milliseconds."""
    tx.execute_many(
        "INSERT INTO votes (id, market, wallet, kind, vote, weight, source, voted_ms, received_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, 'api', ?, ?)",
        [(*vote, voted_ms, tx.now_ms) for vote in new],
    )


Voter = tuple[int, int, int]
"""Market, wallet and kind: who has voted on what."""


def list_voted(tx: Tx, voters: Sequence[Voter]) -> set[Voter]:
    """Those who have voted already."""
    found: set[Voter] = set()
    for start in range(0, len(voters), VOTERS_PER_QUERY_MAX):
        part = voters[start : start + VOTERS_PER_QUERY_MAX]
        marks = ", ".join(["(?, ?, ?)"] * len(part))
        sql = f"SELECT market, wallet, kind FROM votes WHERE (market, wallet, kind) IN (VALUES {marks})"
        found.update(map(tuple, tx.all(sql, [value for voter in part for value in voter])))
    return found


def already_voted() -> Conflict:
    return Conflict("This wallet has voted already; votes cannot be changed.", reason="already_voted")


def apply_chain_vote(
    tx: Tx, market: int, wallet: int, kind: VoteType, vote: bool, *, event_id: int, voted_at: int
) -> int:
    """Enter a vote cast on chain, in place of the wallet's vote through the node; the vote's id. One that is there
    stays as it is.
    """
    known = find_vote(tx, market, wallet, kind)
    if known is not None and known["source"] == "chain":
        tx.execute("UPDATE votes SET event_id = ? WHERE id = ?", (event_id, known["id"]))
        return cast(int, known["id"])
    tally = find_tally(tx, market, kind)
    if known is not None:
        tally = tally.plus(bool(known["vote"]), int(known["weight"]), heads=-1)
    weight = vote_weight(tx, market, wallet, kind)
    voted_ms = min(max(voted_at, 0), TIME_MAX_S) * 1_000
    vote_id = tx.value(
        "INSERT INTO votes (market, wallet, kind, vote, weight, source, event_id, voted_ms)"
        " VALUES (?, ?, ?, ?, ?, 'chain', ?, ?) ON CONFLICT (market, wallet, kind) DO UPDATE SET"
        " replaced_vote = votes.vote, replaced_ms = votes.voted_ms, vote = excluded.vote, weight = excluded.weight,"
        " source = 'chain', event_id = excluded.event_id, voted_ms = excluded.voted_ms, aggregated = 0 RETURNING id",
        (market, wallet, int(kind), int(vote), str(weight), event_id, voted_ms),
    )
    save_tally(tx, market, kind, tally.plus(vote, weight), changed=True)
    if known is None:
        kept.count_votes(tx, market, kind, 1)
    return cast(int, vote_id)


def list_changed(tx: Tx, kind: VoteType, limit: int) -> list[int]:
    """Markets in the voting state whose votes of this kind changed since they were last looked at."""
    rows = tx.all(
        "SELECT t.market FROM tallies t JOIN markets m ON m.id = t.market"
        " WHERE t.changed = 1 AND t.kind = ? AND m.state = ? ORDER BY t.market LIMIT ?",
        (int(kind), int(VOTING_STATE[kind]), limit),
    )
    return [row["market"] for row in rows]


def list_ended_proposals(tx: Tx, created_until: int, limit: int) -> list[int]:
    """Proposals created at or before ``created_until`` whose end nobody has dealt with yet, oldest first."""
    rows = tx.all(
        "SELECT id FROM markets WHERE state = 0 AND known = 1 AND reviewed_at IS NULL AND created_at <= ?"
        " ORDER BY created_at, id LIMIT ?",
        (created_until, limit),
    )
    return [row["id"] for row in rows]


def set_reviewed(tx: Tx, market: int, reviewed_at: int) -> None:
    """Note that a proposal's end without consensus has been reported."""
    tx.execute("UPDATE markets SET reviewed_at = ? WHERE id = ? AND reviewed_at IS NULL", (reviewed_at, market))


def set_seen(tx: Tx, market: int, kind: VoteType, seen: Tally) -> None:
    """Note that an aggregation has dealt with this tally; a vote that came meanwhile keeps it listed as changed."""
    if find_tally(tx, market, kind)[:4] == seen[:4]:
        tx.execute("UPDATE tallies SET changed = 0 WHERE market = ? AND kind = ?", (market, int(kind)))


def set_recorded(
    tx: Tx, market: int, kind: VoteType, recording: Recording, last_vote_ms: int, place: tuple[int, int, int, int]
) -> None:
    """The counts stand on chain, by the event at ``place`` of the log.

    In them are the votes through the node up to ``last_vote_ms`` and those on chain before ``place``.
    """
    tx.execute(
        "INSERT INTO tallies (market, kind, last_aggregated_at, recorded_yes, recorded_no, recorded_event)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (market, kind) DO UPDATE SET"
        " last_aggregated_at = excluded.last_aggregated_at, recorded_yes = excluded.recorded_yes,"
        " recorded_no = excluded.recorded_no, recorded_event = excluded.recorded_event",
        (market, int(kind), *recording),
    )
    tx.execute(
        "UPDATE votes SET aggregated = 1 WHERE market = ? AND kind = ? AND aggregated = 0"
        " AND (source = 'api' AND received_ms <= ? OR source = 'chain' AND EXISTS (SELECT 1 FROM events e"
        " WHERE e.id = votes.event_id AND (e.slot, e.index_in_block, e.transaction_id, e.event_index) < (?, ?, ?, ?)))",
        (market, int(kind), last_vote_ms, *place),
    )


def restart(tx: Tx, market: int) -> None:
    """Before a market is folded again: take back the votes whose event the chain dropped, in favour of the wallet's
    vote through the node where there was one, and what was recorded on chain.
    """
    tx.execute(
        "UPDATE votes SET source = 'api', vote = replaced_vote, voted_ms = replaced_ms, replaced_vote = NULL,"
        " replaced_ms = NULL WHERE market = ? AND source = 'chain' AND event_id IS NULL AND replaced_vote IS NOT NULL",
        (market,),
    )
    tx.execute("DELETE FROM votes WHERE market = ? AND source = 'chain' AND event_id IS NULL", (market,))
    tx.execute("UPDATE votes SET aggregated = 0 WHERE market = ? AND aggregated = 1", (market,))
    tx.execute(
        "UPDATE tallies SET last_aggregated_at = NULL, recorded_yes = NULL, recorded_no = NULL, recorded_event = NULL"
        " WHERE market = ?",
        (market,),
    )


def recount(tx: Tx, market: int) -> None:
    """After a market was folded again: weigh its votes by the positions as they are now, and count them anew."""
    for kind in VoteType:
        before, tally = find_tally(tx, market, kind), Tally()
        for row in tx.all(
            "SELECT id, wallet, vote, weight FROM votes WHERE market = ? AND kind = ? ORDER BY id", (market, int(kind))
        ):
            weight = vote_weight(tx, market, row["wallet"], kind)
            if str(weight) != row["weight"]:
                tx.execute("UPDATE votes SET weight = ? WHERE id = ?", (str(weight), row["id"]))
            tally = tally.plus(bool(row["vote"]), weight)
        if tally[:4] != before[:4]:
            save_tally(tx, market, kind, tally._replace(last_aggregated_at=before.last_aggregated_at), changed=True)
