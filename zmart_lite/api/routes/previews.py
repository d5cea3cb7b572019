"""Links to markets that unfold: the page with a market's own title and picture, for those who do not run scripts."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import NamedTuple

from zmart_lite.api.contract.endpoints import Endpoint, Stream
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.request import Request
from zmart_lite.api.http.files import FileAnswer, Shipped, load
from zmart_lite.api.http.headers import etag_of
from zmart_lite.api.routes import picture
from zmart_lite.api.routes.pages_static import PAGE_POLICY, page
from zmart_lite.errors import NotFound
from zmart_lite.models import MarketState
from zmart_lite.resources import find
from zmart_lite.shown import exact_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.views import history, lookups, rows
from zmart_lite.store.views.history import Point
from zmart_lite.store.views.rows import Json

DESCRIPTION_CHARS_MAX = 200
PICTURES_KEPT = 256
"""About 10 MB."""
LAMPORTS_PER_CENT = 10**7
UNTRADED = frozenset({"PROPOSED", "APPROVED", "CANCELLED"})
TITLE = "<title>zmart-lite</title>"


class Seen(NamedTuple):
    """A market as it is previewed, and the points of its course."""

    market: Json
    points: tuple[Point, ...]


async def market_page(request: Request, _: object) -> Stream:
    """The built-in page with the market's title; the page then shows it. One that is not known has no title of its own,
    and the page says so.
    """
    try:
        ref = path_market(request)
        market = await request.read(
            lambda tx: rows.market_row(lookups.get_whole_market(tx, ref), rows.read_context(tx, request.shared.rows))
        )
    except NotFound:
        return await page(request, None)
    html = load(find("static/index.html")).body.decode()
    body = html.replace(TITLE, _head(market, base_url(request)), 1).encode()
    return Stream(FileAnswer(Shipped(body, etag_of(body), "text/html; charset=utf-8"), PAGE_POLICY))


def base_url(request: Request) -> str:
    """Where the caller reaches this node: as configured, or as he has called it."""
    public_url = request.parts.config.server.public_url.rstrip("/")
    return public_url or f"http://{request.header(b'host')}"


def _head(market: Json, base: str) -> str:
    """Title and OpenGraph tags. All texts are people's own and are escaped."""
    title, about = market["title"], describe(market)
    link, image = f"{base}/markets/{market['market_id']}", f"{base}/api/markets/{market['market_id']}/picture"
    tags: Mapping[str, str] = {
        "og:type": "website",
        "og:site_name": "ZMART",
        "og:title": title,
        "og:description": about,
        "og:url": link,
        "og:image": image,
        "og:image:type": "image/png",
        "og:image:width": str(picture.WIDTH),
        "og:image:height": str(picture.HEIGHT),
        "og:image:alt": f"The price of YES: {title}",
        "twitter:card": "summary_large_image",
    }
    lines = [f"<title>{escape(title)} · zmart-lite</title>", f'<link rel="canonical" href="{escape(link)}">']
    lines += [
        f'<meta {"name" if name.startswith("twitter") else "property"}="{name}" content="{escape(text)}">'
        for name, text in tags.items()
    ]
    return "\n    ".join(lines)


def describe(market: Json) -> str:
    """One line of how a market stands, then what it is about."""
    state = market["state"]
    if state == "FINALIZED":
        said = f"Final outcome: {market['final_outcome_name']}."
    elif state in UNTRADED:
        said = {"PROPOSED": "Proposed: wallets vote.", "APPROVED": "Approved.", "CANCELLED": "Cancelled."}[state]
    else:
        yes = round(100 * market["priceYes"])
        said = f"YES {yes} %, NO {100 - yes} %. {_traded(market)}."
    return f"{said} {market['description']}".strip()[:DESCRIPTION_CHARS_MAX]


def _traded(market: Json) -> str:
    cents = int(market["total_volume"]) // LAMPORTS_PER_CENT * LAMPORTS_PER_CENT
    return f"{exact_text(cents)} SOL traded"


async def market_picture(request: Request, _: object) -> Stream:
    """PNG of 1200 × 630; drawn anew only when what it shows has changed."""
    ref, now_s = path_market(request), request.parts.feed().chain_now()

    def read(tx: Tx) -> Seen:
        row: Row = lookups.get_whole_market(tx, ref)
        market = rows.market_row(row, rows.read_context(tx, request.shared.rows))
        points = history.list_points(tx, row, 0, now_s + 1, picture.POINTS_MAX)
        return Seen(market, tuple(points))

    seen = await request.read(read)
    drawn = await asyncio.to_thread(_picture, _shown(seen.market), seen.points)
    return Stream(FileAnswer(drawn, PAGE_POLICY))


def _shown(market: Json) -> picture.Shown:
    price = None if market["state"] in UNTRADED else round(market["priceYes"] * 10**9)
    state = MarketState[market["state"]].name.capitalize()
    return picture.Shown(market["title"], state, price, market["final_outcome_name"], _traded(market))


@lru_cache(maxsize=PICTURES_KEPT)
def _picture(shown: picture.Shown, points: tuple[Point, ...]) -> Shipped:
    try:
        body = picture.png_of(picture.svg_of(shown, points))
    except picture.NotDrawable:
        # Without its chart the picture still says what the market is about.
        body = picture.png_of(picture.svg_of(shown, ()))
    return Shipped(body, etag_of(body), "image/png")


ENDPOINTS = (
    Endpoint("GET", "/markets", page, "The built-in page", tag="pages", limited=False, media_type="text/html"),
    Endpoint(
        "GET",
        "/markets/{id}",
        market_page,
        "The built-in page with a market's title and picture",
        tag="pages",
        limited=False,
        media_type="text/html",
    ),
    Endpoint(
        "GET",
        "/api/markets/{id}/picture",
        market_picture,
        "A picture of a market: its price over time",
        tag="pages",
        media_type="*/*",
    ),
)
