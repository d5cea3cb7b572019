"""What a Helius webhook says of a transaction: raw as the cluster answers it, or enhanced as interpreted. Pure.

The shapes are the documented ones. Enhanced items carry no logs, so no Anchor event can be read from them; whatever is
not a plain transfer of SOL is ``UNKNOWN``, as with any program that Helius has no parser for.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from zmart_lite.localnet.natives.addresses import COMPUTE_BUDGET_ID, MEMO_ID, MEMO_V1_ID
from zmart_lite.localnet.params import encode_base58
from zmart_lite.localnet.parsed import parse_instruction
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID
from zmart_lite.localnet.wire import meta_json, pubkey_text, signature_text, transaction_json, version_json

LAMPORTS_PER_SOL = 1_000_000_000
UNKNOWN = "UNKNOWN"
TRANSFER = "TRANSFER"

_RAW_META = (
    "err",
    "fee",
    "innerInstructions",
    "loadedAddresses",
    "logMessages",
    "postBalances",
    "postTokenBalances",
    "preBalances",
    "preTokenBalances",
    "rewards",
)
_RAW_INSTRUCTION = ("accounts", "data", "programIdIndex")
_MOVES_LAMPORTS = {"transfer": "destination", "transferWithSeed": "destination"} | dict.fromkeys(
    ("createAccount", "createAccountWithSeed"), "newAccount"
)
_SILENT_PROGRAMS = frozenset([COMPUTE_BUDGET_ID, MEMO_ID, MEMO_V1_ID])

_encode = msgspec.json.Encoder().encode


class _Move(NamedTuple):
    """Lamports that an instruction of the System program moved; addresses are base58."""

    source: str
    target: str
    lamports: int


class _Instruction(NamedTuple):
    program_id: bytes
    accounts: list[bytes]
    data: bytes


def encode_delivery(transactions: Sequence[LandedTransaction], *, enhanced: bool) -> bytes:
    """The body of a delivery: a JSON array."""
    shape = enhanced_item if enhanced else raw_item
    return _encode([shape(landed) for landed in transactions])


# -- raw --------------------------------------------------------------------------------------------------------------


def raw_item(landed: LandedTransaction) -> dict[str, Any]:
    meta = meta_json(landed, "json")
    inner = [group | {"instructions": _bare(group["instructions"])} for group in meta["innerInstructions"]]
    transaction = transaction_json(landed, "json")
    message = transaction["message"]
    plain = {"addressTableLookups": None} | message | {"instructions": _bare(message["instructions"])}
    return {
        "blockTime": landed.block_time,
        "indexWithinBlock": landed.index,
        "meta": {name: meta[name] for name in _RAW_META} | {"innerInstructions": inner},
        "slot": landed.slot,
        "transaction": {"message": plain, "signatures": transaction["signatures"]},
        "version": version_json(landed.transaction),
    }


def _bare(instructions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cluster adds the stack height of each instruction; Helius does not."""
    return [{name: each[name] for name in _RAW_INSTRUCTION} for each in instructions]


# -- enhanced ---------------------------------------------------------------------------------------------------------


def transaction_type(landed: LandedTransaction) -> str:
    """``TRANSFER`` where a successful transaction does nothing but move SOL, else ``UNKNOWN``."""
    return TRANSFER if _plain_transfers(landed) else UNKNOWN


def enhanced_item(landed: LandedTransaction) -> dict[str, Any]:
    meta, keys = landed.meta, landed.account_keys
    plain = _plain_transfers(landed)
    # A failed transaction's instructions are there to be read, but they moved nothing.
    moves = [] if landed.failed else [move for each in _in_order(landed) for move in _moves(each)]
    balances = zip(keys, meta.pre_balances, meta.post_balances, strict=True)
    return {
        "accountData": [
            {"account": pubkey_text(key), "nativeBalanceChange": after - before, "tokenBalanceChanges": []}
            for key, before, after in balances
        ],
        "description": _describe(plain),
        "events": {},
        "fee": meta.fee_lamports,
        "feePayer": pubkey_text(keys[0]),
        "instructions": [_enhanced_instruction(outer, inner) for outer, inner in _grouped(landed)],
        "nativeTransfers": [
            {"amount": move.lamports, "fromUserAccount": move.source, "toUserAccount": move.target} for move in moves
        ],
        "signature": signature_text(landed.signature),
        "slot": landed.slot,
        "source": "SYSTEM_PROGRAM" if plain else UNKNOWN,
        "timestamp": landed.block_time,
        "tokenTransfers": [],
        "transactionError": None if meta.err is None else {"error": _encode(meta.err).decode()},
        "type": TRANSFER if plain else UNKNOWN,
    }


def _grouped(landed: LandedTransaction) -> list[tuple[_Instruction, list[_Instruction]]]:
    """Each instruction of the message with those it invoked, directly or not."""
    keys = landed.account_keys

    def resolve(program: int, accounts: bytes, data: bytes) -> _Instruction:
        return _Instruction(keys[program], [keys[number] for number in accounts], data)

    grouped: list[tuple[_Instruction, list[_Instruction]]] = [
        (resolve(each.program_id_index, bytes(each.accounts), bytes(each.data)), [])
        for each in landed.transaction.message.instructions
    ]
    for group in landed.meta.inner_instructions:
        grouped[group.index][1].extend(
            resolve(each.program_id_index, each.accounts, each.data) for each in group.instructions
        )
    return grouped


def _in_order(landed: LandedTransaction) -> Iterator[_Instruction]:
    for outer, inner in _grouped(landed):
        yield outer
        yield from inner


def _enhanced_instruction(outer: _Instruction, inner: list[_Instruction]) -> dict[str, Any]:
    return _instruction_json(outer) | {"innerInstructions": [_instruction_json(each) for each in inner]}


def _instruction_json(instruction: _Instruction) -> dict[str, Any]:
    return {
        "accounts": [pubkey_text(key) for key in instruction.accounts],
        "data": encode_base58(instruction.data),
        "programId": pubkey_text(instruction.program_id),
    }


def _moves(instruction: _Instruction) -> list[_Move]:
    """At most one: the lamports that a System instruction moves."""
    if instruction.program_id != SYSTEM_PROGRAM_ID:
        return []
    known = parse_instruction(instruction.program_id, instruction.accounts, instruction.data)
    if known is None or known["parsed"]["type"] not in _MOVES_LAMPORTS:
        return []
    info = known["parsed"]["info"]
    return [_Move(info["source"], info[_MOVES_LAMPORTS[known["parsed"]["type"]]], info["lamports"])]


def _plain_transfers(landed: LandedTransaction) -> list[_Move]:
    """The transfers of a transaction that consists of nothing else that matters; otherwise empty."""
    if landed.failed:
        return []
    found: list[_Move] = []
    for each in _in_order(landed):
        if each.program_id in _SILENT_PROGRAMS:
            continue
        moves = _moves(each) if each.data[:4] == b"\x02\0\0\0" else []
        if not moves:
            return []
        found += moves
    return found


def _describe(transfers: list[_Move]) -> str:
    if not transfers:
        return ""
    source, target, _ = transfers[0]
    amount = _sol_text(sum(each.lamports for each in transfers))
    if len(transfers) == 1:
        return f"{source} transferred {amount} SOL to {target}."
    return f"{source} transferred a total {amount} SOL to multiple accounts."


def _sol_text(lamports: int) -> str:
    whole, rest = divmod(lamports, LAMPORTS_PER_SOL)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
