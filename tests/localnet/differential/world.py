"""Seeded transactions over a small world of accounts: mostly sensible ones, each part of which may be bent."""

import random
import struct
from collections.abc import Callable, Sequence

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message, MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from tests.localnet.differential.machines import Case
from tests.localnet.differential.signatures import precompile_instruction
from zmart_lite.localnet.ledger import Bank, Ledger
from zmart_lite.localnet.natives.addresses import (
    CLOCK_ID,
    COMPUTE_BUDGET_ID,
    FEES_ID,
    INCINERATOR_ID,
    INSTRUCTIONS_ID,
    LOOKUP_TABLE_ID,
    MEMO_ID,
    MEMO_V1_ID,
    MEMO_V4_ID,
    RECENT_BLOCKHASHES_ID,
    RENT_ID,
    RESERVED_KEYS,
)
from zmart_lite.localnet.natives.lookup_table import LookupTable, find_lookup_table
from zmart_lite.localnet.natives.nonce import NONCE_BYTES, NonceState, find_nonce_state
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account, rent_exempt_minimum
from zmart_lite.models import Commitment

SOL = 10**9
U64_MAX = (1 << 64) - 1
OTHER_PROGRAM = b"\x09" * 32
PDA_OWNER = b"\x0a" * 11 + b"ProgramDerivedAddress"
LIMITS = (890_880, 895_880, 890_879, 895_881, 5_000, 1)
"""Balances about a wallet's rent minimum and the fee of one signature."""
SEEDS = (b"", b"a", b"purse", "sparbüchse".encode(), b"s" * 32, b"s" * 33, b"\xff\xfe")


def _key(rng: random.Random) -> bytes:
    return rng.randbytes(32)


