"""A pinning service over real HTTP: Pinata's two APIs with their separate stores, and Kubo's, as documented."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from zmart_lite.drafts import cid_v0, cid_v1_raw

JWT, KEY, SECRET = "a token", "a key", "a secret"


async def form_of(request: Request) -> dict[str, bytes]:
    """The fields of a multipart body."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + await request.body())
    parts = message.get_payload()
    assert isinstance(parts, list)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc,union-attr]
        for part in parts
    }


class Pinning:
    """What the services hold, and how they are to misbehave. ``answers``: given instead of the next ones."""

    def __init__(self) -> None:
        self.v3: dict[str, str] = {}
        self.legacy: set[str] = set()
        self.kubo: set[str] = set()
        self.contents: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.answers: list[Response] = []
        self.broken: Response | None = None
        self.wrong_cid = False
        self.url = ""

    @property
    def pinned(self) -> set[str]:
        return {*self.v3.values(), *self.legacy, *self.kubo}

    def document(self, cid: str) -> Any:
        return json.loads(self.contents[cid])

    def uploads(self) -> int:
        ways = ("/v3/files", "/pinning/pinFileToIPFS", "/api/v0/add")
        return sum(method == "POST" and path in ways for method, path in self.calls)

    # Pinata

    async def v3_upload(self, request: Request) -> Response:
        form = await form_of(request)
        content = form["file"]
        assert form["network"] == b"public"
        cid = self._keep(content, 1)
        known = next((each for each, kept in self.v3.items() if kept == cid), None)
        file_id = known or str(uuid.uuid4())
        self.v3[file_id] = cid
        data = {"id": file_id, "cid": cid, "size": len(content), "is_duplicate": known is not None}
        return JSONResponse({"data": data})

    async def v3_delete(self, request: Request) -> Response:
        known = self.v3.pop(request.path_params["id"], None)
        return JSONResponse({"data": None}) if known else JSONResponse({"error": "not found"}, 404)

    async def legacy_upload(self, request: Request) -> Response:
        form = await form_of(request)
        content, version = form["file"], json.loads(form["pinataOptions"])["cidVersion"]
        cid = self._keep(content, version)
        duplicate = {"isDuplicate": True} if cid in self.legacy else {}
        self.legacy.add(cid)
        return JSONResponse({"IpfsHash": cid, "PinSize": len(content), "Timestamp": "2026-11-21T00:00:00Z"} | duplicate)

    async def legacy_unpin(self, request: Request) -> Response:
        cid = request.path_params["cid"]
        if cid not in self.legacy:
            return JSONResponse({"error": {"details": "The current user has not pinned the cid: " + cid}}, 400)
        self.legacy.discard(cid)
        return PlainTextResponse("OK")

    async def authentication(self, _: Request) -> Response:
        return JSONResponse({"message": "Congratulations! You are communicating with the Pinata API!"})

    # Kubo

    async def kubo_add(self, request: Request) -> Response:
        query = request.query_params
        assert (query["chunker"], query["pin"], query["hash"]) == ("size-262144", "true", "sha2-256")
        version = int(query["cid-version"])
        assert query["raw-leaves"] == ("true" if version else "false")
        content = (await form_of(request))["file"]
        cid = self._keep(content, version)
        self.kubo.add(cid)
        return PlainTextResponse(json.dumps({"Name": "file", "Hash": cid, "Size": str(len(content))}) + "\n")

    async def kubo_rm(self, request: Request) -> Response:
        cid = request.query_params["arg"]
        if cid not in self.kubo:
            return JSONResponse({"Message": "not pinned or pinned indirectly", "Code": 0, "Type": "error"}, 500)
        self.kubo.discard(cid)
        return JSONResponse({"Pins": [cid]})

    async def kubo_version(self, _: Request) -> Response:
        return JSONResponse({"Version": "0.39.0"})

    def _keep(self, content: bytes, version: int) -> str:
        cid = cid_v0(content) if version == 0 else cid_v1_raw(content)
        if self.wrong_cid:
            cid = cid_v1_raw(content + b" written anew")
        self.contents[cid] = content
        return cid

    # HTTP

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.calls.append((request.method, request.url.path))
        answer = self._refusal(request) or (self.answers.pop(0) if self.answers else self.broken)
        if answer is None:
            await self._app(scope, receive, send)
        else:
            await request.body()
            await answer(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if request.url.path.startswith("/api/v0/"):
            return None if request.method == "POST" else PlainTextResponse("POST only", 405)
        by_token = request.headers.get("Authorization") == f"Bearer {JWT}"
        by_key = (request.headers.get("pinata_api_key"), request.headers.get("pinata_secret_api_key")) == (KEY, SECRET)
        if by_token or (by_key and not request.url.path.startswith("/v3/")):
            return None
        return JSONResponse({"error": "Not Authorized"}, 401)

    @property
    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v3/files", self.v3_upload, methods=["POST"]),
                Route("/v3/files/public/{id}", self.v3_delete, methods=["DELETE"]),
                Route("/pinning/pinFileToIPFS", self.legacy_upload, methods=["POST"]),
                Route("/pinning/unpin/{cid}", self.legacy_unpin, methods=["DELETE"]),
                Route("/data/testAuthentication", self.authentication),
                Route("/api/v0/add", self.kubo_add, methods=["POST"]),
                Route("/api/v0/pin/rm", self.kubo_rm, methods=["POST"]),
                Route("/api/v0/version", self.kubo_version, methods=["POST"]),
            ]
        )


class _Server(uvicorn.Server):
    """Tells when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.serving.set()


@asynccontextmanager
async def pinning_service() -> AsyncIterator[Pinning]:
    service = Pinning()
    server = _Server(uvicorn.Config(service, port=0, log_config=None, lifespan="off"))
    task = asyncio.get_running_loop().create_task(server._serve())
    await server.serving.wait()
    service.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.should_exit = True
        await task
