"""Every setting: one row with its default, what it means and what it may be. zmart.toml shows the same rows.

Numbers carry their unit in the name. An empty text means "not set".
"""

from dataclasses import dataclass
from pathlib import Path

from zmart_lite.config.values import (
    Secret,
    address,
    dsn,
    folder,
    header_text,
    host_name,
    http_url,
    network,
    origin,
    secret_of,
    setting,
    ws_url,
)
from zmart_lite.models import SEVERITIES

EXPLORERS = ("https://explorer.solana.com", "https://solscan.io", "https://solana.fm")
"""Their pages show a cluster of one's own, which a browser then asks."""
LOCALNET_APIS = ("3.0", "3.1", "4.0", "4.2", "4.4")
CLUSTERS = ("localnet", "devnet", "testnet", "mainnet")
PUBLIC_RPC = {
    "devnet": "https://api.devnet.solana.com",
    "testnet": "https://api.testnet.solana.com",
    "mainnet": "https://api.mainnet-beta.solana.com",
}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

DATABASE_FILE = "zmart.db"
LEDGER_FILE = "devnet.ledger"
PORT_MAX = 65_535
RPC_ADDRESSES_MAX = 10
COUNT_MAX = 1_000_000
DAY_S = 86_400
YEAR_S = 365 * DAY_S
SLOT_MAX = 2**63 - 1

JWT_SECRET_BYTES_MIN = 32
SERVICE_KEY_BYTES_MIN = 16
WEBHOOK_SECRET_BYTES_MIN = 8


@dataclass(frozen=True, slots=True)
class Server:
    """Where the node listens and how it is seen from outside."""

    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 for every interface.", check=host_name)
    port: int = setting(
        4000, "Port of everything: REST, WebSocket, SSE, the page. 0 = any free one.", low=0, high=PORT_MAX
    )
    ws_port: int = setting(
        4001, "Second port for older WebSocket clients, serving the same. 0 = off.", low=0, high=PORT_MAX
    )
    public_url: str = setting("", "URL by which clients reach the node, if a proxy stands before it.", check=http_url)
    cors_origins: tuple[str, ...] = setting(("*",), "Origins that browsers may call from; * = any.", check=origin)
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Addresses or networks of the proxies before the node: only their X-Forwarded-For is believed.",
        check=network,
    )
    connections_max: int = setting(
        4000, "HTTP connections in all, besides WebSocket and SSE; beyond that 503.", low=1, high=COUNT_MAX
    )
    connections_per_address: int = setting(
        200, "HTTP connections of one address that is no trusted proxy; beyond that 429.", low=1, high=COUNT_MAX
    )
    metrics_need_key: bool = setting(False, "Whether /metrics asks for a service key.")


@dataclass(frozen=True, slots=True)
class Store:
    """Where the data lies. One process owns the database."""

    dir: str = setting("data", "Folder of all files of the node: database, job queue, devnet, locks.", check=folder)
    dsn: Secret = setting(
        Secret(),
        "Another database: sqlite:///path or postgresql://user:password@host/name. Empty = a file in dir.",
        check=dsn,
    )
    readers: int = setting(3, "Connections that only read.", low=1, high=64)
    cache_mb: int = setting(64, "Page cache of each SQLite connection that reads, in MiB.", low=1, high=4096)
    writer_cache_mb: int = setting(
        128,
        "Page cache of the one that writes, in MiB. Where the indexes do not fit, writing takes up to twice as long.",
        low=1,
        high=4096,
    )
    read_timeout_s: int = setting(
        5, "Seconds that the reading for one request may take, waiting included; then 503.", low=1, high=600
    )
    queue_max: int = setting(10_000, "Writes that may wait; beyond that requests get 503.", low=16, high=COUNT_MAX)

    @property
    def folder(self) -> Path:
        return Path(self.dir).expanduser()

    @property
    def is_postgres(self) -> bool:
        return self.dsn.reveal().startswith("postgres")

    @property
    def ledger_path(self) -> Path:
        """Where the embedded devnet keeps its chain."""
        return self.folder / LEDGER_FILE

    @property
    def sqlite_path(self) -> Path:
        """The SQLite file. Only meaningful unless ``is_postgres``."""
        path = self.dsn.reveal().removeprefix("sqlite:///")
        return Path(path).expanduser() if path else self.folder / DATABASE_FILE


