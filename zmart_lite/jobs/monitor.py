"""The monitor: moves markets on when their time has come.

Everything due is found by an index, oldest first, in batches: resolutions whose dispute window is over are finalised,
disputes whose voting is over are settled with the counts of their votes, outcomes that creators registered in advance
are submitted. Deadlines follow the chain's clock and the ``dispute_period`` of the on-chain config.
``finalize_market`` settles disputes too; the program's ``aggregate_dispute_votes`` is never called, because it leaves
markets in states nobody can repair.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from zmart_lite import rules
from zmart_lite.jobs.actions import AT_ONCE, FAILED_RETRY_S, Actions
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.jobs.together import together
from zmart_lite.models import GlobalConfig, MarketState, VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.leases import UnitsOfWork
from zmart_lite.store.state import positions, votes
from zmart_lite.store.state.markets import Record
from zmart_lite.store.state.votes import Tally
from zmart_lite.store.views import due

logger = logging.getLogger(__name__)

FINALIZE_SLACK_S = 60
"""Waited beyond the window: clocks of validators differ a little, and nothing is gained by being refused."""


MARKETS_PER_RUN_MAX = 5_000
BEGIN_UNTIL_S = 150.0
"""A run begins nothing new after so many seconds, so that what it began ends well within its time limit."""


class Outcome(NamedTuple):
    """What became of one market."""

    done: int = 0
    failed: int = 0
    skipped: int = 0


OUTCOMES = {"confirmed": Outcome(done=1), "failed": Outcome(failed=1)}
"""By the status of the intent; what expired or moved on is for another time."""

Find = Callable[[int], Awaitable[list[Record]]]
Settle = Callable[[Record], Awaitable[Outcome]]


class MonitorOptions(NamedTuple):
    """Settings of the monitor; times in seconds."""

    batch_size: int
    dispute_voting_s: int
    dispute_by_heads: bool
    dispute_period_fallback_s: int
    dry_run: bool


class Monitor:
    """Due markets to their next state. ``config`` gives the on-chain config, None while it is unknown."""

    def __init__(
        self,
        store: UnitsOfWork,
        actions: Actions,
        config: Callable[[Tx], GlobalConfig | None],
        chain_now: Callable[[], int],
        options: MonitorOptions,
    ) -> None:
        self._store = store
        self._actions = actions
        self._config = config
        self._chain_now = chain_now
        self._options = options

    async def run(self, params: Params) -> Summary:
        """Carry out what is due, of one market if ``params`` names it."""
        dry_run = self._options.dry_run or bool(params.get("dry_run"))
        if not dry_run:
            await self._actions.settle()
        until_s = asyncio.get_running_loop().time() + BEGIN_UNTIL_S
        summary = Summary()
        for find, settle in (
            (self._due_resolutions, self._finalize),
            (self._due_disputes, self._settle_dispute),
            (self._due_plans, self._submit_plan),
        ):
            work = _tell if dry_run else settle
            for each in await self._work_off(find, work, params.get("market_id"), until_s):
                summary = summary.plus(found=1, **each._asdict())
        return summary

    async def _work_off(self, find: Find, work: Settle, only: bytes | None, until_s: float) -> list[Outcome]:
        """Batch after batch until nothing is due that was not tried, or the time for beginning is over."""
        outcomes: list[Outcome] = []
        tried: set[int] = set()
        while len(tried) < MARKETS_PER_RUN_MAX and asyncio.get_running_loop().time() < until_s:
            size = MARKETS_PER_RUN_MAX if only is not None else self._options.batch_size
            # What was tried and is still due stands at the head of the list.
            listed = await find(size + len(tried))
            batch = [each for each in listed if each["id"] not in tried and only in (None, each["market_id"])][:size]
            if not batch:
                break
            tried |= {each["id"] for each in batch}
            outcomes += await together(batch, work, AT_ONCE)
        return outcomes

    def _failed_since_ms(self) -> int:
        return self._store.now_ms() - FAILED_RETRY_S * 1_000

    # Resolutions whose window is over

    async def _due_resolutions(self, limit: int) -> list[Record]:
        config = await self._store.read(self._config)
        period_s = self._options.dispute_period_fallback_s if config is None else config.dispute_period
        until, failed_since_ms = self._chain_now() - period_s - FINALIZE_SLACK_S, self._failed_since_ms()
        return await self._store.read(lambda tx: due.list_resolutions(tx, until, limit, failed_since_ms))

    async def _finalize(self, record: Record) -> Outcome:
        return await self._act("finalize_market", record, {"dispute_agree": None, "dispute_disagree": None})

    # Disputes whose voting is over

    async def _due_disputes(self, limit: int) -> list[Record]:
        """Those whose time is over, and those on which every holder has voted."""
        until, failed_since_ms = self._chain_now() - self._options.dispute_voting_s, self._failed_since_ms()

        def listed(tx: Tx) -> tuple[list[Record], list[int]]:
            over = due.list_disputes(tx, until, limit, failed_since_ms)
            known = {record["id"] for record in over}
            changed = [key for key in votes.list_changed(tx, VoteType.DISPUTE, limit) if key not in known]
            whole = {key: record for key in changed if (record := _fully_voted(tx, key)) is not None}
            return [*over, *whole.values()], [key for key in changed if key not in whole]

        found, waiting = await self._store.read(listed)
        if waiting:
            await self._store.write(lambda tx: _set_looked_at(tx, waiting))
        return found

    async def _settle_dispute(self, record: Record) -> Outcome:
        now_ms = self._store.now_ms()

        def look(tx: Tx) -> tuple[Tally, GlobalConfig | None]:
            return votes.find_tally(tx, record["id"], VoteType.DISPUTE), self._config(tx)

        tally, config = await self._store.read(look)
        by_heads = self._options.dispute_by_heads
        yes, no = (tally.likes, tally.dislikes) if by_heads else (tally.agree_weight, tally.disagree_weight)
        if yes + no == 0:
            return Outcome(skipped=1)
        agree, disagree = rules.scale_to_u32(yes, no)
        threshold_bps = None if config is None else config.dispute_success_threshold
        args = {
            "dispute_agree": agree,
            "dispute_disagree": disagree,
            "agree_weight": str(yes),
            "disagree_weight": str(no),
            "percentage_bps": rules.ratio_bps(yes, yes + no),
            "threshold_bps": threshold_bps,
            "votes_until_ms": now_ms,
        }
        outcome = await self._act("finalize_market", record, args)
        if outcome.done:
            await self._store.write(lambda tx: votes.set_seen(tx, record["id"], VoteType.DISPUTE, tally))
        met = threshold_bps is not None and rules.threshold_met(yes, no, threshold_bps)
        self._actions.count_aggregation(VoteType.DISPUTE, tally.total, done=bool(outcome.done), met=met)
        return outcome

    # Outcomes registered in advance

    async def _due_plans(self, limit: int) -> list[Record]:
        now, failed_since_ms = self._chain_now(), self._failed_since_ms()
        return await self._store.read(lambda tx: due.list_plans(tx, now, limit, failed_since_ms))

    async def _submit_plan(self, record: Record) -> Outcome:
        args = {"outcome": bool(record["plan_outcome"]), "evidence_hash": record["plan_evidence_hash"].hex()}
        return await self._act("resolve_market", record, args)

    async def _act(self, action: str, record: Record, args: dict[str, Any]) -> Outcome:
        intent = await self._actions.act(action, record["market_id"].hex(), args, market=record["id"])
        return OUTCOMES.get(intent["status"], Outcome(skipped=1))


async def _tell(record: Record) -> Outcome:
    """What a dry run does."""
    logger.info("due: market %s in state %s", record["market_id"].hex(), record["state"])
    return Outcome(skipped=1)


def _fully_voted(tx: Tx, market: int) -> Record | None:
    """The market's record, if every position that holds shares has voted on its dispute."""
    record = due.find_market(tx, market)
    if record is None or record["state"] != MarketState.DISPUTED:
        return None
    holders = positions.count_holders(tx, market)
    return record if 0 < holders <= votes.find_tally(tx, market, VoteType.DISPUTE).total else None


def _set_looked_at(tx: Tx, keys: Sequence[int]) -> None:
    """Disputes on which somebody has still to vote are looked at again after the next vote."""
    for key in keys:
        if _fully_voted(tx, key) is None:
            votes.set_seen(tx, key, VoteType.DISPUTE, votes.find_tally(tx, key, VoteType.DISPUTE))
