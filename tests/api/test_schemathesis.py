"""Requests made from the OpenAPI document, good and bad ones, over HTTP against a node with a real devnet behind it.

Nothing may answer 5xx: the node is well, its devnet answers, and both stay so whatever is asked. Nothing may answer
what the document does not say. What the document shows as an example of a request succeeds on every route.
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

from tests.api.chain_node import ChainNode, chain_node
from tests.api.documented import check_answer, document
from tests.api.openapi.test_document import takes
from tests.api.stages import Stages, headers_by_caller, staged
from zmart_lite.api import list_endpoints
from zmart_lite.api.contract.endpoints import Endpoint, Level
from zmart_lite.api.http.wire import server_options

EXAMPLES = 6
"""Requests of each kind for each route: with about 110 routes, half a minute."""
TIMEOUT_S = 20
GOOD, BAD = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
CHECKED = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
ENDLESS = "text/event-stream"
ENDPOINTS = list_endpoints(embedded_devnet=True)


def _cases() -> Iterator[Any]:
    for endpoint in ENDPOINTS:
        yield pytest.param(endpoint, GOOD, id=f"{_route(endpoint)} good")
        if endpoint.fields is not None:
            yield pytest.param(endpoint, BAD, id=f"{_route(endpoint)} bad")


def _route(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


load_all_checks()


class Running(NamedTuple):
    """The node, what its things are called, and who may come: headers by name."""

    url: str
    stages: Stages
    callers: dict[str, dict[str, str]]
    session: requests.Session

    def ask(self, endpoint: Endpoint, caller: dict[str, str], **request: Any) -> requests.Response:
        """A request with real names in its path."""
        path = endpoint.path
        for name, value in self.stages.names(path, _route(endpoint)).items():
            path = path.replace("{" + name + "}", value)
        return self.session.request(
            endpoint.method, self.url + path, headers=caller, timeout=TIMEOUT_S, stream=True, **request
        )


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
            stages = await staged(node)
            options = server_options(node.parts.config)
            server = uvicorn.Server(
                uvicorn.Config(node.app, host="127.0.0.1", port=0, log_level="error", lifespan="off", **options)
            )
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(server._serve())
                while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(0)
                url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
                ready.append(Running(url, stages, _callers(node, stages), requests.Session()))
                started.set()
                await asyncio.to_thread(stop.wait)
                server.should_exit = True
    finally:
        started.set()


def _callers(node: ChainNode, stages: Stages) -> dict[str, dict[str, str]]:
    return headers_by_caller(node) | {route: node.bearer(wallet) for route, wallet in stages.wallet.items()}


@pytest.fixture(scope="module")
def schema() -> Any:
    return schemathesis.openapi.from_dict(document())


BY_QUERY = frozenset({"/api/actions/markets/{id}/buy", "/api/actions/markets/{id}/vote"})
"""Posts whose words stand in the query, as Solana Actions have it; tests/clients/test_blinks.py makes them by the
public SDK."""


@pytest.mark.parametrize(
    "endpoint", [pytest.param(each, id=_route(each)) for each in ENDPOINTS if each.path not in BY_QUERY]
)
def test_the_documented_request_succeeds(running: Running, endpoint: Endpoint) -> None:
    route = _route(endpoint)
    request: dict[str, Any] = {}
    if endpoint.method == "GET":
        known = {**running.stages.values["query"], **_market(running, route)}
        request["params"] = {name: value for name, value in known.items() if takes(endpoint, name)}
    elif (body := document()["paths"][endpoint.path][endpoint.method.lower()].get("requestBody")) is not None:
        request["json"] = body["content"]["application/json"]["example"]
        if isinstance(request["json"], dict):
            named = {name: value for name, value in _market(running, route).items() if name in request["json"]}
            request["json"] = {**request["json"], **named, **running.stages.fields.get(route, {})}
    with running.ask(endpoint, running.callers[_who_may(running, endpoint)], **request) as answer:
        content = b"null" if _is_endless(answer) else answer.content
        assert answer.status_code in {endpoint.status, *(status for status, _ in endpoint.also)} - {503}, content
        if endpoint.media_type == "application/json":
            check_answer(endpoint, answer.status_code, content)


def _market(running: Running, route: str) -> dict[str, str]:
    return {"market_id": running.stages.market.get(route, running.stages.values["market"])}


def _who_may(running: Running, endpoint: Endpoint) -> str:
    if (route := _route(endpoint)) in running.callers:
        return route
    if endpoint.raw_body:
        return "helius"
    return "admin" if endpoint.path.startswith("/api/admin") else "nobody" if endpoint.level is Level.NONE else "wallet"


@pytest.mark.parametrize(("endpoint", "mode"), list(_cases()))
def test_every_answer_is_documented(running: Running, schema: Any, endpoint: Endpoint, mode: Any) -> None:
    operation = schema[endpoint.path][endpoint.method]
    may = _who_may(running, endpoint)

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
        caller = draw.draw(st.sampled_from(["nobody", "wallet", "admin", "service", "helius", *[may] * 5]), "caller")
        if draw.draw(st.booleans(), label="names what there is"):
            _name_real_things(case, endpoint, running.stages)
        sent = {"base_url": running.url, "headers": running.callers[caller]}
        if endpoint.media_type == ENDLESS:
            _listen(endpoint, running.session, case.as_transport_kwargs(**sent))
            return
        response = case.call(session=running.session, timeout=TIMEOUT_S, **sent)
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=CHECKS.get_by_names(list(CHECKED)))

    ask()


def _listen(endpoint: Endpoint, session: requests.Session, request: dict[str, Any]) -> None:
    """A stream has no end: how it begins is looked at."""
    with session.request(**request, timeout=TIMEOUT_S, stream=True) as answer:
        if _is_endless(answer):
            assert answer.status_code == 200
        else:
            assert 400 <= answer.status_code < 500, answer.text
            check_answer(endpoint, answer.status_code, answer.content)


def _is_endless(answer: requests.Response) -> bool:
    return answer.headers["content-type"].partition(";")[0] == ENDLESS


def _name_real_things(case: Any, endpoint: Endpoint, stages: Stages) -> None:
    route = _route(endpoint)
    case.path_parameters = {**(case.path_parameters or {}), **stages.names(endpoint.path, route)}
    values = stages.values | {"market": stages.market.get(route, stages.values["market"])}
    for fields in (case.query, case.body):
        if isinstance(fields, dict):
            fields.update({name: values[known] for name, known in NAMED.items() if name in fields})


NAMED = {"market_id": "market", "wallet": "wallet", "user": "wallet", "creator": "wallet", "parent_id": "did"}
