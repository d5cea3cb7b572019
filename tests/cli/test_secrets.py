"""No secret is printed: every setting in every wrong form, and everything that the node writes while nothing works."""

import asyncio
import base64
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from solders.keypair import Keypair

from zmart_lite.app.node import Node
from zmart_lite.cli import main
from zmart_lite.config import Log, Row, hidden_texts, load, rows
from zmart_lite.config.environment import ALIASES
from zmart_lite.jobs import Keys
from zmart_lite.logs import configured
from zmart_lite.ops.targets import Message

PAIR = Keypair.from_seed(b"no wallet of anybody, I promise.")
NUMBERS = json.dumps(list(bytes(PAIR)))
MARK = str(PAIR)[:24]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJub2JvZHkgYXQgYWxsIn0.c2lnbmF0dXJlb2Zub2JvZHk"
FORMS = {
    "base58": str(PAIR),
    "quoted base58": f'"{PAIR}"',
    "cut base58": str(PAIR)[:80],
    "array": NUMBERS,
    "quoted array": f"'{NUMBERS}'",
    "double-quoted array": f'"{NUMBERS}"',
    "no first bracket": NUMBERS[1:],
    "no last bracket": NUMBERS[:-1],
    "bare list": NUMBERS.strip("[]"),
    "JavaScript": f"Uint8Array({NUMBERS})",
    "assignment": f"KEY={NUMBERS}",
    "object": json.dumps({"secretKey": list(bytes(PAIR))}),
    "hexadecimal": bytes(PAIR).hex(),
    "base64": base64.b64encode(bytes(PAIR)).decode(),
    "base64 like a path": "/" + base64.b64encode(bytes(PAIR)).decode(),
    "home": f"~{PAIR}/{PAIR}",
    "with a line end": f"{PAIR}\r\n{PAIR}",
    "beyond ASCII": f"ключ-{PAIR}",
    "token": JWT,
    "address": f"https://user:{PAIR}@host.example:99999/{PAIR}?api-key={PAIR}",
    "messenger": f"slack://{PAIR}",
    "database": f"postgresql://user:{PAIR}@host.example/name",
    "database as a path": f"sqlite:///postgresql://user:{PAIR}@host.example/name",
    "very long": str(PAIR) * 100,
}
PASTED = ("base58", "quoted array", "with a line end", "very long")
"""Forms in which a secret gets into the setting beside its own."""
TRACES = (
    MARK,
    str(PAIR)[-24:],
    NUMBERS[1:40],
    NUMBERS[-40:-1],
    bytes(PAIR).hex()[:32],
    base64.b64encode(bytes(PAIR)).decode()[1:24],
    JWT[-20:],
)
"""What of a form would give it away, wherever it stands."""


def shows_any(text: str) -> list[str]:
    return [trace for trace in TRACES if trace in text]


def variables() -> Iterator[tuple[str, Row]]:
    for row in rows().values():
        yield row.variable, row
    for alias in ALIASES:
        yield alias.variable, rows()[alias.setting]


def run(folder: Path, environ: dict[str, str], *arguments: str) -> str:
    """Everything that a command prints, whatever it comes to; it never ends in a traceback."""
    base = {"ZMART_STORE_DIR": str(folder / "data"), "ZMART_SERVER_PORT": "0", "ZMART_SERVER_WS_PORT": "0"}
    ended = CliRunner().invoke(main, arguments, env=base | environ)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), repr(ended.exception)
    return ended.output


@pytest.mark.parametrize("form", FORMS)
def test_no_refusal_quotes_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, row in variables():
        if not row.is_secret and form not in PASTED:
            continue
        printed = run(tmp_path, {variable: FORMS[form]}, "config", "check")
        assert not shows_any(printed), (variable, printed)
        if row.is_secret:
            printed = run(tmp_path, {variable: FORMS[form]}, "config", "show")
            assert not shows_any(printed), (variable, printed)


