"""zmart-core's byte formats, compiled once from the packaged IDL: accounts, events, instructions, addresses, error
names.

Pure: bytes in, values out. Borsh as the program uses it has no lengths and no nesting, only runs of fixed-width
fields interrupted by ``Option``s, so every type becomes a list of :class:`struct.Struct` runs with the options
between them. Most events are one single run, which makes decoding one ``unpack`` call.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast, get_args

from solders.pubkey import Pubkey

from zmart_lite import models, resources
from zmart_lite.errors import UndecodableData
from zmart_lite.models import ChainAccount, ChainEvent, VoteType

DISCRIMINATOR_BYTES = 8
PUBKEY_BYTES = 32
ADDRESS_CACHE_SIZE = 65_536

ACCOUNT_SIZES = {"GlobalConfig": 206, "MarketAccount": 488, "UserPosition": 182, "VoteRecord": 83}
"""Bytes the program allocates, which differ from the Borsh length; ``dataSize`` filters need these."""

FRAMEWORK_ERRORS = {
    101: "InstructionFallbackNotFound",
    102: "InstructionDidNotDeserialize",
    2000: "ConstraintMut",
    2001: "ConstraintHasOne",
    2002: "ConstraintSigner",
    2003: "ConstraintRaw",
    2004: "ConstraintOwner",
    2005: "ConstraintRentExempt",
    2006: "ConstraintSeeds",
    2012: "ConstraintAddress",
    2019: "ConstraintSpace",
    3001: "AccountDiscriminatorNotFound",
    3002: "AccountDiscriminatorMismatch",
    3003: "AccountDidNotDeserialize",
    3004: "AccountDidNotSerialize",
    3005: "AccountNotEnoughKeys",
    3006: "AccountNotMutable",
    3007: "AccountOwnedByWrongProgram",
    3008: "InvalidProgramId",
    3009: "InvalidProgramExecutable",
    3010: "AccountNotSigner",
    3011: "AccountNotSystemOwned",
    3012: "AccountNotInitialized",
    4100: "DeclaredProgramIdMismatch",
}
"""Anchor's own errors that a call of the program can end in."""

_INTEGERS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q"}
_BOOL, _BOOL_CODE = "bool", "?"


LIKELY_BUMPS = tuple(bytes([bump]) for bump in range(255, 247, -1))
"""Of 256 addresses, 255 have one of these bumps."""
PDA_MARKER = b"ProgramDerivedAddress"
"""What the runtime appends to the seeds and the program id of a derived address."""


class AccountSpec(NamedTuple):
    """One account an instruction takes, in its place."""

    name: str
    signer: bool
    writable: bool


class _Field(NamedTuple):
    """A fixed-width field: its struct format, and the enum its number stands for, if any."""

    code: str
    enum: type[IntEnum] | None = None


class _Run(NamedTuple):
    """Fields between two options: their common Struct, the offsets of its bools, the places of its enums."""

    layout: struct.Struct
    bools: tuple[int, ...]
    enums: tuple[tuple[int, type[IntEnum]], ...]


class _Option(NamedTuple):
    inner: _Run


def _field_of(idl_type: Any) -> _Field:
    if idl_type == _BOOL:
        return _Field(_BOOL_CODE)
    if isinstance(idl_type, str):
        return _Field("32s" if idl_type == "pubkey" else _INTEGERS[idl_type])
    if "array" in idl_type:
        return _Field(f"{idl_type['array'][1]}s")
    return _Field("B", getattr(models, idl_type["defined"]["name"]))


