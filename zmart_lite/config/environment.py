"""Settings from environment variables: ZMART_SECTION_KEY, and the names that the protocol's older services used.

An alias knows how to turn its older unit (milliseconds, hours, fractions) into the setting's.
"""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple
from urllib.parse import urlsplit

PREFIX = "ZMART_"
MINUTE_MS = 60_000
BPS = 10_000
HELIUS_HOSTS = ("helius.xyz", "helius.dev", "helius-rpc.com")
SLACK = "SLACK_WEBHOOK_URL"
"""The one alias whose value joins the setting's list instead of standing in for it."""

SWITCHES_REFUSED = ("SKIP_AUTH_VALIDATION", "SKIP_RATE_LIMITING", "WEBHOOK_DEV_MODE")
SWITCH_OFF_WORDS = frozenset({"", "0", "false"})

Environment = Mapping[str, str]
Convert = Callable[[str, Environment], str | None]
"""From the variable's text and the whole environment to the setting's text; None = as if it were not set."""


class Alias(NamedTuple):
    setting: str
    variable: str
    convert: Convert


def _same(text: str, _: Environment) -> str:
    return text


def _seconds_of_ms(text: str, _: Environment) -> str:
    """Whole seconds, rounded up, so that a short time never becomes none."""
    return str(-(-_number(text) // 1000))


def _seconds_of_hours(text: str, _: Environment) -> str:
    return str(-(-_number(text) * 3600 // 1))


def _bps(text: str, _: Environment) -> str:
    """0.7 (a fraction) and 70 (a percentage) are both 7000."""
    number = _number(text.removesuffix("%"))
    bps = number * (BPS if number <= 1 else BPS // 100)
    if bps.denominator != 1 or not 0 <= bps <= BPS:
        raise ValueError("must be a fraction like 0.7 or a percentage like 70")
    return str(bps.numerator)


def _per_minute(text: str, environ: Environment) -> str:
    window_ms = _number(environ.get("RATE_LIMIT_WINDOW_MS") or str(MINUTE_MS))
    if window_ms <= 0:
        raise ValueError("needs a RATE_LIMIT_WINDOW_MS above 0")
    return str(max(1, _number(text) * MINUTE_MS // window_ms))


def _cluster(text: str, _: Environment) -> str:
    return {"mainnet-beta": "mainnet", "localhost": "localnet", "local": "localnet"}.get(text.lower(), text)


def _log_level(text: str, _: Environment) -> str:
    older = {
        "warn": "WARNING",
        "fatal": "CRITICAL",
        "http": "DEBUG",
        "verbose": "DEBUG",
        "silly": "DEBUG",
        "trace": "DEBUG",
    }
    return older.get(text.lower(), text)


def _gateway(text: str, _: Environment) -> str:
    return text if "://" in text else f"https://{text}"


def _own_webhook(text: str, _: Environment) -> str | None:
    """Some deployments keep the address of Helius' API in this variable: that is not where deliveries go."""
    host = urlsplit(text).hostname or ""
    return None if any(host == name or host.endswith(f".{name}") for name in HELIUS_HOSTS) else text


def _number(text: str) -> Fraction:
    try:
        return Fraction(text.strip().replace("_", ""))
    except (ValueError, ZeroDivisionError):
        raise ValueError("must be a number") from None


def _aliases(setting: str, *variables: str, convert: Convert = _same) -> tuple[Alias, ...]:
    return tuple(Alias(setting, variable, convert) for variable in variables)


ALIASES: tuple[Alias, ...] = (
    *_aliases("server.host", "API_HOST"),
    *_aliases("server.port", "API_PORT", "PORT"),
    *_aliases("server.ws_port", "WS_PORT"),
    *_aliases("server.cors_origins", "CORS_ORIGINS", "CORS_ORIGIN"),
    *_aliases("store.dsn", "DATABASE_URL"),
    *_aliases("log.level", "LOG_LEVEL", convert=_log_level),
    *_aliases("log.dir", "LOG_DIR"),
    *_aliases("alerts.urls", SLACK),
    *_aliases("chain.rpc_url", "SOLANA_RPC_URL", "SOLANA_RPC_ENDPOINT", "HELIUS_RPC_URL"),
    *_aliases("chain.cluster", "SOLANA_NETWORK", convert=_cluster),
    *_aliases("chain.program_id", "SOLANA_PROGRAM_ID_CORE", "SOLANA_PROGRAM_ID", "ZMART_PROGRAM_ID", "PROGRAM_ID"),
    *_aliases(
        "chain.backend_keypair",
        "BACKEND_KEYPAIR_PATH",
        "BACKEND_AUTHORITY_KEYPAIR",
        "BACKEND_AUTHORITY_PRIVATE_KEY",
        "DEPLOYER_SECRET_KEY",
    ),
    *_aliases("helius.api_key", "HELIUS_API_KEY"),
    *_aliases("helius.webhook_secret", "HELIUS_WEBHOOK_SECRET"),
    *_aliases("helius.webhook_id", "HELIUS_WEBHOOK_ID"),
    *_aliases("helius.webhook_url", "HELIUS_WEBHOOK_URL", convert=_own_webhook),
    *_aliases("indexer.start_slot", "INDEXING_START_SLOT"),
    *_aliases("indexer.batch_size", "BATCH_SIZE"),
    *_aliases("indexer.attempts_max", "MAX_RETRY_ATTEMPTS"),
    *_aliases("indexer.retry_delay_s", "RETRY_DELAY", convert=_seconds_of_ms),
    *_aliases("reconcile.interval_s", "RECONCILIATION_INTERVAL", convert=_seconds_of_ms),
    *_aliases("auth.jwt_secret", "JWT_SECRET"),
    *_aliases("auth.admin_wallets", "ADMIN_WHITELIST", "ADMIN_WALLET_PUBKEY"),
    *_aliases("auth.signature_age_max_s", "AUTH_SIGNATURE_VALIDITY_MS", convert=_seconds_of_ms),
    *_aliases("auth.signature_skew_s", "AUTH_TIMESTAMP_WINDOW_MS", convert=_seconds_of_ms),
    *_aliases("limits.address_per_minute", "RATE_LIMIT_MAX_REQUESTS", convert=_per_minute),
    *_aliases("votes.interval_s", "VOTE_AGGREGATION_INTERVAL", convert=_seconds_of_ms),
    *_aliases("votes.proposal_min_votes", "MIN_PROPOSAL_VOTES", "MIN_VOTES_REQUIRED"),
    *_aliases("votes.proposal_threshold_bps", "PROPOSAL_APPROVAL_THRESHOLD", "PROPOSAL_THRESHOLD", convert=_bps),
    *_aliases("votes.dispute_threshold_bps", "DISPUTE_THRESHOLD", convert=_bps),
    *_aliases("monitor.enabled", "MARKET_MONITOR_ENABLED", "AUTO_FINALIZATION_ENABLED"),
    *_aliases("monitor.interval_s", "MARKET_MONITOR_INTERVAL", convert=_seconds_of_ms),
    *_aliases("monitor.batch_size", "MARKET_MONITOR_BATCH_SIZE"),
    *_aliases("monitor.dry_run", "MARKET_MONITOR_DRY_RUN"),
    *_aliases("monitor.dispute_period_fallback_s", "FINALIZATION_DELAY_HOURS", convert=_seconds_of_hours),
    *_aliases("ipfs.pinata_jwt", "PINATA_JWT"),
    *_aliases("ipfs.pinata_key", "PINATA_API_KEY"),
    *_aliases("ipfs.pinata_secret", "PINATA_SECRET_KEY", "PINATA_API_SECRET"),
    *_aliases("ipfs.gateway_url", "PINATA_GATEWAY_URL", "IPFS_GATEWAY_URL", "IPFS_GATEWAY", convert=_gateway),
    *_aliases("ipfs.snapshots", "FEATURE_IPFS_SNAPSHOTS_ENABLED"),
)


def aliases_of(setting: str) -> Iterator[Alias]:
    return (alias for alias in ALIASES if alias.setting == setting)


def first_alias(setting: str, environ: Environment) -> tuple[str, str] | None:
    """(variable, converted text) of the first alias that is set; raises ValueError naming the variable."""
    for alias in aliases_of(setting):
        if alias.variable == SLACK or not environ.get(alias.variable):
            continue
        try:
            text = alias.convert(environ[alias.variable], environ)
        except ValueError as exc:
            raise ValueError(f"{alias.variable}: {exc}") from exc
        if text is not None:
            return alias.variable, text
    return None


def unknown_variables(environ: Environment, known: frozenset[str]) -> list[str]:
    """The ZMART_* names that are neither setting nor alias, in order."""
    accepted = known | {alias.variable for alias in ALIASES}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in accepted)


def refused_switches(environ: Environment) -> list[str]:
    """The switches that once turned off authentication or limits and are set here."""
    return [name for name in SWITCHES_REFUSED if environ.get(name, "").strip().lower() not in SWITCH_OFF_WORDS]
