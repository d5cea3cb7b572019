"""What the doctor tests on chain: the RPC node, the cluster, the program, its config, the node's keys, the clock."""

import time
from collections.abc import Iterator

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.cli.finding import Finding, bad, good, off, warning
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, UndecodableData
from zmart_lite.jobs import Keys
from zmart_lite.jobs.conditions import BALANCE_LAMPORTS
from zmart_lite.models import GlobalConfig

TIMEOUT_S = 10.0
SLOW_MS = 1_000
LAMPORTS_PER_SOL = 1_000_000_000
SKEW_LOW_S, SKEW_BAD_S = 30, 150
"""The cluster's own clock is an estimate, some seconds off; sign-in allows wallets five minutes."""
GENESIS = {
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
}
RPC_ADVICE = "Set chain.rpc_url to an address that answers; public ones limit how often they may be asked."


async def examine(config: Config) -> list[Finding]:
    """All of it, or the one line that says why the cluster cannot be asked; then the further addresses."""
    policy = RetryPolicy(timeout_s=TIMEOUT_S, deadline_s=TIMEOUT_S, attempts_max=1)
    found = await _examine_first(config, config.rpc_addresses[0], policy)
    return [*found, *await _examine_further(config, policy)] if config.chain.rpc_urls else found


async def _examine_first(config: Config, url: str, policy: RetryPolicy) -> list[Finding]:
    async with Rpc([url], policy) as rpc:
        try:
            found = [await _latency("RPC", rpc)]
        except ChainError as error:
            if config.embedded_devnet:
                return [off("RPC", "the embedded devnet starts and stops with the node")]
            return [bad("RPC", error.message, RPC_ADVICE), *judge_keys(Keys.configured(config), None)]
        try:
            return [*found, *await _examine_chain(config, rpc)]
        except ChainError as error:
            return [*found, bad("RPC", error.message, RPC_ADVICE)]


async def _examine_further(config: Config, policy: RetryPolicy) -> list[Finding]:
    """The addresses of chain.rpc_urls: whether each answers, and for the same cluster as the others."""
    found = []
    for number, url in enumerate(config.rpc_addresses[1:], 2):
        async with Rpc([url], policy) as rpc:
            try:
                found.append(await _latency(f"RPC {number}", rpc))
            except ChainError as error:
                found.append(warning(f"RPC {number}", error.message, "Take it out of chain.rpc_urls, or repair it."))
    async with Rpc(config.rpc_addresses, policy) as rpc:
        try:
            foreign = await rpc.list_foreign()
        except ChainError:
            return found
    if foreign:
        text = f"{', '.join(foreign)}: another cluster than the first address"
        found.append(bad("RPC clusters", text, "Take it out of chain.rpc_urls: the node refuses to start with it."))
    return found


async def _latency(name: str, rpc: Rpc) -> Finding:
    started = time.perf_counter()
    slot = await rpc.get_slot()
    taken_ms = (time.perf_counter() - started) * 1_000
    text = f"slot {slot} in {taken_ms:.0f} ms"
    if taken_ms > SLOW_MS:
        return warning(name, text, "Choose an RPC node that is nearer: every action takes several calls.")
    return good(name, text)


async def _examine_chain(config: Config, rpc: Rpc) -> list[Finding]:
    codec = Codec(bytes(Pubkey.from_string(config.chain.program_id)))
    found = [await _cluster(config, rpc), await _clock(config, rpc), await _program(rpc, codec)]
    line, account = await _protocol(rpc, codec)
    return [*found, line, *await _keys(config, rpc, account)]


async def _cluster(config: Config, rpc: Rpc) -> Finding:
    expected, genesis = GENESIS.get(config.chain.cluster), str(Pubkey(await rpc.get_genesis_hash()))
    if expected is None:
        return good("cluster", f"{config.chain.cluster}, genesis {genesis}")
    if genesis == expected:
        return good("cluster", f"{config.chain.cluster}")
    actual = next((name for name, known in GENESIS.items() if known == genesis), f"a cluster with genesis {genesis}")
    return bad(
        "cluster", f"chain.rpc_url leads to {actual}", f"Set chain.cluster or chain.rpc_url: {config.chain.cluster}."
    )


