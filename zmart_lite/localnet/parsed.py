"""What ``jsonParsed`` makes of instructions of the System and memo programs; clusters leave the others as they are."""

from collections.abc import Callable, Sequence
from typing import Any

from solders.pubkey import Pubkey

from zmart_lite.localnet.natives.addresses import MEMO_IDS
from zmart_lite.localnet.natives.bincode import BincodeReader
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, InstructionFailed

_Info = dict[str, Any]


def parse_instruction(program_id: bytes, accounts: Sequence[bytes], data: bytes) -> dict[str, Any] | None:
    """``parsed`` and ``program`` of an instruction, or None where the cluster would leave it as it is."""
    if program_id in MEMO_IDS:
        try:
            return {"parsed": data.decode(), "program": "spl-memo"}
        except UnicodeDecodeError:
            return None
    if program_id != SYSTEM_PROGRAM_ID:
        return None
    try:
        reader = BincodeReader(data)
        known = _SYSTEM.get(reader.u32())
        if known is None:
            return None
        name, parse = known
        return {"parsed": {"info": parse(accounts, reader), "type": name}, "program": "system"}
    except (InstructionFailed, IndexError):
        return None


def _key(key: bytes) -> str:
    return str(Pubkey(key))


def _create_account(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {
        "source": _key(accounts[0]),
        "newAccount": _key(accounts[1]),
        "lamports": reader.u64(),
        "space": reader.u64(),
        "owner": _key(reader.take(32)),
    }


def _assign(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {"account": _key(accounts[0]), "owner": _key(reader.take(32))}


def _transfer(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {"source": _key(accounts[0]), "destination": _key(accounts[1]), "lamports": reader.u64()}


def _create_account_with_seed(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {
        "source": _key(accounts[0]),
        "newAccount": _key(accounts[1]),
        "base": _key(reader.take(32)),
        "seed": reader.text().decode(),
        "lamports": reader.u64(),
        "space": reader.u64(),
        "owner": _key(reader.take(32)),
    }


def _allocate(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {"account": _key(accounts[0]), "space": reader.u64()}


def _allocate_with_seed(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {
        "account": _key(accounts[0]),
        "base": _key(reader.take(32)),
        "seed": reader.text().decode(),
        "space": reader.u64(),
        "owner": _key(reader.take(32)),
    }


def _assign_with_seed(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {
        "account": _key(accounts[0]),
        "base": _key(reader.take(32)),
        "seed": reader.text().decode(),
        "owner": _key(reader.take(32)),
    }


def _transfer_with_seed(accounts: Sequence[bytes], reader: BincodeReader) -> _Info:
    return {
        "source": _key(accounts[0]),
        "sourceBase": _key(accounts[1]),
        "destination": _key(accounts[2]),
        "lamports": reader.u64(),
        "sourceSeed": reader.text().decode(),
        "sourceOwner": _key(reader.take(32)),
    }


_SYSTEM: dict[int, tuple[str, Callable[[Sequence[bytes], BincodeReader], _Info]]] = {
    0: ("createAccount", _create_account),
    1: ("assign", _assign),
    2: ("transfer", _transfer),
    3: ("createAccountWithSeed", _create_account_with_seed),
    8: ("allocate", _allocate),
    9: ("allocateWithSeed", _allocate_with_seed),
    10: ("assignWithSeed", _assign_with_seed),
    11: ("transferWithSeed", _transfer_with_seed),
}