class _Layout:
    """One Borsh struct: decodes to a tuple of values in field order and encodes from one."""

    def __init__(self, fields: list[dict[str, Any]]) -> None:
        self.names = tuple(field["name"] for field in fields)
        self.parts: list[_Run | _Option] = []
        run: list[_Field] = []
        for field in fields:
            idl_type = field["type"]
            if isinstance(idl_type, dict) and "option" in idl_type:
                self._end_run(run)
                self.parts.append(_Option(_run_of([_field_of(idl_type["option"])])))
            else:
                run.append(_field_of(idl_type))
        self._end_run(run)

    def _end_run(self, run: list[_Field]) -> None:
        if run:
            self.parts.append(_run_of(run))
            run.clear()

    def decode(self, data: bytes, offset: int) -> tuple[tuple[Any, ...], int]:
        """Values in field order and the offset behind them. Raises UndecodableData."""
        values: list[Any] = []
        for part in self.parts:
            if isinstance(part, _Run):
                values += _unpack(part, data, offset)
                offset += part.layout.size
            else:
                value, offset = _decode_option(part, data, offset)
                values.append(value)
        return tuple(values), offset

    def decoder_of(self, make: Callable[[tuple[Any, ...]], Any]) -> Callable[[bytes], Any]:
        """A function from bytes behind a discriminator, with nothing after them, to ``make(values)``."""
        run = self.parts[0]
        if len(self.parts) == 1 and isinstance(run, _Run) and not run.enums:
            return _run_decoder(run, make)

        def decode(data: bytes) -> Any:
            values, end = self.decode(data, DISCRIMINATOR_BYTES)
            if end != len(data):
                raise UndecodableData(f"{len(data)} bytes instead of {end}")
            return make(values)

        return decode

    def encode(self, values: tuple[Any, ...]) -> bytes:
        """Borsh bytes of values in field order. Raises struct.error for a value out of its type's range."""
        out, position = bytearray(), 0
        for part in self.parts:
            if isinstance(part, _Run):
                count = len(part.layout.unpack(bytes(part.layout.size)))
                out += part.layout.pack(*values[position : position + count])
                position += count
            else:
                value = values[position]
                out += b"\0" if value is None else b"\1" + part.inner.layout.pack(value)
                position += 1
        return bytes(out)


def _run_of(fields: list[_Field]) -> _Run:
    codes = [field.code for field in fields]
    offsets = [struct.calcsize("<" + "".join(codes[:i])) for i in range(len(codes))]
    bools = tuple(offset for offset, code in zip(offsets, codes, strict=True) if code == _BOOL_CODE)
    enums = tuple((i, field.enum) for i, field in enumerate(fields) if field.enum is not None)
    return _Run(struct.Struct("<" + "".join(codes)), bools, enums)


def _unpack(run: _Run, data: bytes, offset: int) -> tuple[Any, ...]:
    try:
        values = run.layout.unpack_from(data, offset)
    except struct.error as error:
        raise UndecodableData(f"{len(data)} bytes are too short") from error
    for place in run.bools:
        # struct takes any byte but 0 for True.
        if data[offset + place] > 1:
            raise UndecodableData(f"{data[offset + place]} is not a bool")
    return _with_enums(values, run.enums) if run.enums else values


def _run_decoder(run: _Run, make: Callable[[tuple[Any, ...]], Any]) -> Callable[[bytes], Any]:
    """:meth:`_Layout.decoder_of` for a single run: one ``unpack`` that skips the discriminator."""
    layout = struct.Struct(f"<{DISCRIMINATOR_BYTES}x{run.layout.format[1:]}")
    unpack, bools = layout.unpack, tuple(DISCRIMINATOR_BYTES + place for place in run.bools)

    def decode(data: bytes) -> Any:
        try:
            values = unpack(data)
        except struct.error as error:
            raise UndecodableData(f"{len(data)} bytes instead of {layout.size}") from error
        for place in bools:
            if data[place] > 1:
                raise UndecodableData(f"{data[place]} is not a bool")
        return make(values)

    return decode


def _with_enums(values: tuple[Any, ...], enums: tuple[tuple[int, type[IntEnum]], ...]) -> tuple[Any, ...]:
    out = list(values)
    for i, enum in enums:
        try:
            out[i] = enum(out[i])
        except ValueError as error:
            raise UndecodableData(str(error)) from error
    return tuple(out)


def _decode_option(part: _Option, data: bytes, offset: int) -> tuple[Any, int]:
    if offset >= len(data):
        raise UndecodableData(f"{len(data)} bytes are too short")
    tag = data[offset]
    if tag > 1:
        raise UndecodableData(f"{tag} is not an option tag")
    if tag == 0:
        return None, offset + 1
    return _unpack(part.inner, data, offset + 1)[0], offset + 1 + part.inner.layout.size


_EVENT_NAMES: dict[type[ChainEvent], str] = {
    kind: kind.__name__.removesuffix("Legacy") for kind in get_args(ChainEvent)
}


def event_name(event: ChainEvent) -> str:
    """The event's name in the IDL (both layouts of WinningsClaimed have the same)."""
    return _EVENT_NAMES[type(event)]


LEGACY_CLAIM_BYTES = 96


