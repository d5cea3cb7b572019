"""Solana JSON-RPC as this node needs it: typed calls, and the only retry loop of the package.

Every failure leaves as one of three errors: RpcUnavailable (a retry may cure it, and was tried), RpcRefused (it will
not), or its kind SimulationFailed. With several addresses the healthiest is asked first, the earlier one among equals;
a failing one is left alone for a growing, jittered pause or for as long as its Retry-After asks.
"""

import asyncio
import base64
import copy
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from based58 import b58encode
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.chain import answers
from zmart_lite.chain.answers import (
    AccountInfo,
    ClockReading,
    DataSize,
    LatestBlockhash,
    Memcmp,
    Reader,
    SignatureStatus,
    Simulation,
)
from zmart_lite.chain.endpoint import Connect, Endpoint, over_http
from zmart_lite.chain.rpc_errors import PLACE_UNKNOWN, version_refused
from zmart_lite.chain.slots import SLOTS_AHEAD_MAX, Tip
from zmart_lite.chain.transactions import transaction_of_rpc
from zmart_lite.errors import ChainError, NodeLacks, PlaceUnknown, RpcRefused, RpcUnavailable, UndecodableData
from zmart_lite.models import ChainTransaction, Commitment, SignatureInfo

__all__ = [
    "AccountInfo",
    "ClockReading",
    "DataSize",
    "LatestBlockhash",
    "Memcmp",
    "RetryPolicy",
    "Rpc",
    "SignatureStatus",
    "Simulation",
]

R = TypeVar("R")
Sleep = Callable[[float], Awaitable[object]]
Monotonic = Callable[[], float]
OnRequest = Callable[[str, str, float], None]
Guard = Callable[[], AbstractContextManager[object]]
Confirm = Callable[[R, Endpoint, float], Awaitable[None]]
"""Gets the answer, the address that gave it, and the deadline of the call."""

ACCOUNTS_PER_CALL_MAX = 100
STATUSES_PER_CALL_MAX = 256
SIGNATURES_PER_PAGE_MAX = 1_000
FEE_ACCOUNTS_MAX = 128
FILTERS_MAX = 4
MEMCMP_BYTES_MAX = 128
TRANSACTION_VERSION_MAX = 1
"""The highest version whose layout is known. What the cluster has above it is asked for once it was refused."""
ADDRESSES_MAX = 10
"""RPC addresses one Rpc may be given."""
GENESIS_METHOD = "getGenesisHash"
BLOCKHASH_HEIGHTS = 300
"""By how much the last valid height of a blockhash may be ahead of the chain; 150 today."""
CLOCK_PARAMS = [str(Pubkey.from_bytes(answers.CLOCK_SYSVAR)), {"commitment": "confirmed", "encoding": "base64"}]
PROOF_S = 600.0
"""How long an address that answered for the right cluster is believed to go on doing so."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one call is tried.

    ``timeout_s`` limits an attempt, ``deadline_s`` the call with all its pauses.
    """

    timeout_s: float = 15.0
    deadline_s: float = 45.0
    attempts_max: int = 4
    pause_first_s: float = 0.25
    pause_max_s: float = 8.0

    def pause_s(self, failures: int, jitter: float) -> float:
        """The pause after so many failures in a row, doubling; ``jitter`` in 0 … 1 takes away up to half of it."""
        doubled = self.pause_first_s * 2 ** min(max(failures, 1) - 1, 16)
        return float(min(doubled, self.pause_max_s) * (1 - jitter / 2))


class EndpointView(NamedTuple):
    """An RPC address. ``failures`` in a row, 0 = healthy; ``is_serving``: the next request goes there."""

    number: int
    host: str
    failures: int
    is_foreign: bool
    is_serving: bool


@dataclass
class _Cluster:
    genesis_hash: bytes | None


