"""``GET /openapi.json``."""

from zmart_lite.api.contract.endpoints import Endpoint, Stream
from zmart_lite.api.contract.request import Request
from zmart_lite.api.http.files import FileAnswer, Shipped
from zmart_lite.api.http.headers import API_POLICY


async def document(request: Request, _: object) -> Stream:
    return Stream(FileAnswer(request.service(Shipped), API_POLICY))


ENDPOINTS = (Endpoint("GET", "/openapi.json", document, "This document", answer={}, tag="pages", limited=False),)
