"""What counts as the same, and the few differences that are explained."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.localnet.differential.machines import Case, Machines, Seen
from tests.localnet.differential.world import World, Writer
from zmart_lite.localnet.natives.addresses import LOOKUP_TABLE_ID, MEMO_ID, MEMO_V1_ID, MEMO_V4_ID

TRANSACTIONS_PER_BLOCK = 40
_CONSUMED = re.compile(r"^(Program \w+) consumed \d+ of \d+ compute units$")
_BYTECODE_IDS = frozenset([LOOKUP_TABLE_ID, MEMO_V1_ID, MEMO_ID, MEMO_V4_ID])


@dataclass(slots=True)
class Difference:
    """A transaction that ended otherwise here than there."""

    seed: int
    number: int
    case: Case
    here: Seen
    there: Seen
    what: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, transaction {self.number}: {', '.join(self.what)}", str(self.case.transaction)]
        for name in self.what:
            lines += [f"here:  {getattr(self.here, name)}", f"there: {getattr(self.there, name)}"]
        return "\n".join(lines)


def compare(here: Seen, there: Seen, in_bytecode: bool) -> tuple[str, ...]:
    """The names of what differs. The units of programs in bytecode are a model here, so they are not compared."""
    found = [name for name in ("err", "accounts") if getattr(here, name) != getattr(there, name)]
    if here.fee != there.fee and here.fee:
        found.append("fee")
    if _comparable(here.logs, in_bytecode) != _comparable(there.logs, in_bytecode):
        found.append("logs")
    if not in_bytecode and here.units != there.units:
        found.append("units")
    return tuple(found)


def _comparable(logs: Sequence[str], in_bytecode: bool) -> list[str]:
    return [_CONSUMED.sub(r"\1 consumed", line) for line in logs] if in_bytecode else list(logs)


def runs_bytecode(case: Case) -> bool:
    keys = case.transaction.message.account_keys
    return any(bytes(keys[each.program_id_index]) in _BYTECODE_IDS for each in case.transaction.message.instructions)


def run(folder: Path, seed: int, transactions: int) -> tuple[list[Difference], dict[str, int]]:
    """Run that many transactions on both. Returns what differed, and how often each outcome came."""
    world = World(seed)
    machines = Machines(folder, world.accounts())
    writer = Writer(world, machines.ledger)
    found: list[Difference] = []
    outcomes: dict[str, int] = {}
    try:
        for start in range(0, transactions, TRANSACTIONS_PER_BLOCK):
            count = min(TRANSACTIONS_PER_BLOCK, transactions - start)
            found += _run_block(machines, writer, count, (seed, start), outcomes)
            if found:
                break
            machines.next_block()
            for key, account in world.refreshed(machines.ledger).items():
                machines.put(key, account)
    finally:
        machines.svm.close()
    return found, outcomes


def _run_block(
    machines: Machines, writer: Writer, count: int, place: tuple[int, int], outcomes: dict[str, int]
) -> list[Difference]:
    """Nothing is compared behind the first difference, after which the two are no longer the same."""
    cases: list[tuple[Case, dict[str, Any], Seen]] = []
    for _ in range(count):
        case = writer.write()
        request = machines.request(case)
        here = machines.run_here(case, [bytes.fromhex(key) for key in request["watch"]])
        cases.append((case, request, here))
        outcomes[_named(here.err)] = outcomes.get(_named(here.err), 0) + 1
    there = machines.run_there([request for _case, request, _here in cases])
    for number, ((case, _request, here), other) in enumerate(zip(cases, there, strict=True)):
        what = compare(here, other, runs_bytecode(case))
        if what:
            return [Difference(place[0], place[1] + number, case, here, other, what)]
    return []


def _named(err: Any) -> str:
    if not isinstance(err, dict):
        return str(err)
    name, detail = next(iter(err.items()))
    if name == "InstructionError":
        return f"InstructionError {detail[1]}"
    return str(name)
