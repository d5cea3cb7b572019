"""The configuration: defaults < zmart.toml < environment, read once, checked whole, then frozen.

``load`` is called by the command line only; every other part is handed the ``Config`` or the values it needs.
"""

from zmart_lite.config.cautions import cautions
from zmart_lite.config.hidden import hidden_texts
from zmart_lite.config.keypair import read_keypair
from zmart_lite.config.loading import load
from zmart_lite.config.rendering import as_dict, to_plain_toml, to_toml
from zmart_lite.config.sections import (
    Alerts,
    Auth,
    Backup,
    Chain,
    Discussions,
    Helius,
    Indexer,
    Ipfs,
    Jobs,
    Limits,
    Localnet,
    Log,
    Monitor,
    Push,
    Reconcile,
    Retention,
    Server,
    Store,
    Votes,
)
from zmart_lite.config.settings import Config, rows
from zmart_lite.config.values import Row, Secret

__all__ = [
    "Alerts",
    "Auth",
    "Backup",
    "Chain",
    "Config",
    "Discussions",
    "Helius",
    "Indexer",
    "Ipfs",
    "Jobs",
    "Limits",
    "Localnet",
    "Log",
    "Monitor",
    "Push",
    "Reconcile",
    "Retention",
    "Row",
    "Secret",
    "Server",
    "Store",
    "Votes",
    "as_dict",
    "cautions",
    "hidden_texts",
    "load",
    "read_keypair",
    "rows",
    "to_plain_toml",
    "to_toml",
]
