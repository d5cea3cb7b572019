"""Finished answers of public reads, kept until one of the tables they were made of changes.

The same few pages are asked for again and again, and most of the time nothing in them has changed. A kept answer costs
neither a question to the database nor its encoding. Nothing here can be stale: see
:mod:`zmart_lite.store.engine.changes`.
"""

from collections import OrderedDict

from zmart_lite.api.contract.endpoints import Caching, Reply
from zmart_lite.api.contract.request import Place, Request
from zmart_lite.store.engine.changes import Version
from zmart_lite.store.engine.db import Store

BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES = 1_024
"""What a kept answer costs besides its body: many small ones, asked for with ever new parameters, cost mostly this."""
QUERY_BYTES_MAX = 512
"""Longer queries are hardly asked for again."""


class Answers:
    """``is_shared``: other nodes change the same database, of which this one learns too late; nothing is kept then."""

    def __init__(self, store: Store, *, is_shared: bool, bytes_max: int = BYTES_MAX) -> None:
        self._store = store
        self._is_shared = is_shared
        self._bytes_max = bytes_max
        self._size = 0
        self._kept: OrderedDict[tuple[str, bytes], tuple[Version, Reply]] = OrderedDict()

    def place(self, request: Request) -> Place | None:
        """Where this request's answer may be kept; None where it must not be."""
        endpoint = request.endpoint
        if endpoint is None or not endpoint.made_of or self._is_shared:
            return None
        query: bytes = request.scope["query_string"]
        if len(query) > QUERY_BYTES_MAX:
            return None
        return Place(request.path, query, self._store.changes.version(endpoint.made_of))

    def find(self, place: Place) -> Reply | None:
        """The answer that was kept there, if its tables are still the same."""
        key = (place.path, place.query)
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] != place.version:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def keep(self, place: Place, reply: Reply) -> None:
        """``reply``: with its body as bytes and its ETag. One that is not for everybody is not kept."""
        if reply.status != 200 or reply.caching is Caching.NO_STORE or not isinstance(reply.body, bytes):
            return
        key = (place.path, place.query)
        self._forget(key)
        self._kept[key] = (place.version, reply)
        self._size += _size(reply)
        while self._size > self._bytes_max:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[str, bytes]) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size -= _size(found[1])

    def __len__(self) -> int:
        return len(self._kept)


def _size(reply: Reply) -> int:
    return len(reply.body) + ENTRY_BYTES  # type: ignore[arg-type]  # only bytes are kept
