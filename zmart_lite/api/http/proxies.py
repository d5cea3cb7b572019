"""Which address a request came from: the socket's peer, or what trusted proxies say of it."""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = "unknown"
HOPS_MAX = 20
IPV6_SITE_BITS = 64


class ClientAddresses:
    """``trusted``: addresses or networks whose X-Forwarded-For is believed."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted: tuple[IpNetwork, ...] = tuple(ipaddress.ip_network(entry, strict=False) for entry in trusted)

    def of(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The socket's peer, or behind trusted proxies the right-most untrusted entry of X-Forwarded-For."""
        address = _parsed(peer or "") if self._trusted else None
        if address is None or not self._is_trusted(address):
            return _normal(peer or "")
        for entry in reversed(_forwarded(headers)):
            hop = _parsed(entry)
            if hop is None:
                break
            address = hop
            if not self._is_trusted(hop):
                break
        return str(address)

    def is_proxy(self, peer: str) -> bool:
        """Whether the socket's peer is one of the trusted proxies."""
        address = _parsed(peer)
        return address is not None and self._is_trusted(address)

    def _is_trusted(self, address: IpAddress) -> bool:
        return any(address in network for network in self._trusted)


@lru_cache(4096)
def _normal(text: str) -> str:
    """An address in the one way it is written."""
    address = _parsed(text)
    return UNKNOWN if address is None else str(address)


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """All entries of all lines, in order; of very many the last ones."""
    text = ",".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for")
    return [entry.strip() for entry in text.split(",")[-HOPS_MAX:]] if text else []


@lru_cache(4096)
def _parsed(text: str) -> IpAddress | None:
    """An address, also with a port behind it (``1.2.3.4:5``, ``[::1]:5``); IPv4 in IPv6 counts as IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(4096)
def limit_key(address: str) -> str:
    """What a limit counts an address by: a whole IPv6 /64, of which one customer has all addresses."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_SITE_BITS), strict=False).network_address)
    return address
