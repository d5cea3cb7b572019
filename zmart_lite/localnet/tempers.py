"""How a devnet answers as a troubled provider does: ``localnet_temper``, and ``localnet_failNext`` for a few calls.

A temper concerns some methods or all, some calls or all from now on, a share of them, and one provider or all: the
devnet answers at ``/provider/NAME`` as well, with the tempers of that name, so that a node can be given two addresses
of one chain that differ in character. The ``localnet_`` methods themselves always answer truly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from zmart_lite.localnet.distortions import DISTORTIONS, Asked, distorted
from zmart_lite.localnet.ledger import BLOCKS_BEHIND_MAX, Ledger
from zmart_lite.localnet.params import NODE_UNHEALTHY, Config, Params, invalid

PREFIX = "localnet_"
TEMPERS_MAX = 64
CALLS_MAX = 100_000
HANG_S = 600
SLOW_MS_MAX = 60_000
SHARE_ALL_BPS = 10_000
NAME_CHARS_MAX = 64
STALE = "stale"
WRITING = frozenset({"sendTransaction", "requestAirdrop"})
"""What a lagging node passes on as well as any other."""

_encode = msgspec.json.Encoder().encode

Answer = Callable[[], bytes]


@dataclass(slots=True)
class Temper:
    """One kind of trouble. ``calls`` are left, None: no end; no ``methods``: any; no ``provider``: all addresses.

    ``met`` counts the requests that met it.
    """

    kind: str
    calls: int | None = 1
    methods: frozenset[str] = frozenset()
    share_bps: int = SHARE_ALL_BPS
    value: int = 0
    provider: str = ""
    met: int = 0
    _share_due_bps: int = field(default=0, repr=False)

    def concerns(self, methods: frozenset[str], provider: str) -> bool:
        return (not self.methods or bool(self.methods & methods)) and self.provider in ("", provider)

    def comes(self) -> bool:
        """Whether this request meets it: of 10,000 those that its share says, evenly spread."""
        self._share_due_bps += self.share_bps
        if self._share_due_bps < SHARE_ALL_BPS:
            return False
        self._share_due_bps -= SHARE_ALL_BPS
        self.met += 1
        if self.calls is not None:
            self.calls -= 1
        return True


class Kind(NamedTuple):
    """A trouble of the transport: how a request is answered, in words for people, and its number if none is given."""

    respond: Callable[[Request, Answer, int], Awaitable[Response]]
    text: str
    value: int = 0


async def _too_many(_request: Request, _answer: Answer, value: int) -> Response:
    body = b'{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests for a specific RPC call"},"id":null}'
    return Response(body, 429, {"Retry-After": str(value)}, "application/json")


async def _server_error(_request: Request, _answer: Answer, _value: int) -> Response:
    return PlainTextResponse("Internal Server Error", 500)


async def _unavailable(_request: Request, _answer: Answer, _value: int) -> Response:
    return PlainTextResponse("Service Unavailable", 503)


async def _unauthorized(_request: Request, _answer: Answer, _value: int) -> Response:
    return Response(b'{"error":"invalid api key"}', 401, media_type="application/json")


async def _malformed(_request: Request, _answer: Answer, _value: int) -> Response:
    return Response(b'{"jsonrpc":"2.0","result":', 200, media_type="application/json")


async def _page(_request: Request, _answer: Answer, _value: int) -> Response:
    return Response(b"<!doctype html><title>We will be back soon</title>", 200, media_type="text/html")


async def _behind(_request: Request, _answer: Answer, value: int) -> Response:
    error = {
        "code": NODE_UNHEALTHY,
        "message": f"Node is behind by {value} slots",
        "data": {"numSlotsBehind": value},
    }
    return Response(_encode({"jsonrpc": "2.0", "error": error, "id": 1}), 200, media_type="application/json")


async def _timeout(request: Request, _answer: Answer, _value: int) -> Response:
    """Answer nothing until the caller gives up."""
    await _until_gone(request)
    return Response(status_code=504)


async def _lost_answer(request: Request, answer: Answer, _value: int) -> Response:
    """Do what was asked and lose the answer: the case in which a transaction lands and its sender cannot know."""
    answer()
    await _until_gone(request)
    return Response(status_code=504)


async def _until_gone(request: Request) -> None:
    try:
        async with asyncio.timeout(HANG_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def _slow(_request: Request, answer: Answer, value: int) -> Response:
    await asyncio.sleep(min(value, SLOW_MS_MAX) / 1_000)
    return _plain(answer())


async def _cut(_request: Request, answer: Answer, _value: int) -> Response:
    return _CutResponse(answer())


class _CutResponse(Response):
    """Promises the whole body and ends after half of it; the server then closes the connection."""

    media_type = "application/json; charset=utf-8"

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


def _plain(body: bytes) -> Response:
    return Response(body, media_type="application/json; charset=utf-8")


TROUBLES: Mapping[str, Kind] = {
    "401": Kind(_unauthorized, "HTTP 401: the provider does not take the key"),
    "429": Kind(_too_many, "HTTP 429 with `Retry-After: value`", 1),
    "500": Kind(_server_error, "HTTP 500"),
    "503": Kind(_unavailable, "HTTP 503"),
    "behind": Kind(_behind, "-32005: the node is `value` slots behind", 42),
    "cut": Kind(_cut, "the connection ends in the middle of the body"),
    "lost_answer": Kind(_lost_answer, "what was asked is done, and no answer comes"),
    "malformed": Kind(_malformed, "a body that is no JSON"),
    "page": Kind(_page, "HTTP 200 with a page of HTML, as load balancers send it"),
    "slow": Kind(_slow, "the true answer, `value` milliseconds late", 1_000),
    "timeout": Kind(_timeout, "no answer until the caller gives up"),
}
STALE_TEXT = "the answers of a node that is `value` blocks behind, at most 64, and does not know it"
STALE_BLOCKS = 20
TEXTS: Mapping[str, str] = dict(
    sorted(
        [
            (STALE, STALE_TEXT),
            *((name, kind.text) for name, kind in TROUBLES.items()),
            *((name, kind.text) for name, kind in DISTORTIONS.items()),
        ]
    )
)
"""What each kind does."""


def default_value(kind: str) -> int:
    if kind == STALE:
        return STALE_BLOCKS
    return TROUBLES[kind].value if kind in TROUBLES else DISTORTIONS[kind].value


class Tempers:
    """Those in force, oldest first. All that concern a request count for it, but only the first of the transport's."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.all: list[Temper] = []

    def __bool__(self) -> bool:
        return bool(self.all)

    def add(self, temper: Temper) -> Temper:
        """Raises :class:`RpcError` where too many are in force."""
        if len(self.all) >= TEMPERS_MAX:
            raise invalid(f"at most {TEMPERS_MAX} tempers and failures can wait")
        temper.value = temper.value or default_value(temper.kind)
        self.all.append(temper)
        return temper

    def end(self) -> None:
        self.all.clear()

    def take(self, methods: frozenset[str], provider: str) -> list[Temper]:
        """Those that a request with these methods meets, counted down."""
        if not methods or any(name.startswith(PREFIX) for name in methods):
            return []
        met: list[Temper] = []
        troubled = False
        for temper in list(self.all):
            if not temper.concerns(methods, provider) or (troubled and temper.kind in TROUBLES):
                continue
            if temper.comes():
                met.append(temper)
                troubled |= temper.kind in TROUBLES
                if temper.calls == 0:
                    self.all.remove(temper)
        return met

    async def respond(self, request: Request, body: bytes, met: Iterable[Temper], answer: Answer) -> Response:
        """Answer a request that met these."""
        met = list(met)
        changes = [temper for temper in met if temper.kind in DISTORTIONS]
        behind = max((temper.value for temper in met if temper.kind == STALE), default=0)

        def changed() -> bytes:
            with self._ledger.looking_back(min(behind, BLOCKS_BEHIND_MAX) if _only_reads(body) else 0):
                true = answer()
            return _changed(body, true, changes) if changes else true

        for temper in met:
            if temper.kind in TROUBLES:
                return await TROUBLES[temper.kind].respond(request, changed, temper.value)
        return _plain(changed())


