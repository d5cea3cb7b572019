"""Trading: the quote is what the program then does, to the lamport, and refusals come before anything is built."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.api.chain_node import ChainNode, Json, chain_node
from zmart_lite import rules
from zmart_lite.api import make_api
from zmart_lite.chain import instructions
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.models import MarketAccount, UserPosition

TRADES = 40
"""Random trades of one run of the property test."""
B_PARAMETERS = (10**11, 10**12, 37 * 10**12 + 123_456_789)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


@pytest.fixture
async def market(node: ChainNode) -> str:
    return (await node.active(node.net.wallets[0], initial_liquidity=str(10**11))).hex()


async def position(node: ChainNode, market_id: bytes, wallet: Keypair) -> UserPosition | None:
    address = node.codec.position_address(node.codec.market_address(market_id), bytes(wallet.pubkey()))
    info = await node.parts.rpc.get_account(address)
    return None if info is None else node.codec.decode_account(info.data)  # type: ignore[return-value]


def units_text(amount: str) -> str:
    return f"{Decimal(amount) / rules.P:f}"


def expect_prices(quote: Json, before: MarketAccount, after: MarketAccount) -> None:
    for name, account in (("price_before", before), ("price_after", after)):
        price = rules.shown_price_yes(account.shares_yes, account.shares_no, account.b_parameter)
        assert quote[name] == {"priceYes": price / rules.P, "priceNo": (rules.P - price) / rules.P}


async def expect_payouts(node: ChainNode, market_id: bytes, wallet: Keypair, quote: Json) -> None:
    """The quote's payouts are those of the accounts after the trade; position and market tell the same."""
    account = await node.parts.rpc.get_account(node.parts.codec.market_address(market_id))
    market, held = await node.account(market_id), await position(node, market_id, wallet)
    assert account is not None
    assert held is not None
    payable = rules.payable_from(account.lamports, market.accumulated_resolver_fees)
    expected = rules.payouts(market, held.shares_yes, held.shares_no, payable)
    fields = ("payout_if_yes", "payout_if_no", "payable_now")
    assert tuple(int(quote[field]) for field in fields) == expected
    page = (await node.get(f"/api/markets/{market_id.hex()}/positions")).json()
    (shown,) = [each for each in page["positions"] if each["user_wallet"] == str(wallet.pubkey())]
    assert tuple(int(shown[field]) for field in fields) == expected
    row = (await node.get(f"/api/markets/{market_id.hex()}")).json()
    assert tuple(int(row[field]) for field in fields) == rules.payouts(market, rules.P, rules.P, payable)


async def traded(node: ChainNode, market_id: bytes, wallet: Keypair, path: str, body: Json) -> Json | None:
    """Trade if the node builds it, and compare everything the quote says with what the chain did."""
    before, held = await node.account(market_id), await position(node, market_id, wallet)
    fee_wallet = bytes(node.net.fee_wallet.pubkey())
    fees_before = await node.parts.rpc.get_balance(fee_wallet)
    asked = await node.post(f"/api/trades/{path}", {"market_id": market_id.hex()} | body, wallet)
    if asked.status_code == 409:
        assert asked.json()["reason"] in ("program_error", "insufficient_shares"), asked.text
        return None
    assert asked.status_code == 200, asked.text
    quote = asked.json()["quote"]
    relayed = await node.relay(asked.json()["transaction"], wallet)
    assert relayed.status_code == 200, relayed.text
    event = relayed.json()["events"][0]["event_data"]
    after, holds = await node.account(market_id), await position(node, market_id, wallet)
    side, sol = ("buy", units_text(quote["total_cost"])) if path == "buy" else ("sell", units_text(quote["proceeds"]))
    told = f"{side} {units_text(quote['shares'])} {quote['outcome']} shares for {sol} SOL, fees "
    assert told in asked.json()["message"]
    net = quote["total_cost"] if path == "buy" else quote["proceeds"]
    assert event["shares"] == quote["shares"]
    assert event["cost" if path == "buy" else "proceeds"] == net
    assert event["new_price_yes"] == quote["new_price_yes"]
    expect_prices(quote, before, after)
    await expect_payouts(node, market_id, wallet, quote)
    fees = {name: int(amount) for name, amount in quote["fees"].items()}
    assert await node.parts.rpc.get_balance(fee_wallet) - fees_before == fees["protocol"]
    assert after.accumulated_resolver_fees - before.accumulated_resolver_fees == fees["resolver"]
    assert after.accumulated_lp_fees - before.accumulated_lp_fees == fees["lp"]
    assert fees["total"] == fees["protocol"] + fees["resolver"] + fees["lp"]
    assert holds is not None
    sign = 1 if path == "buy" else -1
    owned = 0 if held is None else held.shares_yes + held.shares_no
    assert holds.shares_yes + holds.shares_no - owned == sign * int(quote["shares"])
    return dict(quote)