class Rpc:
    """A cluster's JSON-RPC. All keys, hashes and signatures are raw bytes.

    ``on_request(method, result, seconds)`` is told of every request made, result being ok, refused or unavailable.
    ``guard`` makes a context manager around each call with all its attempts, such as ``partial(breaker.guard,
    RpcUnavailable)``. Close it when done.
    """

    def __init__(
        self,
        urls: Sequence[str],
        policy: RetryPolicy | None = None,
        *,
        guard: Guard = nullcontext,
        on_request: OnRequest | None = None,
        sleep: Sleep = asyncio.sleep,
        monotonic: Monotonic = time.monotonic,
        jitter: Callable[[], float] | None = None,
        connect: Connect = over_http,
    ) -> None:
        if not 1 <= len(urls) <= ADDRESSES_MAX:
            raise ValueError(f"{len(urls)} RPC addresses instead of 1 to {ADDRESSES_MAX}")
        self.policy = policy or RetryPolicy()
        self._guard = guard
        self._on_request = on_request or (lambda _method, _result, _seconds: None)
        self.sleep = sleep
        self.monotonic = monotonic
        self._jitter = jitter or secrets.SystemRandom().random
        self._endpoints = tuple(
            Endpoint(number, url, connect(url, self.policy.timeout_s), self._backoff)
            for number, url in enumerate(urls, 1)
        )
        self._cluster: _Cluster | None = None
        self._tip: Tip | None = None
        self._ids = itertools.count(1)

    def guarded(self, guard: Guard, policy: RetryPolicy | None = None) -> "Rpc":
        """The same connections and their health behind another guard, and under another policy if one is given."""
        view = copy.copy(self)
        view._guard = guard
        view.policy = policy or self.policy
        return view

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.close()

    async def __aenter__(self) -> "Rpc":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # The retry loop

    async def call(
        self,
        method: str,
        params: list[Any],
        read: Reader[R],
        *,
        attempts_max: int | None = None,
        confirm: Confirm[R] | None = None,
        slot_of: Callable[[R], int] = answers.no_slot,
    ) -> R:
        """The answer of ``method`` through ``read``. ``confirm`` may ask the address that gave it more about it, and
        refuse it by what it raises. ``slot_of`` is the highest slot (or block height) that the answer speaks of: one
        that the cluster cannot have reached makes it no answer (:meth:`require_slots`).

        Raises RpcUnavailable, RpcRefused, SimulationFailed, or what the guard raises.
        """
        with self._guard():
            ask = partial(self._believed, method, params, read, slot_of, confirm)
            return await self._persist(ask, attempts_max or self.policy.attempts_max)

    async def _persist(self, ask: Callable[[Endpoint, float], Awaitable[R]], attempts_max: int) -> R:
        deadline = self.monotonic() + self.policy.deadline_s
        failure: RpcUnavailable | None = None
        lacking: dict[Endpoint, RpcRefused] = {}
        endpoint: Endpoint | None = None
        attempt = 1
        while attempt <= attempts_max and len(lacking) < len(self._endpoints):
            before, endpoint = endpoint, self._healthiest(lacking)
            try:
                await self._pause(endpoint, before, attempt, deadline, failure)
                return await ask(endpoint, deadline)
            except (NodeLacks, PlaceUnknown) as error:
                # Asked once, and no attempt: the address is well, and will say the same.
                lacking[endpoint] = error
            except RpcUnavailable as error:
                failure, attempt = error, attempt + 1
                if self.monotonic() >= deadline:
                    break
        # Where nobody knows better, the word of one that answered counts for more than the silence of the others.
        raise next(iter(lacking.values()), None) or failure or RpcUnavailable()

    async def _believed(
        self,
        method: str,
        params: list[Any],
        read: Reader[R],
        slot_of: Callable[[R], int],
        confirm: Confirm[R] | None,
        endpoint: Endpoint,
        deadline: float,
    ) -> R:
        answer = await self._attempt(endpoint, method, params, read, deadline)
        await self._require_reached(endpoint, slot_of(answer), deadline)
        if confirm is not None:
            await confirm(answer, endpoint, deadline)
        return answer

    def _healthiest(self, lacking: Container[Endpoint] = ()) -> Endpoint:
        """The address to ask next; one of those that are ``lacking`` only if there is no other."""
        now = self.monotonic()

        def rank(endpoint: Endpoint) -> tuple[bool, bool, float, int]:
            return endpoint.is_foreign, endpoint in lacking, max(endpoint.ready_at, now), endpoint.score(now)

        return min(self._endpoints, key=rank)

    async def _pause(
        self, endpoint: Endpoint, before: Endpoint | None, attempt: int, deadline: float, failure: RpcUnavailable | None
    ) -> None:
        """Wait until ``endpoint`` may be asked; raises at once where the deadline would pass meanwhile."""
        now = self.monotonic()
        pause = endpoint.ready_at - now
        if pause > 0:
            # Whoever waits for the same address must not come back in the same instant.
            pause += self.policy.pause_first_s * self._jitter()
        elif endpoint is before:
            pause = self._backoff(attempt - 1)
        if pause <= 0:
            return
        if now + pause >= deadline:
            raise failure or RpcUnavailable(f"The RPC node {endpoint.host} asked for a pause.", pause)
        await self.sleep(pause)

    async def _attempt(self, endpoint: Endpoint, method: str, params: list[Any], read: Reader[R], deadline: float) -> R:
        started = self.monotonic()
        body = _body(next(self._ids), method, params)
        result = "unavailable"
        try:
            async with asyncio.timeout(min(self.policy.timeout_s, deadline - started)):
                if self._cluster is not None and method != GENESIS_METHOD:
                    await self._prove(endpoint, self._cluster)
                raw = await endpoint.ask(body, self.monotonic)
            answer = read(raw)
            endpoint.praise()
            result = "ok"
            return answer
        except TimeoutError as error:
            raise endpoint.blame(
                self.monotonic(), f"The RPC node {endpoint.host} did not answer {method} in time."
            ) from error
        except answers.MALFORMED as error:
            message = f"The RPC node {endpoint.host} answered {method} with something malformed: {error}"
            raise endpoint.blame(self.monotonic(), message) from error
        except RpcRefused:
            result = "refused"
            raise
        except UndecodableData:
            result = "ok"  # an answer, and nothing the node is to blame for
            raise
        finally:
            self._on_request(method, result, self.monotonic() - started)

    # One cluster

    def require_cluster(self, genesis_hash: bytes | None) -> None:
        """From now on use an address only after it has answered for this cluster: at first, after each failure, and
        every so often. None: the cluster of whichever answers first.
        """
        self._cluster = _Cluster(genesis_hash)

    @property
    def genesis_hash(self) -> bytes | None:
        """That of the cluster that is required, once it is known."""
        return None if self._cluster is None else self._cluster.genesis_hash

    async def _prove(self, endpoint: Endpoint, cluster: "_Cluster") -> None:
        """Raises RpcUnavailable if an address answers for another cluster, and what asking it raises."""
        async with endpoint.proving:
            if self.monotonic() - endpoint.proven_at < PROOF_S:
                return
            found = answers.hash_bytes(await endpoint.ask(_body(next(self._ids), GENESIS_METHOD, []), self.monotonic))
            if cluster.genesis_hash is None:
                cluster.genesis_hash = found
            endpoint.is_foreign = found != cluster.genesis_hash
            if endpoint.is_foreign:
                raise RpcUnavailable(f"The RPC node {endpoint.host} answers for another cluster.")
            endpoint.proven_at = self.monotonic()

    async def list_foreign(self) -> list[str]:
        """Hosts of the addresses that now answer for another cluster than the first of them does that answers, or than
        the required one. An address that does not answer says nothing. Raises RpcUnavailable if none does.
        """
        found = await self.list_genesis()
        known = [genesis for genesis in (self.genesis_hash, *found) if genesis is not None]
        if all(genesis is None for genesis in found):
            raise RpcUnavailable("No RPC node answers.")
        return [
            each.host
            for each, genesis in zip(self._endpoints, found, strict=True)
            if genesis is not None and genesis != known[0]
        ]

    async def list_genesis(self) -> list[bytes | None]:
        """The cluster for which each address answers, in the order of the configuration; None where it does not.

        Asked whatever an address answered before: those of another cluster are used for nothing else.
        """
        return list(await asyncio.gather(*map(self._genesis_of, self._endpoints)))

    async def _genesis_of(self, endpoint: Endpoint) -> bytes | None:
        try:
            async with asyncio.timeout(self.policy.timeout_s):
                return answers.hash_bytes(
                    await endpoint.ask(_body(next(self._ids), GENESIS_METHOD, []), self.monotonic)
                )
        except (ChainError, TimeoutError, *answers.MALFORMED):
            return None

    # Slots that can be

    def require_slots(self) -> None:
        """From now on no answer counts that speaks of slots which the cluster cannot have reached. Not for the embedded
        devnet, whose slots jump as its user likes.
        """
        self._tip = Tip()

    async def _require_reached(self, endpoint: Endpoint, slot: int, deadline: float) -> None:
        """Raises RpcUnavailable, and blames the address, for a slot beyond what can be. Before that its own clock is
        asked: the last reading may be old, or a chain for tests may have jumped.
        """
        if self._tip is None or slot <= (self._tip.limit(self.monotonic()) or 0):
            return
        reading = await self._attempt(endpoint, "getAccountInfo", CLOCK_PARAMS, answers.clock, deadline)
        now = self.monotonic()
        is_believed = self._tip.note(reading.slot, now, endpoint.number)
        if not is_believed or slot > (self._tip.limit(now) or 0):
            raise endpoint.blame(now, f"The RPC node {endpoint.host} tells of slot {slot}, which cannot be yet.")

    def endpoints(self) -> list[EndpointView]:
        """How each address is doing, in the order of the configuration."""
        serving, now = self._healthiest(), self.monotonic()
        return [
            EndpointView(each.number, each.host, each.score(now), each.is_foreign, each is serving)
            for each in self._endpoints
        ]

    def _backoff(self, failures: int) -> float:
        return self.policy.pause_s(failures, self._jitter())

    # The cluster

    async def get_slot(self, commitment: Commitment = Commitment.CONFIRMED) -> int:
        return await self.call("getSlot", [_at(commitment)], answers.plain(int), slot_of=int)

    async def get_block_height(self, commitment: Commitment = Commitment.CONFIRMED) -> int:
        return await self.call("getBlockHeight", [_at(commitment)], answers.plain(int), slot_of=int)

    async def get_first_slot(self) -> int:
        """The first slot of which the address in use still has the block."""
        return await self.call("getFirstAvailableBlock", [], answers.plain(int))

    async def get_genesis_hash(self) -> bytes:
        return await self.call(GENESIS_METHOD, [], answers.hash_bytes)

    async def get_version(self) -> str | None:
        """Version of the software that the address in use runs (``solana-core``); None if it tells none."""
        return await self.call("getVersion", [], answers.software_version)

    async def get_latest_blockhash(self, commitment: Commitment = Commitment.CONFIRMED) -> LatestBlockhash:
        return await self.call(
            "getLatestBlockhash",
            [_at(commitment)],
            answers.latest_blockhash,
            slot_of=lambda found: found.last_valid_block_height - BLOCKHASH_HEIGHTS,
        )

    async def is_blockhash_valid(self, blockhash: bytes, commitment: Commitment = Commitment.CONFIRMED) -> bool:
        params = [str(Hash.from_bytes(blockhash)), _at(commitment)]
        return await self.call("isBlockhashValid", params, answers.valued(bool))

    async def get_clock(self, commitment: Commitment = Commitment.CONFIRMED) -> ClockReading:
        """Slot and unix second of the Clock sysvar: what a program of the next block sees, about."""
        params = _account_params(answers.CLOCK_SYSVAR, commitment)

        async def confirm(reading: ClockReading, endpoint: Endpoint, _: float) -> None:
            now = self.monotonic()
            if self._tip is not None and not self._tip.note(reading.slot, now, endpoint.number):
                raise endpoint.blame(
                    now, f"The RPC node {endpoint.host} is at slot {reading.slot}, which cannot be yet."
                )

        return await self.call("getAccountInfo", params, answers.clock, confirm=confirm)

    async def get_minimum_balance_for_rent_exemption(self, space_bytes: int) -> int:
        """Lamports."""
        return await self.call("getMinimumBalanceForRentExemption", [space_bytes], answers.plain(int))

    async def get_recent_prioritization_fees(self, accounts: Sequence[bytes] = ()) -> list[int]:
        """The smallest price (micro-lamports per compute unit) that landed in each recent slot, for ≤ 128 accounts."""
        keys = [_address(account) for account in accounts[:FEE_ACCOUNTS_MAX]]
        return await self.call("getRecentPrioritizationFees", [keys], answers.fees)

    async def get_fork_count(self, listener: str, known: int) -> int:
        """How often the devnet has gone back. ``known``: up to which of these times ``listener`` has dealt with it."""
        return await self.call("localnet_forks", [{"listener": listener, "known": known}], answers.plain(int))

    # Accounts

    async def get_balance(self, address: bytes, commitment: Commitment = Commitment.CONFIRMED) -> int:
        """Lamports; 0 for an account that does not exist."""
        return await self.call("getBalance", [_address(address), _at(commitment)], answers.valued(int))

    async def get_account(self, address: bytes, commitment: Commitment = Commitment.CONFIRMED) -> AccountInfo | None:
        params = _account_params(address, commitment)
        return await self.call("getAccountInfo", params, answers.account, slot_of=answers.own_slot)

    async def get_accounts(
        self, addresses: Sequence[bytes], commitment: Commitment = Commitment.CONFIRMED
    ) -> list[AccountInfo | None]:
        """One entry per address, in that order; asked for a hundred at a time, so their slots may differ."""
        found: list[AccountInfo | None] = []
        for start in range(0, len(addresses), ACCOUNTS_PER_CALL_MAX):
            chunk = [_address(address) for address in addresses[start : start + ACCOUNTS_PER_CALL_MAX]]
            params = [chunk, _at(commitment) | {"encoding": "base64"}]
            read = answers.accounts(len(chunk))
            found += await self.call("getMultipleAccounts", params, read, slot_of=answers.highest_slot)
        return found

    async def get_program_accounts(
        self,
        program_id: bytes,
        filters: Sequence[DataSize | Memcmp] = (),
        commitment: Commitment = Commitment.CONFIRMED,
        *,
        data_slice: tuple[int, int] | None = None,
    ) -> list[tuple[bytes, AccountInfo]]:
        """All accounts of the program that pass every filter (at most four), with their addresses.

        ``data_slice``: only that many bytes of each from an offset on, as (offset, length).
        """
        if len(filters) > FILTERS_MAX:
            raise ValueError(f"{len(filters)} filters, the RPC takes {FILTERS_MAX}")
        config: dict[str, Any] = {"encoding": "base64", "withContext": True}
        config["filters"] = [_filter(each) for each in filters]
        if data_slice is not None:
            config["dataSlice"] = {"offset": data_slice[0], "length": data_slice[1]}
        params = [_address(program_id), _at(commitment) | config]
        return await self.call(
            "getProgramAccounts",
            params,
            answers.program_accounts,
            slot_of=lambda found: answers.highest_slot([info for _, info in found]),
        )

    async def request_airdrop(self, address: bytes, lamports: int) -> bytes:
        """Signature of the airdrop. Tried once: repeating it would give twice."""
        params = [_address(address), lamports]
        return await self.call("requestAirdrop", params, answers.signature_bytes, attempts_max=1)

    # History

    async def get_signatures(
        self,
        address: bytes,
        *,
        before: bytes | None = None,
        until: bytes | None = None,
        limit: int = SIGNATURES_PER_PAGE_MAX,
        commitment: Commitment = Commitment.CONFIRMED,
    ) -> list[SignatureInfo]:
        """A page of the address's transactions, newest first, failed ones included.

        An empty page is the end of the history. Raises PlaceUnknown where no node knows ``before``, whether it says
        so (Agave from 4.0 on) or answers with an empty page (3.x). An ``until`` that such an older node does not know
        is ignored without an error (the newest page comes back), so never rest on it alone.
        """
        config = _at(commitment) | {"limit": limit}
        for name, signature in (("before", before), ("until", until)):
            if signature is not None:
                config[name] = str(Signature.from_bytes(signature))

        async def confirm(page: list[SignatureInfo], endpoint: Endpoint, deadline: float) -> None:
            if page or before is None:
                return
            # The same address: another one may well know what this one does not go on from.
            params = [[config["before"]], {"searchTransactionHistory": True}]
            known = await self._attempt(endpoint, "getSignatureStatuses", params, answers.statuses(1), deadline)
            if known[0] is None:
                text = f"The RPC node {endpoint.host} does not know the transaction from which to go on."
                raise PlaceUnknown(text, PLACE_UNKNOWN)

        params = [_address(address), config]
        return await self.call(
            "getSignaturesForAddress", params, answers.signatures, confirm=confirm, slot_of=answers.highest_slot
        )

    async def get_transaction(
        self,
        signature: bytes,
        program_id: bytes,
        commitment: Commitment = Commitment.CONFIRMED,
        *,
        is_enough: Callable[[ChainTransaction], bool] = lambda _: True,
    ) -> ChainTransaction | None:
        """The transaction with its instructions for ``program_id``; None where it is not known at that commitment.

        One of a version that is newer than this program is read as far as it is laid out as the known ones are. An
        answer that is not enough (without logs, say) counts only if no address has a better one. Raises
        UndecodableData for an answer that does not describe a transaction.
        """
        best: ChainTransaction | None = None

        def read(raw: answers.Raw) -> ChainTransaction | None:
            answer = msgspec.json.decode(raw)
            return None if answer is None else transaction_of_rpc(answer, program_id)

        async def confirm(found: ChainTransaction | None, endpoint: Endpoint, _: float) -> None:
            nonlocal best
            is_better = best is None if found is None else is_enough(found)
            if not is_better:
                best = found or best
                raise NodeLacks(f"The RPC node {endpoint.host} does not tell the whole of a transaction.")

        params = [str(Signature.from_bytes(signature)), _at(commitment) | {"encoding": "json"}]
        try:
            return await self._of_any_version("getTransaction", params, read, confirm, answers.own_slot)
        except NodeLacks:
            if best is None:
                raise
            return best

    async def get_block_signatures(
        self, slot: int, commitment: Commitment = Commitment.CONFIRMED
    ) -> list[bytes] | None:
        """Signatures of a block's transactions in the order of execution; None where the node has no such block."""
        config = _at(commitment) | {"transactionDetails": "signatures", "rewards": False}
        return await self._of_any_version("getBlock", [slot, config], answers.block_signatures)

    async def _of_any_version(
        self,
        method: str,
        params: list[Any],
        read: Reader[R],
        confirm: Confirm[R] | None = None,
        slot_of: Callable[[R], int] = answers.no_slot,
    ) -> R:
        """Ask for transactions up to the version that is known, and, if one is refused as newer, for that version."""
        wanted = TRANSACTION_VERSION_MAX
        while True:
            params[-1]["maxSupportedTransactionVersion"] = wanted
            try:
                return await self.call(method, params, read, confirm=confirm, slot_of=slot_of)
            except RpcRefused as error:
                newer = version_refused(error.rpc_code, error.message)
                if newer is None or newer <= wanted:
                    raise
                wanted = newer

    async def get_signature_statuses(
        self, signatures: Sequence[bytes], search_history: bool = False
    ) -> list[SignatureStatus | None]:
        """One entry per signature, in that order. Without ``search_history`` only those of recent slots are known."""
        found: list[SignatureStatus | None] = []
        for start in range(0, len(signatures), STATUSES_PER_CALL_MAX):
            chunk = [str(Signature.from_bytes(each)) for each in signatures[start : start + STATUSES_PER_CALL_MAX]]
            params = [chunk, {"searchTransactionHistory": search_history}]
            read = answers.statuses(len(chunk))
            found += await self.call("getSignatureStatuses", params, read, slot_of=answers.highest_slot)
        return found

    async def is_absent(self, signature: bytes, slot: int) -> bool:
        """Whether a transaction is proven not to be in ``slot``: no address knows it, though one of them has the blocks
        of that time. Addresses that do not answer say nothing.
        """
        text = str(Signature.from_bytes(signature))
        deadline, is_proven = self.monotonic() + self.policy.deadline_s, False
        with self._guard():
            for endpoint in self._endpoints:
                try:
                    params = [[text], {"searchTransactionHistory": True}]
                    ask = partial(self._attempt, endpoint, deadline=deadline)
                    statuses = await ask("getSignatureStatuses", params, answers.statuses(1))
                    if statuses[0] is not None:
                        return False
                    first = await ask("getFirstAvailableBlock", [], answers.plain(int))
                    tip = await ask("getSlot", [_at(Commitment.CONFIRMED)], answers.plain(int))
                except (RpcRefused, RpcUnavailable):
                    continue
                # What is just ahead of a node it may only not have seen yet.
                is_proven |= first <= slot and not tip < slot <= tip + SLOTS_AHEAD_MAX
        return is_proven

    # Transactions

    async def send_transaction(
        self,
        raw: bytes,
        *,
        skip_preflight: bool = False,
        preflight_commitment: Commitment = Commitment.CONFIRMED,
        attempts_max: int | None = None,
    ) -> bytes:
        """The signature.

        The node itself re-sends nothing (``maxRetries`` 0). Raises SimulationFailed when preflight fails.
        """
        config = {
            "encoding": "base64",
            "skipPreflight": skip_preflight,
            "preflightCommitment": preflight_commitment.name.lower(),
            "maxRetries": 0,
        }
        params = [_base64(raw), config]
        return await self.call("sendTransaction", params, answers.signature_bytes, attempts_max=attempts_max)

    async def simulate_transaction(
        self,
        raw: bytes,
        *,
        sig_verify: bool = False,
        replace_blockhash: bool = False,
        commitment: Commitment = Commitment.CONFIRMED,
    ) -> Simulation:
        """The simulated run, also when it failed (``err`` then says how).

        A node verifies signatures or replaces the blockhash, not both.
        """
        config = _at(commitment) | {
            "encoding": "base64",
            "sigVerify": sig_verify,
            "replaceRecentBlockhash": replace_blockhash,
        }
        return await self.call("simulateTransaction", [_base64(raw), config], answers.simulation)


def _body(number: int, method: str, params: list[Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def _at(commitment: Commitment) -> dict[str, Any]:
    return {"commitment": commitment.name.lower()}


def _address(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))


def _account_params(address: bytes, commitment: Commitment) -> list[Any]:
    return [_address(address), _at(commitment) | {"encoding": "base64"}]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _filter(condition: DataSize | Memcmp) -> dict[str, Any]:
    if isinstance(condition, DataSize):
        return {"dataSize": condition.size_bytes}
    if len(condition.data) > MEMCMP_BYTES_MAX:
        raise ValueError(f"{len(condition.data)} bytes to compare, the RPC takes {MEMCMP_BYTES_MAX}")
    return {"memcmp": {"offset": condition.offset, "bytes": b58encode(condition.data).decode()}}