@pytest.mark.parametrize("row", [row for row in rows().values() if row.is_secret], ids=lambda row: row.name)
def test_no_line_of_a_file_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    monkeypatch.chdir(tmp_path)
    for form in FORMS.values():
        value = json.dumps([form] if isinstance(row.default, tuple) else form, ensure_ascii=False)
        for text in (value, value[1:], value[:-1], f"{value} {value}"):
            (tmp_path / "zmart.toml").write_text(f"[{row.section}]\n{row.key} = {text}\n")
            assert not shows_any(run(tmp_path, {}, "config", "check"))


@pytest.mark.parametrize("variable", [row.variable for row in rows().values() if row.is_secret])
def test_the_doctor_and_a_start_quote_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.chdir(tmp_path)
    away = {"ZMART_CHAIN_CLUSTER": "devnet", "ZMART_CHAIN_RPC_URL": "http://127.0.0.1:9"}
    for form in ("quoted array", "address", "messenger", "database", "home", "beyond ASCII"):
        for arguments in (("doctor",), ("job", "list"), ("webhook", "check"), ("alerts", "test")):
            if arguments == ("alerts", "test") and variable != "ZMART_ALERTS_URLS":
                continue
            printed = run(tmp_path, away | {variable: FORMS[form]}, *arguments)
            assert not shows_any(printed), printed


async def test_a_node_whose_every_service_fails_writes_and_answers_none(tmp_path: Path) -> None:
    dead = f"127.0.0.1:9/{PAIR}"
    environ = {
        "ZMART_STORE_DIR": str(tmp_path),
        "ZMART_SERVER_PORT": "0",
        "ZMART_SERVER_WS_PORT": "0",
        "ZMART_CHAIN_CLUSTER": "devnet",
        "ZMART_CHAIN_RPC_URL": f"http://{dead}?api-key={MARK}",
        "ZMART_CHAIN_RPC_URLS": f"http://user:{MARK}@{dead}",
        "ZMART_CHAIN_WS_URL": f"ws://{dead}",
        "ZMART_CHAIN_RPC_ATTEMPTS_MAX": "1",
        "ZMART_CHAIN_BACKEND_KEYPAIR": NUMBERS,
        "ZMART_HELIUS_API_URL": "http://127.0.0.1:9",
        "ZMART_HELIUS_API_KEY": MARK,
        "ZMART_HELIUS_WEBHOOK_SECRET": f"Bearer {PAIR}",
        "ZMART_HELIUS_WEBHOOK_URL": "https://node.example/api/webhooks/helius",
        "ZMART_AUTH_JWT_SECRET": str(PAIR),
        "ZMART_AUTH_SERVICE_KEYS": MARK,
        "ZMART_IPFS_PINATA_JWT": MARK,
        "ZMART_ALERTS_URLS": f"json://user:{MARK}@127.0.0.1:9/{MARK}",
    }
    config = load(None, environ)
    log, answers = io.StringIO(), []
    with configured(Log(level="DEBUG", format="json"), log, hidden_texts(config)):
        node = await Node(config, Keys(PAIR, None)).start()
        try:
            for job in ("poll", "aggregate", "monitor", "reconcile", "snapshot", "alerts"):
                try:
                    await node.jobs.run_to_end(job, {})
                except Exception as error:  # noqa: BLE001 - whatever it is, its text is looked at
                    answers.append(str(error))
            await asyncio.to_thread(node.targets[0].send, Message("title", "body"))
            logging.getLogger("zmart_lite.test").error("a careless line: %s", config.rpc_url.reveal())
            async with httpx.AsyncClient(base_url=node.url, headers={"x-service-key": MARK}) as client:
                for path in ("/health", "/health/solana-rpc", "/status", "/ready", "/metrics", "/api/jobs", f"/{MARK}"):
                    response = await client.get(path)
                    # What the caller said is not told to anybody new.
                    answers.append("" if path == f"/{MARK}" else response.text)
                wrong = await client.post("/api/webhooks/helius", json=[], headers={"Authorization": "wrong"})
                answers.append(wrong.text)
        finally:
            await node.stop()
    assert "a careless line" in log.getvalue()
    assert not shows_any(log.getvalue()), [line for line in log.getvalue().splitlines() if shows_any(line)]
    assert not shows_any("\n".join(answers)), answers
