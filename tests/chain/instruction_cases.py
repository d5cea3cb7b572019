"""One call of each builder in zmart_lite/chain/instructions.py, with the arguments it must encode."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_lite.chain import instructions as make
from zmart_lite.codec import Codec
from zmart_lite.models import GlobalConfig, VoteType

PROGRAM_ID = bytes(Pubkey.from_string("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS"))
CODEC = Codec(PROGRAM_ID)
MARKET_ID = bytes([1]) * 32
USER = bytes([2]) * 32
ADMIN = bytes([3]) * 32
BACKEND = bytes([4]) * 32
WALLET = bytes([5]) * 32
MARKET = CODEC.market_address(MARKET_ID)
POSITION = CODEC.position_address(MARKET, USER)
CONFIG = CODEC.config_address()
SYSTEM = bytes(32)
HASH = b"Qm" + b"x" * 44
SETTINGS = GlobalConfig(ADMIN, BACKEND, WALLET, 300, 200, 500, 7000, 6000, 86_400, 259_200, 8000, False, bytes(64), 255)


class Case(NamedTuple):
    build: Callable[[], Instruction]
    args: Mapping[str, object]
    accounts: tuple[bytes, ...]


def _record(kind: VoteType) -> bytes:
    return CODEC.vote_pda(MARKET, USER, kind)[0]


TRADERS = (CONFIG, MARKET, POSITION, USER, WALLET, SYSTEM)

CASES = {
    "initialize_global_config": Case(
        lambda: make.initialize_global_config(CODEC, ADMIN, BACKEND, WALLET),
        {"backend_authority": BACKEND},
        (ADMIN, CONFIG, WALLET, SYSTEM),
    ),
    "create_market": Case(
        lambda: make.create_market(CODEC, USER, MARKET_ID, 2**64 - 1, 5, HASH),
        {"market_id": MARKET_ID, "b_parameter": 2**64 - 1, "initial_liquidity": 5, "ipfs_question_hash": HASH},
        (USER, MARKET, CONFIG, SYSTEM),
    ),
    "submit_proposal_vote": Case(
        lambda: make.submit_proposal_vote(CODEC, MARKET_ID, USER, True),
        {"vote": True},
        (MARKET, _record(VoteType.PROPOSAL), USER, SYSTEM),
    ),
    "aggregate_proposal_votes": Case(
        lambda: make.aggregate_proposal_votes(CODEC, MARKET_ID, BACKEND, 7, 3),
        {"final_likes": 7, "final_dislikes": 3},
        (MARKET, CONFIG, BACKEND),
    ),
    "approve_proposal": Case(lambda: make.approve_proposal(CODEC, MARKET_ID, ADMIN), {}, (ADMIN, MARKET, CONFIG)),
    "activate_market": Case(lambda: make.activate_market(CODEC, MARKET_ID, USER), {}, (USER, MARKET, CONFIG)),
    "buy_shares": Case(
        lambda: make.buy_shares(CODEC, SETTINGS, MARKET_ID, USER, True, 10**9),
        {"outcome": True, "target_cost": 10**9},
        TRADERS,
    ),
    "sell_shares": Case(
        lambda: make.sell_shares(CODEC, SETTINGS, MARKET_ID, USER, False, 10**9, 77),
        {"outcome": False, "shares_to_sell": 10**9, "min_proceeds": 77},
        TRADERS,
    ),
    "resolve_market": Case(
        lambda: make.resolve_market(CODEC, MARKET_ID, USER, False, HASH),
        {"proposed_outcome": False, "ipfs_evidence_hash": HASH},
        (CONFIG, MARKET, USER),
    ),
    "initiate_dispute": Case(lambda: make.initiate_dispute(CODEC, MARKET_ID, USER), {}, (CONFIG, MARKET, USER)),
    "submit_dispute_vote": Case(
        lambda: make.submit_dispute_vote(CODEC, MARKET_ID, USER, False),
        {"vote": False},
        (MARKET, _record(VoteType.DISPUTE), USER, SYSTEM),
    ),
    "aggregate_dispute_votes": Case(
        lambda: make.aggregate_dispute_votes(CODEC, MARKET_ID, BACKEND, 1, 2**32 - 2),
        {"final_agrees": 1, "final_disagrees": 2**32 - 2},
        (MARKET, CONFIG, BACKEND),
    ),
    "finalize_market": Case(
        lambda: make.finalize_market(CODEC, MARKET_ID, BACKEND, 7, 3),
        {"dispute_agree": 7, "dispute_disagree": 3},
        (CONFIG, MARKET, BACKEND),
    ),
    "claim_winnings": Case(
        lambda: make.claim_winnings(CODEC, MARKET_ID, USER, ADMIN), {}, (CONFIG, MARKET, POSITION, USER, ADMIN, SYSTEM)
    ),
    "withdraw_liquidity": Case(lambda: make.withdraw_liquidity(CODEC, MARKET_ID, USER), {}, (MARKET, USER)),
    "update_global_config": Case(
        lambda: make.update_global_config(CODEC, SETTINGS, dispute_period=172_800),
        {
            "protocol_fee_bps": 300,
            "resolver_reward_bps": 200,
            "liquidity_provider_fee_bps": 500,
            "proposal_approval_threshold": 7000,
            "dispute_success_threshold": 6000,
            "min_resolution_delay": None,
            "dispute_period": 172_800,
        },
        (ADMIN, CONFIG),
    ),
    "emergency_pause": Case(lambda: make.emergency_pause(CODEC, ADMIN), {}, (ADMIN, CONFIG)),
    "cancel_market": Case(lambda: make.cancel_market(CODEC, MARKET_ID, ADMIN), {}, (ADMIN, MARKET, CONFIG)),
}
