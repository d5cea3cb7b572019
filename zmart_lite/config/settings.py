"""The whole of the configuration as one frozen value."""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from zmart_lite.config.sections import (
    PUBLIC_RPC,
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
from zmart_lite.config.values import Row, Secret, row_of


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting. ``Config()`` holds the defaults; change one with ``dataclasses.replace``."""

    server: Server = Server()
    store: Store = Store()
    chain: Chain = Chain()
    helius: Helius = Helius()
    indexer: Indexer = Indexer()
    reconcile: Reconcile = Reconcile()
    auth: Auth = Auth()
    limits: Limits = Limits()
    votes: Votes = Votes()
    monitor: Monitor = Monitor()
    jobs: Jobs = Jobs()
    discussions: Discussions = Discussions()
    ipfs: Ipfs = Ipfs()
    alerts: Alerts = Alerts()
    push: Push = Push()
    retention: Retention = Retention()
    log: Log = Log()
    localnet: Localnet = Localnet()
    backup: Backup = Backup()

    @property
    def embedded_devnet(self) -> bool:
        """Whether this process starts the devnet that it works on."""
        return self.chain.cluster == "localnet" and self.localnet.enabled

    @property
    def backup_folder(self) -> Path:
        """Where copies of the database lie."""
        return Path(self.backup.dir).expanduser() if self.backup.dir else self.store.folder / "backups"

    @property
    def rpc_url(self) -> Secret:
        """The JSON-RPC address in force (it may hold an API key): the configured one, or the cluster's own."""
        if self.chain.rpc_url:
            return self.chain.rpc_url
        return Secret(
            PUBLIC_RPC.get(self.chain.cluster) or f"http://{_bracketed(self.localnet.host)}:{self.localnet.port}"
        )

    @property
    def rpc_addresses(self) -> list[str]:
        """Every JSON-RPC address, the preferred one first. They may hold API keys."""
        return [self.rpc_url.reveal(), *(url.reveal() for url in self.chain.rpc_urls)]


@cache
def rows() -> dict[str, Row]:
    """Every setting by its name, ``section.key``, in the order of zmart.toml."""
    found = {}
    for section in fields(Config):
        for part in fields(section.type):  # type: ignore[arg-type]  # every section is a dataclass
            row = row_of(section.name, part)
            found[row.name] = row
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
