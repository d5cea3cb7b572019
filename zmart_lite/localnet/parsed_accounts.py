"""What ``jsonParsed`` makes of accounts: sysvars, programs and their data, nonces, lookup tables, tokens.

Formats as the interface crates serialise them (bincode, little-endian), shapes as solana-account-decoder writes them.
Accounts of the config, stake and vote programs do not exist here and would be answered as base64, as is every account
that a cluster cannot parse either.
"""

import struct
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey

from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account
from zmart_lite.localnet.tokens import TOKEN_PROGRAMS, Load, parse_token

Parsed = dict[str, Any]


def _id(text: str) -> bytes:
    return bytes(Pubkey.from_string(text))


SYSVAR_OWNER = _id("Sysvar1111111111111111111111111111111111111")
UPGRADEABLE_LOADER_ID = _id("BPFLoaderUpgradeab1e11111111111111111111111")
LOOKUP_TABLE_ID = _id("AddressLookupTab1e1111111111111111111111111")

NONCE_BYTES = 80
LOOKUP_TABLE_META_BYTES = 56
SLOT_HISTORY_ENTRIES = 1024 * 1024


def parse_account(key: bytes, account: Account, load: Load) -> Parsed | None:
    """``{program, parsed, space}``, or None where the cluster would answer with base64."""
    found = _parse(key, account, load)
    if found is None:
        return None
    program, parsed = found
    return {"program": program, "parsed": parsed, "space": len(account.data)}


def _parse(key: bytes, account: Account, load: Load) -> tuple[str, Parsed] | None:
    owner, data = account.owner, account.data
    try:
        if owner == SYSVAR_OWNER:
            name, parse = _SYSVARS[key]
            return "sysvar", {"type": name, "info": parse(data)}
        if owner == UPGRADEABLE_LOADER_ID:
            return "bpf-upgradeable-loader", _loader(data)
        if owner == LOOKUP_TABLE_ID:
            return "address-lookup-table", _lookup_table(data)
        if owner == SYSTEM_PROGRAM_ID:
            return "nonce", _nonce(data)
    except (struct.error, IndexError, KeyError, ValueError):
        return None
    parsed = parse_token(account, load) if owner in TOKEN_PROGRAMS else None
    return None if parsed is None else (TOKEN_PROGRAMS[owner], parsed)


def _key(data: bytes) -> str:
    return str(Pubkey(data))


def _hash(data: bytes) -> str:
    return str(Hash(data))


# -- sysvars -----------------------------------------------------------------------------------------------------------


def _clock(data: bytes) -> Parsed:
    slot, started_at, epoch, leader_epoch, now = struct.unpack_from("<QqQQq", data)
    return {
        "slot": slot,
        "epoch": epoch,
        "epochStartTimestamp": started_at,
        "leaderScheduleEpoch": leader_epoch,
        "unixTimestamp": now,
    }


def _rent(data: bytes) -> Parsed:
    lamports, threshold, burn = struct.unpack_from("<QdB", data)
    return {"lamportsPerByteYear": str(lamports), "exemptionThreshold": threshold, "burnPercent": burn}


def _epoch_schedule(data: bytes) -> Parsed:
    slots, offset, warmup, epoch, slot = struct.unpack_from("<QQ?QQ", data)
    return {
        "slotsPerEpoch": slots,
        "leaderScheduleSlotOffset": offset,
        "warmup": warmup,
        "firstNormalEpoch": epoch,
        "firstNormalSlot": slot,
    }


def _rows(data: bytes, form: str) -> list[tuple[Any, ...]]:
    """A vector of rows of one form, behind its length."""
    (count,) = struct.unpack_from("<Q", data)
    row = struct.Struct(form)
    if count * row.size > len(data) - 8:
        raise ValueError("shorter than it says")
    return list(row.iter_unpack(data[8 : 8 + count * row.size]))


def _recent_blockhashes(data: bytes) -> list[Parsed]:
    rows = _rows(data, "<32sQ")
    return [{"blockhash": _hash(each), "feeCalculator": _fee_calculator(fee)} for each, fee in rows]


def _fee_calculator(lamports: int) -> Parsed:
    return {"lamportsPerSignature": str(lamports)}


def _slot_hashes(data: bytes) -> list[Parsed]:
    return [{"slot": slot, "hash": _hash(each)} for slot, each in _rows(data, "<Q32s")]


def _slot_history(data: bytes) -> Parsed:
    """``bits``: a digit for each of the newest 2^20 slots, the first for slots that are multiples of that."""
    some, words = struct.unpack_from("<BQ", data)
    if some != 1 or words * 64 != SLOT_HISTORY_ENTRIES:
        raise ValueError("no slot history")
    bits, (_length, next_slot) = data[9 : 9 + words * 8], struct.unpack_from("<QQ", data, 9 + words * 8)
    return {"nextSlot": next_slot, "bits": "".join(_DIGITS[byte] for byte in bits)}


