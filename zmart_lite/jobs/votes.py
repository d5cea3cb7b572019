"""The aggregator: brings the counts of votes on chain.

A run looks only at markets whose votes changed since the last one, so that it costs what changed. A proposal's counts
go on chain when they reach the threshold with enough votes, and once when its time ends without that; then the admin
key, if the node has it, approves. Disputes are settled by the monitor, with the counts as they stand then.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from zmart_lite import rules
from zmart_lite.errors import RpcUnavailable
from zmart_lite.jobs.actions import AT_ONCE, FAILED_RETRY_S, Actions
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.jobs.together import together
from zmart_lite.models import GlobalConfig, MarketState, VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.leases import UnitsOfWork
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, votes
from zmart_lite.store.state.markets import Record
from zmart_lite.store.state.votes import Tally
from zmart_lite.store.views import due

logger = logging.getLogger(__name__)

BATCH = 500
"""Markets one run handles; what is left is still marked as changed and comes with the next."""


class VoteOptions(NamedTuple):
    """``record_changes``: every change goes on chain, not only what meets the threshold or ends the vote."""

    votes_min: int
    review_after_s: int
    record_changes: bool = False


class Aggregator:
    """Proposal votes to the chain. ``config`` gives the on-chain config, None while it is unknown."""

    def __init__(
        self,
        store: UnitsOfWork,
        actions: Actions,
        config: Callable[[Tx], GlobalConfig | None],
        chain_now: Callable[[], int],
        options: VoteOptions,
    ) -> None:
        self._store = store
        self._actions = actions
        self._config = config
        self._chain_now = chain_now
        self._options = options

    async def run(self, params: Params) -> Summary:
        """Record what reached its threshold or its end, then approve what is ready; the markets dealt with."""
        dry_run = bool(params.get("dry_run"))
        if not dry_run:
            await self._actions.settle()
        config = await self._store.read(self._config)
        if config is None:
            raise RpcUnavailable("The global config is not known yet.")
        summary = Summary()
        candidates = await self._candidates(params.get("market_id"))
        for each in await together(candidates, lambda key: self._count(key, config, dry_run=dry_run), AT_ONCE):
            summary = summary.joined(each)
        if dry_run:
            return summary
        return await self._approve_ready(summary, params.get("market_id"), config)

    def _failed_since_ms(self) -> int:
        return self._store.now_ms() - FAILED_RETRY_S * 1_000

    async def _candidates(self, market_id: bytes | None) -> list[int]:
        if market_id is not None:
            record = await self._store.read(lambda tx: markets.find_record(tx, market_id))
            return [] if record is None or record["state"] != MarketState.PROPOSED else [record["id"]]
        ended_at = self._chain_now() - self._options.review_after_s

        failed_since_ms = self._failed_since_ms()

        def listed(tx: Tx) -> list[int]:
            changed = due.list_changed_proposals(tx, BATCH, failed_since_ms)
            return list(dict.fromkeys([*changed, *votes.list_ended_proposals(tx, ended_at, BATCH)]))

        return await self._store.read(listed)

    async def _count(self, market: int, config: GlobalConfig, *, dry_run: bool) -> Summary:
        """Deal with one proposal's tally."""
        now_ms = self._store.now_ms()

        def look(tx: Tx) -> tuple[Record | None, Tally]:
            return markets.find_record_by_key(tx, market), votes.find_tally(tx, market, VoteType.PROPOSAL)

        record, tally = await self._store.read(look)
        if record is None:
            return Summary()
        if record["state"] != MarketState.PROPOSED:
            if not dry_run:
                # Decided meanwhile: the market is not to be listed as changed for ever.
                await self._store.write(lambda tx: votes.set_seen(tx, market, VoteType.PROPOSAL, tally))
            return Summary()
        met = rules.threshold_met(
            tally.likes, tally.dislikes, config.proposal_approval_threshold, self._options.votes_min
        )
        review = not met and record["reviewed_at"] is None and self._has_ended(record)
        # What was accepted while counts that pass were on their way is counted, too, also if they then pass no more.
        wanted = met or review or self._options.record_changes or bool(record["ready_for_approval"])
        on_chain = (record["proposal_likes"], record["proposal_dislikes"])
        if not wanted or on_chain == (tally.likes, tally.dislikes):
            await self._seen(market, record, tally, review=review, dry_run=dry_run)
            return Summary(found=1, skipped=1)
        if dry_run:
            return Summary(found=1, skipped=1)
        args = {
            "likes": tally.likes,
            "dislikes": tally.dislikes,
            "percentage_bps": rules.ratio_bps(tally.likes, tally.total),
            "threshold_bps": config.proposal_approval_threshold,
            "votes_until_ms": now_ms,
        }
        subject = record["market_id"].hex()
        intent = await self._actions.act("aggregate_proposal_votes", subject, args, market=market)
        done = intent["status"] == "confirmed"
        self._actions.count_aggregation(VoteType.PROPOSAL, tally.total, done=done, met=met)
        if not done:
            return Summary(found=1, failed=1)
        await self._seen(market, record, tally, review=review, dry_run=False)
        return Summary(found=1, done=1)

    def _has_ended(self, record: Record) -> bool:
        return int(record["created_at"]) + self._options.review_after_s <= self._chain_now()

    async def _seen(self, market: int, record: Record, tally: Tally, *, review: bool, dry_run: bool) -> None:
        """Note that this tally has been dealt with; a proposal whose time ended without consensus goes to a person."""
        if dry_run:
            return

        def unit(tx: Tx) -> None:
            votes.set_seen(tx, market, VoteType.PROPOSAL, tally)
            if review:
                votes.set_reviewed(tx, market, self._chain_now())
                messages.raise_alert(
                    tx,
                    "proposal_no_consensus",
                    "MEDIUM",
                    "A proposal's voting time ended without consensus.",
                    subject=record["market_id"].hex(),
                    data={"likes": tally.likes, "dislikes": tally.dislikes},
                )

        await self._store.write(unit)

    async def _is_counted(self, market: int) -> bool:
        """Whether a proposal's counts on chain pass, and are all of its votes."""

        def read(tx: Tx) -> bool:
            record = markets.find_record_by_key(tx, market)
            tally = votes.find_tally(tx, market, VoteType.PROPOSAL)
            on_chain = record and (record["ready_for_approval"], record["proposal_likes"], record["proposal_dislikes"])
            return on_chain == (1, tally.likes, tally.dislikes)

        return await self._store.read(read)

    async def _approve_ready(self, summary: Summary, only: bytes | None, config: GlobalConfig) -> Summary:
        """Sign for the admin, if the node has that key; else the proposals wait, and an alert says so."""
        failed_since_ms = self._failed_since_ms()
        ready = await self._store.read(lambda tx: due.list_approvals(tx, BATCH, failed_since_ms, only))
        if self._actions.keys.admin is None:
            return summary.plus(found=len(ready), skipped=len(ready))
        for each in await together(ready, lambda record: self._approve(record, config), AT_ONCE):
            summary = summary.joined(each)
        return summary

    async def _approve(self, record: Record, config: GlobalConfig) -> Summary:
        """Approve what is counted to the last vote; votes are refused since its counts stand on chain."""
        if not await self._is_counted(record["id"]):
            await self._count(record["id"], config, dry_run=False)
            if not await self._is_counted(record["id"]):
                return Summary(found=1, skipped=1)
        intent = await self._actions.act("approve_proposal", record["market_id"].hex(), {}, market=record["id"])
        confirmed = intent["status"] == "confirmed"
        return Summary(found=1, done=int(confirmed), failed=int(not confirmed))
