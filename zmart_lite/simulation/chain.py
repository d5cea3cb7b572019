"""The chain of a simulation: random lifecycles of many markets on the embedded devnet, decided by a seed alone."""

from collections import Counter
from random import Random
from typing import Any, cast

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import VersionedTransaction

from zmart_lite.chain import instructions as calls
from zmart_lite.chain.events import parse_logs
from zmart_lite.codec import Codec
from zmart_lite.localnet import Localnet
from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.records import Block, LandedTransaction
from zmart_lite.localnet.runtime import ProgramEntry
from zmart_lite.localnet.transactions import MessageV1, Transaction, TransactionConfig, TransactionV1
from zmart_lite.models import (
    Commitment,
    GlobalConfig,
    MarketAccount,
    MarketCancelled,
    MarketState,
    SharesBought,
    UserPosition,
)
from zmart_lite.simulation.poison import (
    DISCRIMINATOR,
    EDGE_B,
    HOSTILE_HASHES,
    KINDS_OF_CONFIG_EVENTS,
    KINDS_OF_EVENTS,
    U64_MAX,
    UpgradedProgram,
    edge_event,
    extreme_config,
    extreme_market,
    extreme_position,
    poison,
    spoiled,
)

P = 10**9
HASH_A = b"QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"[:46]
HASH_B = b"QmZ4tDuvesekSs4qM5ZBKpXiZGun7S2CYtEZRB3DYXkjGx"[:46]
B_PARAMETERS = (100 * P, 1_000 * P, 12_345 * P + 678, 50_000 * P)
FEES = ((300, 200, 500), (100, 300, 400), (250, 250, 499), (0, 1, 0))
MOVES_MAX = 6
UNITS_MAX = 1_400_000
LOADED_BYTES = 1_000_000
MARKETS = 22


