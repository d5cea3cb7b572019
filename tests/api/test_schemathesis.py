"""Requests made from the OpenAPI document, good and bad ones, against a real node over real HTTP.

Nothing may answer 5xx but a documented 503, and nothing may answer what the document does not say.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from tests.api.chain_node import SERVICE_KEY, WEBHOOK_SECRET, chain_node
from tests.api.documented import document
from tests.api.test_openapi import lived
from zmart_lite.api import list_endpoints
from zmart_lite.api.wire import server_options

EXAMPLES = 6
"""Requests of each kind for each route: with about 110 routes, half a minute."""
TIMEOUT_S = 20
GOOD, BAD = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
CHECKED = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
ENDLESS = ("push",)
"""Tags of routes whose answer does not end; their tests are test_sse.py."""


def _cases() -> Iterator[Any]:
    for endpoint in list_endpoints():
        if endpoint.tag in ENDLESS:
            continue
        name = f"{endpoint.method} {endpoint.path}"
        yield pytest.param(endpoint.method, endpoint.path, GOOD, id=f"{name} good")
        if endpoint.fields is not None:
            yield pytest.param(endpoint.method, endpoint.path, BAD, id=f"{name} bad")


load_all_checks()


class Running(NamedTuple):
    """The node, what its things are called, and who may come: headers by name."""

    url: str
    values: dict[str, Any]
    callers: dict[str, dict[str, str]]
    session: requests.Session


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node in a thread of its own, since the requests are made by a library that waits for each."""
    ready: list[Running] = []
    started, stop = threading.Event(), threading.Event()
    folder = tmp_path_factory.mktemp("schemathesis")
    thread = threading.Thread(target=asyncio.run, args=(_serve(folder, ready, started, stop),))
    thread.start()
    started.wait(60)
    try:
        assert ready, "the node did not start"
        with ready[0].session:
            yield ready[0]
    finally:
        stop.set()
        thread.join()


async def _serve(folder: Path, ready: list[Running], started: threading.Event, stop: threading.Event) -> None:
    try:
        async with chain_node(folder, with_admin_key=True) as node:
            values = await lived(node)
            options = server_options(node.parts.config.push)
            server = uvicorn.Server(
                uvicorn.Config(node.app, host="127.0.0.1", port=0, log_level="error", lifespan="off", **options)
            )
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(server._serve())
                while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(0)
                url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
                callers = {
                    "nobody": {},
                    "wallet": node.bearer(node.net.wallets[1]),
                    "admin": node.bearer(node.net.admin),
                    "service": {"x-service-key": SERVICE_KEY},
                    "helius": {"Authorization": WEBHOOK_SECRET},
                }
                ready.append(Running(url, values, callers, requests.Session()))
                started.set()
                await asyncio.to_thread(stop.wait)
                server.should_exit = True
    finally:
        started.set()


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(document())


@pytest.mark.parametrize(("method", "path", "mode"), list(_cases()))
def test_every_answer_is_documented(running: Running, schema: Any, method: str, path: str, mode: Any) -> None:
    operation = schema[path][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), draw=st.data())
    def ask(case: Any, draw: st.DataObject) -> None:
        caller = draw.draw(st.sampled_from([*running.callers, *_who_gets_in(path)]), label="caller")
        if draw.draw(st.booleans(), label="names what there is"):
            _name_real_things(case, path, running.values)
        response = case.call(
            base_url=running.url, session=running.session, headers=running.callers[caller], timeout=TIMEOUT_S
        )
        assert response.status_code < 500 or response.status_code == 503, response.text
        case.validate_response(response, checks=CHECKS.get_by_names(list(CHECKED)))

    ask()


def _who_gets_in(path: str) -> list[str]:
    """Callers that come more often, so that more than the refusal is seen."""
    if path.startswith("/api/admin"):
        return ["admin"] * 5
    return ["helius"] * 5 if "webhook" in path else ["wallet"] * 5


def _name_real_things(case: Any, path: str, values: dict[str, Any]) -> None:
    for name in case.path_parameters or {}:
        before = path.split("/{" + name + "}")[0].rpartition("/")[2]
        case.path_parameters[name] = values.get(f"{before}/{name}") or values.get(name) or case.path_parameters[name]
    for fields in (case.query, case.body):
        if isinstance(fields, dict):
            fields.update({name: values[known] for name, known in NAMED.items() if name in fields})


NAMED = {"market_id": "market", "wallet": "wallet", "user": "wallet", "creator": "wallet", "parent_id": "did"}
