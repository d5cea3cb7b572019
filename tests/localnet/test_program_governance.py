"""initialize_global_config, update_global_config, emergency_pause."""

import pytest

from tests.localnet.program_harness import ADMIN, ARGS, BACKEND, BOB, EVE, FEE_WALLET, Devnet, changes, initialized
from zmart_lite.models import ConfigUpdated, GlobalConfig, GlobalConfigInitialized, ProtocolPauseStatusChanged

UPDATE = ARGS["update_global_config"]


def test_initialize() -> None:
    devnet = Devnet()
    event = devnet.do("initialize_global_config", {"backend_authority": BACKEND})
    assert event == GlobalConfigInitialized(ADMIN, BACKEND, 300, devnet.now)
    bump = devnet.codec.config_pda()[1]
    assert devnet.config == GlobalConfig(
        ADMIN, BACKEND, FEE_WALLET, 300, 200, 500, 7_000, 6_000, 86_400, 259_200, 8_000, False, bytes(64), bump
    )


def test_first_caller_becomes_admin_and_there_is_no_second() -> None:
    devnet = Devnet()
    devnet.do("initialize_global_config", {"backend_authority": BOB}, admin=EVE, protocol_fee_wallet=EVE)
    assert devnet.config[:3] == (EVE, BOB, EVE)
    assert devnet.call("initialize_global_config", {"backend_authority": BACKEND}).code == 0


def test_update_everything() -> None:
    devnet = initialized()
    before = devnet.config
    args = dict(zip(UPDATE, (1, 2, 3, 4, 5, 6, 7), strict=True))
    assert devnet.do("update_global_config", args) == ConfigUpdated(1, 2, 3, 4, 5, 6, 7, devnet.now)
    assert changes(before, devnet.config) == args


def test_update_without_the_periods_keeps_them() -> None:
    devnet = initialized()
    before = devnet.config
    event = devnet.do("update_global_config", UPDATE | {"protocol_fee_bps": 0})
    assert event == ConfigUpdated(0, 200, 500, 7_000, 6_000, 86_400, 259_200, devnet.now)
    assert changes(before, devnet.config) == {"protocol_fee_bps": 0}
    devnet.do("update_global_config", UPDATE | {"dispute_period": 172_800})
    assert changes(before, devnet.config) == {"dispute_period": 172_800}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"protocol_fee_bps": 9_301}, 6004),
        ({"protocol_fee_bps": 65_535, "resolver_reward_bps": 65_535, "liquidity_provider_fee_bps": 65_535}, 6004),
        ({"proposal_approval_threshold": 10_001}, 6001),
        ({"dispute_success_threshold": 10_001}, 6001),
        ({"min_resolution_delay": 0}, 6002),
        ({"min_resolution_delay": -1}, 6002),
        ({"dispute_period": 0}, 6002),
        ({"dispute_period": -(2**63)}, 6002),
        ({"protocol_fee_bps": 9_301, "proposal_approval_threshold": 10_001}, 6004),
        ({"dispute_success_threshold": 10_001, "dispute_period": 0}, 6001),
    ],
)
def test_update_refuses(changed: dict[str, object], code: int) -> None:
    assert initialized().call("update_global_config", UPDATE | changed).code == code


def test_update_at_the_limits() -> None:
    devnet = initialized()
    limits = {
        "protocol_fee_bps": 9_300,
        "proposal_approval_threshold": 10_000,
        "dispute_success_threshold": 0,
        "min_resolution_delay": 1,
        "dispute_period": 2**63 - 1,
    }
    devnet.do("update_global_config", UPDATE | limits)
    assert devnet.config.dispute_period == 2**63 - 1


@pytest.mark.parametrize("name", ["update_global_config", "emergency_pause"])
def test_only_the_admin(name: str) -> None:
    outcome = initialized().call(name, ARGS[name], admin=BACKEND)
    assert outcome.code == 6029
    assert outcome.logs[1].startswith("AnchorError caused by account: global_config. ")


def test_pause_is_a_toggle() -> None:
    devnet = initialized()
    before = devnet.config
    assert devnet.do("emergency_pause") == ProtocolPauseStatusChanged(True, ADMIN, devnet.now)
    assert changes(before, devnet.config) == {"is_paused": True}
    assert devnet.do("emergency_pause") == ProtocolPauseStatusChanged(False, ADMIN, devnet.now)
    assert devnet.config == before
