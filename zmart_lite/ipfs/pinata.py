"""Pinata, in both of its forms: the v3 files API for tokens, the older pinning API for key pairs and CIDv0.

The two keep separate stores: a v3 file is deleted by the id it got, an older pin by its content id, and each only
there. Content goes up as a file of our own bytes; the JSON call would write it anew, with another content id.
"""

import asyncio
import json

from zmart_lite.errors import IpfsRefused
from zmart_lite.ipfs.service import Pin, Service, Sleep, decoded, field

API_URL = "https://api.pinata.cloud"
UPLOADS_URL = "https://uploads.pinata.cloud"
V3, LEGACY = "v3", "legacy"
GONE = ("404:", "has not pinned")
"""What a refusal to unpin says where there is nothing to unpin."""


class Pinata(Service):
    """``jwt``, or ``key`` and ``secret``."""

    name = "Pinata"

    def __init__(
        self,
        jwt: str = "",
        key: str = "",
        secret: str = "",
        *,
        api_url: str = API_URL,
        uploads_url: str = UPLOADS_URL,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(sleep=sleep)
        self._has_jwt = bool(jwt)
        self._headers = (
            {"Authorization": f"Bearer {jwt}"} if jwt else {"pinata_api_key": key, "pinata_secret_api_key": secret}
        )
        self._api_url = api_url
        self._uploads_url = uploads_url

    async def check(self) -> str:
        await self._call("GET", f"{self._api_url}/data/testAuthentication", headers=self._headers)
        return "Pinata accepts the credentials."

    async def _pin(self, content: bytes, name: str, cid_version: int) -> Pin:
        if self._has_jwt and cid_version == 1:
            return await self._pin_v3(content, name)
        return await self._pin_legacy(content, name, cid_version)

    async def _pin_v3(self, content: bytes, name: str) -> Pin:
        response = await self._call(
            "POST",
            f"{self._uploads_url}/v3/files",
            headers=self._headers,
            files={"file": (name, content, "application/json")},
            # Without it the file is private and no gateway shows it.
            data={"network": "public", "name": name},
        )
        answer = decoded(response)
        return Pin(field(answer, "data", "cid"), f"{V3}:{field(answer, 'data', 'id')}")

    async def _pin_legacy(self, content: bytes, name: str, cid_version: int) -> Pin:
        response = await self._call(
            "POST",
            f"{self._api_url}/pinning/pinFileToIPFS",
            headers=self._headers,
            files={"file": (name, content, "application/json")},
            data={
                "pinataMetadata": json.dumps({"name": name}),
                "pinataOptions": json.dumps({"cidVersion": cid_version}),
            },
        )
        cid = field(decoded(response), "IpfsHash")
        return Pin(cid, f"{LEGACY}:{cid}")

    async def _unpin(self, pin_id: str) -> None:
        way, _, known_as = pin_id.partition(":")
        if way == V3 and self._has_jwt:
            url = f"{self._api_url}/v3/files/public/{known_as}"
        elif way == LEGACY:
            url = f"{self._api_url}/pinning/unpin/{known_as}"
        else:
            raise IpfsRefused(f"{pin_id} was pinned with other credentials than those configured now.")
        try:
            await self._call("DELETE", url, headers=self._headers)
        except IpfsRefused as error:
            if not any(words in error.message for words in GONE):
                raise