def _only_reads(body: bytes) -> bool:
    return not any(name.encode() in body for name in WRITING)


def _changed(body: bytes, true: bytes, changes: list[Temper]) -> bytes:
    if not true:
        return true
    asked, found = msgspec.json.decode(body), msgspec.json.decode(true)
    everything = asked if isinstance(asked, list) else [asked]
    calls = {_encode(call["id"]): call for call in everything if isinstance(call, dict) and "id" in call}
    answers = []
    for one in found if isinstance(found, list) else [found]:
        call = calls.get(_encode(one.get("id")), {})
        params = call.get("params")
        for temper in changes:
            if temper.methods and call.get("method") not in temper.methods:
                continue
            told = Asked(
                str(call.get("method")), params if isinstance(params, list) else [], temper.value, temper.met - 1
            )
            one = distorted(temper.kind, told, one)
        answers.append(one)
    return _encode(answers if isinstance(found, list) else answers[0])


# The developers' methods


def fail_next(tempers: Tempers, params: Params) -> Any:
    """``{calls?, kind, methods?}``: so many HTTP requests fail that way. ``{kind: null}`` forgets all that wait."""
    config = params.config(0)
    if config.get("kind") is None:
        tempers.end()
        return 0
    tempers.add(_read(config, calls_default=1))
    return len(tempers.all)


