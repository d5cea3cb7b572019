"""The indexer under every fault at once: whatever happened on the way, in the end the database equals the chain.

A run is decided by its seed: what the markets do, what becomes of the deliveries, when the two RPC addresses fail and
how, when blocks vanish and when the node is killed. Only blockhashes and the interleaving of parallel fetches are left
to chance.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import uvloop

from zmart_lite.chain.rpc import PROOF_S
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.localnet.tempers import Temper
from zmart_lite.simulation.chain import SimulatedChain
from zmart_lite.simulation.deliveries import FATES, FORGERIES, Deliveries
from zmart_lite.simulation.kinds import DELIVERED, EVENTS, EVENTS_REPEATED, KINDS, LAYOUTS, POISON, TROUBLES, UPGRADE
from zmart_lite.simulation.node import PROVIDERS, SimulatedNode, Times
from zmart_lite.simulation.truth import compare

PROGRAM_ID = bytes([7]) * 32
GENESIS_S = 1_800_000_000
MARKETS_MIN, TRANSACTIONS_MIN = 20, 300
STEPS_MAX = 2_000
ROUNDS_MAX, ROUNDS_PATIENT = 50, 3
FINAL_BLOCKS = 40
"""After so many blocks everything before them is final."""
WRONG_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``wrong``: in what the database differs from the chain; ``counts``: how often each wanted kind
    happened; ``answers``: how often deliveries were answered by each HTTP status.
    """

    seed: int
    wrong: list[str]
    counts: Counter[str]
    answers: Counter[int]
    transactions: int

    @property
    def never(self) -> list[str]:
        """The kinds that were wanted and did not happen."""
        return sorted(kind for kind, count in self.counts.items() if not count)