@pytest.mark.parametrize("seed", range(len(B_PARAMETERS)))
async def test_quotes_equal_what_the_program_does(node: ChainNode, seed: int) -> None:
    """Random trades: tiny and huge budgets, shares wanted and shares sold, by several wallets on one market."""
    choose = random.Random(seed)
    b_parameter = B_PARAMETERS[seed]
    market_id = await node.active(node.net.wallets[0], initial_liquidity=str(10**14), b_parameter=str(b_parameter))
    done = {"buy": 0, "sell": 0}
    for _ in range(TRADES):
        wallet, outcome = choose.choice(node.net.wallets[1:4]), choose.random() < 0.7
        held = await position(node, market_id, wallet)
        owned = 0 if held is None else held.shares_yes if outcome else held.shares_no
        if owned and choose.random() < 0.4:
            path, body = "sell", {"shares": str(choose.randint(1, owned))}
        elif choose.random() < 0.5:
            path, body = "buy", {"budget": str(int(10 ** choose.uniform(4, 11)))}
        else:
            path, body = "buy", {"shares": str(int(10 ** choose.uniform(6, 11)))}
        quote = await traded(node, market_id, wallet, path, {"outcome": outcome} | body)
        if quote is not None:
            done[path] += 1
            assert_asked_for(body, path, quote)
    assert done["buy"] >= 5, done


def assert_asked_for(body: Json, path: str, quote: Json) -> None:
    if path == "sell":
        assert quote["shares"] == body["shares"]
        assert int(quote["min_proceeds"]) == int(quote["proceeds"]) * 9_900 // 10_000
        assert int(quote["gross"]) - int(quote["fees"]["total"]) == int(quote["proceeds"])
    elif "budget" in body:
        assert quote["target_cost"] == body["budget"]
        assert int(quote["total_cost"]) <= int(body["budget"])
    else:
        assert int(quote["shares"]) >= int(body["shares"])


async def test_the_share_form_asks_for_the_least_that_buys_them(node: ChainNode, market: str) -> None:
    wallet, body = node.net.wallets[1], {"market_id": market, "outcome": "no", "shares": "5000000000"}
    answer = (await node.post("/api/trades/buy", body, wallet)).json()
    target = int(answer["quote"]["target_cost"])
    account = await node.account(bytes.fromhex(market))
    rates = rules.FeeRates(300, 200, 500)
    pool = (account.shares_yes, account.shares_no, account.b_parameter, rates, False)
    assert rules.quote_buy(*pool, target).shares >= 5 * 10**9
    assert rules.quote_buy(*pool, target - 1).shares < 5 * 10**9
    _, args = node.codec.decode_instruction(_instruction_data(node, answer["transaction"]))
    assert args == {"outcome": False, "target_cost": target}
    for limit, status in ((target, 200), (target - 1, 409)):
        limited = await node.post("/api/trades/buy", body | {"max_cost": str(limit)}, wallet)
        assert limited.status_code == status
    assert limited.json()["reason"] == "slippage_exceeded"


