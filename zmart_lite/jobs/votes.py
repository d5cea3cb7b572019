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
from zmart_lite.jobs.actions import Actions
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.models import GlobalConfig, MarketState, VoteType
from zmart_lite.store import markets, messages, votes
from zmart_lite.store.db import Tx
from zmart_lite.store.leases import UnitsOfWork
from zmart_lite.store.markets import Record
from zmart_lite.store.votes import Tally

logger = logging.getLogger(__name__)

BATCH = 500
"""Markets one run handles; what is left is still marked as changed and comes with the next."""


class VoteOptions(NamedTuple):
    votes_min: int
    review_after_s: int


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
        await self._actions.settle()
        config = await self._store.read(self._config)
        if config is None:
            raise RpcUnavailable("The global config is not known yet.")
        summary = Summary()
        for market in await self._candidates(params.get("market_id")):
            summary = await self._count(market, config, summary, dry_run=bool(params.get("dry_run")))
        if params.get("dry_run"):
            return summary
        return await self._approve_ready(summary)

    async def _candidates(self, market_id: bytes | None) -> list[int]:
        if market_id is not None:
            record = await self._store.read(lambda tx: markets.find_record(tx, market_id))
            return [] if record is None or record["state"] != MarketState.PROPOSED else [record["id"]]
        ended_at = self._chain_now() - self._options.review_after_s

        def listed(tx: Tx) -> list[int]:
            changed = votes.list_changed(tx, VoteType.PROPOSAL, BATCH)
            return list(dict.fromkeys([*changed, *votes.list_ended_proposals(tx, ended_at, BATCH)]))

        return await self._store.read(listed)

    async def _count(self, market: int, config: GlobalConfig, summary: Summary, *, dry_run: bool) -> Summary:
        """Deal with one proposal's tally."""
        now_ms = self._store.now_ms()

        def look(tx: Tx) -> tuple[Record | None, Tally]:
            return markets.find_record_by_key(tx, market), votes.find_tally(tx, market, VoteType.PROPOSAL)

        record, tally = await self._store.read(look)
        if record is None or record["state"] != MarketState.PROPOSED:
            return summary
        met = rules.threshold_met(
            tally.likes, tally.dislikes, config.proposal_approval_threshold, self._options.votes_min
        )
        ended = record["created_at"] + self._options.review_after_s <= self._chain_now()
        on_chain = (record["proposal_likes"], record["proposal_dislikes"])
        if not (met or ended) or on_chain == (tally.likes, tally.dislikes):
            await self._seen(market, record, tally, review=ended and not met, dry_run=dry_run)
            return summary.plus(found=1, skipped=1)
        if dry_run:
            return summary.plus(found=1, skipped=1)
        args = {"likes": tally.likes, "dislikes": tally.dislikes, "votes_until_ms": now_ms}
        subject = record["market_id"].hex()
        intent = await self._actions.act("aggregate_proposal_votes", subject, args, market=market)
        if intent["status"] != "confirmed":
            return summary.plus(found=1, failed=1)
        await self._seen(market, record, tally, review=ended and not met, dry_run=False)
        return summary.plus(found=1, done=1)

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

    async def _approve_ready(self, summary: Summary) -> Summary:
        ready = await self._store.read(lambda tx: markets.list_ready_for_approval(tx, BATCH))
        for record in ready:
            if self._actions.keys.admin is None:
                await self._store.write(lambda tx, record=record: _announce_ready(tx, record))  # type: ignore[misc]
                summary = summary.plus(found=1, skipped=1)
                continue
            subject = record["market_id"].hex()
            intent = await self._actions.act("approve_proposal", subject, {}, market=record["id"])
            confirmed = intent["status"] == "confirmed"
            summary = summary.plus(found=1, done=int(confirmed), failed=int(not confirmed))
        return summary


def _announce_ready(tx: Tx, record: Record) -> None:
    messages.raise_alert(
        tx,
        "ready_for_approval",
        "LOW",
        "A proposal passed its vote and waits for the admin's approval.",
        subject=record["market_id"].hex(),
    )