class World:
    """The accounts that a run begins with, and the transactions that it is made of."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.wallets = [_key(rng) for _ in range(8)]
        self.poor = [_key(rng) for _ in range(6)]
        self.absent = [_key(rng) for _ in range(8)]
        self.owned = [_key(rng) for _ in range(6)]
        self.nonces = [_key(rng) for _ in range(6)]
        self.tables = [_key(rng) for _ in range(3)]
        self.special = [*sorted(RESERVED_KEYS - {FEES_ID}), INCINERATOR_ID, MEMO_ID, MEMO_V1_ID, MEMO_V4_ID]
        self.derived = [self._derived(wallet, seed) for wallet in self.wallets[:3] for seed in (b"purse", b"a")]
        self._unique = 0

    def _derived(self, base: bytes, seed: bytes, owner: bytes = SYSTEM_PROGRAM_ID) -> bytes:
        return bytes(Pubkey.create_with_seed(Pubkey(base), seed.decode(), Pubkey(owner)))

    def accounts(self) -> dict[bytes, Account]:
        rng = self.rng
        made = {key: Account(rng.randrange(SOL, 1_000 * SOL)) for key in self.wallets}
        made |= {key: Account(lamports) for key, lamports in zip(self.poor, LIMITS, strict=True)}
        made |= {key: self._owned_account() for key in self.owned}
        made |= {key: self._nonce_account(number) for number, key in enumerate(self.nonces)}
        made |= {key: self._table_account() for key in self.tables}
        made[self.derived[0]] = Account(5 * SOL)
        return made

    def refreshed(self, ledger: Ledger) -> dict[bytes, Account | None]:
        """What to write into both machines between two blocks, so that wallets stay wallets and the rest stays odd."""
        rng = self.rng
        wanted: dict[bytes, Account | None] = {}
        for key in self.wallets:
            held = ledger.accounts.get(key)
            if held is None or held.owner != SYSTEM_PROGRAM_ID or held.data or held.lamports < SOL:
                wanted[key] = Account(rng.randrange(SOL, 1_000 * SOL))
        wanted |= {key: self._owned_account() for key in self.owned if rng.random() < 0.1}
        wanted |= {key: self._nonce_account(at) for at, key in enumerate(self.nonces) if rng.random() < 0.1}
        wanted |= {key: self._table_account() for key in self.tables[:2] if rng.random() < 0.2}
        wanted |= {key: None for key in [*self.absent, *self.derived] if rng.random() < 0.3}
        limits = zip(self.poor, LIMITS, strict=True)
        return wanted | {key: Account(lamports) for key, lamports in limits if rng.random() < 0.3}

    def _owned_account(self) -> Account:
        owner = self.rng.choice([SYSTEM_PROGRAM_ID, OTHER_PROGRAM, LOOKUP_TABLE_ID])
        data = self.rng.choice([bytes(10), b"data", bytes(165), b""])
        return Account(self.rng.choice([SOL, rent_exempt_minimum(len(data)), 1_000]), owner, data)

    def _nonce_account(self, number: int) -> Account:
        authority = self.rng.choice(self.wallets)
        data = [
            NonceState(1, authority, self.rng.randbytes(32), 5_000).data,
            NonceState(1, authority, self.rng.randbytes(32), 5_000).data,
            NonceState(0, authority, self.rng.randbytes(32), 5_000).data,
            bytes(NONCE_BYTES),
            bytes(NONCE_BYTES + 8),
            NonceState(1, authority, self.rng.randbytes(32), 0).data + b"tail",
        ][number]
        return Account(self.rng.choice([rent_exempt_minimum(len(data)), 2 * SOL]), SYSTEM_PROGRAM_ID, data)

    def _table_account(self) -> Account:
        rng = self.rng
        table = LookupTable(
            rng.choice([U64_MAX, U64_MAX, U64_MAX, 1]),
            rng.choice([0, 1]),
            0,
            rng.choice([None, *self.wallets]),
            tuple(rng.choice([*self.wallets, *self.absent, *self.poor]) for _ in range(rng.choice([0, 5, 30, 255]))),
        )
        return Account(rng.choice([SOL, rent_exempt_minimum(len(table.data))]), LOOKUP_TABLE_ID, table.data)

    # Picking

    def any_key(self) -> bytes:
        pools: list[Sequence[bytes]] = [self.wallets] * 5 + [self.poor, self.absent, self.absent, self.owned]
        pools += [self.nonces, self.derived, self.special, self.tables]
        return self.rng.choice(self.rng.choice(pools))

    def amount(self, held: int) -> int:
        rng = self.rng
        limit = rent_exempt_minimum(0)
        return rng.choice(
            [
                rng.randrange(1, 10_000),
                rng.randrange(1, SOL),
                0,
                limit,
                limit - 1,
                held,
                max(held - 5_000, 0),
                max(held - limit, 0),
                max(held - limit - 5_000, 0),
                held + 1,
                U64_MAX,
            ]
        )

    def space(self) -> int:
        if self.rng.random() < 0.01:
            return 10 * 2**20
        return self.rng.choice([0, 0, 0, 1, 80, 80, 165, 165, 1_000, 10 * 2**20 + 1, U64_MAX])

    def owner(self) -> bytes:
        return self.rng.choice([SYSTEM_PROGRAM_ID, SYSTEM_PROGRAM_ID, OTHER_PROGRAM, LOOKUP_TABLE_ID, PDA_OWNER])

    def target(self) -> bytes:
        return self.rng.choice([self.any_key(), *self.rng.sample(self.absent, 1), *self.rng.sample(self.wallets, 3)])

    # Bending

    def bent(self, program: bytes, data: bytes, accounts: list[tuple[bytes, bool, bool]]) -> Instruction:
        """The instruction, in one of five cases with something wrong or odd about it."""
        rng = self.rng
        if rng.random() < 0.2:
            kind = rng.randrange(7)
            place = rng.randrange(len(accounts)) if accounts else None
            if kind == 0:
                data = data[: rng.randrange(len(data) + 1)]
            elif kind == 1:
                data += rng.randbytes(rng.randrange(1, 9))
            elif place is not None:
                key, signs, writes = accounts[place]
                if kind == 2:
                    accounts = accounts[:place]
                elif kind == 3:
                    accounts[place] = (self.any_key(), signs, writes)
                elif kind == 4:
                    accounts[place] = (key, not signs, writes)
                elif kind == 5:
                    accounts[place] = (key, signs, not writes)
                else:
                    accounts[place] = accounts[rng.randrange(len(accounts))]
        metas = [AccountMeta(Pubkey(key), signs, writes) for key, signs, writes in accounts]
        return Instruction(Pubkey(program), data, metas)


class Writer:
    """Writes transactions for the world as it is now on the devnet."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self.world = world
        self.rng = world.rng
        self.ledger = ledger
        self._seen: set[bytes] = set()
        self._odd_payers = [key for key in world.special if key != INSTRUCTIONS_ID]
        self._writers: list[tuple[int, Callable[[], Instruction]]] = [
            (10, self._transfer),
            (5, self._create),
            (3, self._create_seeded),
            (2, self._assign),
            (3, self._allocate),
            (3, self._allocate_seeded),
            (2, self._assign_seeded),
            (3, self._transfer_seeded),
            (2, self._create_prefunded),
            (8, self._nonce),
            (6, self._memo),
            (3, self._budget),
            (6, self._table),
            (3, lambda: precompile_instruction(self.rng)),
            (1, self._unknown),
        ]

    def _held(self, key: bytes) -> int:
        account = self.ledger.accounts.get(key)
        return account.lamports if account is not None else 0

    def _system(self, kind: int, body: bytes, *accounts: tuple[bytes, bool, bool]) -> Instruction:
        return self.world.bent(SYSTEM_PROGRAM_ID, struct.pack("<I", kind) + body, list(accounts))

    def _transfer(self) -> Instruction:
        source = self.rng.choice([self.world.any_key(), *self.rng.sample(self.world.wallets, 3)])
        body = struct.pack("<Q", self.world.amount(self._held(source)))
        return self._system(2, body, (source, True, True), (self.world.target(), False, True))

    def _terms(self, source: bytes) -> bytes:
        space = self.world.space()
        enough = rent_exempt_minimum(min(space, 20_000))
        lamports = self.rng.choice([enough, enough, enough - 1, self.world.amount(self._held(source))])
        return struct.pack("<QQ", min(lamports, U64_MAX), space) + self.world.owner()

    def _create(self) -> Instruction:
        source = self.rng.choice(self.world.wallets)
        return self._system(0, self._terms(source), (source, True, True), (self.world.target(), True, True))

    def _seed(self) -> tuple[bytes, bytes]:
        """(base, seed), mostly of an address that is among the derived ones."""
        if self.rng.random() < 0.7:
            return self.rng.choice(self.world.wallets[:3]), self.rng.choice([b"purse", b"a"])
        return self.world.any_key(), self.rng.choice(SEEDS)

    def _derived(self, base: bytes, seed: bytes, owner: bytes) -> bytes:
        if len(seed) > 32 or owner == PDA_OWNER or self.rng.random() < 0.1:
            return self.world.any_key()
        return self.world._derived(base, seed, owner) if seed.isascii() else self.world.any_key()

    def _create_seeded(self) -> Instruction:
        source, (base, seed) = self.rng.choice(self.world.wallets), self._seed()
        terms = self._terms(source)
        key = self._derived(base, seed, terms[16:])
        body = base + struct.pack("<Q", len(seed)) + seed + terms
        return self._system(3, body, (source, True, True), (key, False, True), (base, True, False))

    def _assign(self) -> Instruction:
        return self._system(1, self.world.owner(), (self.world.any_key(), True, True))

    def _allocate(self) -> Instruction:
        return self._system(8, struct.pack("<Q", self.world.space()), (self.world.target(), True, True))

    def _allocate_seeded(self) -> Instruction:
        (base, seed), owner = self._seed(), self.world.owner()
        body = base + struct.pack("<Q", len(seed)) + seed + struct.pack("<Q", self.world.space()) + owner
        return self._system(9, body, (self._derived(base, seed, owner), False, True), (base, True, False))

    def _assign_seeded(self) -> Instruction:
        (base, seed), owner = self._seed(), self.world.owner()
        body = base + struct.pack("<Q", len(seed)) + seed + owner
        return self._system(10, body, (self._derived(base, seed, owner), False, True), (base, True, False))

    def _transfer_seeded(self) -> Instruction:
        (base, seed), owner = self._seed(), self.rng.choice([SYSTEM_PROGRAM_ID, self.world.owner()])
        source = self._derived(base, seed, owner)
        body = struct.pack("<QQ", self.world.amount(self._held(source)), len(seed)) + seed + owner
        return self._system(11, body, (source, False, True), (base, True, False), (self.world.target(), False, True))

    def _create_prefunded(self) -> Instruction:
        source = self.rng.choice(self.world.wallets)
        return self._system(13, self._terms(source), (self.world.target(), True, True), (source, True, True))

    def _nonce(self) -> Instruction:
        key = self.rng.choice([*self.world.nonces, *self.world.nonces, *self.world.owned, self.world.target()])
        authority = self._authority(key)
        sysvar = self.rng.choice([RECENT_BLOCKHASHES_ID] * 9 + [CLOCK_ID])
        kind = self.rng.choice([4, 4, 5, 5, 6, 7, 12])
        if kind == 4:
            return self._system(4, b"", (key, False, True), (sysvar, False, False), (authority, True, False))
        if kind == 5:
            target, rent = (self.world.target(), False, True), (RENT_ID, False, False)
            body = struct.pack("<Q", self.world.amount(self._held(key)))
            return self._system(
                5, body, (key, False, True), target, (sysvar, False, False), rent, (authority, True, False)
            )
        if kind == 6:
            accounts = ((key, False, True), (sysvar, False, False), (RENT_ID, False, False))
            return self._system(6, self.rng.choice(self.world.wallets), *accounts)
        if kind == 7:
            return self._system(7, self.rng.choice(self.world.wallets), (key, False, True), (authority, True, False))
        return self._system(12, b"", (key, False, True))

    def _authority(self, key: bytes) -> bytes:
        account = self.ledger.accounts.get(key)
        state = find_nonce_state(account.data) if account is not None else None
        return state.authority if state is not None and state.authority is not None else key

    def _memo(self) -> Instruction:
        texts = (b"", b"hi", b'say "it\'s"\n', "naïve \u0301\u200b".encode(), b"\0", b"x" * 300, b"\xff", b"ok\xe2\x82")
        program = self.rng.choice([MEMO_ID, MEMO_V1_ID, MEMO_V4_ID])
        signers = [(self.rng.choice(self.world.wallets), True, False) for _ in range(self.rng.randrange(4))]
        return self.world.bent(program, self.rng.choice(texts), signers)

    def _budget(self) -> Instruction:
        rng = self.rng
        data = rng.choice(
            [
                struct.pack("<BI", 2, rng.choice([0, 149, 150, 1_400_000, 2**32 - 1])),
                struct.pack("<BQ", 3, rng.choice([0, 1, 999_999, 10**9, U64_MAX])),
                struct.pack("<BI", 1, rng.choice([32_768, 262_144, 32_769, 0, 263_168])),
                struct.pack("<BI", 4, rng.choice([0, 2**20, 2**32 - 1])),
                struct.pack("<BI", rng.choice([0, 5, 9]), 1),
            ]
        )
        return self.world.bent(COMPUTE_BUDGET_ID, data, [])

    def _table(self) -> Instruction:
        kind = self.rng.choice([0, 0, 1, 2, 2, 2, 3, 4, 9])
        payer = (self.rng.choice(self.world.wallets), True, True)
        system = (SYSTEM_PROGRAM_ID, False, False)
        if kind == 0:
            return self._new_table(payer, system)
        key = self.rng.choice([*self.world.tables, *self.world.tables, self.world.any_key()])
        authority = (self._table_authority(key), True, False)
        body = b""
        accounts = [(key, False, True), authority]
        if kind == 2:
            added = [self.world.any_key() for _ in range(self.rng.choice([0, 1, 3, 20]))]
            body = struct.pack("<Q", self.rng.choice([len(added)] * 9 + [39])) + b"".join(added)
            accounts += [payer, system]
        elif kind == 4:
            accounts.append((self.world.target(), False, True))
        return self.world.bent(LOOKUP_TABLE_ID, struct.pack("<I", kind) + body, accounts)

    def _new_table(self, payer: tuple[bytes, bool, bool], system: tuple[bytes, bool, bool]) -> Instruction:
        authority = self.rng.choice(self.world.wallets)
        bank = self.ledger.bank(Commitment.PROCESSED)
        slot = self.rng.choice([bank.slot - 1, bank.slot - 1, max(bank.slot - 3, 0), bank.slot, 0])
        seeds = [authority, slot.to_bytes(8, "little")]
        address, bump = Pubkey.find_program_address(seeds, Pubkey(LOOKUP_TABLE_ID))
        self.world.tables = [*self.world.tables[-5:], bytes(address)]
        data = struct.pack("<IQB", 0, slot, self.rng.choice([bump] * 9 + [0]))
        accounts = [(bytes(address), False, True), (authority, False, False), payer, system]
        return self.world.bent(LOOKUP_TABLE_ID, data, accounts)

    def _table_authority(self, key: bytes) -> bytes:
        account = self.ledger.accounts.get(key)
        table = find_lookup_table(account.data) if account is not None else None
        return (table.authority if table is not None else None) or self.rng.choice(self.world.wallets)

    def _unknown(self) -> Instruction:
        program = self.rng.choice([*self.world.wallets, *self.world.absent, OTHER_PROGRAM])
        return self.world.bent(program, b"x", [(self.world.any_key(), False, True)])

    # Whole transactions

    def write(self) -> Case:
        """A transaction that was not written before."""
        while True:
            case = self._write()
            message = case.transaction.message
            raw = bytes(message)
            # What pays for a transaction cannot be one of its programs: no node takes such a message.
            payer_runs = any(each.program_id_index == 0 for each in message.instructions)
            if len(raw) <= 4_000 and raw not in self._seen and not payer_runs and not _runs_out_midway(message):
                self._seen.add(raw)
                return case

    def _write(self) -> Case:
        rng = self.rng
        weights, writers = zip(*self._writers, strict=True)
        count = rng.choice([1, 1, 1, 2, 2, 3, 4])
        instructions = [writer() for writer in rng.choices(writers, weights, k=count)]
        if rng.random() < 0.01:
            instructions = [Instruction(Pubkey(MEMO_V1_ID), b"", [])] * rng.choice([63, 64, 65, 66]) + instructions
        bank = self.ledger.bank(Commitment.PROCESSED)
        blockhash, named = bank.blockhash, "latest"
        chance = rng.random()
        if chance < 0.12:
            key, blockhash = self._nonce_to_use()
            named = key.hex()
            authority = (self._authority(key), True, False)
            advance = self._system(4, b"", (key, False, True), (RECENT_BLOCKHASHES_ID, False, False), authority)
            instructions = [advance, *(each for each in instructions if not _touches_nonces(each, self.world.nonces))]
        elif chance < 0.13:
            blockhash, named = rng.randbytes(32), ""
        payers = (
            self.world.wallets if rng.random() < 0.93 else [*self.world.poor, *self.world.nonces, *self._odd_payers]
        )
        payer = rng.choice(payers)
        message = self._message(payer, instructions, blockhash, bank)
        signatures = [Signature(rng.randbytes(64)) for _ in range(message.header.num_required_signatures)]
        return Case(VersionedTransaction.populate(message, signatures), named)

    def _nonce_to_use(self) -> tuple[bytes, bytes]:
        key = self.rng.choice(self.world.nonces)
        account = self.ledger.accounts.get(key)
        if account is not None and len(account.data) >= NONCE_BYTES:
            return key, account.data[40:72]
        return key, self.rng.randbytes(32)

    def _message(
        self, payer: bytes, instructions: list[Instruction], blockhash: bytes, bank: Bank
    ) -> Message | MessageV0:
        compiled = Message.new_with_blockhash(instructions, Pubkey(payer), Hash(blockhash))
        if self.rng.random() < 0.7:
            return compiled
        return self._versioned(compiled, bank)

    def _table_to_use(self) -> bytes:
        """Mostly one that can be used."""
        filled = [key for key in self.world.tables if self._is_filled(key)]
        return self.rng.choice(filled if filled and self.rng.random() < 0.95 else self.world.tables)

    def _is_filled(self, key: bytes) -> bool:
        account = self.ledger.accounts.get(key)
        state = find_lookup_table(account.data) if account is not None else None
        return state is not None and bool(state.addresses) and state.deactivation_slot == U64_MAX

    def _versioned(self, compiled: Message, bank: Bank) -> MessageV0:
        """The same message as version 0, some of its keys taken from a table."""
        table = self._table_to_use()
        account = self.ledger.accounts.get(table)
        state = find_lookup_table(account.data) if account is not None else None
        addresses = state.addresses if state is not None else ()
        keys = [bytes(key) for key in compiled.account_keys]
        header = compiled.header
        programs = {each.program_id_index for each in compiled.instructions}
        first_readonly = len(keys) - header.num_readonly_unsigned_accounts
        movable = [
            index
            for index in range(header.num_required_signatures, len(keys))
            if index not in programs and keys[index] in addresses and keys[index] not in self.world.nonces
        ]
        moved = [index for index in movable if self.rng.random() < 0.8]
        most = len(addresses) if addresses and self.rng.random() < 0.9 else 256
        extra = bytes(self.rng.randrange(most) for _ in range(self.rng.choice([0, 0, 0, 1, 2])))
        writable = [index for index in moved if index < first_readonly]
        readonly = [index for index in moved if index >= first_readonly]
        static = [index for index in range(len(keys)) if index not in moved]
        order = static + writable + readonly
        place = {old: new if new < len(static) + len(writable) else new + len(extra) for new, old in enumerate(order)}
        renumbered = [
            type(each)(place[each.program_id_index], each.data, bytes(place[index] for index in bytes(each.accounts)))
            for each in compiled.instructions
        ]
        lookup = MessageAddressTableLookup(
            Pubkey(table),
            bytes(addresses.index(keys[index]) for index in writable) + extra,
            bytes(addresses.index(keys[index]) for index in readonly),
        )
        kept_readonly = header.num_readonly_unsigned_accounts - len(readonly)
        new_header = MessageHeader(header.num_required_signatures, header.num_readonly_signed_accounts, kept_readonly)
        used = bool(moved or extra)
        return MessageV0(
            new_header,
            [Pubkey(keys[index]) for index in static],
            compiled.recent_blockhash,
            renumbered,
            [lookup] if used else [],
        )


def _runs_out_midway(message: Message | MessageV0) -> bool:
    """Whether a program in bytecode may run out of units at some line of its log, which only its bytecode tells."""
    programs = [bytes(message.account_keys[each.program_id_index]) for each in message.instructions]
    few = any(
        program == COMPUTE_BUDGET_ID and bytes(each.data)[:1] == b"\2" and 0 < bytes(each.data)[1] <= 150
        for program, each in zip(programs, message.instructions, strict=True)
        if len(bytes(each.data)) > 1
    )
    return few and not {MEMO_ID, MEMO_V1_ID, MEMO_V4_ID, LOOKUP_TABLE_ID}.isdisjoint(programs)


def _touches_nonces(instruction: Instruction, nonces: Sequence[bytes]) -> bool:
    return any(bytes(meta.pubkey) in nonces for meta in instruction.accounts) or bytes(instruction.data)[:4] in (
        struct.pack("<I", kind) for kind in (4, 5, 6, 7, 12)
    )
