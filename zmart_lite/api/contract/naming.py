"""The market a request means: in its path, or under one of the names older clients use in a body."""

from zmart_lite.api.contract.parsers import find_market_ref
from zmart_lite.api.contract.request import Request
from zmart_lite.errors import NotFound
from zmart_lite.store.views.rows import MarketRef


def path_market(request: Request) -> MarketRef:
    """The market of the path's ``{market}`` or ``{id}``. Raises NotFound where that names nothing."""
    text = request.params.get("market", request.params.get("id"))
    ref = find_market_ref(text)
    if ref is None:
        raise NotFound("There is no such market.")
    return ref
