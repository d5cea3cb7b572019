"""The examples of ops/ in front of a node: real nginx, Caddy and HAProxy; and what a node says behind wrong ones."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from zmart_lite.cli.playing import fresh, on_free_ports, sped_up
from zmart_lite.cli.serving import Running, running
from zmart_lite.config import Config
from zmart_lite.demo.client import Api, Wallet
from zmart_lite.demo.lifecycle import Lifecycle
from zmart_lite.demo.listener import Listener

OPS = Path(__file__).resolve().parent.parent / "ops"
VOTED = 3
"""Steps of a market's life up to the votes on its proposal: sign-in, a draft, a transaction, votes, pushed messages."""
NGINX = "nginx.conf"

pytestmark = pytest.mark.external


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def caddy(folder: Path, port: int, node: int, text: str) -> list[str]:
    text = text.replace("node.example {", f"http://127.0.0.1:{port} {{").replace("127.0.0.1:4000", f"127.0.0.1:{node}")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def nginx(folder: Path, port: int, node: int, text: str, *, tls: bool = False) -> list[str]:
    text = text.replace("127.0.0.1:4000", f"127.0.0.1:{node}").replace(
        "listen 443 ssl", f"listen 127.0.0.1:{port}{' ssl' * tls}"
    )
    for name in ("fullchain", "privkey"):
        text = text.replace(f"/etc/letsencrypt/live/node.example/{name}.pem", str(folder / f"{name}.pem"))
    if not tls:
        text = "\n".join(line for line in text.splitlines() if "ssl_certificate" not in line)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; {paths}\n{text}\n}}\n"
    )
    return ["-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]


def haproxy(folder: Path, port: int, node: int, text: str, *, tls: bool = False) -> list[str]:
    bind = f"bind 127.0.0.1:{port}" + (f" ssl crt {folder}/both.pem" if tls else "")
    text = text.replace("bind :443 ssl crt /etc/haproxy/node.example.pem", bind)
    (folder / "haproxy.cfg").write_text(text.replace("127.0.0.1:4000", f"127.0.0.1:{node}"))
    return ["-db", "-f", str(folder / "haproxy.cfg")]


PROXIES = {"caddy": (caddy, "Caddyfile"), "nginx": (nginx, NGINX), "haproxy": (haproxy, "haproxy.cfg")}


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[None]:
    environ = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"}
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out, cwd=folder)
        try:
            yield
            assert process.poll() is None, (folder / "out").read_text()
        finally:
            process.kill()
            process.wait()