@dataclass(frozen=True, slots=True)
class Chain:
    """The cluster, the program and the node's own keys."""

    cluster: str = setting(
        "localnet", "localnet is the embedded devnet, unless localnet.enabled is false.", choices=CLUSTERS
    )
    rpc_url: Secret = setting(
        Secret(), "JSON-RPC address. Empty = the embedded devnet, or the cluster's public one.", check=http_url
    )
    rpc_urls: tuple[Secret, ...] = setting(
        (),
        "Further JSON-RPC addresses of the same cluster, at most 9: asked when those before them are not well.",
        check=http_url,
    )
    ws_url: Secret = setting(
        Secret(), "Pubsub address (wss://…) whose logsSubscribe hints at new transactions. Empty = none.", check=ws_url
    )
    program_id: str = setting("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS", "Address of zmart-core.", check=address)
    backend_keypair: Secret = setting(
        Secret(), "Key that aggregates votes and finalises: path of a Solana CLI file, base58, or a byte array."
    )
    admin_keypair: Secret = setting(
        Secret(), "Key that approves markets and configures the protocol; same forms. Optional."
    )
    rpc_timeout_s: int = setting(15, "Time limit of one RPC call.", low=1, high=300)
    rpc_attempts_max: int = setting(4, "Attempts for an RPC call that may be repeated.", low=1, high=20)
    compute_unit_price: int = setting(
        0, "Priority fee of the node's transactions, micro-lamports per unit. 0 = by recent fees.", low=0, high=10**9
    )
    compute_unit_price_max: int = setting(
        1_000_000, "What that fee never exceeds, micro-lamports per unit.", low=0, high=10**9
    )


@dataclass(frozen=True, slots=True)
class Helius:
    """Webhooks: how events arrive at once. Without them the poller finds everything, later."""

    api_url: str = setting("https://api.helius.xyz", "Where webhooks are registered.", check=http_url)
    api_key: Secret = setting(
        Secret(),
        "Key for registering webhooks. On the embedded devnet: what its own stand-in takes.",
        check=header_text,
    )
    webhook_secret: Secret = setting(
        Secret(),
        "What deliveries must carry. Empty = none is accepted.",
        check=secret_of(WEBHOOK_SECRET_BYTES_MIN, header_text),
    )
    webhook_secret_previous: Secret = setting(
        Secret(),
        "A second secret that is accepted while the first is being rotated.",
        check=secret_of(WEBHOOK_SECRET_BYTES_MIN, header_text),
    )
    webhook_id: str = setting(
        "", "Id of the webhook to keep. Empty = the one that delivers to webhook_url, else a new one."
    )
    webhook_url: str = setting(
        "", "Public https address of this node's webhook route. Empty = that of server.public_url.", check=http_url
    )
    webhook_type: str = setting(
        "raw", "raw carries the logs; enhanced needs an RPC call per transaction.", choices=("raw", "enhanced")
    )


