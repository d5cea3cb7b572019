"""The config while transactions are applied: late changes, missing history."""

from tests.indexer.chain_log import active_market
from tests.indexer.projection import Database, in_order
from tests.indexer.walks import check_against_chain, emitted
from tests.localnet.program_harness import ALICE, BOB
from zmart_lite import models
from zmart_lite.store.state import markets


def test_a_config_change_that_comes_late_refolds_the_trades_behind_it() -> None:
    log, market_id = active_market()
    args = {
        "protocol_fee_bps": 1,
        "resolver_reward_bps": 2,
        "liquidity_provider_fee_bps": 3,
        "proposal_approval_threshold": 0,
        "dispute_success_threshold": 0,
        "min_resolution_delay": None,
        "dispute_period": 77,
    }
    log.run("update_global_config", args)
    late = log.transactions[-1]
    log.run("emergency_pause")
    log.run("emergency_pause")
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, False)
    database = Database()
    database.apply(*[each for each in log.transactions if each is not late])
    database.apply(late)
    assert database.dump() == in_order(log.transactions).dump()
    check_against_chain(database, log)


def test_a_trade_and_a_config_change_in_one_transaction_keep_their_order() -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    trade = log.transactions[-1]
    args = {
        "protocol_fee_bps": 0,
        "resolver_reward_bps": 0,
        "liquidity_provider_fee_bps": 900,
        "proposal_approval_threshold": 0,
        "dispute_success_threshold": 0,
        "min_resolution_delay": None,
        "dispute_period": None,
    }
    log.run("update_global_config", args)
    change = log.transactions.pop()
    logs = (trade.logs or ()) + (change.logs or ())
    both = trade._replace(logs=logs, instructions=trade.instructions + change.instructions)
    log.transactions[-1] = both
    log.buy(market_id, BOB, False)
    check_against_chain(in_order(log.transactions), log)


def test_a_config_event_without_its_history_asks_for_the_account() -> None:
    database = Database()
    database.apply(emitted(models.ProtocolPauseStatusChanged(True, ALICE, 5)))
    assert database.context.config_unknown
    assert markets.find_config(database.tx) is None


def test_a_trade_without_any_config_asks_for_the_account() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    database = Database()
    database.apply(*log.transactions[1:])
    assert database.context.config_unknown
    assert database.market(market_id)["needs_resync"]