def _instruction_data(node: ChainNode, unsigned: Json) -> bytes:
    import base64

    from solders.transaction import Transaction

    message = Transaction.from_bytes(base64.b64decode(unsigned["transaction"])).message
    return bytes(message.instructions[-1].data)


async def test_the_budget_form_watches_its_shares(node: ChainNode, market: str) -> None:
    wallet, body = node.net.wallets[1], {"market_id": market, "outcome": True, "budget": "1000000000"}
    shares = int((await node.post("/api/trades/buy", body, wallet)).json()["quote"]["shares"])
    enough = await node.post("/api/trades/buy", body | {"min_shares": str(shares)}, wallet)
    assert enough.status_code == 200
    fewer = await node.post("/api/trades/buy", body | {"min_shares": str(shares + 1)}, wallet)
    assert (fewer.status_code, fewer.json()["reason"]) == (409, "slippage_exceeded")


async def test_the_least_budget_is_exactly_that(node: ChainNode, market: str) -> None:
    wallet, body = node.net.wallets[1], {"market_id": market, "outcome": True}
    quote = await node.get(f"/api/markets/{market}/quote", side="buy", outcome="yes", budget=10**9)
    least = int(quote.json()["min_budget"])
    assert least == 1_071_510, "the specification's own number for a fresh market"
    assert (await node.post("/api/trades/buy", body | {"budget": str(least)}, wallet)).status_code == 200
    below = await node.post("/api/trades/buy", body | {"budget": str(least - 1)}, wallet)
    assert (below.status_code, below.json()["reason"]) == (409, "program_error")
    assert below.json()["details"]["program_error"]["name"] == "UnderflowError"
    assert below.json()["details"]["program_error"]["number"] == 6034


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("buy", {}, {"budget"}),
        ("buy", {"budget": "20000", "shares": "1000000"}, {"budget"}),
        ("buy", {"budget": "9999"}, {"budget"}),
        ("buy", {"target_cost": "1844674407370956"}, {"target_cost"}),
        ("buy", {"amount": 2.5}, {"amount"}),
        ("buy", {"shares": "999999"}, {"shares"}),
        ("buy", {"budget": "20000", "max_cost": "1"}, {"max_cost"}),
        ("buy", {"shares": "1000000", "min_shares": "1"}, {"min_shares"}),
        ("buy", {"budget": "20000", "amount": "30000"}, {"budget"}),
        ("sell", {}, {"shares"}),
        ("sell", {"shares": "0"}, {"shares"}),
        ("sell", {"shares": "1", "slippage_bps": 5_001}, {"slippage_bps"}),
        ("sell", {"shares": "-1"}, {"shares"}),
        ("sell", {"shares": "1", "outcome": None}, {"outcome"}),
        ("sell", {"shares": "1", "market_id": "zz"}, {"market_id"}),
    ],
)
async def test_bad_trades(node: ChainNode, path: str, body: Json, fields: set[str]) -> None:
    given = {"market_id": "ab" * 32, "outcome": True} | body
    answer = await node.post(f"/api/trades/{path}", given, node.net.wallets[1])
    assert answer.status_code == 400
    assert {each["field"] for each in answer.json()["details"]} == fields


async def test_unknown_markets_and_wrong_states(node: ChainNode) -> None:
    wallet, body = node.net.wallets[1], {"outcome": True, "budget": "1000000000", "shares": None}
    assert (await node.post("/api/trades/buy", body | {"market_id": "ab" * 32}, wallet)).status_code == 404
    assert (await node.post("/api/trades/buy", body | {"market_id": "ab" * 32})).status_code == 401
    proposed = (await node.create(node.net.wallets[0])).hex()
    early = await node.post("/api/trades/buy", body | {"market_id": proposed}, wallet)
    assert (early.status_code, early.json()["reason"]) == (409, "wrong_state")
    quote = (await node.get(f"/api/markets/{proposed}/quote", side="buy", outcome="yes", budget=10**9)).json()
    assert (quote["executable"], quote["error"]) == (False, {"name": "InvalidMarketState", "number": 6007})
    assert quote["price_after"] == quote["price_before"]


