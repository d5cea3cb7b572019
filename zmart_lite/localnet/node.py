"""The devnet as a whole: keys, genesis, the block timer, and the server on two ports."""

import asyncio
import contextlib
import errno
import hashlib
import logging
import secrets
import socket
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import uvicorn
from solders.hash import Hash
from solders.instruction import AccountMeta as SoldersMeta
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from zmart_lite.codec import Codec
from zmart_lite.errors import StartupError
from zmart_lite.localnet.access import Access
from zmart_lite.localnet.clock import SLOT_MS, ChainClock
from zmart_lite.localnet.context import RpcContext
from zmart_lite.localnet.helius import HeliusEmulation, webhook_faults, webhook_routes
from zmart_lite.localnet.history import TRANSACTIONS_MAX
from zmart_lite.localnet.journal import Journal
from zmart_lite.localnet.ledger import Ledger, LedgerOptions
from zmart_lite.localnet.natives.catalogue import native_accounts, native_programs, upgradeable_program
from zmart_lite.localnet.program import ZmartProgram
from zmart_lite.localnet.pubsub import Pubsub
from zmart_lite.localnet.releases import NEWEST, Release
from zmart_lite.localnet.rpc import build_app
from zmart_lite.localnet.runtime import Account, ProgramEntry
from zmart_lite.models import Commitment, GlobalConfig

log = logging.getLogger(__name__)

LAMPORTS_PER_SOL = 1_000_000_000
DEFAULT_RPC_PORT = 8899
WALLETS = 10
WALLET_LAMPORTS = 1_000 * LAMPORTS_PER_SOL
FEE_WALLET_LAMPORTS = LAMPORTS_PER_SOL
FAUCET_LAMPORTS = 500_000_000 * LAMPORTS_PER_SOL
DEFAULT_SEED = b"zmart-lite devnet"
PORT_TRIES = 50
WS_MESSAGE_BYTES_MAX = 64 * 1024
SHUTDOWN_S = 2
KEEP_ALIVE_S = 75
"""How long an idle connection stays open. Clients that keep theirs rely on a cluster's 20 s (web3.js asks anew on one
that has rested for up to 19) and fail where the server ends it first."""


@dataclass(frozen=True, slots=True)
class LocalnetOptions:
    """How a devnet is made.

    ``rpc_port`` 0 takes a free port whose successor, for pubsub, is free as well. ``slot_ms`` 0 seals a block per
    transaction and needs no timer. ``genesis_time`` (unix seconds) is the chain's time at its start; together with
    ``slot_ms`` 0 time then stands still but for warps. ``ledger_path`` None keeps the chain in memory. ``strict``
    restores the abort of ``sell_shares``. ``finalized_lag`` is in blocks; of older history than ``transactions_max``
    transactions only the accounts remain. The keys derive from ``seed``. ``hosts`` and ``origins`` are names by which
    it may be reached, and origins whose pages may call it, besides local ones. ``webhook_key`` is the only API key that
    the webhook REST takes; without, any is one.
    """

    program_id: bytes
    host: str = "127.0.0.1"
    rpc_port: int = DEFAULT_RPC_PORT
    slot_ms: int = SLOT_MS
    genesis_time: int | None = None
    ledger_path: Path | None = None
    strict: bool = False
    seed: bytes = DEFAULT_SEED
    finalized_lag: int = 32
    transactions_max: int = TRANSACTIONS_MAX
    release: Release = NEWEST
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    webhook_key: str | None = field(default=None, repr=False)


def derive_keypair(seed: bytes, name: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(seed + b"/" + name.encode()).digest())


