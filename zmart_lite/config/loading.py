"""Reads, merges and checks the configuration."""

import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zmart_lite.config import environment
from zmart_lite.config.keypair import read_keypair
from zmart_lite.config.sections import RPC_ADDRESSES_MAX
from zmart_lite.config.settings import Config, rows
from zmart_lite.config.values import Row, Secret, from_text, from_toml
from zmart_lite.errors import ConfigError

FILE_BYTES_MAX = 1_048_576
PROBLEMS_MAX = 50
NEVER_EMPTY = ("server.host", "store.dir", "chain.program_id", "auth.issuer", "auth.audience", "localnet.host")

Values = dict[str, Any]
"""Values by the setting's name, section.key."""


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration from the file at ``path`` (None = no file) and the environment.

    Raises ConfigError that names every unknown name, malformed value and contradiction. The message holds no secret.
    """
    problems: list[str] = []
    values = _from_file(path, problems) if path else {}
    values.update(_from_environment(environ, problems))
    _add_slack(environ, values)
    config = _build(values)
    if not problems:
        problems = [*_contradictions(config), *_unreadable_keys(config)]
    if problems:
        raise ConfigError(_report(problems))
    return config


def _from_file(path: Path, problems: list[str]) -> Values:
    sections = {row.section for row in rows().values()}
    values: Values = {}
    for section, table in _parsed(path).items():
        if section not in sections:
            problems.append(f"{path}: unknown section [{section}]{_meant(section, sections)}")
        elif not isinstance(table, dict):
            problems.append(f"{path}: {section} must be a section: [{section}]")
        else:
            values.update(_from_table(path, section, table, problems))
    return values


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(f"cannot read the configuration file {path}: {exc.strerror}") from exc
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes: this is no configuration file")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}") from exc


def _from_table(path: Path, section: str, table: dict[str, Any], problems: list[str]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{section}.{key}"
        row = rows().get(name)
        if row is None:
            problems.append(f"{path}: unknown setting {name}{_meant(name, rows())}")
            continue
        try:
            yield name, from_toml(row, value)
        except ValueError as exc:
            problems.append(f"{path}: {name} {exc}")


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> Values:
    """An empty variable counts as not set."""
    known = frozenset(row.variable for row in rows().values())
    unknown = environment.unknown_variables(environ, known)
    problems += [f"{name}: unknown variable{_meant(name, known)}" for name in unknown]
    switches = environment.refused_switches(environ)
    problems += [f"{name} is set, but nothing turns off authentication or limits: remove it" for name in switches]
    values: Values = {}
    for row in rows().values():
        try:
            values.update(_from_variables(row, environ))
        except ValueError as exc:
            problems.append(str(exc))
    return values


def _from_variables(row: Row, environ: Mapping[str, str]) -> Values:
    variable, text = row.variable, environ.get(row.variable, "")
    if not text:
        alias = environment.first_alias(row.name, environ)
        if alias is None:
            return {}
        variable, text = alias
    try:
        return {row.name: from_text(row, text)}
    except ValueError as exc:
        raise ValueError(f"{variable}: {row.name} {exc}") from exc


def _add_slack(environ: Mapping[str, str], values: Values) -> None:
    if url := environ.get(environment.SLACK):
        row = rows()["alerts.urls"]
        values[row.name] = (*values.get(row.name, row.default), Secret(url))


def _build(values: Mapping[str, Any]) -> Config:
    defaults = Config()
    tables: dict[str, Values] = {}
    for name, value in values.items():
        section, key = name.split(".")
        tables.setdefault(section, {})[key] = value
    return Config(**{section: type(getattr(defaults, section))(**table) for section, table in tables.items()})


def _contradictions(config: Config) -> Iterator[str]:
    """Settings that are fine each by itself and impossible together."""
    for name in NEVER_EMPTY:
        section, key = name.split(".")
        if not getattr(getattr(config, section), key):
            yield f"{name} must not be empty"
    for port, count in Counter(_ports(config)).items():
        if count > 1:
            yield f"port {port} is used twice: server.port, server.ws_port, localnet.port and the one above must differ"
    devnet = Config(localnet=config.localnet).rpc_url
    if config.embedded_devnet and config.rpc_url != devnet:
        yield (
            f"chain.rpc_url is not the embedded devnet's ({devnet.reveal()}): set chain.cluster to the one it belongs "
            "to, or localnet.enabled = false for another local validator"
        )
    if config.embedded_devnet and config.chain.rpc_urls:
        yield "chain.rpc_urls is of no use with the embedded devnet, which has one address"
    if len(set(config.rpc_addresses)) < len(config.rpc_addresses):
        yield "chain.rpc_urls names an address twice, or that of chain.rpc_url"
    if len(config.rpc_addresses) > RPC_ADDRESSES_MAX:
        yield f"chain.rpc_urls and chain.rpc_url together name more than {RPC_ADDRESSES_MAX} addresses"
    if bool(config.ipfs.pinata_key) != bool(config.ipfs.pinata_secret):
        yield "ipfs.pinata_key and ipfs.pinata_secret are only of use together"


def _ports(config: Config) -> Iterator[int]:
    yield from (port for port in (config.server.port, config.server.ws_port) if port)
    if config.embedded_devnet and config.localnet.port:
        yield from (config.localnet.port, config.localnet.port + 1)


def _unreadable_keys(config: Config) -> Iterator[str]:
    for name, value in _keypairs(config):
        try:
            read_keypair(value, name)
        except ConfigError as exc:
            yield exc.message


def _keypairs(config: Config) -> Iterator[tuple[str, Secret]]:
    chain = config.chain
    pairs = (("chain.backend_keypair", chain.backend_keypair), ("chain.admin_keypair", chain.admin_keypair))
    return (pair for pair in pairs if pair[1])


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _report(problems: list[str]) -> str:
    """One line for one problem; else a headed list, cut at PROBLEMS_MAX."""
    if len(problems) == 1:
        return problems[0]
    shown = [f"  {problem}" for problem in problems[:PROBLEMS_MAX]]
    if len(problems) > PROBLEMS_MAX:
        shown.append(f"  and {len(problems) - PROBLEMS_MAX} more")
    return "\n".join([f"the configuration has {len(problems)} problems:", *shown])
