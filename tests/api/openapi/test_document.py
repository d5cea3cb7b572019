"""The OpenAPI document: valid, complete, and true. Answers are held against it in every other test (documented.py)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis

import zmart_lite
from tests.api.chain_node import TEXT, WEBHOOK_SECRET, ChainNode, chain_node
from tests.api.documented import check_answer, document, operation, table
from tests.api.harness import api_node
from zmart_lite.api import list_endpoints
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.refusals import REFUSALS
from zmart_lite.api.contract.validate import decode, specs_of
from zmart_lite.api.openapi.document import asked_texts, example_of
from zmart_lite.api.openapi.schemas import COMPONENTS, vocabulary
from zmart_lite.api.openapi.texts import PATH_PARAMETERS, TAGS
from zmart_lite.api.openapi.vocabulary import KINDS
from zmart_lite.api.openapi.vocabulary_events import event_field_texts
from zmart_lite.chain import instructions
from zmart_lite.models import VoteType

Json = dict[str, Any]

STREAM = "text/event-stream"
"""What has no end is read by the tests of tests/api/live."""
ENDPOINTS = list_endpoints(embedded_devnet=True)
EACH = [pytest.param(endpoint, id=f"{endpoint.method} {endpoint.path}") for endpoint in ENDPOINTS]
JSON_TYPE = "application/json"
SOURCES = Path(zmart_lite.__file__).parent


class TestDocument:
    def test_is_valid_openapi(self) -> None:
        schemathesis.openapi.from_dict(document()).validate()
        assert document()["openapi"].startswith("3.1")

    def test_has_every_route_once(self) -> None:
        found = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
        assert found == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
        names = [operation(endpoint)["operationId"] for endpoint in ENDPOINTS]
        assert len(set(names)) == len(names)

    def test_references_lead_somewhere(self) -> None:
        for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(document()).decode())):
            place: Any = document()
            for part in reference.split("/"):
                place = place[part]

    def test_nothing_is_left_unexplained(self) -> None:
        for where, schema in properties(document()):
            assert schema.get("description") or "$ref" in schema or "const" in schema, where

    async def test_is_answered_from_memory(self, tmp_path: Path) -> None:
        async with api_node(tmp_path) as node:
            response = await node.http.get("/openapi.json")
            assert response.headers["content-type"].startswith(JSON_TYPE)
            assert response.json()["paths"].keys() == {
                each.path for each in list_endpoints(embedded_devnet=node.parts.config.embedded_devnet)
            }
            again = await node.http.get("/openapi.json", headers={"If-None-Match": response.headers["etag"]})
            assert again.status_code == 304
            page = await node.http.get("/docs")
            assert page.status_code == 200
            assert page.headers["content-type"].startswith("text/html")


def properties(node: Any, where: str = "") -> Iterator[tuple[str, Json]]:
    """Every named field of every schema."""
    if isinstance(node, list):
        for place, each in enumerate(node):
            yield from properties(each, f"{where}/{place}")
    if isinstance(node, dict):
        for name, each in node.items():
            if name == "properties":
                for field, schema in each.items():
                    yield f"{where}/{field}", schema
            if name != "example":
                yield from properties(each, f"{where}/{name}")


class TestRoutes:
    @pytest.mark.parametrize("endpoint", EACH)
    def test_is_described(self, endpoint: Endpoint) -> None:
        found = operation(endpoint)
        assert len(found["summary"]) > 3
        assert not found["summary"].endswith(".")
        assert found["tags"][0] in TAGS
        for parameter in found.get("parameters", []):
            assert parameter["description"], parameter["name"]
            assert parameter["schema"], parameter["name"]
        answer = found["responses"][str(endpoint.status)]
        assert answer["description"]
        content = answer["content"][endpoint.media_type]
        assert content["schema"]
        assert "example" in content or found["tags"] == ["pages"]
        assert "500" in found["responses"]

    @pytest.mark.parametrize("endpoint", EACH)
    def test_refusals_have_examples(self, endpoint: Endpoint) -> None:
        for status, answer in operation(endpoint)["responses"].items():
            content = answer.get("content", {}).get(JSON_TYPE, {})
            if int(status) < 400 or content.get("schema") != {"$ref": "#/components/schemas/Error"}:
                continue
            example = content["example"]
            check_answer(endpoint, int(status), msgspec.json.encode(example))
            assert (str(example["status"]), example["code"]) == (status, example["error"])
            assert REFUSALS[example["reason"]].status == int(status) if "reason" in example else example["message"]

    @pytest.mark.parametrize("endpoint", [each for each in EACH if each.values[0].media_type == JSON_TYPE])
    def test_examples_fit_their_schemas(self, endpoint: Endpoint) -> None:
        for status, example in ((endpoint.status, endpoint.answer), *endpoint.also):
            check_answer(endpoint, status, msgspec.json.encode(example))

    @pytest.mark.parametrize("endpoint", [each for each in EACH if each.values[0].fields is not None])
    def test_the_example_of_a_request_is_accepted(self, endpoint: Endpoint) -> None:
        assert endpoint.fields is not None
        specs = specs_of(endpoint.fields)
        decode(endpoint.fields, {spec.names[0]: shown for spec in specs if (shown := example_of(spec)) is not None})

    @pytest.mark.parametrize("endpoint", [each for each in EACH if each.values[0].param_names])
    def test_the_example_of_a_path_leads_to_the_route(self, endpoint: Endpoint) -> None:
        path = endpoint.path
        for parameter in operation(endpoint)["parameters"]:
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", parameter["example"])
        match = table().match(path)
        assert match is not None
        assert match.methods[endpoint.method] is table_endpoint(endpoint)

    def test_pages_and_limits_are_told(self) -> None:
        markets = operation(next(each for each in ENDPOINTS if each.path == "/api/markets" and each.method == "GET"))
        assert [each["name"] for each in markets["parameters"]][:3] == ["limit", "offset", "cursor"]
        assert {"200", "304", "400", "429", "500", "503"} == markets["responses"].keys()
        assert "bad_cursor" in markets["responses"]["400"]["description"]
        vote = operation(next(each for each in ENDPOINTS if each.path == "/api/markets/{id}/dispute/vote"))
        told = {status: answer["description"] for status, answer in vote["responses"].items()}
        assert "already_voted" in told["409"]
        assert "no_position" in told["403"]
        assert vote["security"] == [{"session": []}, {"signature": []}]


def table_endpoint(endpoint: Endpoint) -> Endpoint:
    """The same route in the table that the answers are checked by."""
    return next(each for each in table().endpoints if (each.method, each.path) == (endpoint.method, endpoint.path))


class TestWords:
    """What the tables explain is what there is."""

    def test_reasons(self) -> None:
        told = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
        used = set(re.findall(r'reason="([a-z_]+)"', told)) | set(re.findall(r'[(] ?"(already_running)"', told))
        assert used - REFUSALS.keys() == set()
        assert {word for word in REFUSALS if f'"{word}"' not in told.replace(f'    "{word}": Refusal', "")} == set()

    def test_every_component_is_used(self) -> None:
        text = msgspec.json.encode(document()).decode()
        for component in COMPONENTS:
            assert f'"#/components/schemas/{component.name}"' in text, component.name

    def test_every_word_is_used(self) -> None:
        text = msgspec.json.encode(document()).decode()
        for entries in vocabulary().values():
            for entry in entries:
                assert entry.text in text, entry
        for name, told in asked_texts().items():
            assert told in text, name
        assert TAGS.keys() == {endpoint.tag for endpoint in ENDPOINTS}

    def test_every_field_of_an_event_is_explained_and_no_other(self) -> None:
        events = document()["components"]["schemas"]["EventData"]["anyOf"]
        named = {name: schema["description"] for event in events for name, schema in event["properties"].items()}
        assert named.keys() == event_field_texts().keys()
        for name, text in event_field_texts().items():
            assert named[name].startswith(text)

    def test_kinds_are_schemas(self) -> None:
        assert all(
            kind.get("type", "any") in ("any", *"string number integer boolean object".split())
            for kind in KINDS.values()
        )

    def test_path_parameters_are_used(self) -> None:
        names = {name for endpoint in ENDPOINTS for name in endpoint.param_names}
        assert {key.rpartition("/")[2] for key in PATH_PARAMETERS} == names


class TestAnswers:
    """All GET routes of a node with markets in many states; the hook of documented.py looks at each answer."""

    async def test_every_read(self, tmp_path: Path) -> None:
        async with chain_node(tmp_path, with_admin_key=True) as node:
            values = await lived(node)
            for endpoint in list_endpoints():
                if endpoint.method == "GET" and endpoint.tag != "pages" and endpoint.media_type != STREAM:
                    for headers in (
                        {},
                        node.bearer(node.net.admin),
                        {"x-service-key": "a-service-key-of-thirty-two-bytes"},
                    ):
                        await read(node, endpoint, values, headers)


async def read(node: ChainNode, endpoint: Endpoint, values: Json, headers: dict[str, str]) -> None:
    path = endpoint.path
    for name in endpoint.param_names:
        before = path.split("/{" + name + "}")[0].rpartition("/")[2]
        path = path.replace("{" + name + "}", values.get(f"{before}/{name}") or values[name])
    params = {name: value for name, value in values["query"].items() if takes(endpoint, name)}
    response = await node.http.get(path, params=params, headers=headers)
    assert response.status_code in (200, 401, 503), f"{path}: {response.text}"
    if headers and endpoint.path not in ("/api/users/me", "/api/auth/me", "/api/trades/history", "/metrics"):
        assert response.status_code in (200, 503), f"{path}: {response.text}"


def takes(endpoint: Endpoint, name: str) -> bool:
    return endpoint.fields is not None and any(spec.names[0] == name for spec in specs_of(endpoint.fields))


async def lived(node: ChainNode) -> Json:
    """A life: proposals with votes, trades, posts, a dispute, a claim, deliveries; names for the paths."""
    creator, trader, other = node.net.wallets[:3]
    market_id = (await node.active(creator)).hex()
    for budget in (10**9, 2 * 10**9):
        await node.buy(bytes.fromhex(market_id), trader, True, budget)
    await node.buy(bytes.fromhex(market_id), other, False, 10**9)
    post = (await node.post(f"/api/discussions/{market_id}", {"content": "I doubt it."}, trader)).json()
    answer = {"content": "Why?", "parent_id": post["discussion"]["id"]}
    await node.post(f"/api/discussions/{market_id}", answer, other)
    await node.resolving(bytes.fromhex(market_id), creator)
    await node.land(instructions.initiate_dispute(node.codec, bytes.fromhex(market_id), bytes(other.pubkey())), other)
    await node.post(f"/api/votes/dispute/{market_id}", {"vote": True}, trader)
    proposed = await node.create(creator, question="Will it snow in Oslo?")
    await node.post(f"/api/votes/proposal/{proposed.hex()}", {"vote": True}, trader)
    await node.land(node.vote_on_chain(proposed, other, True, VoteType.PROPOSAL), other)
    final = await node.active(creator, question="Will it hail in Rome?")
    await node.buy(final, other, False, 50 * 10**9)
    bought = await node.buy(final, trader, True, 10**9)
    await node.finalized(final, creator)
    await node.act(f"/api/markets/{final.hex()}/claim", None, trader)
    await administered(node, proposed.hex())
    return {
        "id": market_id, "market": market_id, "wallet": str(trader.pubkey()), "did": post["discussion"]["id"],
        "signature": bought["signature"], "event_type": "SharesBought", "service": "database", "alerts/id": "1",
        "intents/id": "1", "dead-letters/id": "1", "jobs/name": "poll", "docs/file": "swagger-ui.css",
        "part1": "css", "static/part1": "icon.svg", "part2": "main.js", "part3": "price.js",
        "query": {"market_id": market_id, "side": "buy", "outcome": "yes", "shares": "1000000000", "ohlc": "true",
                  "fidelity": "60", "q": "SharesBought", "from": "1767300000", "to": "1769000000"},
    }  # fmt: skip


async def administered(node: ChainNode, market_id: str) -> None:
    """An intent, an alert, a dead letter, an audit."""
    secret = {"Authorization": WEBHOOK_SECRET}
    delivered = await node.http.post("/webhooks/events", json=[{"nothing": 1}], headers=secret)
    assert delivered.status_code == 200
    reason = {"reason": "for the documentation"}
    for path, body in (
        ("protocol/pause", {"paused": True}),
        (f"markets/{market_id}/override", {"action": "annotate", "note": "Looked at."}),
        (f"markets/{market_id}/override", {"action": "resync"}),
        ("alerts/1/ack", {}),
        ("jobs/poll/pause", {}),
        ("breakers/api/reset", {}),
    ):
        answered = await node.post(f"/api/admin/{path}", body | reason, node.net.admin)
        assert answered.status_code in (200, 202), answered.text


def test_what_is_not_documented_is_found() -> None:
    """An undocumented field is found: the check itself works."""
    create = next(each for each in ENDPOINTS if each.path == "/api/markets" and each.method == "POST")
    with pytest.raises(AssertionError, match="extra"):
        check_answer(create, 201, msgspec.json.encode(dict(create.answer) | {"extra": TEXT}))  # type: ignore[call-overload]
    with pytest.raises(AssertionError, match="not documented"):
        check_answer(create, 418, b"{}")
