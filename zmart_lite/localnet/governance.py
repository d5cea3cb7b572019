"""zmart-core's instructions on the protocol's configuration: initialise, update, pause."""

from zmart_lite import initial
from zmart_lite.localnet.anchor import Call, Constraint, Creation, Instruction
from zmart_lite.models import ConfigUpdated, GlobalConfigInitialized, ProtocolPauseStatusChanged
from zmart_lite.rules import BPS

IS_ADMIN = Constraint("global_config", "Unauthorized", lambda call: call.config.admin == call.key("admin"))


def initialize_global_config(call: Call) -> GlobalConfigInitialized:
    """The first caller becomes admin, whoever that is."""
    config = initial.new_config(
        call.key("admin"), call.args["backend_authority"], call.key("protocol_fee_wallet"), call.bump
    )
    call.config = config
    return GlobalConfigInitialized(config.admin, config.backend_authority, config.protocol_fee_bps, call.now)


def update_global_config(call: Call) -> ConfigUpdated:
    """Overwrites fees and thresholds; the two periods only where given."""
    new = call.args
    fees_bps = new["protocol_fee_bps"] + new["resolver_reward_bps"] + new["liquidity_provider_fee_bps"]
    call.require(fees_bps <= BPS, "InvalidFeeStructure")
    call.require(new["proposal_approval_threshold"] <= BPS, "InvalidThreshold")
    call.require(new["dispute_success_threshold"] <= BPS, "InvalidThreshold")
    for period in ("min_resolution_delay", "dispute_period"):
        call.require(new[period] is None or new[period] > 0, "InvalidTimeLimit")
    call.config = call.config._replace(**{field: value for field, value in new.items() if value is not None})
    return ConfigUpdated._make([*(getattr(call.config, field) for field in ConfigUpdated._fields[:-1]), call.now])


def emergency_pause(call: Call) -> ProtocolPauseStatusChanged:
    """A toggle: the second call lifts the pause."""
    call.config = call.config._replace(is_paused=not call.config.is_paused)
    return ProtocolPauseStatusChanged(call.config.is_paused, call.key("admin"), call.now)


INSTRUCTIONS = {
    "initialize_global_config": Instruction(
        initialize_global_config, creation=Creation("global_config", payer="admin")
    ),
    "update_global_config": Instruction(update_global_config, constraints=(IS_ADMIN,)),
    "emergency_pause": Instruction(emergency_pause, constraints=(IS_ADMIN,)),
}
