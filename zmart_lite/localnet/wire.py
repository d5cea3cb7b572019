"""The JSON shapes of accounts and transactions, as the cluster's RPC writes them."""

from base64 import b64encode
from typing import Any, NamedTuple

from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.localnet.layout import Layout, lay_out
from zmart_lite.localnet.params import INVALID_REQUEST, Config, RpcError, encode_base58, invalid
from zmart_lite.localnet.parsed import parse_instruction
from zmart_lite.localnet.parsed_accounts import parse_account
from zmart_lite.localnet.records import InnerInstruction, LandedTransaction, TransactionErr, TransactionMeta
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.tokens import Load
from zmart_lite.localnet.transactions import MessageV1, Transaction, TransactionConfig

RENT_EPOCH_EXEMPT = (1 << 64) - 1
BASE58_DATA_BYTES_MAX = 128
SIGNATURE_COST = 720
WRITE_LOCK_COST = 300
INSTRUCTION_BYTES_PER_COST = 4
LOADED_PAGE_COST = 8
"""Of one page of 32 KiB: without bytecode no transaction here loads a second."""
ACCOUNT_ENCODINGS = ("base58", "base64", "base64+zstd", "jsonParsed", "binary")
TRANSACTION_ENCODINGS = ("json", "jsonParsed", "base64", "base58", "binary")


class AccountForm(NamedTuple):
    """How account data is asked for: encoding, and the slice (offset, length) of it."""

    encoding: str
    part: tuple[int, int] | None = None

    @classmethod
    def of(cls, config: Config, default: str = "binary") -> "AccountForm":
        encoding = config.choice("encoding", ACCOUNT_ENCODINGS, default)
        asked = config.get("dataSlice")
        if asked is None:
            return cls(encoding)
        if not isinstance(asked, dict):
            raise invalid("Invalid params: invalid type, expected struct UiDataSliceConfig.")
        part = Config(asked)
        offset, length = part.u64("offset"), part.u64("length")
        if offset is None or length is None:
            raise invalid(f"Invalid params: missing field `{'offset' if offset is None else 'length'}`.")
        return cls(encoding, (offset, length))


def pubkey_text(key: bytes) -> str:
    return str(Pubkey(key))


def account_json(key: bytes, account: Account, form: AccountForm, load: Load) -> dict[str, Any]:
    """A ``UiAccount``. ``load`` finds what ``jsonParsed`` needs besides, the mint of a token account.

    Raises :class:`RpcError` for base58 of more than 128 bytes.
    """
    parsed = parse_account(key, account, load) if form.encoding == "jsonParsed" else None
    return {
        "data": _account_data(account.data, form) if parsed is None else parsed,
        "executable": account.executable,
        "lamports": account.lamports,
        "owner": pubkey_text(account.owner),
        "rentEpoch": RENT_EPOCH_EXEMPT,
        "space": len(account.data),
    }


def _account_data(data: bytes, form: AccountForm) -> Any:
    if form.part is not None:
        offset, length = form.part
        data = data[offset : offset + length]
    match form.encoding:
        case "base58" | "binary":
            if len(data) > BASE58_DATA_BYTES_MAX:
                text = "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding."
                raise RpcError(INVALID_REQUEST, text)
            encoded = encode_base58(data)
            return encoded if form.encoding == "binary" else [encoded, "base58"]
        case "base64+zstd":
            return [b64encode(_stored_zstd(data)).decode(), "base64+zstd"]
        case _:
            # What is asked for as jsonParsed and cannot be parsed comes as base64.
            return [b64encode(data).decode(), "base64"]


_ZSTD_MAGIC = bytes.fromhex("28b52ffd")
_ZSTD_BLOCK_BYTES_MAX = 128 * 1024


def _stored_zstd(data: bytes) -> bytes:
    """A valid Zstandard frame that holds the data uncompressed (RFC 8878 §3.1.1, single segment, raw blocks)."""
    frame = bytearray(_ZSTD_MAGIC + b"\xa0" + len(data).to_bytes(4, "little"))
    chunks = [data[start : start + _ZSTD_BLOCK_BYTES_MAX] for start in range(0, len(data), _ZSTD_BLOCK_BYTES_MAX)]
    for number, chunk in enumerate(chunks or [b""], 1):
        last = number >= len(chunks)
        frame += (len(chunk) << 3 | last).to_bytes(3, "little") + chunk
    return bytes(frame)


def version_json(transaction: Transaction) -> str | int:
    match transaction.message:
        case MessageV0():
            return 0
        case MessageV1():
            return 1
        case _:
            return "legacy"


def status_json(err: TransactionErr | None) -> dict[str, Any]:
    return {"Ok": None} if err is None else {"Err": err}


def landed_layout(landed: LandedTransaction) -> Layout:
    return lay_out(landed.transaction.message, landed.meta.loaded_writable, landed.meta.loaded_readonly)


def transaction_json(landed: LandedTransaction, encoding: str) -> Any:
    """An ``EncodedTransaction``."""
    transaction = landed.transaction
    match encoding:
        case "base64":
            return [b64encode(bytes(transaction)).decode(), "base64"]
        case "base58":
            return [encode_base58(bytes(transaction)), "base58"]
        case "binary":
            return encode_base58(bytes(transaction))
        case _:
            signatures = [str(signature) for signature in transaction.signatures]
            return {"message": _message_json(landed, encoding), "signatures": signatures}