def temper(tempers: Tempers, params: Params) -> Any:
    """``{kind, methods?, shareBps?, calls?, value?, provider?}`` adds one, ``{}`` ends all; answers those in force."""
    if params.get(0) is not None:
        config = params.config(0)
        if config.fields:
            tempers.add(_read(config, calls_default=None))
        else:
            tempers.end()
    return [_told(each) for each in tempers.all]


def _read(config: Config, calls_default: int | None) -> Temper:
    """Raises :class:`RpcError` for a value that cannot be."""
    if unknown := set(config.fields) - {"kind", "methods", "shareBps", "calls", "value", "provider"}:
        raise invalid(f"Invalid params: unknown field `{min(unknown)}`")
    kind = config.choice("kind", list(TEXTS), "")
    if not kind:
        raise invalid("Invalid params: missing field `kind`")
    calls, share, value = config.u64("calls"), config.u64("shareBps"), config.u64("value")
    methods, provider = config.get("methods") or [], config.get("provider") or ""
    if not isinstance(methods, list) or not all(isinstance(each, str) for each in methods):
        raise invalid("Invalid params: `methods` is a list of method names")
    if not isinstance(provider, str) or len(provider) > NAME_CHARS_MAX:
        raise invalid(f"Invalid params: `provider` is a name of at most {NAME_CHARS_MAX} characters")
    if share is not None and not 1 <= share <= SHARE_ALL_BPS:
        raise invalid(f"Invalid params: `shareBps` lies between 1 and {SHARE_ALL_BPS}")
    return Temper(
        kind,
        calls_default if calls is None else min(max(calls, 1), CALLS_MAX),
        frozenset(methods),
        SHARE_ALL_BPS if share is None else share,
        value or 0,
        provider,
    )


def _told(temper: Temper) -> dict[str, Any]:
    return {
        "calls": temper.calls,
        "kind": temper.kind,
        "met": temper.met,
        "methods": sorted(temper.methods),
        "provider": temper.provider or None,
        "shareBps": temper.share_bps,
        "value": temper.value,
    }