class Simulation:
    """One run. ``plan`` holds what must happen, in the order decided by the seed."""

    def __init__(self, seed: int, localnet: Localnet, folder: Path, kinds: frozenset[str] = KINDS) -> None:
        self.seed, self.kinds, self.random = seed, kinds, Random(seed)
        self.chain = SimulatedChain(localnet, Random(f"{seed}/chain"))
        fates = {fate: weight for fate, weight in FATES.items() if fate in kinds or fate == DELIVERED}
        self.deliveries = Deliveries(self.chain, Random(f"{seed}/deliveries"), fates)
        upgrades = UPGRADE in kinds
        self.node = SimulatedNode(folder, localnet, Random(f"{seed}/node"), Times(), upgrades=upgrades)
        self.counts: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self._placed: list[Temper] = []
        times = dict.fromkeys((*TROUBLES, *FORGERIES, *POISON), 1) | dict.fromkeys(EVENTS, EVENTS_REPEATED)
        self.plan = [kind for kind, count in times.items() if kind in kinds for _ in range(count)]
        self.random.shuffle(self.plan)
        if upgrades:
            self.plan.insert(len(self.plan) // 4, UPGRADE)

    async def run(self) -> None:
        """Until all that is planned has happened and the node has come to rest."""
        for step in range(STEPS_MAX):
            if self._is_enough():
                break
            if step % 2 and self.plan:
                await self._meet(self.plan.pop())
            self.chain.step()
            await self._deliver()
            await self.node.work(poll=self.random.random() < 0.15, finality=self.random.random() < 0.25)
        await self._settle()

    def _is_enough(self) -> bool:
        known = sum(self.chain.market(market_id) is not None for market_id in self.chain.market_ids)
        met = not self.plan and not self.deliveries.lies and not self.chain.version_one_left
        return met and known >= MARKETS_MIN and len(self.chain.history()) >= TRANSACTIONS_MIN

    async def _deliver(self) -> None:
        for post in self.deliveries.take():
            self.answers[await self.node.post(post)] += 1

    async def _meet(self, kind: str) -> None:
        """Let a planned trouble happen."""
        if kind in TROUBLES:
            self._trouble(kind)
        elif kind in FORGERIES:
            self.deliveries.forge(kind)
        elif kind == "truncated":
            self.chain.ledger.truncate_logs(self.random.randint(1, 3))
            self.counts[kind] += 1
        elif kind == "kill":
            await self.node.work_and_be_killed()
            await self.node.start()
            self.counts[kind] += 1
        elif kind == UPGRADE:
            await self._upgrade()
        elif kind == "version_one":
            self.chain.use_version_one(self.random.randint(1, 4))
        elif kind in POISON:
            came = self.chain.buy_nothing() if kind == "zero_shares" else self.chain.poison(kind)
            self._note(kind, came)
        else:
            self.counts[kind] += self.chain.fork(again=kind == "fork_again")

    def _trouble(self, kind: str) -> None:
        """One address, or both of them."""
        trouble, provider = TROUBLES[kind], self.random.choice(("", *PROVIDERS))
        calls = self.random.randint(1, trouble.calls_max)
        temper = Temper(kind, calls, trouble.methods, provider=provider)
        self._placed.append(self.chain.localnet.context.tempers.add(temper))

    async def _upgrade(self) -> None:
        """Once the node has met every layout that it does not know."""
        met = {layout: await self.node.count_letters(layout) for layout in LAYOUTS}
        self._note(UPGRADE, all(met.values()))
        if all(met.values()):
            self.counts.update(met)
            await self.node.upgrade()

    async def judge(self) -> list[str]:
        """Everything that is wrong in the end."""
        found = await compare(self.chain, self.node.store)
        found += await self.node.second_thoughts()
        return found + await self._judge_poison()

    async def _judge_poison(self) -> list[str]:
        """What nobody can decode is a dead letter, and only that; and whatever is stored can be shown."""
        kept = await self.node.open_letters()
        poisoned = [each for each in self.chain.history() if not each.failed and self.chain.is_poison(each)]
        found = [
            f"nothing tells of poison {each.signature.hex()[:16]}" for each in poisoned if each.signature not in kept
        ]
        if open_still := await self.node.count_letters("truncated"):
            found.append(f"{open_still} letters of truncated logs are open though all accounts were read")
        if UPGRADE in self.kinds:
            found += [f"{each} outlived the upgrade" for each in LAYOUTS if await self.node.count_letters(each)]
        return found + await self.node.ask_everything([*self.chain.poisoned, *self.chain.market_ids[:8]])

    def _note(self, kind: str, came: bool) -> None:
        """What did not come about is tried again later."""
        if came:
            self.counts[kind] += 1
        else:
            self.plan.insert(self.random.randint(0, len(self.plan)), kind)

    async def _settle(self) -> None:
        """The troubles end, all becomes final, and the node gets the time it needs."""
        tempers = self.chain.localnet.context.tempers
        for rounds in range(ROUNDS_MAX):
            self.chain.ledger.produce_blocks(8)
            await self.node.work(poll=True, finality=True)
            if not tempers:
                break
            if rounds > ROUNDS_PATIENT:
                # What waits for an address that is not asked, or for a question that nobody has.
                for temper in tempers.all:
                    temper.provider = ""
                self.chain.act()
                self.deliveries.lose()
                await self.node.reconcile()
                self.node.times.passed_s += PROOF_S
        tempers.end()
        self.counts |= Counter({each.kind: 1 for each in self._placed if each.met})
        self.chain.ledger.truncate_logs(0)
        self.chain.ledger.warp(1)
        await self.node.become_patient()
        await self.node.settle()
        await self.node.retry()
        # Reconciliation may have flagged accounts, which are read now.
        await self.node.settle()
        # What was only read now becomes final, too; then nothing keeps a letter of truncated logs open.
        self.chain.ledger.produce_blocks(FINAL_BLOCKS)
        await self.node.settle()
        await self.node.retry()
        await self.node.settle()

    def outcome(self, wrong: list[str]) -> Outcome:
        both = self.counts + self.deliveries.counts + self.chain.counts
        counts = Counter({kind: both[kind] for kind in self.kinds})
        return Outcome(self.seed, wrong, counts, self.answers, len(self.chain.history()))


async def simulate(seed: int, folder: Path, kinds: frozenset[str] = KINDS) -> Outcome:
    """One run, its database in ``folder``."""
    localnet = Localnet(LocalnetOptions(PROGRAM_ID, rpc_port=0, slot_ms=0, genesis_time=GENESIS_S))
    async with localnet:
        simulation = Simulation(seed, localnet, folder, kinds)
        await simulation.node.start()
        try:
            await simulation.run()
            wrong = await simulation.judge()
        finally:
            await simulation.node.stop()
    return simulation.outcome(wrong)


def run(seed: int, kinds: frozenset[str] = KINDS) -> Outcome:
    """One run in a temporary folder, from code that is not asynchronous."""
    with TemporaryDirectory(prefix="zmart-simulation-") as folder:
        return run_in(Path(folder), seed, kinds)


def run_in(folder: Path, seed: int, kinds: frozenset[str] = KINDS) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(simulate(seed, folder, kinds))