class SimulatedChain:
    """Sends transactions of wallets, the backend and the admin. ``blocks`` are those sealed since they were last
    taken."""

    def __init__(self, localnet: Localnet, random: Random) -> None:
        self.localnet, self.ledger, self.random = localnet, localnet.ledger, random
        self.codec: Codec = localnet.codec
        self.market_ids: list[bytes] = []
        self.blocks: list[Block] = []
        self.counts: Counter[str] = Counter()
        self._price = 0
        self.version_one_left = 0
        self.ledger.on_block(self.blocks.append)
        self.poisoned: list[bytes] = []
        programs = cast(dict[bytes, ProgramEntry], self.ledger.programs)
        programs[self.codec.program_id] = ProgramEntry(UpgradedProgram(programs[self.codec.program_id].program))

    # Reading

    def decoded(self, address: bytes) -> Any:
        account = self.ledger.accounts.get(address)
        return None if account is None else self.codec.decode_account(account.data)

    @property
    def config(self) -> GlobalConfig:
        found: GlobalConfig = self.decoded(self.codec.config_address())
        return found

    def market(self, market_id: bytes) -> MarketAccount | None:
        found: MarketAccount | None = self.decoded(self.codec.market_address(market_id))
        return found

    def position(self, market_id: bytes, wallet: Keypair) -> UserPosition | None:
        where = self.codec.position_address(self.codec.market_address(market_id), bytes(wallet.pubkey()))
        found: UserPosition | None = self.decoded(where)
        return found

    # Sending

    def send(self, signer: Keypair, *parts: Instruction) -> LandedTransaction | None:
        """A transaction of its own bytes each time; None where the chain refused it at the door."""
        self._price += 1
        version_one = self.version_one_left > 0
        budget = [] if version_one else [set_compute_unit_limit(UNITS_MAX), set_compute_unit_price(self._price)]
        # An older blockhash survives forks, so that what was dropped can land again.
        blockhash = Hash(self.ledger.bank(Commitment.FINALIZED).blockhash)
        message = Message.new_with_blockhash([*budget, *parts], signer.pubkey(), blockhash)
        if not version_one:
            return self.submit(VersionedTransaction(message, [signer]))
        self.version_one_left -= 1
        config = TransactionConfig(self._price, UNITS_MAX, LOADED_BYTES)
        landed = self.submit(TransactionV1.signed(MessageV1.of(message, config), [signer]))
        self.counts["version_one"] += landed is not None
        return landed

    def use_version_one(self, transactions: int) -> None:
        """So many of the next transactions are of version 1."""
        self.version_one_left = transactions

    def submit(self, transaction: Transaction) -> LandedTransaction | None:
        try:
            landed = self.ledger.submit(transaction)
        except TransactionRefused:
            self.counts["refused"] += 1
            return None
        self.counts["failed" if landed.failed else "landed"] += 1
        return landed

    def wallet(self) -> Keypair:
        return self.random.choice(self.localnet.wallets)

    # One step of life

    def step(self) -> None:
        """Something happens somewhere; time passes."""
        self.ledger.produce_blocks(0, self.random.choice((1, 1, 7, 60, 3_600)))
        if self.random.random() < 0.12:
            self._in_one_block()
        else:
            for _ in range(self.random.randint(1, 3)):
                self.act()

    def _in_one_block(self) -> None:
        """Several transactions share a slot, so that only their places tell their order."""
        self.ledger.paused = True
        for _ in range(self.random.randint(2, 5)):
            self.act()
        self.ledger.paused = False
        self.ledger.seal_block()

    def act(self) -> None:
        roll = self.random.random()
        if roll < 0.03:
            self._change_config()
        elif len(self.market_ids) < MARKETS and roll < 0.35:
            self._create()
        elif self.market_ids:
            self._move(self.random.choice(self.market_ids))

    def _change_config(self) -> None:
        admin = bytes(self.localnet.admin.pubkey())
        if self.random.random() < 0.3 or self.config.is_paused:
            self.send(self.localnet.admin, calls.emergency_pause(self.codec, admin))
            return
        fees = self.random.choice(FEES)
        config = self.config._replace(
            protocol_fee_bps=fees[0], resolver_reward_bps=fees[1], liquidity_provider_fee_bps=fees[2]
        )
        change = calls.update_global_config(self.codec, config, dispute_period=self.random.choice((None, 7_200)))
        self.send(self.localnet.admin, change)

    def _create(self) -> None:
        number = len(self.market_ids)
        b_parameter = EDGE_B[number % 2] if number % 5 == 1 else self.random.choice(B_PARAMETERS)
        liquidity = U64_MAX if number % 5 == 2 else self.random.randint(P // 10, 100 * P)
        # Every fourth market is of the newer kind.
        market_id = self._new_market(bytes([number % 4]), b_parameter, liquidity, self._hash())
        if market_id is not None:
            self.market_ids.append(market_id)

    def _new_market(self, prefix: bytes, b_parameter: int, liquidity: int, hash_: bytes) -> bytes | None:
        creator, market_id = self.wallet(), prefix + self.random.randbytes(32 - len(prefix))
        create = calls.create_market(self.codec, bytes(creator.pubkey()), market_id, b_parameter, liquidity, hash_)
        landed = self.send(creator, create)
        if landed is None or landed.failed:
            return None
        self.counts["edge_b"] += b_parameter in EDGE_B
        self.counts["edge_liquidity"] += liquidity == U64_MAX
        self.counts["hostile_hash"] += hash_ in HOSTILE_HASHES
        return market_id

    def _hash(self) -> bytes:
        return self.random.choice((HASH_A, HASH_B, *HOSTILE_HASHES))

    def _move(self, market_id: bytes) -> None:
        market = self.market(market_id)
        if market is None:  # its creation was on a fork that is gone
            self.market_ids.remove(market_id)
            return
        match market.state:
            case MarketState.PROPOSED:
                self._propose(market)
            case MarketState.APPROVED:
                self._approved(market)
            case MarketState.ACTIVE:
                self._trade(market)
            case MarketState.RESOLVING:
                self._resolving(market)
            case MarketState.DISPUTED:
                self._disputed(market)
            case MarketState.FINALIZED:
                self._finalized(market)
            case MarketState.CANCELLED:
                self._fail(market)

    def _admin(self) -> tuple[Keypair, bytes]:
        return self.localnet.admin, bytes(self.localnet.admin.pubkey())

    def _backend(self) -> tuple[Keypair, bytes]:
        return self.localnet.backend, bytes(self.localnet.backend.pubkey())

    def _creator(self, market: MarketAccount) -> Keypair:
        return next(wallet for wallet in self.localnet.wallets if bytes(wallet.pubkey()) == market.creator)

    def _fail(self, market: MarketAccount) -> None:
        """Something that the program refuses, but that lands and pays its fee."""
        admin, key = self._admin()
        self.send(admin, calls.approve_proposal(self.codec, market.market_id, key))

    def _propose(self, market: MarketAccount) -> None:
        roll, market_id = self.random.random(), market.market_id
        backend, backend_key = self._backend()
        admin, admin_key = self._admin()
        if roll < 0.25:
            voter = self.wallet()
            vote = calls.submit_proposal_vote(self.codec, market_id, bytes(voter.pubkey()), self.random.random() < 0.7)
            self.send(voter, vote)
        elif roll < 0.3:
            self.send(admin, calls.cancel_market(self.codec, market_id, admin_key))
        elif market.proposal_total_votes == 0 or roll < 0.4:
            likes = self.random.randint(5, 40)
            count = calls.aggregate_proposal_votes(self.codec, market_id, backend_key, likes, self.random.randint(0, 3))
            self.send(backend, count)
        else:
            self.send(admin, calls.approve_proposal(self.codec, market_id, admin_key))

    def _approved(self, market: MarketAccount) -> None:
        if self.random.random() < 0.05:
            admin, key = self._admin()
            self.send(admin, calls.cancel_market(self.codec, market.market_id, key))
            return
        creator = self._creator(market)
        self.send(creator, calls.activate_market(self.codec, market.market_id, bytes(creator.pubkey())))

    def _trade(self, market: MarketAccount) -> None:
        roll = self.random.random()
        if roll < 0.04:
            self._resolve(market)
            return
        wallet = self.wallet()
        count = self.random.choice((1, 1, 1, 2, 3)) if roll < 0.9 else 1
        self.send(wallet, *(self._order(market.market_id, wallet) for _ in range(count)))

    def _order(self, market_id: bytes, wallet: Keypair) -> Instruction:
        held, user, side = self.position(market_id, wallet), bytes(wallet.pubkey()), self.random.random() < 0.5
        shares = 0 if held is None else held.shares_yes if side else held.shares_no
        if shares > P and self.random.random() < 0.4:
            part = self.random.randint(shares // 10, shares)
            return calls.sell_shares(self.codec, self.config, market_id, user, side, part, 1)
        spend = self.random.choice((20_000, self.random.randint(10_000, P), self.random.randint(P, 30 * P)))
        return calls.buy_shares(self.codec, self.config, market_id, user, side, spend)

    def _resolve(self, market: MarketAccount) -> None:
        resolver = self.wallet()
        outcome = self.random.random() < 0.5
        self.send(
            resolver,
            calls.resolve_market(self.codec, market.market_id, bytes(resolver.pubkey()), outcome, self._hash()),
        )

    def _resolving(self, market: MarketAccount) -> None:
        backend, key = self._backend()
        if self.random.random() < 0.35:
            initiator = self.wallet()
            self.send(initiator, calls.initiate_dispute(self.codec, market.market_id, bytes(initiator.pubkey())))
            return
        if self.random.random() < 0.5:
            self.ledger.produce_blocks(0, self.config.dispute_period)
        self.send(backend, calls.finalize_market(self.codec, market.market_id, key))

    def _disputed(self, market: MarketAccount) -> None:
        backend, key = self._backend()
        roll = self.random.random()
        if roll < 0.5:
            voter = self.wallet()
            vote = calls.submit_dispute_vote(
                self.codec, market.market_id, bytes(voter.pubkey()), self.random.random() < 0.5
            )
            self.send(voter, vote)
            return
        agree, disagree = self.random.randint(0, 50), self.random.randint(0, 50)
        if roll < 0.65:
            count = calls.aggregate_dispute_votes(self.codec, market.market_id, key, agree, disagree)
        else:
            count = calls.finalize_market(self.codec, market.market_id, key, agree, disagree)
        self.send(backend, count)

    def _finalized(self, market: MarketAccount) -> None:
        if self.random.random() < 0.15:
            creator = self._creator(market)
            withdraw = calls.withdraw_liquidity(self.codec, market.market_id, bytes(creator.pubkey()))
            self.send(creator, withdraw)
            return
        wallet = self.wallet()
        if self.position(market.market_id, wallet) is not None:
            claim = calls.claim_winnings(self.codec, market.market_id, bytes(wallet.pubkey()), market.resolver)
            self.send(wallet, claim)

    # Poison

    def poison(self, kind: str) -> bool:
        """A transaction such as only an upgraded program makes; whether it came about.

        Whatever it says, the market's account is changed by it, so that only a reading tells how the market stands.
        """
        if kind == "extreme_config":
            return self._spoil_config()
        market_id = self._poisonable()
        if market_id is None:
            return False
        address = self.codec.market_address(market_id)
        market = self.decoded(address)
        if kind in ("largest", "least"):
            return self._go_to_the_edge(kind, market)
        changed = market._replace(total_volume=self.random.getrandbits(60))
        data = self.codec.encode_account(changed) + bytes(64 if kind == "long_account" else 0)
        event = MarketCancelled(market_id, market.creator, self.ledger.clock.now_s())
        payloads = [] if kind == "long_account" else [spoiled(kind, self.codec.encode_event(event), self.random)]
        return self._poisoned(poison(self.codec.program_id, payloads, [(address, data)]))

    def _go_to_the_edge(self, edge: str, market: MarketAccount) -> bool:
        """Every kind of event with such values, one by one, and with the largest ones accounts that hold them, too."""
        codec, market_id, holder = self.codec, market.market_id, bytes(self.localnet.wallets[0].pubkey())
        address = codec.market_address(market_id)
        held = codec.position_address(address, holder)
        contents = [(address, codec.encode_account(market._replace(total_volume=self.random.getrandbits(60))))]
        if edge == "largest":
            contents = [
                (address, codec.encode_account(extreme_market(market))),
                (held, codec.encode_account(extreme_position(self.decoded(held)))),
            ]
        named = {"market_id": market_id, "market": address, "user": holder}
        events = [edge_event(codec, kind, edge, named) for kind in KINDS_OF_EVENTS]
        self.random.shuffle(events)
        came = [self._poisoned(poison(codec.program_id, [codec.encode_event(each)], contents)) for each in events]
        return all(came)

    def _spoil_config(self) -> bool:
        """Within one transaction the config gets values that no market could live with, and loses them again."""
        codec, address = self.codec, self.codec.config_address()
        good = codec.encode_account(self.config)
        bad = codec.encode_account(extreme_config(self.config))
        events = [edge_event(codec, kind, edge, {}) for kind in KINDS_OF_CONFIG_EVENTS for edge in ("largest", "least")]
        self.random.shuffle(events)
        parts = [poison(codec.program_id, [codec.encode_event(each)], [(address, bad)]) for each in events]
        return self._poisoned(*parts, poison(codec.program_id, [], [(address, good)]))

    def _poisoned(self, *parts: Instruction) -> bool:
        landed = self.send(self.wallet(), *parts)
        return landed is not None and not landed.failed

    def is_poison(self, landed: LandedTransaction) -> bool:
        return any(bytes(each.data).startswith(DISCRIMINATOR) for each in landed.transaction.message.instructions)

    def _poisonable(self) -> bytes | None:
        """A market of its own for this, with a position of the first wallet."""
        used, holder = self.poisoned[-1:], self.localnet.wallets[0]
        # A fork may have dropped the market, or the purchase.
        if used and self.market(used[0]) and self.position(used[0], holder) and self.random.random() < 0.7:
            return used[0]
        if self.config.is_paused:
            self.send(self.localnet.admin, calls.emergency_pause(self.codec, bytes(self.localnet.admin.pubkey())))
        market_id = self._new_market(b"\xee", 1_000 * P, P, HASH_A)
        found = None if market_id is None else self.market(market_id)
        if market_id is None or found is None:
            return None
        backend, admin = self._backend(), self._admin()
        creator = self._creator(found)
        self.send(backend[0], calls.aggregate_proposal_votes(self.codec, market_id, backend[1], 9, 0))
        self.send(admin[0], calls.approve_proposal(self.codec, market_id, admin[1]))
        self.send(creator, calls.activate_market(self.codec, market_id, bytes(creator.pubkey())))
        buy = calls.buy_shares(self.codec, self.config, market_id, bytes(holder.pubkey()), True, P)
        self.send(holder, buy)
        if self.position(market_id, holder) is None:
            return None
        self.poisoned.append(market_id)
        return market_id

    def buy_nothing(self) -> bool:
        """A purchase so small that it buys no share, which the program takes; whether one came about."""
        for market_id in self.market_ids:
            market, wallet = self.market(market_id), self.wallet()
            if market is None or market.state is not MarketState.ACTIVE or market.shares_yes == market.shares_no:
                continue
            buy = calls.buy_shares(self.codec, self.config, market_id, bytes(wallet.pubkey()), True, 10_000)
            landed = self.send(wallet, buy)
            if landed is not None and not landed.failed:
                (logged,) = parse_logs(self.codec, landed.meta.logs).events
                if isinstance(logged.event, SharesBought) and logged.event.shares == 0:
                    return True
        return False

    # Forks

    def fork(self, *, again: bool) -> bool:
        """Drop the newest blocks; ``again``: most of their transactions land once more, in other slots and order."""
        count = self.random.randint(1, 5)
        floor = self.ledger.height_at(Commitment.FINALIZED)
        top = self.ledger.height_at(Commitment.PROCESSED) - 1
        if top - count <= floor:
            return False
        gone = [
            landed
            for height in range(top - count + 1, top + 1)
            if (block := self.ledger.history.block_at_height(height)) is not None
            for landed in block.transactions
        ]
        self.ledger.drop_blocks(count)
        if again:
            self.random.shuffle(gone)
            for landed in gone[: max(1, len(gone) * 2 // 3)]:
                self.submit(landed.transaction)
        return bool(gone)

    def history(self) -> list[LandedTransaction]:
        """Every transaction that is part of the chain, in its order."""
        return [landed for block in self.ledger.history.blocks() for landed in block.transactions]
