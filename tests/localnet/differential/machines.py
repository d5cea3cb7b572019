"""The devnet's ledger and LiteSVM, made to run the same transactions."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from zmart_lite.localnet.clock import ChainClock
from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.ledger import Ledger, LedgerOptions
from zmart_lite.localnet.natives.addresses import (
    LOADER_IDS,
    MEMO_IDS,
    NATIVE_LOADER_ID,
    RESERVED_KEYS,
)
from zmart_lite.localnet.natives.catalogue import native_accounts, native_programs
from zmart_lite.localnet.natives.nonce import NONCE_BYTES, durable_nonce
from zmart_lite.localnet.runtime import Account
from zmart_lite.models import Commitment

START_TIME = 1_700_000_000
PROCESS = Path(__file__).with_name("litesvm_process.py")


@dataclass(slots=True)
class Case:
    """One transaction. ``blockhash``: ``latest``, the key of a nonce account in hex, or empty for what it has."""

    transaction: VersionedTransaction
    blockhash: str = "latest"


@dataclass(slots=True)
class Seen:
    """What a transaction did."""

    err: Any
    logs: list[str]
    units: int
    fee: int
    accounts: list[Any] = field(default_factory=list)


class LiteSvm:
    """The other machine, in a process with the newer solders of ``folder``."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, str(PROCESS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def ask(self, op: str, **fields: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op} | fields).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "LiteSVM's process has ended"
        return json.loads(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Machines:
    """Both machines, with the same accounts."""

    def __init__(self, folder: Path, accounts: dict[bytes, Account]) -> None:
        self.svm = LiteSvm(folder)
        for key, account in accounts.items():
            self.put_on_svm(key, account)
        # Whoever sends lamports to a program sees what it held: the accounts of the programs are taken from there.
        shared = {key: _account_of(self.svm.ask("account", key=key.hex())) for key in RESERVED_KEYS | MEMO_IDS}
        programs = {key: each for key, each in shared.items() if each is not None}
        clock = ChainClock(START_TIME, frozen=True)
        genesis = accounts | native_accounts() | programs
        self.ledger = Ledger(native_programs(), clock, genesis, b"\x77" * 32, LedgerOptions(slot_ms=400))
        self.block = 0
        self._labels: dict[bytes, str] = {}
        self.next_block()

    def put_on_svm(self, key: bytes, account: Account | None) -> None:
        held = account or Account()
        fields = {"lamports": held.lamports, "owner": held.owner.hex(), "data": held.data.hex()}
        self.svm.ask("set", key=key.hex(), **fields)

    def next_block(self) -> None:
        self.ledger.clock.advance(1)
        self.ledger.seal_block()
        self.block += 1
        bank = self.ledger.bank(Commitment.PROCESSED)
        self._labels[durable_nonce(bank.blockhash)] = f"nonce of block {self.block}"
        heights = range(bank.height - 1, max(bank.height - 1 - 512, -1), -1)
        blocks = [block for block in map(self.ledger.history.block_at_height, heights) if block is not None]
        slot_hashes = [(block.slot, block.blockhash.hex()) for block in blocks]
        self.svm.ask("block", block=self.block, slot=bank.slot, time=bank.time, slot_hashes=slot_hashes)

    def put(self, key: bytes, account: Account | None) -> None:
        self.ledger.set_account(key, account)
        self.put_on_svm(key, account)

    def keys_of(self, case: Case) -> list[bytes]:
        """The accounts that a transaction may change, those from lookup tables included."""
        try:
            layout = self.ledger.lay_out(case.transaction.message, self.ledger.bank(Commitment.PROCESSED))
        except TransactionRefused:
            return [bytes(key) for key in case.transaction.message.account_keys]
        return list(layout.keys)

    def request(self, case: Case) -> dict[str, Any]:
        """What LiteSVM is told of a transaction that runs here now."""
        message = case.transaction.message
        keys = [bytes(key) for key in message.account_keys]
        return {
            "wire": bytes(case.transaction).hex(),
            "blockhash": case.blockhash,
            "blockhash_at": _place_of_blockhash(case.transaction),
            "watch": [key.hex() for key in self.keys_of(case)],
            "programs": [keys[each.program_id_index].hex() for each in message.instructions],
            "loaders": [key.hex() for key in (NATIVE_LOADER_ID, *LOADER_IDS)],
        }

    def run_here(self, case: Case, watched: Sequence[bytes]) -> Seen:
        try:
            landed = self.ledger.submit(case.transaction)
        except TransactionRefused as refused:
            return Seen(refused.err, [], 0, 0, [self.account(key) for key in watched])
        meta = landed.meta
        accounts = [self.account(key) for key in watched]
        return Seen(meta.err, list(meta.logs), meta.compute_units, meta.fee_lamports, accounts)

    def run_there(self, requests: Sequence[dict[str, Any]]) -> list[Seen]:
        answers = self.svm.ask("run", transactions=requests)
        assert all(not each["returned"] for each in answers), "nothing here returns data"
        return [Seen(each["err"], each["logs"], each["units"], each["fee"], each["accounts"]) for each in answers]

    def account(self, key: bytes) -> Any:
        held = self.ledger.accounts.get(key)
        if held is None:
            return None
        data = held.data
        label = self._labels.get(data[40:72]) if len(data) >= NONCE_BYTES else None
        if label is not None:
            data = data[:40] + bytes(32) + data[72:]
        return {
            "lamports": held.lamports,
            "owner": held.owner.hex(),
            "data": data.hex() if len(data) <= 4096 else hashlib.sha256(data).hexdigest(),
            "executable": held.executable,
            "nonce": label,
        }


def _place_of_blockhash(transaction: VersionedTransaction) -> int:
    """Where the blockhash stands in the bytes of a transaction: behind the message's keys."""
    raw, blockhash = bytes(transaction), bytes(transaction.message.recent_blockhash)
    signatures = len(transaction.signatures)
    at = (1 if signatures < 128 else 2) + 64 * signatures + isinstance(transaction.message, MessageV0) + 3
    keys = len(transaction.message.account_keys)
    at += (1 if keys < 128 else 2) + 32 * keys
    assert raw[at : at + 32] == blockhash
    return at


def _account_of(seen: Any) -> Account | None:
    if seen is None:
        return None
    return Account(seen["lamports"], bytes.fromhex(seen["owner"]), bytes.fromhex(seen["data"]), seen["executable"])
