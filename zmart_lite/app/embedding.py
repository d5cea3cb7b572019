"""A whole node inside somebody else's server: an application that starts it and stops it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from zmart_lite.api import NodeApplication, make_table
from zmart_lite.app.node import Node
from zmart_lite.config import Config
from zmart_lite.jobs import Keys


def create_app(config: Config, keys: Keys | None = None) -> NodeApplication:
    """A Starlette application whose lifespan is the node's: ``uvicorn module:app`` serves it. While it runs,
    ``app.state.node`` is the node, and ``app.state.api`` what its requests share.

    The start raises StartupError with what to do, as :meth:`Node.start` does; ``server.host`` and ``server.port`` are
    the embedding server's affair. ``keys``: those of the configuration, unless others are given.
    """
    signing = Keys.configured(config) if keys is None else keys

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if not isinstance(app, NodeApplication):
            raise TypeError("this lifespan belongs to the application it was made for")
        node = app.state.node = await Node(config, signing).attach(app)
        try:
            yield
        finally:
            await node.stop()

    return NodeApplication(make_table(embedded_devnet=config.embedded_devnet), lifespan)
