"""The ``localnet_`` methods: time travel, snapshots, forks, pauses and failures on demand."""

from base64 import b64decode, b64encode
from typing import Any

from zmart_lite.codec import Codec
from zmart_lite.errors import UndecodableData
from zmart_lite.localnet import tempers
from zmart_lite.localnet.clock import SLOT_MS
from zmart_lite.localnet.context import RpcContext
from zmart_lite.localnet.ledger import Bank
from zmart_lite.localnet.params import Params, invalid, read_pubkey, read_u64
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.wire import pubkey_text
from zmart_lite.models import Commitment, GlobalConfig, MarketAccount, MarketState

IMPERSONATED_MAX = 1_000
STATE_VERSION = 1
LISTENER_CHARACTERS_MAX = 64
SECONDS_PER_WARP_MAX = 100 * 365 * 86_400
PROPOSAL_PERIOD_S = 86_400
DISPUTE_VOTING_PERIOD_S = 3 * 86_400
DEFAULT_DISPUTE_PERIOD_S = 172_800


def warp(context: RpcContext, params: Params) -> Any:
    """``{seconds}``, ``{slots}`` or ``{to: unix seconds}``. Answers the new time and slot."""
    config = params.config(0)
    match config.fields:
        case {"seconds": seconds}:
            context.ledger.warp(_seconds(read_u64(seconds)))
        case {"to": unix}:
            ahead = read_u64(unix) - context.ledger.clock.now_s()
            context.ledger.warp(_seconds(ahead))
        case {"slots": slots}:
            count = read_u64(slots)
            context.ledger.produce_blocks(count, count * SLOT_MS // 1000)
        case _:
            raise invalid("localnet_warp takes {seconds}, {slots} or {to}")
    return _now(context)


def _seconds(value: int) -> int:
    if value > SECONDS_PER_WARP_MAX:
        raise invalid(f"one warp moves the time by at most {SECONDS_PER_WARP_MAX} seconds")
    return value


def _now(context: RpcContext) -> dict[str, Any]:
    bank = context.ledger.bank(Commitment.PROCESSED)
    return {
        "blockHeight": bank.height,
        "offsetSeconds": context.ledger.clock.offset_s,
        "slot": bank.slot,
        "unixTimestamp": context.ledger.clock.now_s(),
    }


def next_transition(context: RpcContext, _params: Params) -> Any:
    """When time alone next makes a market ready for its next step, and which market; null where none waits."""
    bank = context.ledger.bank(Commitment.PROCESSED)
    found = _transitions(context.codec, bank)
    now = context.ledger.clock.now_s()
    waiting = [each for each in found if each[0] > now]
    if not waiting:
        return None
    at, kind, market = min(waiting)
    return {"kind": kind, "market": pubkey_text(market), "secondsAhead": at - now, "unixTimestamp": at}


def _transitions(codec: Codec, bank: Bank) -> list[tuple[int, str, bytes]]:
    """(time, what can happen then, market) of all markets that wait for time to pass."""
    dispute_period = DEFAULT_DISPUTE_PERIOD_S
    markets: list[tuple[bytes, MarketAccount]] = []
    for key, account in bank.owned_by(codec.program_id):
        try:
            decoded = codec.decode_account(account.data)
        except UndecodableData:
            continue
        if isinstance(decoded, GlobalConfig):
            dispute_period = decoded.dispute_period
        elif isinstance(decoded, MarketAccount):
            markets.append((key, decoded))
    found: list[tuple[int, str, bytes]] = []
    for key, market in markets:
        match market.state:
            case MarketState.RESOLVING:
                found.append((market.resolution_proposed_at + dispute_period, "finalize", key))
            case MarketState.DISPUTED:
                found.append((market.dispute_initiated_at + DISPUTE_VOTING_PERIOD_S, "settle_dispute", key))
            case MarketState.PROPOSED:
                found.append((market.created_at + PROPOSAL_PERIOD_S, "proposal_review", key))
            case _:
                pass
    return found


def snapshot(context: RpcContext, _params: Params) -> Any:
    return context.ledger.snapshot()


def revert(context: RpcContext, params: Params) -> Any:
    context.ledger.revert(params.u64(0))
    return _now(context)


def pause_blocks(context: RpcContext, _params: Params) -> Any:
    """No block is sealed any more; transactions are processed, but not confirmed."""
    context.ledger.paused = True
    return _now(context)


def resume_blocks(context: RpcContext, _params: Params) -> Any:
    context.ledger.paused = False
    if context.ledger.options.on_demand and context.ledger.open_transaction_count:
        context.ledger.seal_block()
    return _now(context)


def produce_blocks(context: RpcContext, params: Params) -> Any:
    context.ledger.produce_blocks(1 if params.get(0) is None else params.u64(0))
    return _now(context)


def drop_blocks(context: RpcContext, params: Params) -> Any:
    context.ledger.drop_blocks(1 if params.get(0) is None else params.u64(0))
    return _now(context)


def set_account(context: RpcContext, params: Params) -> Any:
    """(address, null) removes an account; (address, {lamports?, owner?, data? (base64), executable?}) sets fields."""
    key = params.pubkey(0)
    if len(params) > 1 and params.get(1) is None:
        context.ledger.set_account(key, None)
        return _now(context)
    config = params.config(1)
    known = context.ledger.accounts.get(key) or Account()
    lamports, owner, data = config.u64("lamports"), config.get("owner"), config.get("data")
    account = Account(
        known.lamports if lamports is None else lamports,
        known.owner if owner is None else read_pubkey(owner),
        known.data if data is None else _base64(data),
        config.flag("executable", known.executable),
    )
    context.ledger.set_account(key, account)
    return _now(context)


def export_state(context: RpcContext, _params: Params) -> Any:
    """Every account and the chain's time, as ``zmart-lite chain export`` writes them."""
    accounts = [
        {
            "address": pubkey_text(key),
            "lamports": account.lamports,
            "owner": pubkey_text(account.owner),
            "data": b64encode(account.data).decode(),
            "executable": account.executable,
        }
        for key, account in context.ledger.accounts.items()
    ]
    return {
        "version": STATE_VERSION,
        "programId": pubkey_text(context.codec.program_id),
        "unixTimestamp": context.ledger.clock.now_s(),
        "accounts": accounts,
    }


def impersonate(context: RpcContext, params: Params) -> Any:
    """``(address, enabled = true)``: transactions that it should have signed are taken without its signature.

    Answers all such addresses; ``()`` only tells them. A transaction whose first signature is missing gets one made
    from its bytes, which `sendTransaction` answers. Ends with the process.
    """
    if params.get(0) is not None:
        key = params.pubkey(0)
        enabled = params.get(1)
        if enabled not in (None, True, False):
            raise invalid("Invalid params: `enabled` is a boolean")
        if enabled is False:
            context.impersonated.discard(key)
        elif len(context.impersonated) >= IMPERSONATED_MAX:
            raise invalid(f"at most {IMPERSONATED_MAX} addresses can be impersonated")
        else:
            context.impersonated.add(key)
    return sorted(pubkey_text(key) for key in context.impersonated)


def _base64(value: Any) -> bytes:
    text = value[0] if isinstance(value, list) and value else value
    try:
        return b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise invalid("Invalid param: `data` is not base64") from None


def truncate_logs(context: RpcContext, params: Params) -> Any:
    """true: from now on; false: no longer; a number: for so many transactions."""
    asked = params.require(0)
    count = (-1 if asked else 0) if isinstance(asked, bool) else read_u64(asked)
    context.ledger.truncate_logs(count)
    return count


def fail_next(context: RpcContext, params: Params) -> Any:
    return tempers.fail_next(context.tempers, params)


def temper(context: RpcContext, params: Params) -> Any:
    return tempers.temper(context.tempers, params)


def info(context: RpcContext, _params: Params) -> Any:
    """Who is who on this devnet; public keys only."""
    return context.info | _now(context) | {"forks": context.forks.count}


def forks(context: RpcContext, params: Params) -> Any:
    """How many reverts and dropped blocks there were. ``{listener, known}``: somebody who asks again and again tells
    his name, and up to which of them he has dealt with it; ``localnet_revert`` and ``localnet_dropBlocks`` wait for
    him.
    """
    config = params.config(0)
    listener = config.get("listener")
    if listener is not None and not (isinstance(listener, str) and 1 <= len(listener) <= LISTENER_CHARACTERS_MAX):
        raise invalid(f"Invalid params: `listener` is a name of 1 to {LISTENER_CHARACTERS_MAX} characters")
    return context.forks.ask(listener, config.u64("known") or 0)


METHODS = {
    "localnet_dropBlocks": drop_blocks,
    "localnet_exportState": export_state,
    "localnet_failNext": fail_next,
    "localnet_forks": forks,
    "localnet_impersonate": impersonate,
    "localnet_info": info,
    "localnet_nextTransition": next_transition,
    "localnet_pauseBlocks": pause_blocks,
    "localnet_produceBlocks": produce_blocks,
    "localnet_resumeBlocks": resume_blocks,
    "localnet_revert": revert,
    "localnet_setAccount": set_account,
    "localnet_snapshot": snapshot,
    "localnet_temper": temper,
    "localnet_truncateLogs": truncate_logs,
    "localnet_warp": warp,
}
