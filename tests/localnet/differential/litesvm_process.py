"""LiteSVM behind a pipe: one JSON object a line in, one out. Runs with a newer solders than the node's own.

Nothing of the project is imported here, and only what is on the path in front: ``PYTHONPATH`` names the folder that
holds that solders. What LiteSVM itself does otherwise than Agave's bank is put right here, so that what comes out is
the bank's; README.md beside this file lists each of these with its source.
"""

import hashlib
import json
import sys
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

NONCE_BYTES = 80
LAMPORTS_PER_SIGNATURE = (5_000).to_bytes(8, "little")
NO_PROGRAM = "ProgramAccountNotFound"
SYSTEM = Pubkey.default()
SYSVAR_OWNER = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
MEMO_V3 = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
MEMO_V4 = Pubkey.from_string("Memo4c2pN8afCj432Lb7RMVKi9PbQnnW7ewFFaV3oAH")


def durable(blockhash: bytes) -> bytes:
    return hashlib.sha256(b"DURABLE_NONCE" + blockhash).digest()


class Machine:
    """One LiteSVM, and what is known of its blocks."""

    def __init__(self) -> None:
        self.svm = LiteSVM().with_sigverify(False).with_transaction_history(0)
        # The same program stands at its own address on clusters, where LiteSVM has not put it yet.
        program = self.svm.get_account(MEMO_V3)
        self.svm.add_program(MEMO_V4, bytes(program.data))
        self.block = 0
        self.labels = {durable(bytes(self.svm.latest_blockhash())): "nonce of block 0"}

    def handle(self, request: dict[str, Any]) -> Any:
        return getattr(self, f"do_{request['op']}")(request)

    def do_account(self, request: dict[str, Any]) -> Any:
        return self.account(bytes.fromhex(request["key"]), labelled=False)

    def do_set(self, request: dict[str, Any]) -> None:
        owner = Pubkey(bytes.fromhex(request["owner"]))
        self._put(bytes.fromhex(request["key"]), request["lamports"], bytes.fromhex(request["data"]), owner)

    def _put(self, key: bytes, lamports: int, data: bytes, owner: Pubkey) -> None:
        self.svm.set_account(Pubkey(key), Account(lamports, data, owner))

    def do_block(self, request: dict[str, Any]) -> None:
        self.svm.expire_blockhash()
        self.block = request["block"]
        self.labels[durable(bytes(self.svm.latest_blockhash()))] = f"nonce of block {self.block}"
        self.svm.set_clock(Clock(request["slot"], 0, 0, 1, request["time"]))
        self.svm.set_slot_hashes([(slot, Hash(bytes.fromhex(each))) for slot, each in request["slot_hashes"]])

    def do_run(self, request: dict[str, Any]) -> list[Any]:
        return [self.run(each) for each in request["transactions"]]

    def run(self, request: dict[str, Any]) -> Any:
        raw = bytearray.fromhex(request["wire"])
        used = self._put_blockhash(raw, request)
        watched = [bytes.fromhex(key) for key in request["watch"]]
        existing = {key for key in watched if self.svm.get_balance(Pubkey(key))}
        result = self.svm.send_transaction(VersionedTransaction.from_bytes(bytes(raw)))
        answer = json.loads(result.to_json())
        err, meta = answer.get("err"), answer.get("meta", answer)
        if err is not None:
            err = self._as_the_bank(err, meta, request, existing)
        if used is not None and (meta["logs"] or err == "InvalidProgramForExecution" or err == NO_PROGRAM):
            self._as_the_banks_nonces(err is not None, used, watched, request)
        return {
            "err": err,
            "logs": meta["logs"],
            "units": meta["compute_units_consumed"],
            "fee": meta["fee"],
            "returned": meta["return_data"]["data"],
            "accounts": [self.account(key) for key in watched],
        }

    def _put_blockhash(self, raw: bytearray, request: dict[str, Any]) -> bytes | None:
        """Write this machine's own blockhash into the message. Returns a nonce's value, if it names one."""
        at, named = request["blockhash_at"], request["blockhash"]
        if named == "latest":
            raw[at : at + 32] = bytes(self.svm.latest_blockhash())
        elif named:
            account = self.svm.get_account(Pubkey(bytes.fromhex(named)))
            if account is not None and len(account.data) >= NONCE_BYTES:
                raw[at : at + 32] = value = bytes(account.data)[40:72]
                return value
        return None

    def _as_the_bank(self, err: Any, meta: dict[str, Any], request: dict[str, Any], existing: set[bytes]) -> Any:
        """What loading cannot use costs the fee, and a program that is not there has an error of its own."""
        if err != "InvalidProgramForExecution":
            return err
        payer = bytes.fromhex(request["watch"][0])
        held = self.svm.get_account(Pubkey(payer))
        self._put(payer, held.lamports - meta["fee"], bytes(held.data), held.owner)
        programs = (bytes.fromhex(key) for key in request["programs"])
        for key in programs:
            if key not in existing:
                return NO_PROGRAM
            if self.account(key)["owner"] not in request["loaders"]:
                return err
        return err

    def _as_the_banks_nonces(self, failed: bool, used: bytes, watched: list[bytes], request: dict[str, Any]) -> None:
        """The next value derives from the last block's hash, and a failed transaction has used up its nonce."""
        latest = durable(bytes(self.svm.latest_blockhash()))
        for key in watched:
            held = self.svm.get_account(Pubkey(key))
            if held is None or held.owner != SYSTEM or len(held.data) < NONCE_BYTES:
                continue
            data = bytes(held.data)
            stands_for_used = data[40:72] == durable(used)
            is_used_up = failed and data[40:72] == used and key.hex() == request["blockhash"]
            if stands_for_used or is_used_up:
                self._put(key, held.lamports, data[:40] + latest + LAMPORTS_PER_SIGNATURE + data[80:], held.owner)

    def account(self, key: bytes, labelled: bool = True) -> Any:
        held = self.svm.get_account(Pubkey(key))
        if held is None or held.lamports == 0 or held.owner == SYSVAR_OWNER:
            return None
        data = bytes(held.data)
        label = self.labels.get(data[40:72]) if labelled and len(data) >= NONCE_BYTES else None
        if label is not None:
            data = data[:40] + bytes(32) + data[72:]
        return {
            "lamports": held.lamports,
            "owner": bytes(held.owner).hex(),
            "data": data.hex() if len(data) <= 4096 or not labelled else hashlib.sha256(data).hexdigest(),
            "executable": held.executable,
            "nonce": label,
        }


def main() -> None:
    machine = Machine()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(machine.handle(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
