"""The API as a Starlette application: others can mount their own applications in it, add routes and middleware.

The node's own routes are found in one walk of their table and answered by :class:`middleware.Application`, past
Starlette's list of routes, whose cost grows with every route before the one that matches, and past its middleware where
nobody added any. All else is Starlette's: routes and mounts that are added, exception handlers, lifespan and
``TestClient``.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from zmart_lite.api.contract.routing import RouteTable
from zmart_lite.api.instance import Api
from zmart_lite.api.live.websocket import find_destination, serve_websocket
from zmart_lite.api.middleware import Application
from zmart_lite.errors import Unavailable


class NodeRouter(Router):
    """The node's own routes first, then what was added. ``application`` answers the node's own; without it they are
    503.
    """

    def __init__(self, table: RouteTable, lifespan: Lifespan[Any] | None) -> None:
        super().__init__(redirect_slashes=False, lifespan=lifespan)
        self.table = table
        self.application: Application | None = None
        self.added: ASGIApp = super().app
        """Answers what only the routes know that were added."""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (self.routes and self._is_for_added(scope)):
            await self.added(scope, receive, send)
        elif self.application is None:
            await _not_started(scope, receive, send)
        elif scope["type"] == "http":
            await self.application(scope, receive, send)
        else:
            await serve_websocket(self.application.api.streams, scope, receive, send)

    def _is_for_added(self, scope: Scope) -> bool:
        path: str = scope["path"]
        own = self.table.match(path) if scope["type"] == "http" else find_destination(path)
        return own is None and any(route.matches(scope)[0] is not Match.NONE for route in self.routes)


class NodeApplication(Starlette):
    """``table``: the node's own routes. ``lifespan`` may start the node and :meth:`attach` it."""

    router: NodeRouter

    def __init__(self, table: RouteTable, lifespan: Lifespan[Any] | None = None) -> None:
        super().__init__()
        self.router = NodeRouter(table, lifespan)

    def attach(self, api: Api) -> None:
        """Answer requests from these parts from now on. They are ``app.state.api``, too."""
        self.state.api = api
        self.router.application = Application(api, self.router.table)

    def build_middleware_stack(self) -> ASGIApp:
        if self.user_middleware or self.exception_handlers or self.max_body_size is not None:
            return super().build_middleware_stack()
        self.router.added = ServerErrorMiddleware(ExceptionMiddleware(self.router.added))
        return self.router


async def _not_started(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013, "reason": "The node is starting."})
        return
    code = Unavailable.code
    body = {"error": code, "code": code, "message": "The node is starting.", "status": Unavailable.status}
    await JSONResponse(body, Unavailable.status, {"Retry-After": "1", "Cache-Control": "no-store"})(
        scope, receive, send
    )