async def test_a_paused_protocol(node: ChainNode, market: str) -> None:
    wallet = node.net.wallets[1]
    await node.buy(bytes.fromhex(market), wallet, True, 10**9)
    admin = node.net.admin
    await node.land(instructions.emergency_pause(node.codec, bytes(admin.pubkey())), admin)
    for path, amount in (("buy", {"budget": "1000000000"}), ("sell", {"shares": "1000000"})):
        answer = await node.post(f"/api/trades/{path}", {"market_id": market, "outcome": True} | amount, wallet)
        assert (answer.status_code, answer.json()["reason"]) == (409, "protocol_paused")
    quote = (await node.get(f"/api/markets/{market}/quote", side="buy", outcome="yes", budget=10**9)).json()
    assert (quote["executable"], quote["error"]["name"]) == (False, "ProtocolPaused")


async def test_too_poor(node: ChainNode, market: str) -> None:
    body = {"market_id": market, "outcome": True, "budget": str(5_000 * 10**9)}
    answer = await node.post("/api/trades/buy", body, node.net.wallets[1])
    assert answer.json()["details"]["program_error"]["name"] == "SystemInsufficientFunds"


# Selling


async def test_selling_more_than_held(node: ChainNode, market: str) -> None:
    wallet = node.net.wallets[1]
    body = {"market_id": market, "outcome": True, "shares": "1"}
    nothing = await node.post("/api/trades/sell", body, wallet)
    assert (nothing.status_code, nothing.json()["reason"]) == (409, "insufficient_shares")
    await node.buy(bytes.fromhex(market), wallet, True, 10**9)
    held = await position(node, bytes.fromhex(market), wallet)
    assert held is not None
    more = await node.post("/api/trades/sell", body | {"shares": str(held.shares_yes + 1)}, wallet)
    assert more.json()["reason"] == "insufficient_shares"
    other = await node.post("/api/trades/sell", body | {"outcome": "no"}, wallet)
    assert other.json()["reason"] == "insufficient_shares"


