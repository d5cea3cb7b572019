"""The monitor: moves markets on when their time has come.

Everything due is found by an index, oldest first, in batches: resolutions whose dispute window is over are finalised,
disputes whose voting is over are settled with the counts of their votes, outcomes that creators registered in advance
are submitted. Deadlines follow the chain's clock and the ``dispute_period`` of the on-chain config.
``finalize_market`` settles disputes too; the program's ``aggregate_dispute_votes`` is never called, because it leaves
markets in states nobody can repair.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from zmart_lite import rules
from zmart_lite.jobs.actions import Actions
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.models import GlobalConfig, MarketState, VoteType
from zmart_lite.store import due, messages, positions, votes
from zmart_lite.store.db import Tx
from zmart_lite.store.leases import UnitsOfWork
from zmart_lite.store.markets import Record

logger = logging.getLogger(__name__)

FINALIZE_SLACK_S = 60
"""Waited beyond the window: clocks of validators differ a little, and nothing is gained by being refused."""


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
        await self._actions.settle()
        only = params.get("market_id")
        dry_run = self._options.dry_run or bool(params.get("dry_run"))
        summary = Summary()
        for find, settle in (
            (self._due_resolutions, self._finalize),
            (self._due_disputes, self._settle_dispute),
            (self._due_plans, self._submit_plan),
        ):
            for record in await find():
                if only is not None and record["market_id"] != only:
                    continue
                if dry_run:
                    logger.info("due: market %s in state %s", record["market_id"].hex(), record["state"])
                    summary = summary.plus(found=1, skipped=1)
                else:
                    summary = await settle(record, summary)
        return summary

    # Resolutions whose window is over

    async def _due_resolutions(self) -> list[Record]:
        config = await self._store.read(self._config)
        period_s = self._options.dispute_period_fallback_s if config is None else config.dispute_period
        until = self._chain_now() - period_s - FINALIZE_SLACK_S
        return await self._store.read(lambda tx: due.list_resolutions(tx, until, self._options.batch_size))

    async def _finalize(self, record: Record, summary: Summary) -> Summary:
        args = {"dispute_agree": None, "dispute_disagree": None}
        return await self._act("finalize_market", record, args, summary)

    # Disputes whose voting is over

    async def _due_disputes(self) -> list[Record]:
        """Those whose time is over, and those on which every holder has voted."""
        until = self._chain_now() - self._options.dispute_voting_s
        size = self._options.batch_size

        def listed(tx: Tx) -> list[Record]:
            over = due.list_disputes(tx, until, size)
            known = {record["id"] for record in over}
            changed = [key for key in votes.list_changed(tx, VoteType.DISPUTE, size) if key not in known]
            return over + [record for key in changed if (record := _fully_voted(tx, key)) is not None]

        return await self._store.read(listed)

    async def _settle_dispute(self, record: Record, summary: Summary) -> Summary:
        now_ms = self._store.now_ms()
        tally = await self._store.read(lambda tx: votes.find_tally(tx, record["id"], VoteType.DISPUTE))
        by_heads = self._options.dispute_by_heads
        yes, no = (tally.likes, tally.dislikes) if by_heads else (tally.agree_weight, tally.disagree_weight)
        if yes + no == 0:
            await self._store.write(lambda tx: _announce_no_votes(tx, record))
            return summary.plus(found=1, skipped=1)
        agree, disagree = rules.scale_to_u32(yes, no)
        args = {"dispute_agree": agree, "dispute_disagree": disagree, "votes_until_ms": now_ms}
        return await self._act("finalize_market", record, args, summary)

    # Outcomes registered in advance

    async def _due_plans(self) -> list[Record]:
        now = self._chain_now()
        return await self._store.read(lambda tx: due.list_plans(tx, now, self._options.batch_size))

    async def _submit_plan(self, record: Record, summary: Summary) -> Summary:
        args = {"outcome": bool(record["plan_outcome"]), "evidence_hash": record["plan_evidence_hash"].hex()}
        return await self._act("resolve_market", record, args, summary)

    async def _act(self, action: str, record: Record, args: dict[str, Any], summary: Summary) -> Summary:
        intent = await self._actions.act(action, record["market_id"].hex(), args, market=record["id"])
        if intent["status"] == "confirmed":
            return summary.plus(found=1, done=1)
        waits = intent["status"] in ("abandoned", "expired")
        return summary.plus(found=1, skipped=int(waits), failed=int(not waits))


def _fully_voted(tx: Tx, market: int) -> Record | None:
    """The market's record, if every position that holds shares has voted on its dispute."""
    record = due.find_market(tx, market)
    if record is None or record["state"] != MarketState.DISPUTED:
        return None
    holders = positions.count_holders(tx, market)
    return record if 0 < holders <= votes.find_tally(tx, market, VoteType.DISPUTE).total else None


def _announce_no_votes(tx: Tx, record: Record) -> None:
    messages.raise_alert(
        tx,
        "dispute_without_votes",
        "HIGH",
        "A dispute's voting time ended without a vote; it needs a person.",
        subject=record["market_id"].hex(),
    )
