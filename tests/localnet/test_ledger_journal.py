"""The chain on disk: reloading, torn ends, forks, other people's files."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.localnet.chain_harness import ALICE, BOB, PROGRAM_ID, START_TIME, Chain
from zmart_lite.errors import StartupError
from zmart_lite.localnet import journal as journals
from zmart_lite.localnet.journal import Journal
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.runtime import Account
from zmart_lite.models import Commitment

TIMED = LedgerOptions(slot_ms=400)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain" / "ledger.bin"


Opened = Callable[..., Chain]


@pytest.fixture
def opened(path: Path) -> Iterator[Opened]:
    """Opens the chain at ``path``; what an earlier call opened is as good as killed."""
    chains: list[Chain] = []

    def release() -> None:
        for chain in chains:
            assert chain.ledger._journal is not None
            chain.ledger._journal.close()

    def open_chain(options: LedgerOptions | None = None) -> Chain:
        release()
        chains.append(Chain(options, path))
        return chains[-1]

    yield open_chain
    release()


def state_of(chain: Chain) -> tuple[object, ...]:
    return (
        dict(chain.ledger.accounts.items()),
        [
            (block.slot, block.blockhash, [each.meta for each in block.transactions])
            for block in chain.ledger.history.blocks()
        ],
        chain.ledger.genesis_hash,
        chain.ledger.history.transaction_count,
    )


def test_what_was_sealed_survives_a_kill(opened: Opened) -> None:
    chain = opened(TIMED)
    first = chain.pay(5)
    assert chain.pay(10**18).failed
    chain.ledger.seal_block()
    chain.ledger.set_account(b"\x55" * 32, Account(7, PROGRAM_ID, b"x"))
    chain.ledger.seal_block()
    expected = state_of(chain)
    chain.pay(6)

    again = opened(TIMED)
    assert state_of(again) == expected
    assert again.ledger.history.find(first.signature) == first
    assert again.lamports(BOB) == chain.lamports(BOB) - 6


def test_reloaded_chain_is_final_and_goes_on(opened: Opened) -> None:
    chain = opened()
    landed = chain.pay(5)
    slot, blockhash = chain.ledger.open_slot, chain.ledger.bank(Commitment.CONFIRMED).blockhash
    again = opened()
    assert again.ledger.open_slot == slot
    assert again.ledger.commitment_of(landed.height) is Commitment.FINALIZED
    assert again.ledger.bank(Commitment.FINALIZED).blockhash == blockhash
    assert not again.pay(6).failed
    assert again.lamports(BOB, Commitment.FINALIZED) == again.lamports(BOB) - 6


def test_removed_accounts_stay_removed(opened: Opened) -> None:
    chain = opened()
    chain.ledger.set_account(bytes(BOB.pubkey()), None)
    assert opened().ledger.accounts.get(bytes(BOB.pubkey())) is None


def test_close_saves_the_open_block(opened: Opened) -> None:
    chain = opened(TIMED)
    landed = chain.pay(5)
    chain.ledger.close()
    assert opened(TIMED).ledger.history.find(landed.signature) == landed


def test_a_torn_end_is_cut_off(opened: Opened, path: Path) -> None:
    chain = opened()
    chain.pay(5)
    balance, size = chain.lamports(ALICE), path.stat().st_size
    chain.pay(6)
    whole = path.read_bytes()
    for end in (size + 1, size + 7, size + 8, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert opened().lamports(ALICE) == balance
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert opened().lamports(ALICE) == balance


def test_dropped_blocks_stay_dropped(opened: Opened) -> None:
    chain = opened()
    chain.pay(5)
    snapshot = chain.ledger.snapshot()
    chain.pay(6)
    chain.pay(7)
    chain.ledger.drop_blocks(1)
    expected = state_of(chain)
    assert state_of(opened()) == expected
    chain = opened()
    snapshot = chain.ledger.snapshot()
    chain.pay(8)
    chain.ledger.revert(snapshot)
    chain.pay(9)
    assert state_of(opened()) == state_of(chain)


def test_revert_past_the_last_rewrite(opened: Opened) -> None:
    chain = opened()
    snapshot = chain.ledger.snapshot()
    chain.pay(5)
    chain.ledger.checkpoint()
    chain.ledger.revert(snapshot)
    assert state_of(opened()) == state_of(chain)
    assert chain.lamports(BOB) == 100 * 10**9


def test_time_goes_on_after_a_restart(opened: Opened) -> None:
    chain = opened()
    chain.ledger.warp(1_000)
    again = opened()
    assert again.clock.now_s() == START_TIME + 1_000
    assert again.ledger.genesis_time == START_TIME


def test_files_of_others_are_refused(opened: Opened, path: Path) -> None:
    opened().ledger.close()
    with pytest.raises(StartupError, match="another program"):
        Journal(path, b"\x09" * 32).load()
    path.write_bytes(b"hello, this is no ledger")
    with pytest.raises(StartupError, match="not a devnet ledger"):
        opened()


def test_empty_file_is_a_new_chain(opened: Opened, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert opened().ledger.open_slot == 1


def test_the_file_is_rewritten_when_it_has_grown(opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "REWRITE_BYTES_MIN", 1)
    chain = opened()
    sizes = []
    for _ in range(60):
        chain.pay(1)
        sizes.append(path.stat().st_size)
    assert any(after < before for before, after in pairwise(sizes))
    assert state_of(opened()) == state_of(chain)


def test_a_failed_write_leaves_chain_and_file_usable(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = opened(TIMED)
    chain.pay(5)

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            return int(self.file.write(data[:10]))  # type: ignore[attr-defined]

        def truncate(self, size: int) -> None:
            self.file.truncate(size)  # type: ignore[attr-defined]

    journal = chain.ledger._journal
    assert journal is not None
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_file", Full(journal._file))
        with pytest.raises(OSError, match="not written whole"):
            chain.ledger.seal_block()
    chain.ledger.seal_block()
    assert state_of(opened(TIMED)) == state_of(chain)


def test_one_process_at_a_time(opened: Opened, path: Path) -> None:
    opened()
    with pytest.raises(StartupError, match="in use by another devnet"):
        Journal(path, PROGRAM_ID).load()


ENDLESS = """
import sys
from pathlib import Path
from tests.localnet.chain_harness import Chain
chain = Chain(None, Path(sys.argv[1]))
number = 0
while True:
    number += 1
    chain.pay(number)
    print(chain.ledger.history.transaction_count, flush=True)
"""


def test_a_killed_process_loses_nothing_confirmed(opened: Opened, path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", ENDLESS, str(path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.kill()
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    chain = opened()
    count = chain.ledger.history.transaction_count
    assert count in (told[-1], told[-1] + 1)
    assert chain.lamports(BOB) == 100 * 10**9 + count * (count + 1) // 2
