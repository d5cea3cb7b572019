"""One API instance: the node's parts, and what is made of them once for all requests."""

from dataclasses import dataclass

from zmart_lite.api.answers import Answers
from zmart_lite.api.context import ApiParts, Shared
from zmart_lite.api.contract.pages import Cursors
from zmart_lite.api.http.proxies import ClientAddresses
from zmart_lite.api.identity.auth import Authenticator
from zmart_lite.api.identity.limits import Limiter
from zmart_lite.api.live.streams import Streams


@dataclass(frozen=True, slots=True)
class Api:
    """``answers``: those that are kept. A request gets ``parts``, which hold no key, and ``shared``."""

    parts: ApiParts
    shared: Shared
    auth: Authenticator
    limits: Limiter
    cursors: Cursors
    addresses: ClientAddresses
    streams: Streams
    answers: Answers
