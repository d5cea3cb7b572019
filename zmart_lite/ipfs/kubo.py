"""A Kubo node (go-ipfs). Its API administers the whole node: never expose it.

Every flag that decides about the content id is set, because Kubo's defaults are not promised across releases.
"""

import asyncio
import json
from typing import Any

from zmart_lite import drafts
from zmart_lite.errors import IpfsRefused, IpfsUnavailable
from zmart_lite.ipfs.service import Pin, Service, Sleep, decoded, field

WAY = "kubo"
NOT_PINNED = "not pinned"


class Kubo(Service):
    """``url`` is that of the API, such as http://127.0.0.1:5001."""

    name = "Kubo"

    def __init__(self, url: str, *, sleep: Sleep = asyncio.sleep) -> None:
        super().__init__(sleep=sleep)
        self._url = url.rstrip("/")

    async def check(self) -> str:
        version = field(decoded(await self._api("version")), "Version")
        return f"Kubo {version} answers."

    async def _pin(self, content: bytes, name: str, cid_version: int) -> Pin:
        response = await self._api(
            "add",
            params={
                "cid-version": str(cid_version),
                "raw-leaves": "true" if cid_version else "false",
                "chunker": f"size-{drafts.CHUNK_BYTES_MAX}",
                "hash": "sha2-256",
                "trickle": "false",
                "pin": "true",
                "progress": "false",
            },
            files={"file": (name, content, "application/octet-stream")},
        )
        cid = field(_last_line(response.text), "Hash")
        return Pin(cid, f"{WAY}:{cid}")

    async def _unpin(self, pin_id: str) -> None:
        way, _, cid = pin_id.partition(":")
        if way != WAY:
            raise IpfsRefused(f"{pin_id} was pinned elsewhere than on the Kubo node.")
        try:
            await self._api("pin/rm", params={"arg": cid})
        except (IpfsRefused, IpfsUnavailable) as error:
            # Kubo answers 500 to this, too.
            if NOT_PINNED not in error.message:
                raise

    async def _api(self, command: str, **options: Any) -> Any:
        return await self._call("POST", f"{self._url}/api/v0/{command}", **options)


def _last_line(text: str) -> Any:
    """An answer may be several JSON objects, one a line; the last one is the file."""
    lines = text.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError as error:
        raise IpfsRefused("The answer of Kubo is not JSON.") from error
