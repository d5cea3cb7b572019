"""What is allowed and makes something impossible: one list, for ``config check``, the doctor and the start."""

import ipaddress
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from zmart_lite.config.keypair import open_to_others
from zmart_lite.config.settings import Config, rows
from zmart_lite.config.values import Secret

LOCAL_NAMES = ("localhost", "")
QUOTES = ("'", '"')

Rule = Callable[[Config], Iterator[str]]


def cautions(config: Config) -> tuple[str, ...]:
    """One sentence for each, with what to do. None for the defaults."""
    return tuple(sentence for rule in RULES for sentence in rule(config))


def _open_files(config: Config) -> Iterator[str]:
    chain = config.chain
    for name, value in (("backend_keypair", chain.backend_keypair), ("admin_keypair", chain.admin_keypair)):
        if value and (path := open_to_others(value)):
            yield f"chain.{name}: {path} can be read by other users; run: chmod 600 {path}"
    folder = config.store.folder
    if _is_open(folder):
        yield f"store.dir: {folder} can be read by other users; run: chmod -R go= {folder}"


def _webhook(config: Config) -> Iterator[str]:
    if config.chain.cluster != "localnet" and not config.helius.webhook_secret:
        yield "helius.webhook_secret is not set: no webhook is accepted, events arrive by polling only"


def _sign_in(config: Config) -> Iterator[str]:
    if config.server.public_url or config.auth.domains:
        return
    if not _is_loopback(config.server.host):
        reason = f"server.host is {config.server.host}"
    elif config.server.trusted_proxies:
        reason = "server.trusted_proxies names a proxy"
    else:
        return
    yield (
        f"{reason}, but server.public_url is not set: sign-in messages name localhost, and nobody who reaches the node"
        " by another address can sign in; set server.public_url to that address"
    )


def _keys(config: Config) -> Iterator[str]:
    if config.chain.cluster == "localnet":
        return
    if not config.chain.backend_keypair:
        yield "chain.backend_keypair is not set: votes are not recorded on chain, and no market is settled"
    if not config.auth.admin_wallets:
        yield "auth.admin_wallets is empty: nobody can use the page Admin; commands on this machine can"


def _quoted(config: Config) -> Iterator[str]:
    """Env files of containers keep the quotes around a value."""
    for row in rows().values():
        value = getattr(getattr(config, row.section), row.key)
        if isinstance(value, Secret) and row.section != "chain":
            text = value.reveal()
            if len(text) > 1 and text[0] in QUOTES and text[-1] == text[0]:
                yield f"{row.name} begins and ends with a quote, which counts as a part of it: take the quotes away"


RULES: tuple[Rule, ...] = (_open_files, _webhook, _sign_in, _keys, _quoted)


def _is_loopback(host: str) -> bool:
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_open(folder: Path) -> bool:
    try:
        about = folder.stat()
    except OSError:
        return False
    return bool(about.st_mode & (stat.S_IRGRP | stat.S_IROTH)) and about.st_uid == os.geteuid()
