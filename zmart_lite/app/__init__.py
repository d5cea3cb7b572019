"""The node as a whole: its parts, what joins them, and the order in which they start and stop."""

from zmart_lite.app.embedding import create_app
from zmart_lite.app.node import Node

__all__ = ["Node", "create_app"]