@dataclass(frozen=True, slots=True)
class Indexer:
    """Reading the chain."""

    start_slot: int = setting(
        0,
        "First slot that is read; older markets stand on their accounts. 0 = all of the history.",
        low=0,
        high=SLOT_MAX,
    )
    poll_interval_s: int = setting(60, "How often the poller looks for what the webhook missed.", low=1, high=3600)
    batch_size: int = setting(
        8000,
        "Transactions indexed in one commit. Once others wait for the database, it ends within 2000 of them.",
        low=1,
        high=20_000,
    )
    attempts_max: int = setting(3, "Attempts to fetch a transaction before it becomes a dead letter.", low=1, high=20)
    retry_delay_s: int = setting(
        1, "Delay before the second attempt; it doubles with each further one.", low=1, high=300
    )


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Comparing the database with the accounts on chain."""

    enabled: bool = setting(True, "Whether the job runs by itself.")
    interval_s: int = setting(600, "How often it runs.", low=10, high=DAY_S)
    batch_size: int = setting(100, "Accounts read by one RPC call.", low=1, high=100)


@dataclass(frozen=True, slots=True)
class Auth:
    """Signing in."""

    jwt_secret: Secret = setting(
        Secret(),
        "Key of the session tokens. Empty = made at the first start and kept in store.dir.",
        check=secret_of(JWT_SECRET_BYTES_MIN),
    )
    issuer: str = setting("zmart-lite", "Claim iss of the tokens.")
    audience: str = setting("zmart-api", "Claim aud of the tokens.")
    domains: tuple[str, ...] = setting(
        (), "Hosts a sign-in message may name. Empty = those of public_url and cors_origins."
    )
    admin_wallets: tuple[str, ...] = setting((), "Wallets with the role admin.", check=address)
    service_keys: tuple[Secret, ...] = setting(
        (), "Keys for the header x-service-key.", check=secret_of(SERVICE_KEY_BYTES_MIN, header_text)
    )
    url_token: bool = setting(True, "Whether a WebSocket may bring its token as ?token=, as older clients do.")
    signature_age_max_s: int = setting(3600, "Age of a signed header message.", low=1, high=3600)
    signature_skew_s: int = setting(300, "Clock difference allowed for signed messages in a body.", low=1, high=300)


@dataclass(frozen=True, slots=True)
class Limits:
    """How often somebody may ask. None of them can be turned off."""

    address_per_minute: int = setting(100, "Requests from one address.", low=1, high=COUNT_MAX)
    wallet_per_minute: int = setting(1000, "Requests of one signed-in wallet, instead.", low=1, high=COUNT_MAX)
    sessions_per_minute: int = setting(
        60_000, "Requests of all wallets together that are signed in at one address.", low=1, high=COUNT_MAX
    )
    service_per_minute: int = setting(10_000, "Requests with one service key, instead.", low=1, high=COUNT_MAX)
    webhook_per_minute: int = setting(1000, "Webhook deliveries.", low=1, high=COUNT_MAX)
    auth_per_minute: int = setting(20, "Calls of /api/auth/* from one address.", low=1, high=COUNT_MAX)
    votes_per_hour: int = setting(10, "Attempts to vote, per wallet, market and kind.", low=1, high=COUNT_MAX)
    posts_per_hour: int = setting(30, "Posts, per wallet.", low=1, high=COUNT_MAX)
    drafts_per_hour: int = setting(20, "Market drafts, per wallet.", low=1, high=COUNT_MAX)
    relays_per_minute: int = setting(60, "Relayed transactions, per wallet or address.", low=1, high=COUNT_MAX)


@dataclass(frozen=True, slots=True)
class Votes:
    """Collecting votes and recording the counts on chain."""

    enabled: bool = setting(True, "Whether the aggregation runs by itself.")
    interval_s: int = setting(300, "How often it runs.", low=1, high=DAY_S)
    record_changes: bool = setting(
        False, "Whether counts go on chain at every change, not only at the threshold and at the end."
    )
    proposal_min_votes: int = setting(10, "Votes a proposal needs besides the threshold.", low=1, high=COUNT_MAX)
    proposal_threshold_bps: int = setting(
        7000, "Approval a proposal needs, only while the on-chain config cannot be read.", low=0, high=10_000
    )
    dispute_threshold_bps: int = setting(
        6000, "Agreement a dispute needs, only while the on-chain config cannot be read.", low=0, high=10_000
    )
    dispute_weight: str = setting(
        "position", "What a dispute vote weighs: its position, or 1 per wallet.", choices=("position", "wallet")
    )
    dispute_voting_s: int = setting(259_200, "How long a dispute is voted on before it is settled.", low=1, high=YEAR_S)
    review_after_s: int = setting(
        DAY_S, "Age at which a proposal without consensus is handed to a person.", low=1, high=YEAR_S
    )


@dataclass(frozen=True, slots=True)
class Monitor:
    """Moving markets through their lifecycle."""

    enabled: bool = setting(True, "Whether the monitor runs by itself.")
    interval_s: int = setting(60, "How often it runs.", low=1, high=DAY_S)
    batch_size: int = setting(50, "Markets handled at a time, oldest first.", low=1, high=1000)
    dry_run: bool = setting(False, "Only log what would be sent.")
    dispute_period_fallback_s: int = setting(
        172_800, "Dispute window, only while the on-chain config cannot be read.", low=1, high=YEAR_S
    )


@dataclass(frozen=True, slots=True)
class Jobs:
    """The embedded job runner."""

    workers: int = setting(4, "Threads that run jobs.", low=1, high=32)


@dataclass(frozen=True, slots=True)
class Discussions:
    """Posts below markets."""

    flags_needed: int = setting(3, "Flags by different wallets that mark a post.", low=1, high=1000)


@dataclass(frozen=True, slots=True)
class Ipfs:
    """Keeping evidence and discussions on IPFS: off without credentials."""

    pinata_jwt: Secret = setting(Secret(), "Pinata token; or pinata_key and pinata_secret.", check=header_text)
    pinata_key: Secret = setting(Secret(), "Pinata API key.", check=header_text)
    pinata_secret: Secret = setting(Secret(), "Pinata API secret.", check=header_text)
    kubo_url: str = setting("", "API address of a Kubo node, instead of Pinata.", check=http_url)
    gateway_url: str = setting("https://gateway.pinata.cloud", "Where CIDs are read.", check=http_url)
    snapshots: bool = setting(True, "Whether discussions are snapshotted daily, given credentials.")
    snapshot_days: int = setting(90, "How long a snapshot stays pinned.", low=1, high=3650)


@dataclass(frozen=True, slots=True)
class Alerts:
    """Who is told when something is wrong."""

    urls: tuple[Secret, ...] = setting(
        (), "Apprise addresses: slack://, mailto://, discord://, https://hooks.slack.com/… and so on."
    )
    notify_from: str = setting(
        "HIGH", "Least severity that is sent out; the rest is only stored and shown.", choices=SEVERITIES
    )
    interval_s: int = setting(30, "How often the node looks at itself.", low=5, high=3600)
    remind_after_s: int = setting(
        14_400, "Time after which an alert that is open and not acknowledged is sent again.", low=60, high=YEAR_S
    )


@dataclass(frozen=True, slots=True)
class Push:
    """WebSocket and server-sent events."""

    implicit_feed: str = setting(
        "browser", "Who gets the public feed without asking for it.", choices=("browser", "all", "none")
    )
    connections_max: int = setting(5000, "Connections in all.", low=1, high=COUNT_MAX)
    connections_per_address: int = setting(
        10, "Connections of one address, both kinds together.", low=1, high=COUNT_MAX
    )
    messages_per_minute: int = setting(100, "Messages a client may send.", low=1, high=COUNT_MAX)
    subscriptions_max: int = setting(100, "Channels of one connection.", low=1, high=10_000)
    frame_bytes_max: int = setting(4096, "Size of a frame a client may send.", low=256, high=1_048_576)
    queue_messages_max: int = setting(256, "Messages waiting for one client before it is cut off.", low=8, high=65_536)
    queue_bytes_max: int = setting(
        1_048_576, "Bytes waiting for one client before it is cut off.", low=65_536, high=67_108_864
    )
    send_timeout_s: int = setting(10, "Time limit of one send.", low=1, high=300)
    ping_interval_s: int = setting(
        30, "Time between WebSocket pings, and the time an answer may take.", low=1, high=300
    )
    idle_timeout_s: int = setting(
        600, "Time after which a connection without any channel is closed.", low=1, high=DAY_S
    )
    resume_messages_max: int = setting(10_000, "Missed messages a resume may ask for.", low=1, high=COUNT_MAX)


@dataclass(frozen=True, slots=True)
class Retention:
    """Days for which things are kept. Votes, posts, trades and events stay for ever, and so does what is not final."""

    feed_days: int = setting(7, "Messages of the feed, for resuming.", low=1, high=3650)
    payload_days: int = setting(14, "Webhook payloads as received.", low=1, high=3650)
    failed_days: int = setting(30, "Transactions that failed on chain; they have no events.", low=1, high=3650)
    dead_letter_days: int = setting(90, "Dead letters that are closed.", low=1, high=3650)
    discrepancy_days: int = setting(
        90, "Differences from the chain, which are corrected when they are found.", low=1, high=3650
    )
    alert_days: int = setting(90, "Alerts that are resolved.", low=1, high=3650)
    job_run_days: int = setting(30, "Runs of jobs; the newest of each job stays.", low=1, high=3650)
    snapshot_record_days: int = setting(365, "Records of snapshots that are no longer pinned.", low=1, high=3650)
    evidence_days: int = setting(
        30, "Evidence texts that no market and no planned resolution refers to.", low=1, high=3650
    )
    audit_days: int = setting(0, "Rows of the audit: what administrators did. 0 = all stay.", low=0, high=36_500)


@dataclass(frozen=True, slots=True)
class Log:
    """Logging."""

    level: str = setting("INFO", "Least level that is written.", choices=LEVELS)
    format: str = setting(
        "auto", "auto = console on a terminal, JSON lines elsewhere.", choices=("auto", "json", "console")
    )
    dir: str = setting("", "Folder for rotated JSON log files besides the output.", check=folder)


@dataclass(frozen=True, slots=True)
class Localnet:
    """The embedded devnet, used when chain.cluster is localnet."""

    enabled: bool = setting(True, "Whether the node starts it; false to use another local validator by chain.rpc_url.")
    host: str = setting("127.0.0.1", "Address to listen on.", check=host_name)
    hosts: tuple[str, ...] = setting(
        (), "Names by which it may be reached besides localhost and its own address.", check=host_name
    )
    origins: tuple[str, ...] = setting(
        EXPLORERS, "Origins whose pages may call it besides local ones and wallets; * = any.", check=origin
    )
    port: int = setting(
        8899, "Port of its JSON-RPC; pubsub is one higher. 0 = any free pair.", low=0, high=PORT_MAX - 1
    )
    slot_ms: int = setting(400, "Length of a slot. 0 = a slot per transaction.", low=0, high=60_000)
    persist: bool = setting(True, "Whether `serve` keeps the chain in store.dir.")
    api: str = setting("4.4", "The release of Agave whose answers it gives.", choices=LOCALNET_APIS)
    bots: bool = setting(True, "Whether `dev` has wallets of its own trade a little while nobody else does.")
    strict: bool = setting(False, "Whether sell_shares aborts as the deployed program does, instead of paying out.")


@dataclass(frozen=True, slots=True)
class Backup:
    """Nightly copies of a SQLite database."""

    enabled: bool = setting(True, "Whether the job runs by itself.")
    dir: str = setting("", "Folder of the copies. Empty = backups in store.dir.", check=folder)
    hour_utc: int = setting(3, "Hour of the day at which it runs.", low=0, high=23)
    keep: int = setting(30, "Copies that are kept.", low=1, high=3650)
