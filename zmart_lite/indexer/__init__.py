"""Turns what webhooks and the poller bring into the log and its projections."""

from zmart_lite.indexer.service import Indexer

__all__ = ["Indexer"]