class Codec:
    """Encodes and decodes everything zmart-core reads and writes, for one program id.

    ``program_id`` is 32 raw bytes; all addresses depend on it. Building one checks that the models still match the IDL.
    ``version`` is that of the program whose layouts it knows.
    """

    ACCOUNT_SIZES = ACCOUNT_SIZES

    def __init__(self, program_id: bytes) -> None:
        idl = json.loads(resources.read_text("zmart_core.idl.json"))
        self.idl: dict[str, Any] = idl
        self.version = str(idl["metadata"]["version"])
        self.program_id = program_id
        self._program = Pubkey.from_bytes(program_id)
        self._likely_tails = tuple(bump + program_id + PDA_MARKER for bump in LIKELY_BUMPS)
        self.market_pda = lru_cache(ADDRESS_CACHE_SIZE)(self._market_pda)
        self.position_pda = lru_cache(ADDRESS_CACHE_SIZE)(self._position_pda)
        self.vote_pda = lru_cache(ADDRESS_CACHE_SIZE)(self._vote_pda)
        self._compile_types(idl)
        self._compile_instructions(idl)
        self._error_names: dict[int, str] = {error["code"]: error["name"] for error in idl["errors"]}
        self._error_codes: dict[str, int] = {name: code for code, name in self._error_names.items()}
        self._error_codes |= {name: code for code, name in FRAMEWORK_ERRORS.items()}

    def _compile_types(self, idl: dict[str, Any]) -> None:
        types = {entry["name"]: entry["type"] for entry in idl["types"]}
        self._event_decoders: dict[bytes, Callable[[bytes], ChainEvent]] = {}
        self._accounts: dict[bytes, tuple[type[Any], _Layout]] = {}
        self._encoders: dict[type[Any], tuple[bytes, _Layout]] = {}
        for kind, entries in (("account", idl["accounts"]), ("event", idl["events"])):
            for entry in entries:
                name, discriminator = entry["name"], bytes(entry["discriminator"])
                layout = _Layout(types[name]["fields"])
                model = _model_of(name, layout)
                self._encoders[model] = (discriminator, layout)
                if kind == "account":
                    self._accounts[discriminator] = (model, layout)
                else:
                    self._event_decoders[discriminator] = _event_decoder(model, layout)
        self._compile_legacy_claim()

    def _compile_legacy_claim(self) -> None:
        """Two layouts share WinningsClaimed's discriminator; the legacy one is the only one of 96 bytes."""
        discriminator = self._encoders[models.WinningsClaimed][0]
        kinds = {"market_id": "pubkey", "user": "pubkey", "amount": "u64", "resolver_fee": "u64", "timestamp": "i64"}
        legacy = _Layout([{"name": name, "type": kind} for name, kind in kinds.items()])
        self._encoders[models.WinningsClaimedLegacy] = (discriminator, legacy)
        current = self._event_decoders[discriminator]
        older = _event_decoder(models.WinningsClaimedLegacy, legacy)
        self._event_decoders[discriminator] = lambda data: (
            older(data) if len(data) == LEGACY_CLAIM_BYTES else current(data)
        )

    def _compile_instructions(self, idl: dict[str, Any]) -> None:
        self._instruction_names: dict[bytes, str] = {}
        self._instructions: dict[str, tuple[bytes, _Layout]] = {}
        self._instruction_accounts: dict[str, tuple[AccountSpec, ...]] = {}
        for entry in idl["instructions"]:
            name, discriminator = entry["name"], bytes(entry["discriminator"])
            self._instruction_names[discriminator] = name
            self._instructions[name] = (discriminator, _Layout(entry["args"]))
            self._instruction_accounts[name] = tuple(
                AccountSpec(account["name"], account.get("signer", False), account.get("writable", False))
                for account in entry["accounts"]
            )

    # Addresses

    def _find(self, *seeds: bytes) -> tuple[bytes, int]:
        address, bump = Pubkey.find_program_address(list(seeds), self._program)
        return bytes(address), bump

    def config_pda(self) -> tuple[bytes, int]:
        return self._find(b"global-config")

    def config_address(self) -> bytes:
        return self.config_pda()[0]

    def _market_pda(self, market_id: bytes) -> tuple[bytes, int]:
        return self._find(b"market", market_id)

    def _position_pda(self, market: bytes, user: bytes) -> tuple[bytes, int]:
        return self._find(b"position", market, user)

    def _vote_pda(self, market: bytes, user: bytes, kind: VoteType) -> tuple[bytes, int]:
        return self._find(b"vote", market, user, bytes([kind]))

    def market_address(self, market_id: bytes) -> bytes:
        return self.market_pda(market_id)[0]

    def position_address(self, market: bytes, user: bytes) -> bytes:
        return self.position_pda(market, user)[0]

    def is_position_address(self, address: bytes, market: bytes, user: bytes) -> bool:
        """Whether ``address`` is derived from that position's seeds with one of the first bumps.

        The program accepts only the first bump whose address is none of a key pair. That an address is none takes ten
        times as long to see as a hash, and has been seen by the runtime where the transaction succeeded.
        """
        seeds = hashlib.sha256(b"position" + market + user)
        for tail in self._likely_tails:
            candidate = seeds.copy()
            candidate.update(tail)
            if candidate.digest() == address:
                return True
        return False

    # Accounts and events

    def decode_account(self, data: bytes) -> ChainAccount:
        """The account behind ``data``; bytes after its last field are ignored. Raises UndecodableData."""
        found = self._accounts.get(data[:DISCRIMINATOR_BYTES])
        if found is None:
            raise UndecodableData(f"unknown account discriminator {data[:DISCRIMINATOR_BYTES].hex()!r}")
        model, layout = found
        values, _ = layout.decode(data, DISCRIMINATOR_BYTES)
        return cast(ChainAccount, model(*values))

    def encode_account(self, account: ChainAccount) -> bytes:
        """The account's bytes as allocated: discriminator, Borsh, zeros up to the program's size for this type."""
        return self.encode_account_fields(account).ljust(ACCOUNT_SIZES[type(account).__name__], b"\0")

    def encode_account_fields(self, account: ChainAccount) -> bytes:
        """Discriminator and Borsh without what is unused behind them: the bytes that the program writes."""
        discriminator, layout = self._encoders[type(account)]
        return discriminator + layout.encode(tuple(account))

    def account_discriminator(self, model: type[ChainAccount]) -> bytes:
        return self._encoders[model][0]

    def decode_event(self, data: bytes) -> ChainEvent:
        """The event behind ``data`` (discriminator and Borsh, nothing more). Raises UndecodableData."""
        decode = self._event_decoders.get(data[:DISCRIMINATOR_BYTES])
        if decode is None:
            raise UndecodableData(f"unknown event discriminator {data[:DISCRIMINATOR_BYTES].hex()!r}")
        return decode(data)

    def encode_event(self, event: ChainEvent) -> bytes:
        discriminator, layout = self._encoders[type(event)]
        return discriminator + layout.encode(tuple(event))

    # Instructions

    @property
    def instruction_names(self) -> tuple[str, ...]:
        return tuple(self._instructions)

    def instruction_by_discriminator(self, data: bytes) -> str | None:
        return self._instruction_names.get(data[:DISCRIMINATOR_BYTES])

    def instruction_accounts(self, name: str) -> tuple[AccountSpec, ...]:
        return self._instruction_accounts[name]

    def encode_instruction(self, name: str, args: Mapping[str, object]) -> bytes:
        discriminator, layout = self._instructions[name]
        return discriminator + layout.encode(tuple(args[field] for field in layout.names))

    def decode_instruction(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Name and arguments; trailing bytes are ignored, as on chain. Raises UndecodableData."""
        name = self.instruction_by_discriminator(data)
        if name is None:
            raise UndecodableData(f"unknown instruction discriminator {data[:DISCRIMINATOR_BYTES].hex()!r}")
        layout = self._instructions[name][1]
        values, _ = layout.decode(data, DISCRIMINATOR_BYTES)
        return name, dict(zip(layout.names, values, strict=True))

    # Errors

    def error_name(self, code: int) -> str | None:
        """Name of an error the program or Anchor raises, by the source's numbering."""
        return self._error_names.get(code) or FRAMEWORK_ERRORS.get(code)

    def error_code(self, name: str) -> int:
        """Number of an error by name, program's and Anchor's. Raises KeyError."""
        return self._error_codes[name]

    def legacy_error_name(self, code: int) -> str | None:
        """Name of ``code`` in builds without ``InvalidGlobalConfig``, whose numbers from 6005 on are one lower."""
        missing = self._error_codes["InvalidGlobalConfig"]
        return self.error_name(code + 1 if code >= missing and code < missing + 1_000 else code)


def _model_of(name: str, layout: _Layout) -> type[Any]:
    model = getattr(models, name)
    if model._fields != layout.names:
        raise TypeError(f"models.{name} has other fields than the IDL: {model._fields} and {layout.names}")
    return cast(type[Any], model)


def _event_decoder(model: type[Any], layout: _Layout) -> Callable[[bytes], ChainEvent]:
    # What the model's own _make does, at a third of its price: the layout has as many values as the model has fields.
    return layout.decoder_of(partial(tuple.__new__, model))


def anchor_discriminator(namespace: str, name: str) -> bytes:
    """Anchor's default discriminator: the first 8 bytes of sha256("namespace:name")."""
    return hashlib.sha256(f"{namespace}:{name}".encode()).digest()[:DISCRIMINATOR_BYTES]
