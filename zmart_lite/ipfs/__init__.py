"""Keeps content on IPFS: at Pinata, or on a Kubo node of one's own; nothing without credentials.

Content is at most one chunk, so that its id is known before it is uploaded; whatever answers with another id is wrong.
"""

from zmart_lite.config import Ipfs
from zmart_lite.ipfs.kubo import Kubo
from zmart_lite.ipfs.pinata import Pinata
from zmart_lite.ipfs.service import Pin, Service

__all__ = ["Kubo", "Pin", "Pinata", "Service", "connect"]


def connect(options: Ipfs) -> Service | None:
    """The configured service, or None if there is none. Close it when done."""
    if options.kubo_url:
        return Kubo(options.kubo_url)
    if options.pinata_jwt or options.pinata_key:
        return Pinata(options.pinata_jwt.reveal(), options.pinata_key.reveal(), options.pinata_secret.reveal())
    return None
