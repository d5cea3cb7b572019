"""A whole node: its parts, what serves them, and the order of start and stop.

Parts are started in :meth:`Node.start` from top to bottom and stopped in reverse by one exit stack. Nothing is built
at import.
"""

import asyncio
import logging
import socket
import time
from contextlib import AsyncExitStack
from typing import Self

from zmart_lite import __version__
from zmart_lite.api import ApiParts, NodeApplication, create_app, make_api
from zmart_lite.api.http.crowd import Crowd
from zmart_lite.api.identity.auth import jwt_secret, make_operator_key
from zmart_lite.app.gauges import Gauges
from zmart_lite.app.hooks import IndexerAdapter, IntentAdapter, JobAdapter
from zmart_lite.app.parts import Parts
from zmart_lite.app.server import allow_connections, bind, make_server, serve
from zmart_lite.app.watch import Watch
from zmart_lite.chain.pubsub import LogsSubscription
from zmart_lite.config import Config, hidden_texts
from zmart_lite.jobs import Keys, Summary
from zmart_lite.jobs.notify import Notifier, NotifyOptions
from zmart_lite.jobs.runner import Params
from zmart_lite.jobs.webhook import WEBHOOK_PATH
from zmart_lite.ops.log_tail import LogTail
from zmart_lite.ops.targets import targets_of
from zmart_lite.store.engine.db import wall_clock_ms

logger = logging.getLogger(__name__)

LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how to reach a node that listens everywhere


class Node:
    """A whole node. ``port`` is the one it listens on, once started."""

    def __init__(self, config: Config, keys: Keys) -> None:
        self.config = config
        self.parts = Parts(config, keys)
        self.targets = targets_of([url.reveal() for url in config.alerts.urls])
        self.gauges = Gauges(self.parts)
        self.operator_key = make_operator_key()
        self.stopping = asyncio.Event()
        self.log_tail = LogTail(hidden_texts(config))
        self.port = 0
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the node is reached on this machine."""
        host = LOOPBACK_OF_ANY.get(self.config.server.host, self.config.server.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def start(self) -> Self:
        """Start everything. Raises StartupError with what to do; whatever was started is then stopped again."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self.log_tail.attached())
            sockets = self._bind(stack)
            await self.parts.build(stack)
            self.parts.devnet_delivers_to = self.url + WEBHOOK_PATH
            await self._serve(stack, sockets)
            await self._start_work(stack)
            self._stack = stack.pop_all()
        logger.info("node started", extra={"port": self.port, "cluster": self.config.chain.cluster})
        return self

    async def attach(self, app: NodeApplication) -> Self:
        """Start everything but a server of its own: ``app`` answers the requests, in the server of whoever embeds it.

        Raises StartupError as :meth:`start`.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(self.log_tail.attached())
            await self.parts.build(stack)
            app.attach(make_api(self._api_parts()))
            self._start_streams(stack, app)
            await self._start_work(stack)
            self._stack = stack.pop_all()
        return self

    async def run_job(self, name: str, params: Params) -> Summary:
        """Run one job to its end without serving, then stop; in the place of :meth:`start`.

        Raises DatabaseInUse while a node runs, StartupError, and what the job raises.
        """
        async with AsyncExitStack() as stack:
            parts = self.parts
            await parts.build(stack)
            stack.push_async_callback(parts.jobs.runner.stop)
            parts.background.start(parts.indexer.run(), "indexer")
            await parts.jobs.runner.take_over()
            return await parts.jobs.runner.run_to_end(name, params)

    async def stop(self) -> None:
        """End streams, requests, jobs and indexing, in this order, and close the database."""
        self.stopping.set()
        await self._stack.aclose()

    def _bind(self, stack: AsyncExitStack) -> list[socket.socket]:
        server = self.config.server
        allow_connections(server.connections_max + self.config.push.connections_max)
        sockets = [bind(server.host, server.port, "server.port")]
        stack.callback(sockets[0].close)
        self.port = sockets[0].getsockname()[1]
        if server.ws_port:
            sockets.append(bind(server.host, server.ws_port, "server.ws_port"))
            stack.callback(sockets[1].close)
        return sockets

    def _api_parts(self) -> ApiParts:
        parts = self.parts
        return ApiParts(
            config=parts.config,
            store=parts.store,
            codec=parts.codec,
            rpc=parts.rpc,
            clock=parts.clock,
            metrics=parts.metrics,
            health=parts.health,
            breakers=parts.breakers,
            hub=parts.hub,
            feed=parts.feed_context,
            indexer=IndexerAdapter(parts.indexer),
            jobs=JobAdapter(parts.jobs.runner),
            intents=IntentAdapter(parts.store, parts.jobs.actions, parts.background),
            background=parts.background,
            jwt_secret=jwt_secret(parts.config),
            started_ms=wall_clock_ms(),
            version=__version__,
            now_ms=wall_clock_ms,
            stopping=self.stopping,
            log_tail=self.log_tail,
            refresh_metrics=self.gauges.refresh,
            operator_key=self.operator_key,
        )

    async def _serve(self, stack: AsyncExitStack, sockets: list[socket.socket]) -> None:
        app = create_app(self._api_parts())
        crowd = Crowd(self.config.server, self.parts.metrics.rate_limited_total.labels("connections").inc)
        server = make_server(app, self.config, crowd)
        task = await serve(server, sockets)

        async def stop() -> None:
            server.should_exit = True
            await task

        stack.push_async_callback(stop)
        self._start_streams(stack, app)

    def _start_streams(self, stack: AsyncExitStack, app: NodeApplication) -> None:
        self.parts.background.start(app.state.api.streams.run(), "streams")

        def end() -> None:
            self.stopping.set()
            self.parts.hub.close()

        stack.callback(end)

    async def _start_work(self, stack: AsyncExitStack) -> None:
        parts, config = self.parts, self.config
        parts.background.start(Watch(parts).run(), "watch")
        parts.background.start(self.gauges.run(), "gauges")
        options = NotifyOptions(
            config.alerts.notify_from,
            config.alerts.remind_after_s,
            f"zmart-lite on {config.chain.cluster}",
            config.server.public_url.rstrip("/") or self.url,
        )
        parts.background.start(Notifier(parts.store, self.targets, options, time.time).run(), "notifier")
        parts.background.start(parts.indexer.run(), "indexer")
        if address := config.chain.ws_url.reveal():
            hints = LogsSubscription(address, parts.codec.program_id, parts.indexer.hint)
            parts.background.start(hints.run(), "logs-subscription")
        await parts.jobs.runner.start()
        stack.push_async_callback(parts.jobs.runner.stop)
        parts.background.start(parts.jobs.webhook.look(), "webhook-registration")
