"""Links to markets unfold: title, description and picture for each, whatever people wrote in them."""

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.api.chain_node import ChainNode, chain_node

QUESTION = 'Will "this" & <script>alert(1)</script> stay a text?'


class Head(HTMLParser):
    """What is between <head> and </head>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.title = ""
        self.scripts = 0
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_title = tag == "title"
        self.scripts += tag == "script"
        name = given.get("property") or given.get("name")
        if tag == "meta" and name:
            self.meta[name] = given.get("content") or ""

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as started:
        yield started


async def test_a_link_has_the_markets_title_and_picture(node: ChainNode) -> None:
    market = await node.active(node.net.wallets[0], question=QUESTION)
    await node.buy(market, node.net.wallets[1], True, 10**9)
    plain = Head((await node.get("/")).text)
    answer = await node.get(f"/markets/{market.hex()}")
    head = Head(answer.text)
    assert head.title == f"{QUESTION} · zmart-lite"
    assert head.meta["og:title"] == QUESTION
    assert head.meta["og:description"].startswith("YES 50 %, NO 50 %. 0.99 SOL traded.")
    assert head.scripts == plain.scripts
    assert "<script>alert" not in answer.text
    assert "unsafe" not in answer.headers["content-security-policy"]
    image = head.meta["og:image"]
    assert image.startswith("http://")
    assert head.meta["og:url"].endswith(f"/markets/{market.hex()}")
    picture = await node.http.get(image)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.content.startswith(b"\x89PNG")
    again = await node.http.get(image, headers={"If-None-Match": picture.headers["etag"]})
    assert again.status_code == 304
    await node.buy(market, node.net.wallets[1], True, 20 * 10**9)
    assert (await node.http.get(image)).headers["etag"] != picture.headers["etag"]


async def test_markets_without_trades(node: ChainNode) -> None:
    market = await node.create(node.net.wallets[0])
    head = Head((await node.get(f"/markets/{market.hex()}/")).text)
    assert head.meta["og:description"].startswith("Proposed: wallets vote.")
    assert (await node.get(f"/api/markets/{market.hex()}/picture")).content.startswith(b"\x89PNG")


@pytest.mark.parametrize("path", ["/markets", "/markets/", "/markets/nonsense", f"/markets/{'ab' * 32}"])
async def test_the_page_answers_for_what_is_no_market(node: ChainNode, path: str) -> None:
    answer = await node.get(path)
    assert (answer.status_code, answer.text) == (200, (await node.get("/")).text)


async def test_no_picture_of_nothing(node: ChainNode) -> None:
    assert (await node.get(f"/api/markets/{'ab' * 32}/picture")).status_code == 404