async def answers(port: int, folder: Path) -> None:
    """Wait until the proxy listens, and its node answers through it."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def node_behind(
    folder: Path, port: int, *, trusted: bool = True, limit: int | None = None
) -> AsyncIterator[Running]:
    config = sped_up(on_free_ports(fresh(Config(), folder / "data")))
    proxies = ("127.0.0.1",) if trusted else ()
    server = replace(config.server, public_url=f"http://127.0.0.1:{port}", trusted_proxies=proxies)
    limits = config.limits if limit is None else replace(config.limits, address_per_minute=limit)
    async with running(replace(config, server=server, limits=limits)) as node:
        yield node


@asynccontextmanager
async def proxied(
    tool: str, command: Callable[[Path, int, int], list[str]], folder: Path, **options: object
) -> AsyncIterator[tuple[str, Running]]:
    port = free_port()
    async with node_behind(folder, port, **options) as node:  # type: ignore[arg-type]
        with started([tool, *command(folder, port, node.node.port)], folder):
            await answers(port, folder)
            yield f"http://127.0.0.1:{port}", node


@pytest.mark.parametrize("name", PROXIES)
async def test_sign_in_votes_websocket_and_event_stream_through_it(
    tmp_path: Path, external_tool: Callable[[str], str], name: str
) -> None:
    make, file = PROXIES[name]
    text = (OPS / file).read_text()
    async with proxied(external_tool(name), lambda *at: make(*at, text), tmp_path) as (url, node):
        assert node.localnet is not None
        api, listener = Api(url, node.localnet.rpc_url), Listener(url)
        try:
            await listener.start()
            life = Lifecycle(api, listener, lambda _: None)
            for _, step in life.steps[:VOTED]:
                await step()
            assert listener.seen
            assert listener.streamed
        finally:
            await listener.stop()
            await api.close()


@pytest.mark.parametrize("name", PROXIES)
async def test_each_person_has_a_limit_of_their_own_and_cannot_claim_anothers(
    tmp_path: Path, external_tool: Callable[[str], str], name: str
) -> None:
    make, file = PROXIES[name]
    text = (OPS / file).read_text()
    async with (
        proxied(external_tool(name), lambda *at: make(*at, text), tmp_path, limit=3) as (url, _),
        # Another address than the proxies': what a trusted one says would be believed.
        httpx.AsyncClient(base_url=url, transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as client,
    ):
        statuses = [
            (await client.get("/api/stats", headers={"X-Forwarded-For": f"203.0.113.{number}"})).status_code
            for number in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]


def make_certificate(openssl: str, folder: Path) -> None:
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "1"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_with_tls(tmp_path: Path, external_tool: Callable[[str], str], name: str) -> None:
    make_certificate(external_tool("openssl"), tmp_path)
    certificate, key = (tmp_path / "fullchain.pem").read_text(), (tmp_path / "privkey.pem").read_text()
    (tmp_path / "both.pem").write_text(certificate + key)
    make, file = PROXIES[name]
    text = (OPS / file).read_text()
    async with proxied(external_tool(name), lambda *at: make(*at, text, tls=True), tmp_path) as (url, _):  # type: ignore[call-arg]
        trusting = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
        async with httpx.AsyncClient(verify=trusting) as client:
            assert (await client.get(url.replace("http://", "https://") + "/health")).status_code == 200


# Wrong set-ups


def wrong(*changes: tuple[str, str]) -> str:
    text = (OPS / NGINX).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


async def test_without_trusted_proxies_all_share_one_limit(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    """Safe, not open: nobody can choose an address; and the runbook of rate_limit_pressure names the cause."""
    text = wrong()
    async with (
        proxied(external_tool("nginx"), lambda *at: nginx(*at, text), tmp_path, trusted=False, limit=3) as (url, node),
        httpx.AsyncClient(base_url=url) as client,
    ):
        statuses = [(await client.get("/api/stats")).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert (await client.get(node.node.url + "/api/stats")).status_code == 429


async def test_without_upgrade_there_is_an_answer_in_the_api_s_own_words(
    tmp_path: Path, external_tool: Callable[[str], str]
) -> None:
    text = wrong(
        ("proxy_set_header Upgrade $http_upgrade;", ""), ("proxy_set_header Connection $connection_upgrade;", "")
    )
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
    }
    async with (
        proxied(external_tool("nginx"), lambda *at: nginx(*at, text), tmp_path) as (url, _),
        httpx.AsyncClient(base_url=url) as client,
    ):
        answer = await client.get("/ws", headers=upgrade)
        assert answer.is_client_error
        assert answer.json()["message"]


async def test_with_buffering_left_on_messages_still_come_at_once(
    tmp_path: Path, external_tool: Callable[[str], str]
) -> None:
    """The node itself tells nginx not to buffer its streams."""
    text = wrong(("proxy_buffering off;", ""))
    async with (
        proxied(external_tool("nginx"), lambda *at: nginx(*at, text), tmp_path) as (url, _),
        httpx.AsyncClient(base_url=url, timeout=15) as client,
        client.stream("GET", "/api/stream", params={"channels": "public"}) as stream,
    ):
        assert await anext(stream.aiter_lines()) is not None


async def test_without_the_host_sign_in_goes_by_public_url(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    text = wrong(("proxy_set_header Host $http_host;", ""))
    async with proxied(external_tool("nginx"), lambda *at: nginx(*at, text), tmp_path) as (url, node):
        assert node.localnet is not None
        api = Api(url, node.localnet.rpc_url)
        try:
            wallet = Wallet(api, "somebody")
            shown = await api.get("/api/auth/nonce", wallet=wallet.address)
            assert json.dumps(shown).count(url.removeprefix("http://")) >= 1
            await wallet.sign_in()
        finally:
            await api.close()