async def _clock(config: Config, rpc: Rpc) -> Finding:
    if config.embedded_devnet:
        return off("clock", "the embedded devnet has a time of its own")
    return judge_clock(int(time.time()), (await rpc.get_clock()).unix_timestamp)


def judge_clock(here_s: int, there_s: int) -> Finding:
    """This machine's clock beside the chain's, both in unix seconds."""
    skew_s = here_s - there_s
    text = f"{abs(skew_s)} s {'ahead of' if skew_s > 0 else 'behind'} the chain's" if skew_s else "with the chain's"
    if abs(skew_s) > SKEW_BAD_S:
        return bad("clock", text, "Set the clock (timedatectl set-ntp true): sign-in messages will be refused.")
    if abs(skew_s) > SKEW_LOW_S:
        return warning("clock", text, "Compare the clock with a time server; the chain's own is a few seconds off.")
    return good("clock", text)


async def _program(rpc: Rpc, codec: Codec) -> Finding:
    address = Pubkey(codec.program_id)
    info = await rpc.get_account(codec.program_id)
    if info is None:
        return bad("program", f"there is no account {address}", "Set chain.program_id, or chain.cluster and rpc_url.")
    if not info.executable:
        return bad("program", f"{address} is not a program", "Set chain.program_id to the address of zmart-core.")
    return good("program", f"{address} is executable")


async def _protocol(rpc: Rpc, codec: Codec) -> tuple[Finding, GlobalConfig | None]:
    name, info = "config account", await rpc.get_account(codec.config_address())
    if info is None:
        advice = "The protocol's admin has to call initialize_global_config; or set chain.program_id."
        return bad(name, "the program is not initialised", advice), None
    try:
        account = codec.decode_account(info.data)
    except UndecodableData as error:
        return bad(name, error.message, "Is chain.program_id another program, or a newer zmart-core?"), None
    if not isinstance(account, GlobalConfig):
        return bad(name, "it holds something else", "Set chain.program_id to the address of zmart-core."), None
    if account.is_paused:
        return warning(name, "the protocol is paused", "The admin resumes it with emergency_pause."), account
    hours = account.dispute_period // 3_600
    text = f"approval from {account.proposal_approval_threshold} bps, disputes for {hours} h"
    return good(name, text), account


# Keys


async def _keys(config: Config, rpc: Rpc, account: GlobalConfig | None) -> list[Finding]:
    keys = Keys.configured(config)
    if config.embedded_devnet and keys == Keys(None, None):
        return [off("keys", "the embedded devnet's own")]
    found = [*judge_keys(keys, account)]
    for name, key in (("backend balance", keys.backend), ("admin balance", keys.admin)):
        if key is not None:
            found.append(judge_balance(name, key, await rpc.get_balance(bytes(key.pubkey()))))
    return found


def judge_keys(keys: Keys, account: GlobalConfig | None) -> Iterator[Finding]:
    """The keys beside what the protocol's config names. ``account`` None: not known."""
    if keys.backend is None:
        advice = "Set chain.backend_keypair; without it votes are not recorded and markets not settled."
        yield bad("backend key", "not configured", advice)
    else:
        yield _key("backend key", "backend_authority", "chain.backend_keypair", keys.backend, account)
    if keys.admin is None:
        yield off("admin key", "not configured: passed proposals wait for the admin's wallet")
    else:
        yield _key("admin key", "admin", "chain.admin_keypair", keys.admin, account)


def _key(name: str, role: str, setting: str, key: Keypair, account: GlobalConfig | None) -> Finding:
    address = key.pubkey()
    if account is None:
        return warning(name, f"{address}, which nothing on chain confirms", "See the config account above.")
    expected = Pubkey(getattr(account, role))
    if address != expected:
        return bad(
            name, f"{address} is not the protocol's {role} {expected}", f"Set {setting} to the key of {expected}."
        )
    return good(name, f"{address} is the protocol's {role}")


def judge_balance(name: str, key: Keypair, lamports: int) -> Finding:
    low, empty = BALANCE_LAMPORTS
    text = f"{lamports // LAMPORTS_PER_SOL}.{lamports % LAMPORTS_PER_SOL:09d} SOL"
    advice = f"Send SOL to {key.pubkey()}: it pays for the node's transactions."
    if lamports < empty:
        return bad(name, text, advice)
    return warning(name, text, advice) if lamports < low else good(name, text)