class Localnet:
    """An embedded devnet. :meth:`start` it on the running loop, then point any Solana client at :attr:`rpc_url`."""

    def __init__(self, options: LocalnetOptions) -> None:
        self.options = options
        self.codec = Codec(options.program_id)
        self.wallets = tuple(derive_keypair(options.seed, f"wallet-{number}") for number in range(WALLETS))
        self.admin = derive_keypair(options.seed, "admin")
        self.backend = derive_keypair(options.seed, "backend")
        self.fee_wallet = derive_keypair(options.seed, "fee-wallet")
        self._faucet = derive_keypair(options.seed, "faucet")
        self.ledger = self._build_ledger()
        self.context = RpcContext(self.ledger, self.codec, self._faucet, derive_keypair(options.seed, "identity"))
        self.pubsub = Pubsub(self.context)
        self.helius = HeliusEmulation(self.ledger, api_key=options.webhook_key)
        self.app = build_app(
            self.context,
            self.pubsub,
            Access(options.host, options.hosts, options.origins),
            webhook_routes(self.helius),
            {"localnet_webhookFaults": lambda _context, params: webhook_faults(self.helius, params)},
        )
        """What serves its port."""
        self.pace_ms = options.slot_ms
        """Real time between two blocks. Shorter while something is played that would otherwise mostly wait."""
        self._server: _Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._rpc_port = 0

    @property
    def rpc_url(self) -> str:
        return f"http://{_url_host(self.options.host)}:{self._rpc_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{_url_host(self.options.host)}:{self._rpc_port + 1}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind, begin to serve and to make blocks. Raises :class:`StartupError` where the ports are taken."""
        try:
            sockets = _bind_pair(self.options.host, self.options.rpc_port)
        except StartupError:
            self.ledger.close()
            raise
        self._rpc_port = sockets[0].getsockname()[1]
        self._describe()
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            ws_max_size=WS_MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._server = _Server(config)
        await self.helius.start()
        self._spawn(self._server.serve(sockets), "localnet-rpc")
        if not self.ledger.options.on_demand:
            self._spawn(self._make_blocks(), "localnet-blocks")
        await self._server.ready.wait()
        if not self._server.started:
            raise StartupError(f"the devnet's server at {self.rpc_url} did not start")

    async def stop(self) -> None:
        """Stop serving, seal what is open and save the chain."""
        self.pubsub.close()
        await self.helius.stop()
        if self._server is not None:
            self._server.end()
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.ledger.close()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def _make_blocks(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self.pace_ms / 1000
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            due = max(due + self.pace_ms / 1000, loop.time())
            if self.ledger.paused:
                continue
            try:
                self.ledger.seal_block()
            except OSError:
                log.exception("ledger_not_saved")

    def _build_ledger(self) -> Ledger:
        options = self.options
        on_demand = options.slot_ms == 0
        clock = ChainClock(options.genesis_time, frozen=on_demand and options.genesis_time is not None)
        journal = None if options.ledger_path is None else Journal(options.ledger_path, options.program_id)
        ledger = Ledger(
            _programs(self.codec, options.strict, options.release),
            clock,
            self._genesis(),
            secrets.token_bytes(32),
            LedgerOptions(
                options.slot_ms,
                finalized_lag=options.finalized_lag,
                transactions_max=options.transactions_max,
                release=options.release,
            ),
            journal,
        )
        known = ledger.accounts.get(self.codec.config_address())
        if known is None:
            self._initialize(ledger)
        else:
            self._check_admin(ledger, known)
        return ledger

    def _check_admin(self, ledger: Ledger, account: Account) -> None:
        """A chain read from a file belongs to the keys that it was made with. Raises :class:`StartupError`."""
        config = self.codec.decode_account(account.data)
        if isinstance(config, GlobalConfig) and config.admin != bytes(self.admin.pubkey()):
            ledger.close()
            path = self.options.ledger_path
            raise StartupError(f"{path} was made with another seed; move it away or choose another path")

    def _genesis(self) -> dict[bytes, Account]:
        funded = {
            bytes(wallet.pubkey()): Account(WALLET_LAMPORTS) for wallet in (*self.wallets, self.admin, self.backend)
        }
        funded[bytes(self.fee_wallet.pubkey())] = Account(FEE_WALLET_LAMPORTS)
        funded[bytes(self._faucet.pubkey())] = Account(FAUCET_LAMPORTS)
        program = upgradeable_program(self.options.program_id, bytes(self.admin.pubkey()))
        return funded | native_accounts() | program

    def _initialize(self, ledger: Ledger) -> None:
        """Run initialize_global_config as the admin, and make it final."""
        signers = {"admin": self.admin.pubkey(), "protocol_fee_wallet": self.fee_wallet.pubkey()}
        named = signers | {"global_config": Pubkey(self.codec.config_address()), "system_program": Pubkey.default()}
        metas = [
            SoldersMeta(named[spec.name], spec.signer, spec.writable)
            for spec in self.codec.instruction_accounts("initialize_global_config")
        ]
        args = {"backend_authority": bytes(self.backend.pubkey())}
        data = self.codec.encode_instruction("initialize_global_config", args)
        instruction = Instruction(Pubkey(self.options.program_id), data, metas)
        blockhash = Hash(ledger.bank(Commitment.PROCESSED).blockhash)
        message = Message.new_with_blockhash([instruction], self.admin.pubkey(), blockhash)
        landed = ledger.submit(VersionedTransaction(message, [self.admin]))
        if landed.failed:
            raise StartupError(
                f"the devnet could not initialize the program: {landed.meta.err}; logs: {landed.meta.logs}"
            )
        ledger.produce_blocks(ledger.options.finalized_lag + 1)

    def _describe(self) -> None:
        self.context.info = {
            "admin": str(self.admin.pubkey()),
            "backend": str(self.backend.pubkey()),
            "feeWallet": str(self.fee_wallet.pubkey()),
            "api": self.options.release.version,
            "programId": str(Pubkey(self.options.program_id)),
            "pubsub": self.ws_url,
            "rpc": self.rpc_url,
            "slotMs": self.options.slot_ms,
            "strict": self.options.strict,
            "wallets": [str(wallet.pubkey()) for wallet in self.wallets],
        }


class _Server(uvicorn.Server):
    """uvicorn that leaves the process's signals to whoever embeds it, and ends when it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()
        self.ready = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._ending.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self.ready.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.ready.set()
        await self._ending.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _report(task: asyncio.Task[None]) -> None:
    """A task of the devnet ends when it is told to; anything else is a fault to be seen."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        log.error("localnet_task_failed", extra={"task": task.get_name()}, exc_info=fault)


def _programs(codec: Codec, strict: bool, release: Release) -> dict[bytes, ProgramEntry]:
    return native_programs(release) | {codec.program_id: ProgramEntry(ZmartProgram(codec, strict))}


def _url_host(host: str) -> str:
    """The host as an address to connect to: a wildcard is reached by loopback, and IPv6 goes in brackets."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"[{reachable}]" if ":" in reachable else reachable


def _bind_pair(host: str, port: int) -> list[socket.socket]:
    """Sockets listening on ``port`` and the next; port 0 looks for a free pair. Raises :class:`StartupError`."""
    for _ in range(PORT_TRIES if port == 0 else 1):
        first = _bind(host, port)
        try:
            return [first, _bind(host, first.getsockname()[1] + 1)]
        except StartupError:
            first.close()
            if port:
                raise
    raise StartupError(f"no two neighbouring free ports were found on {host}")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named, and with it on every answer takes 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(socket.SOMAXCONN)
    except (OSError, OverflowError) as exc:
        bound.close()
        if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
            raise StartupError(
                f"the devnet cannot listen on {host}:{port}: the address is in use. Is another devnet or "
                "solana-test-validator running? Stop it, or set another localnet port."
            ) from exc
        raise StartupError(f"the devnet cannot listen on {host}:{port}: {exc}") from exc
    return bound
