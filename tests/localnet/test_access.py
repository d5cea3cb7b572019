"""Who may call the devnet's ports: hosts and origins, over real sockets as a browser and a rebound page use them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.localnet.rpc_harness import Devnet, running
from zmart_lite.localnet.access import Access, is_json

HEALTH = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
STRANGER = "https://stranger.example"
KEY = "the node's own key"


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running(hosts=("devnet",), origins=("https://app.example",), webhook_key=KEY) as started:
        yield started


@pytest.mark.parametrize(
    ("host", "welcome"),
    [
        ("localhost:8899", True),
        ("LOCALHOST", True),
        ("app.localhost:8899", True),
        ("127.0.0.1", True),
        ("127.8.8.8:1", True),
        ("[::1]:8899", True),
        ("devnet:8899", True),
        ("rebound.example:8899", False),
        ("localhost.rebound.example", False),
        ("127.0.0.1.rebound.example", False),
        ("192.168.1.5:8899", False),
        ("user@localhost", False),
        ("localhost:port", False),
        ("[::1", False),
        ("localhost/path", False),
        ("", False),
    ],
)
async def test_hosts(devnet: Devnet, host: str, welcome: bool) -> None:
    answer = await devnet.http.post(devnet.net.rpc_url, json=HEALTH, headers={"host": host})
    assert answer.status_code == (200 if welcome else 403)
    if not welcome:
        assert "localnet.hosts" in answer.text


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("http://localhost:3000", True),
        ("https://127.0.0.1:3000", True),
        ("http://[::1]:3000", True),
        ("http://devnet:3000", True),
        ("https://app.example", True),
        ("chrome-extension://bfnaelmomeimhlpmgjnjophhpkkoljpa", True),
        (STRANGER, False),
        ("https://localhost.stranger.example", False),
        ("https://app.example.stranger.example", False),
        ("http://app.example", False),
        ("file://localhost", False),
        ("null", False),
    ],
)
async def test_origins(devnet: Devnet, origin: str, welcome: bool) -> None:
    answer = await devnet.http.post(devnet.net.rpc_url, json=HEALTH, headers={"origin": origin})
    assert answer.status_code == (200 if welcome else 403)
    # A page of a stranger can read why, and nothing else.
    assert answer.headers["access-control-allow-origin"] == "*"
    assert ("localnet.origins" in answer.text) is not welcome
    handshake = connect(devnet.net.ws_url, origin=Origin(origin))
    if welcome:
        await (await handshake).close()
    else:
        with pytest.raises(InvalidStatus, match="403"):
            await handshake


async def test_a_wildcard_address_is_reached_by_the_address_of_the_connection() -> None:
    async with running(host="0.0.0.0") as devnet:
        for host, status in (("127.0.0.1", 200), ("10.9.8.7", 403), ("0.0.0.0", 403)):
            answer = await devnet.http.post(devnet.net.rpc_url, json=HEALTH, headers={"host": host})
            assert answer.status_code == status
    access = Access("0.0.0.0")
    assert access.host_refusal(Headers({"host": "10.9.8.7:8899"}), "10.9.8.7") is None
    assert access.host_refusal(Headers({"host": "10.9.8.7:8899"}), None) is not None


def test_any_origin_may_be_allowed() -> None:
    access = Access("127.0.0.1", origins=("*",))
    assert access.origin_refusal(Headers({"origin": STRANGER}), None) is None


def test_a_request_with_two_hosts_or_none_is_refused() -> None:
    access = Access("127.0.0.1")
    for raw in ([], [(b"host", b"localhost"), (b"host", b"rebound.example")]):
        assert access.host_refusal(Headers(raw=raw), None) is not None


@given(st.text(max_size=40))
def test_no_header_breaks_the_rule(text: str) -> None:
    headers = Headers(raw=[(b"host", text.encode()), (b"origin", text.encode())])
    access = Access("127.0.0.1")
    access.host_refusal(headers, None)
    access.origin_refusal(headers, None)


@pytest.mark.parametrize("origin", ["https://a.example", "http://localhost:3000"])
async def test_a_preflight_is_answered_for_private_networks_too(devnet: Devnet, origin: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    for path in ("/", "/v0/webhooks"):
        answer = await devnet.http.options(devnet.net.rpc_url + path, headers=asked)
        assert answer.status_code == 200
        assert "access-control-allow-private-network" not in answer.headers
        more = {"access-control-request-private-network": "true"}
        answer = await devnet.http.options(devnet.net.rpc_url + path, headers=asked | more)
        assert answer.headers["access-control-allow-private-network"] == "true"
        assert answer.headers["access-control-allow-origin"] == "*"
    rebound = await devnet.http.options(devnet.net.rpc_url, headers=asked | {"host": "rebound.example"})
    assert rebound.status_code == 403


# -- webhooks: the node's secret ---------------------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "webhookURL": "http://127.0.0.1:1/hook",
    "transactionTypes": ["ANY"],
    "accountAddresses": ["1" * 32],
    "webhookType": "raw",
    "authHeader": "the node's secret",
}


async def test_the_secret_of_a_webhook_is_told_to_whoever_has_the_key_and_to_no_page(devnet: Devnet) -> None:
    where = f"{devnet.net.rpc_url}/v0/webhooks"
    made = await devnet.http.post(where, params={"api-key": KEY}, json=FIELDS)
    assert made.json()["authHeader"] == "the node's secret"
    one = f"{where}/{made.json()['webhookID']}"
    for url in (where, one):
        assert "the node's secret" in (await devnet.http.get(url, params={"api-key": KEY})).text
        for key in ("localnet", "any", "", KEY + "x"):
            refused = await devnet.http.get(url, params={"api-key": key})
            assert refused.status_code == 401
        page = await devnet.http.get(url, params={"api-key": KEY}, headers={"origin": "http://localhost:3000"})
        assert (page.status_code, "authHeader" in page.text) == (200, False)
        stranger = await devnet.http.get(url, params={"api-key": KEY}, headers={"origin": STRANGER})
        assert (stranger.status_code, "authHeader" in stranger.text) == (403, False)
    page = await devnet.http.put(one, params={"api-key": KEY}, json=FIELDS, headers={"origin": "http://localhost"})
    assert (page.status_code, "authHeader" in page.text) == (200, False)


async def test_a_webhook_is_registered_by_json_only(devnet: Devnet) -> None:
    where = f"{devnet.net.rpc_url}/v0/webhooks"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = await devnet.http.post(where, params={"api-key": KEY}, content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415
        assert "application/json" in answer.json()["error"]
    assert (await devnet.http.get(where, params={"api-key": KEY})).json() == []


def test_json_is_recognised_with_its_parameters() -> None:
    assert is_json(Headers({"content-type": "Application/JSON; charset=utf-8"}))
    assert not is_json(Headers({}))
