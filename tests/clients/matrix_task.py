"""What every client of the matrix is asked to do, as one JSON document: instructions ready made, keys, addresses.

The instructions are built by solders and by the node's own builder, so that a client shows what it is there for:
messages, signatures, requests, answers, subscriptions.
"""

import json
from typing import Any

from solders.address_lookup_table_account import derive_lookup_table_address
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from tests.clients.outsider import IDL_PATH, PROGRAM_ID
from zmart_lite.chain import instructions as program
from zmart_lite.chain.anchor import legacy_idl
from zmart_lite.localnet import Localnet
from zmart_lite.models import Commitment, GlobalConfig

MARKET_ID = b"\x01" * 32
SOL = 10**9
MEMO = "a memo of the matrix"
TRANSFER_LAMPORTS = SOL // 2
TOO_MUCH_LAMPORTS = 10**18
DISPUTE_PERIOD_S = 259_200
ENCODINGS = ("base58", "base64", "base64+zstd", "jsonParsed")
MEMO_ID = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
LOOKUP_TABLE_ID = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
RECENT_BLOCKHASHES = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
NONCE_LAMPORTS = 1_447_680
NONCE_BYTES = 80
PEOPLE = ("creator", "alice", "bob", "carol", "resolver")


class Task:
    """One devnet's task. Addresses that are used up are new in each, so that every client finds them empty."""

    def __init__(self, net: Localnet) -> None:
        self.net = net
        self.keys = dict(zip(PEOPLE, net.wallets, strict=False)) | {"admin": net.admin, "backend": net.backend}
        self.keys["nonce"] = Keypair()
        self.fresh, self.receiver, self.passed = (Keypair().pubkey() for _ in range(3))
        self.market = Pubkey(net.codec.market_address(MARKET_ID))
        slot = net.ledger.bank(Commitment.CONFIRMED).slot
        self._slot = slot
        self.table, self._bump = derive_lookup_table_address(self.key("alice"), slot)

    def key(self, name: str) -> Pubkey:
        return self.keys[name].pubkey()

    def as_json(self) -> bytes:
        idl = json.loads(IDL_PATH.read_text())
        task = {
            "rpcUrl": self.net.rpc_url,
            "wsUrl": self.net.ws_url,
            "idl": idl,
            "legacyIdl": legacy_idl(idl),
            "secrets": {name: list(bytes(pair)) for name, pair in self.keys.items()},
            "alice": str(self.key("alice")),
            "fresh": str(self.fresh),
            "receiver": str(self.receiver),
            "small": str(MEMO_ID),
            "encodings": ENCODINGS,
            "programId": str(PROGRAM_ID),
            "transfer": told(self._transfer(self.receiver)),
            "memo": told([Instruction(MEMO_ID, MEMO.encode(), [])]),
            "tooMuch": told(self._transfer(self.receiver, TOO_MUCH_LAMPORTS)),
            "nonce": self._nonce(),
            "lookup": self._lookup(),
            "market": [
                {"signer": signer, "instructions": told([each]), "seconds": seconds}
                for signer, each, seconds in self._market()
            ],
            "marketAddress": str(self.market),
            "trader": {"market": str(self.market), "protocolFeeWallet": str(self.net.fee_wallet.pubkey())},
        }
        return json.dumps(task).encode()

    def _transfer(self, target: Pubkey, lamports: int = TRANSFER_LAMPORTS) -> list[Instruction]:
        return [transfer(TransferParams(from_pubkey=self.key("alice"), to_pubkey=target, lamports=lamports))]

    def _nonce(self) -> dict[str, Any]:
        alice, nonce, system = self.key("alice"), self.key("nonce"), Pubkey.default()
        created = _words(0) + NONCE_LAMPORTS.to_bytes(8, "little") + NONCE_BYTES.to_bytes(8, "little") + bytes(system)
        create = Instruction(system, created, [AccountMeta(alice, True, True), AccountMeta(nonce, True, True)])
        holder, hashes = AccountMeta(nonce, False, True), AccountMeta(RECENT_BLOCKHASHES, False, False)
        begin = Instruction(system, _words(6) + bytes(alice), [holder, hashes, AccountMeta(RENT, False, False)])
        advance = Instruction(system, _words(4), [holder, hashes, AccountMeta(alice, True, False)])
        return {
            "create": told([create, begin]),
            "advance": told([advance]),
            "transfer": told(self._transfer(self.passed)),
            "address": str(nonce),
            "authority": str(alice),
        }

    def _lookup(self) -> dict[str, Any]:
        alice = self.key("alice")
        who = [AccountMeta(alice, True, True), AccountMeta(Pubkey.default(), False, False)]
        table = AccountMeta(self.table, False, True)
        make = _words(0) + self._slot.to_bytes(8, "little") + bytes([self._bump])
        create = Instruction(LOOKUP_TABLE_ID, make, [table, AccountMeta(alice, True, False), *who])
        grow = _words(2) + (1).to_bytes(8, "little") + bytes(self.receiver)
        extend = Instruction(LOOKUP_TABLE_ID, grow, [table, AccountMeta(alice, True, False), *who])
        return {
            "create": told([create, extend]),
            "transfer": told(self._transfer(self.receiver, 1)),
            "address": str(self.table),
            "addresses": [str(self.receiver)],
        }

    def _market(self) -> list[tuple[str, Instruction, int]]:
        """A market's life without a dispute: (who signs, what, seconds that pass before)."""
        codec, market, who = self.net.codec, MARKET_ID, {name: bytes(self.key(name)) for name in self.keys}
        account = self.net.ledger.accounts.get(codec.config_address())
        assert account is not None
        config = codec.decode_account(account.data)
        assert isinstance(config, GlobalConfig)
        b, liquidity, evidence = 1_000 * SOL, SOL, b"E" * 46
        voted = [
            (name, program.submit_proposal_vote(codec, market, who[name], True), 0)
            for name in ("alice", "bob", "carol")
        ]
        return [
            ("creator", program.create_market(codec, who["creator"], market, b, liquidity, b"Q" * 46), 0),
            *voted,
            ("backend", program.aggregate_proposal_votes(codec, market, who["backend"], 3, 0), 0),
            ("admin", program.approve_proposal(codec, market, who["admin"]), 0),
            ("creator", program.activate_market(codec, market, who["creator"]), 0),
            ("alice", program.buy_shares(codec, config, market, who["alice"], True, SOL), 0),
            ("bob", program.buy_shares(codec, config, market, who["bob"], False, 2 * SOL), 0),
            ("bob", program.sell_shares(codec, config, market, who["bob"], False, SOL // 2, 0), 0),
            ("resolver", program.resolve_market(codec, market, who["resolver"], True, evidence), 60),
            ("backend", program.finalize_market(codec, market, who["backend"]), DISPUTE_PERIOD_S + 60),
            ("alice", program.claim_winnings(codec, market, who["alice"], who["resolver"]), 0),
            ("creator", program.withdraw_liquidity(codec, market, who["creator"]), 0),
        ]


def _words(number: int) -> bytes:
    return number.to_bytes(4, "little")


def told(parts: list[Instruction]) -> list[dict[str, Any]]:
    """Instructions as the clients' scripts read them."""
    return [
        {
            "program": str(each.program_id),
            "accounts": [
                {"address": str(meta.pubkey), "signer": meta.is_signer, "writable": meta.is_writable}
                for meta in each.accounts
            ],
            "data": list(bytes(each.data)),
        }
        for each in parts
    ]