def _message_json(landed: LandedTransaction, encoding: str) -> dict[str, Any]:
    message = landed.transaction.message
    layout = landed_layout(landed)
    parsed = encoding == "jsonParsed"
    static = layout.keys[: layout.static_keys]
    shape: dict[str, Any] = {
        "accountKeys": account_keys_json(layout) if parsed else [pubkey_text(key) for key in static],
        "instructions": [
            _instruction_json(layout.keys, (each.program_id_index, bytes(each.accounts), bytes(each.data), 1), parsed)
            for each in message.instructions
        ],
        "recentBlockhash": str(Hash(bytes(message.recent_blockhash))),
    }
    if not parsed:
        header = message.header
        shape["header"] = {
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
            "numRequiredSignatures": header.num_required_signatures,
        }
    if isinstance(message, MessageV0):
        shape["addressTableLookups"] = [
            {
                "accountKey": str(each.account_key),
                "readonlyIndexes": list(each.readonly_indexes),
                "writableIndexes": list(each.writable_indexes),
            }
            for each in message.address_table_lookups
        ]
    if isinstance(message, MessageV1):
        shape["transactionConfig"] = _config_json(message.config)
    return shape


def _config_json(config: TransactionConfig) -> dict[str, int | None]:
    """A ``UiTransactionConfig``."""
    return {
        "computeUnitLimit": config.compute_unit_limit,
        "heapSize": config.heap_bytes,
        "loadedAccountsDataSizeLimit": config.loaded_data_bytes,
        "priorityFee": config.priority_fee_lamports,
    }


def account_keys_json(layout: Layout) -> list[dict[str, Any]]:
    return [
        {
            "pubkey": pubkey_text(key),
            "signer": index < layout.signers,
            "source": "transaction" if index < layout.static_keys else "lookupTable",
            "writable": layout.writable[index],
        }
        for index, key in enumerate(layout.keys)
    ]


def _instruction_json(
    keys: tuple[bytes, ...], instruction: tuple[int, bytes, bytes, int], parsed: bool
) -> dict[str, Any]:
    program, accounts, data, stack_height = instruction
    if not parsed:
        return {
            "accounts": list(accounts),
            "data": encode_base58(data),
            "programIdIndex": program,
            "stackHeight": stack_height,
        }
    named = [keys[index] for index in accounts]
    known = parse_instruction(keys[program], named, data)
    if known is not None:
        return known | {"programId": pubkey_text(keys[program]), "stackHeight": stack_height}
    return {
        "accounts": [pubkey_text(key) for key in named],
        "data": encode_base58(data),
        "programId": pubkey_text(keys[program]),
        "stackHeight": stack_height,
    }


def inner_instructions_json(meta: TransactionMeta, keys: tuple[bytes, ...], encoding: str) -> list[dict[str, Any]]:
    def shape(inner: InnerInstruction) -> dict[str, Any]:
        fields = (inner.program_id_index, inner.accounts, inner.data, inner.stack_height)
        return _instruction_json(keys, fields, encoding == "jsonParsed")

    return [
        {"index": group.index, "instructions": [shape(inner) for inner in group.instructions]}
        for group in meta.inner_instructions
    ]


def meta_json(landed: LandedTransaction, encoding: str, *, rewards: bool = True) -> dict[str, Any]:
    """A ``UiTransactionStatusMeta``; a parsed one tells loaded addresses among the transaction's keys."""
    meta = landed.meta
    shape = simple_meta_json(landed, rewards=rewards) | {
        "computeUnitsConsumed": meta.compute_units,
        "costUnits": cost_units(landed),
        "innerInstructions": inner_instructions_json(meta, landed.account_keys, encoding),
        "logMessages": meta.logs,
    }
    if encoding != "jsonParsed":
        shape["loadedAddresses"] = loaded_addresses_json(meta)
    return shape


def simple_meta_json(landed: LandedTransaction, *, rewards: bool = True) -> dict[str, Any]:
    """The part of it that a block with ``transactionDetails: accounts`` has."""
    meta = landed.meta
    return {
        "err": meta.err,
        "fee": meta.fee_lamports,
        "postBalances": meta.post_balances,
        "postTokenBalances": [],
        "preBalances": meta.pre_balances,
        "preTokenBalances": [],
        "rewards": [] if rewards else None,
        "status": status_json(meta.err),
    }


def loaded_addresses_json(meta: TransactionMeta) -> dict[str, list[str]]:
    return {
        "readonly": [pubkey_text(key) for key in meta.loaded_readonly],
        "writable": [pubkey_text(key) for key in meta.loaded_writable],
    }


def cost_units(landed: LandedTransaction) -> int:
    """What the transaction counts for in its block (solana-cost-model): a transfer 1481, as on every cluster."""
    message = landed.transaction.message
    header = message.header
    readonly = header.num_readonly_signed_accounts + header.num_readonly_unsigned_accounts
    write_locks: int = len(message.account_keys) - readonly + len(landed.meta.loaded_writable)
    data_bytes = sum(len(each.data) for each in message.instructions)
    locks: int = SIGNATURE_COST * header.num_required_signatures + WRITE_LOCK_COST * write_locks
    return locks + data_bytes // INSTRUCTION_BYTES_PER_COST + LOADED_PAGE_COST + landed.meta.compute_units


def signature_text(signature: bytes) -> str:
    return str(Signature(signature))