async def test_what_a_sale_insists_on(node: ChainNode, market: str) -> None:
    wallet = node.net.wallets[1]
    await node.buy(bytes.fromhex(market), wallet, True, 10**9)
    body = {"market_id": market, "outcome": True, "shares": "500000000"}
    answer = (await node.post("/api/trades/sell", body | {"slippage_bps": 250}, wallet)).json()
    proceeds = int(answer["quote"]["proceeds"])
    assert answer["quote"]["min_proceeds"] == str(proceeds * 9_750 // 10_000)
    exact = (await node.post("/api/trades/sell", body | {"min_payout": str(proceeds)}, wallet)).json()
    _, args = node.codec.decode_instruction(_instruction_data(node, exact["transaction"]))
    assert args == {"outcome": True, "shares_to_sell": 500_000_000, "min_proceeds": proceeds}
    more = await node.post("/api/trades/sell", body | {"min_proceeds": str(proceeds + 1)}, wallet)
    assert (more.status_code, more.json()["reason"]) == (409, "slippage_exceeded")
    assert node.app.state.api.shared.selling.available is True


async def test_where_the_program_cannot_pay_sales_out(tmp_path: Path) -> None:
    async with chain_node(tmp_path, strict=True) as node:
        wallet = node.net.wallets[1]
        market_id = await node.active(node.net.wallets[0], initial_liquidity=str(10**11))
        await node.buy(market_id, wallet, True, 10**9)
        body = {"market_id": market_id.hex(), "outcome": True, "shares": "500000000"}
        answer = await node.post("/api/trades/sell", body, wallet)
        assert (answer.status_code, answer.json()["reason"]) == (409, "selling_unavailable")
        assert answer.json()["details"]["program_error"]["name"] == "PrivilegeEscalation"
        assert node.app.state.api.shared.selling.available is False


# Quotes


async def test_estimates(node: ChainNode, market: str) -> None:
    query = {"market_id": market, "outcome": "yes"}
    quote = (await node.get(f"/api/markets/{market}/quote", side="buy", outcome="yes", shares=10**9)).json()
    estimate = (await node.get("/api/trades/estimate", **query, trade_type="BUY", shares=10**9)).json()
    extra = {name: estimate.pop(name) for name in set(estimate) - set(quote)}
    assert estimate == quote
    assert extra.pop("timestamp").endswith("Z")
    total, shares = int(quote["total_cost"]), int(quote["shares"])
    assert extra == {
        "marketId": market,
        "tradeType": "buy",
        "estimatedCost": str(total),
        "pricePerShare": str(total * rules.P // shares),
        "newPriceYes": quote["price_after"]["priceYes"],
        "newPriceNo": quote["price_after"]["priceNo"],
    }
    assert quote["avg_price"] == total / shares
    side = (await node.get("/api/trades/estimate", **query, side="buy", budget=10**9)).json()
    assert (side["executable"], side["target_cost"]) == (True, str(10**9))
    sale = (await node.get("/api/trades/estimate", **query, side="sell", shares=10**18)).json()
    assert (sale["executable"], sale["error"]["name"], sale["estimatedCost"]) == (False, "InsufficientShares", "0")


@pytest.mark.parametrize(
    "query",
    [
        {"side": "buy", "outcome": "yes"},
        {"side": "buy", "outcome": "yes", "shares": "1", "budget": "20000"},
        {"side": "sell", "outcome": "yes", "budget": "20000"},
        {"side": "buy", "outcome": "yes", "shares": "999999"},
        {"side": "hold", "outcome": "yes", "shares": "1000000"},
        {"side": "buy", "shares": "1000000"},
    ],
)
async def test_bad_quotes(node: ChainNode, query: dict[str, Any]) -> None:
    assert (await node.get(f"/api/markets/{'ab' * 32}/quote", **query)).status_code == 400
    assert (await node.get("/api/trades/estimate", market_id="ab" * 32, **query)).status_code == 400


async def test_quotes_of_unknown_markets(node: ChainNode) -> None:
    query: Json = {"side": "buy", "outcome": "yes", "shares": 10**9}
    assert (await node.get(f"/api/markets/{'ab' * 32}/quote", **query)).status_code == 404


async def test_without_a_cluster(node: ChainNode, market: str) -> None:
    """After three failures nothing is asked any more; what the database knows is answered all the time."""
    gone = Rpc(["http://127.0.0.1:9"], RetryPolicy(attempts_max=1))
    node.app.attach(make_api(replace(node.parts, rpc=gone)))
    query: Json = {"side": "buy", "outcome": "yes", "shares": 10**9}
    answers = [await node.get(f"/api/markets/{market}/quote", **query) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503] * 4
    assert [answer.json()["reason"] for answer in answers] == [*["rpc_unavailable"] * 3, "breaker_open"]
    assert all("Retry-After" in answer.headers for answer in answers)
    body = {"market_id": market, "outcome": True, "budget": "1000000000"}
    assert (await node.post("/api/trades/buy", body, node.net.wallets[1])).json()["reason"] == "breaker_open"
    assert (await node.get(f"/api/markets/{market}")).status_code == 200
    await gone.close()


async def test_history(node: ChainNode, market: str) -> None:
    wallet, other = node.net.wallets[1:3]
    for outcome in (True, False, True):
        await node.buy(bytes.fromhex(market), wallet, outcome, 10**9)
    await node.buy(bytes.fromhex(market), other, True, 10**9)
    assert (await node.get("/api/trades/history")).status_code == 401
    first = (await node.get("/api/trades/history", wallet, limit=2)).json()
    assert [trade["outcome"] for trade in first["trades"]] == ["YES", "NO"]
    assert (first["count"], first["total_count"], first["has_more"]) == (2, 3, True)
    rest = (await node.get("/api/trades/history", wallet, limit=2, cursor=first["next_cursor"])).json()
    assert [trade["outcome"] for trade in rest["trades"]] == ["YES"]
    assert {trade["user"] for trade in first["trades"]} == {str(wallet.pubkey())}
    assert (await node.get("/api/trades/history", wallet, market_id="ab" * 32)).status_code == 404
    assert (await node.get("/api/trades/history", wallet, market_id=market)).json()["total_count"] == 3
    foreign = await node.get("/api/trades/history", other, limit=2, cursor=first["next_cursor"])
    assert foreign.json()["reason"] == "bad_cursor"


async def test_a_wallet_without_sol_is_told_so(node: ChainNode, market: str) -> None:
    body = {"market_id": market, "outcome": "yes", "budget": "1000000000"}
    answer = await node.post("/api/trades/buy", body, Keypair())
    assert (answer.status_code, answer.json()["reason"]) == (409, "program_error")
    assert "the wallet has no SOL on this cluster" in answer.json()["message"]


async def test_a_buyer_is_told_what_may_become_of_it(node: ChainNode) -> None:
    """A large stake on a market of one SOL is paid a part of it; with the wallet, what it holds already counts."""
    market = await node.active(node.net.wallets[0], initial_liquidity=str(10**9), b_parameter=str(100 * 10**9))
    wallet = node.net.wallets[1]
    query = {"side": "buy", "outcome": "yes", "budget": 20 * 10**9}
    told = (await node.get(f"/api/markets/{market.hex()}/quote", **query)).json()
    assert told["warnings"] == ["payout_below_cost", "creator_may_withdraw"]
    assert 0 < int(told["payout_if_yes"]) < 3 * 10**9
    assert told["payout_if_no"] == "0"
    await traded(node, market, wallet, "buy", {"outcome": False, "budget": str(10**9)})
    more = (await node.get(f"/api/markets/{market.hex()}/quote", **query, wallet=str(wallet.pubkey()))).json()
    assert int(more["payout_if_no"]) > 0


async def test_a_sale_that_is_refused_names_what_is_possible(node: ChainNode) -> None:
    market = await node.active(node.net.wallets[0], initial_liquidity=str(10**9), b_parameter=str(100 * 10**9))
    wallet = node.net.wallets[1]
    bought = await traded(node, market, wallet, "buy", {"outcome": True, "budget": str(20 * 10**9)})
    assert bought is not None
    query = {"side": "sell", "outcome": "yes", "wallet": str(wallet.pubkey())}
    refused = (await node.get(f"/api/markets/{market.hex()}/quote", **query, shares=bought["shares"])).json()
    assert (refused["executable"], refused["error"]["name"]) == (False, "InsufficientLiquidity")
    most = int(refused["max_shares"])
    assert 0 < most < int(bought["shares"])
    assert f"You can sell up to {units_text(str(most)).rstrip('0')} shares now" in refused["refusal"]
    worse = (await node.get(f"/api/markets/{market.hex()}/quote", **query, shares=most + 1)).json()
    assert not worse["executable"]
    assert await traded(node, market, wallet, "sell", {"outcome": True, "shares": str(most)}) is not None


async def test_a_purchase_that_is_too_small_names_the_least(node: ChainNode) -> None:
    market = await node.active(node.net.wallets[0], b_parameter=str(100 * 10**9))
    query = {"side": "buy", "outcome": "yes", "budget": 10**6}
    refused = (await node.get(f"/api/markets/{market.hex()}/quote", **query)).json()
    assert refused["refusal"] == (
        "That is too little for this market as it stands: 0.00107151 SOL is the least that works now."
    )