_DIGITS = tuple(f"{byte:08b}"[::-1] for byte in range(256))


def _stake_history(data: bytes) -> list[Parsed]:
    names = ("effective", "activating", "deactivating")
    return [
        {"epoch": epoch, "stakeHistory": dict(zip(names, amounts, strict=True))}
        for epoch, *amounts in _rows(data, "<QQQQ")
    ]


def _last_restart_slot(data: bytes) -> Parsed:
    return {"lastRestartSlot": struct.unpack_from("<Q", data)[0]}


def _epoch_rewards(data: bytes) -> Parsed:
    height, partitions, parent, low, high, total, distributed, active = struct.unpack_from("<QQ32sQQQQ?", data)
    return {
        "distributionStartingBlockHeight": height,
        "numPartitions": partitions,
        "parentBlockhash": _hash(parent),
        "totalPoints": str(high << 64 | low),
        "totalRewards": str(total),
        "distributedRewards": str(distributed),
        "active": active,
    }


_SYSVARS: dict[bytes, tuple[str, Callable[[bytes], Any]]] = {
    _id("SysvarC1ock11111111111111111111111111111111"): ("clock", _clock),
    _id("SysvarRent111111111111111111111111111111111"): ("rent", _rent),
    _id("SysvarEpochSchedu1e111111111111111111111111"): ("epochSchedule", _epoch_schedule),
    _id("SysvarRecentB1ockHashes11111111111111111111"): ("recentBlockhashes", _recent_blockhashes),
    _id("SysvarS1otHashes111111111111111111111111111"): ("slotHashes", _slot_hashes),
    _id("SysvarS1otHistory11111111111111111111111111"): ("slotHistory", _slot_history),
    _id("SysvarStakeHistory1111111111111111111111111"): ("stakeHistory", _stake_history),
    _id("SysvarLastRestartS1ot1111111111111111111111"): ("lastRestartSlot", _last_restart_slot),
    _id("SysvarEpochRewards1111111111111111111111111"): ("epochRewards", _epoch_rewards),
}


# -- programs, nonces, lookup tables --------------------------------------------------------------------------------


def _option(data: bytes, at: int) -> tuple[str | None, int]:
    """A key that may be missing, and where what follows it begins."""
    if data[at] == 0:
        return None, at + 1
    return _key(data[at + 1 : at + 33]), at + 33


def _loader(data: bytes) -> Parsed:
    (kind,) = struct.unpack_from("<I", data)
    if kind == 0:
        return {"type": "uninitialized"}
    if kind == 1:
        authority, end = _option(data, 4)
        return {"type": "buffer", "info": {"authority": authority, "data": _base64(data[end:])}}
    if kind == 2:
        return {"type": "program", "info": {"programData": _key(data[4:36])}}
    if kind == 3:
        (slot,) = struct.unpack_from("<Q", data, 4)
        authority, end = _option(data, 12)
        return {"type": "programData", "info": {"slot": slot, "authority": authority, "data": _base64(data[end:])}}
    raise ValueError("no state of the loader")


def _base64(data: bytes) -> list[str]:
    return [b64encode(data).decode(), "base64"]


def _nonce(data: bytes) -> Parsed:
    if len(data) != NONCE_BYTES:
        raise ValueError("no nonce account")
    version, state, authority, blockhash, lamports = struct.unpack("<II32s32sQ", data)
    if version > 1 or state != 1:
        raise ValueError("a nonce account that is not initialised is like any other account of the System program")
    info = {"authority": _key(authority), "blockhash": _hash(blockhash), "feeCalculator": _fee_calculator(lamports)}
    return {"type": "initialized", "info": info}


def _lookup_table(data: bytes) -> Parsed:
    kind, deactivated, extended, start = struct.unpack_from("<IQQB", data)
    if kind == 0:
        return {"type": "uninitialized"}
    addresses = data[LOOKUP_TABLE_META_BYTES:]
    if kind != 1 or len(data) < LOOKUP_TABLE_META_BYTES or len(addresses) % 32:
        raise ValueError("no lookup table")
    authority, _end = _option(data, 21)
    info: Parsed = {
        "deactivationSlot": str(deactivated),
        "lastExtendedSlot": str(extended),
        "lastExtendedSlotStartIndex": start,
        "addresses": [_key(addresses[at : at + 32]) for at in range(0, len(addresses), 32)],
    }
    return {"type": "lookupTable", "info": info if authority is None else info | {"authority": authority}}
