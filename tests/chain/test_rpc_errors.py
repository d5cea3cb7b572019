"""zmart_lite/chain/rpc_errors.py: each error has its remedy, seen by what the client does with it."""

import re
from collections.abc import AsyncIterator

import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.chain.scripted_rpc import Reply, ScriptedRpc, Time, error, result, valued
from zmart_lite.chain.rpc import TRANSACTION_VERSION_MAX, RetryPolicy, Rpc
from zmart_lite.chain.rpc_errors import TABLE, ErrorCode, Remedy, remedy_for, version_refused
from zmart_lite.errors import ChainError, NodeLacks, PlaceUnknown, RpcRefused, RpcUnavailable
from zmart_lite.models import ChainTransaction

KEY, SIGNATURE = bytes(range(32)), bytes(range(64))
TEXT = str(Signature.from_bytes(SIGNATURE))

SOURCE = """
BLOCK_CLEANED_UP -32001 SEND_TRANSACTION_PREFLIGHT_FAILURE -32002 TRANSACTION_SIGNATURE_VERIFICATION_FAILURE -32003
BLOCK_NOT_AVAILABLE -32004 NODE_UNHEALTHY -32005 TRANSACTION_PRECOMPILE_VERIFICATION_FAILURE -32006
SLOT_SKIPPED -32007 NO_SNAPSHOT -32008 LONG_TERM_STORAGE_SLOT_SKIPPED -32009 KEY_EXCLUDED_FROM_SECONDARY_INDEX -32010
TRANSACTION_HISTORY_NOT_AVAILABLE -32011 SCAN_ERROR -32012 TRANSACTION_SIGNATURE_LEN_MISMATCH -32013
BLOCK_STATUS_NOT_AVAILABLE_YET -32014 UNSUPPORTED_TRANSACTION_VERSION -32015 MIN_CONTEXT_SLOT_NOT_REACHED -32016
EPOCH_REWARDS_PERIOD_ACTIVE -32017 SLOT_NOT_EPOCH_BOUNDARY -32018 LONG_TERM_STORAGE_UNREACHABLE -32019
FILTER_TRANSACTION_NOT_FOUND -32020 NO_SLOT_HISTORY -32021 LEADER_SCHEDULE_IDENTITY_NOT_FOUND -32022
"""
"""The constants of solana-rpc-client-api 4.4.0, custom_error.rs, without JSON_RPC_SERVER_ERROR_."""


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def servers() -> AsyncIterator[list[ScriptedRpc]]:
    async with ScriptedRpc() as first, ScriptedRpc() as second:
        yield [first, second]


def connect(time: Time, *servers: ScriptedRpc) -> Rpc:
    urls = [server.url for server in servers]
    policy = RetryPolicy(timeout_s=5)
    return Rpc(urls, policy, sleep=time.sleep, monotonic=time.monotonic, jitter=lambda: 0.0)


def test_every_code_of_the_source_is_in_the_table_once() -> None:
    named = re.findall(r"(\w+) (-\d+)", SOURCE)
    by_code = {row.code: row.name for row in TABLE}
    assert len(by_code) == len(TABLE)
    for name, code in named:
        assert by_code[int(code)].lower() == name.replace("_", "").lower()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.code}")
async def test_what_the_client_does_about_each(servers: list[ScriptedRpc], time: Time, row: ErrorCode) -> None:
    """Two nodes, of which the first answers with the error and the second with what was asked for."""
    first, second = servers
    first.on("getSlot", error(row.code, row.name))
    second.on("getSlot", result(7))
    found: int | ChainError
    async with connect(time, first, second) as rpc:
        try:
            found = await rpc.get_slot()
        except ChainError as failure:
            found = failure
        asked = first.asked("getSlot"), second.asked("getSlot")
        match row.remedy:
            case Remedy.PAUSE | Remedy.OTHER_NODE | Remedy.START_AGAIN:
                assert (found, asked) == (7, (1, 1))
            case Remedy.RETRY:
                assert isinstance(found, RpcUnavailable)
                assert asked == (rpc.policy.attempts_max, 0)
            case Remedy.GIVE_UP:
                assert isinstance(found, RpcRefused)
                assert (found.rpc_code, asked) == (row.code, (1, 0))
        # Only what says something about the node counts against it.
        assert (rpc.endpoints()[0].failures > 0) == (row.remedy is Remedy.PAUSE)


@pytest.mark.parametrize("row", [row for row in TABLE if row.remedy in (Remedy.OTHER_NODE, Remedy.START_AGAIN)])
async def test_where_no_node_has_it_that_is_said_at_once(
    servers: list[ScriptedRpc], time: Time, row: ErrorCode
) -> None:
    for server in servers:
        server.on("getSlot", error(row.code, row.name))
    async with connect(time, *servers) as rpc:
        with pytest.raises(PlaceUnknown if row.remedy is Remedy.START_AGAIN else NodeLacks):
            await rpc.get_slot()
    assert [server.asked("getSlot") for server in servers] == [1, 1]
    assert time.pauses == []


async def test_a_node_that_is_down_cannot_keep_a_place_from_being_given_up(
    servers: list[ScriptedRpc], time: Time
) -> None:
    first, second = servers
    first.on("getSignaturesForAddress", error(-32020, f"Transaction {TEXT} not found"))
    second.on("getSignaturesForAddress", Reply(b"", 503))
    async with connect(time, first, second) as rpc:
        with pytest.raises(PlaceUnknown):
            await rpc.get_signatures(KEY, before=SIGNATURE)


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_empty_page_is_an_end_only_behind_a_known_transaction(
    servers: list[ScriptedRpc], time: Time, is_known: bool
) -> None:
    """As nodes before 4.0 answer for an unknown ``before``."""
    server = servers[0]
    status = {"slot": 3, "confirmations": None, "err": None, "confirmationStatus": "finalized"}
    server.on("getSignaturesForAddress", result([]))
    server.on("getSignatureStatuses", valued([status if is_known else None]))
    async with connect(time, server) as rpc:
        assert await rpc.get_signatures(KEY) == []
        assert server.asked("getSignatureStatuses") == 0
        if is_known:
            assert await rpc.get_signatures(KEY, before=SIGNATURE) == []
        else:
            with pytest.raises(PlaceUnknown):
                await rpc.get_signatures(KEY, before=SIGNATURE)


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        (-32007, "50/second request limit reached - reduce calls per second or upgrade your account", Remedy.PAUSE),
        (-32003, "daily request limit reached - upgrade your account", Remedy.PAUSE),
        (-32005, "Too Many Requests", Remedy.PAUSE),
        (-31000, "rate limited", Remedy.PAUSE),
        (-32000, "credits limited to 20/sec", Remedy.PAUSE),
        (-32012, "scan aborted: The accumulated scan results exceeded the limit", Remedy.OTHER_NODE),
        (-32012, "Node detected it replayed bad version of slot 5 with id 5", Remedy.RETRY),
        (-31999, "something new", Remedy.GIVE_UP),
    ],
)
def test_texts_that_say_more_than_their_code(code: int, message: str, remedy: Remedy) -> None:
    assert remedy_for(code, message) is remedy


# Versions of transactions


def told(version: int) -> dict[str, object]:
    """A transaction as getTransaction tells it, with a member that no version has today."""
    message = {"accountKeys": [str(Pubkey.from_bytes(KEY))], "instructions": [], "transactionConfig": {"x": 1}}
    return {
        "slot": 5,
        "version": version,
        "meta": {"err": None, "logMessages": ["x"]},
        "transaction": {"signatures": [TEXT], "message": message},
    }


class Answerer:
    """Refuses whoever asks for versions up to a lower one, in the words of Agave (3.0 to 4.4)."""

    def __init__(self, version: int, answer: object) -> None:
        self.version, self.answer = version, answer

    def __call__(self, params: list[dict[str, int]]) -> Reply:
        if params[1]["maxSupportedTransactionVersion"] >= self.version:
            return result(self.answer)
        message = (
            f"Transaction version ({self.version}) is not supported by the requesting client. Please try the request"
            f' again with the following configuration parameter: "maxSupportedTransactionVersion": {self.version}'
        )
        return error(-32015, message)


@pytest.mark.parametrize("version", [0, 1, 2, 9])
async def test_transactions_of_any_version_are_read_as_far_as_they_can_be(
    servers: list[ScriptedRpc], time: Time, version: int
) -> None:
    server = servers[0]
    server.on("getTransaction", Answerer(version, told(version)))
    server.on("getBlock", Answerer(version, {"blockhash": "x", "signatures": [TEXT]}))
    async with connect(time, server) as rpc:
        found = await rpc.get_transaction(SIGNATURE, KEY)
        assert found is not None
        assert (found.slot, found.logs) == (5, ("x",))
        assert await rpc.get_block_signatures(5) == [SIGNATURE]
    assert (
        server.asked("getTransaction") == server.asked("getBlock") == (1 if version <= TRANSACTION_VERSION_MAX else 2)
    )


@pytest.mark.parametrize("message", ["", "Transaction version (300) is not supported", "Transaction version (1) is …"])
async def test_a_version_refused_for_good_is_a_refusal(servers: list[ScriptedRpc], time: Time, message: str) -> None:
    """A node that refuses what it was asked for, or does not say what it wants."""
    servers[0].on("getTransaction", error(-32015, message))
    async with connect(time, servers[0]) as rpc:
        with pytest.raises(RpcRefused):
            await rpc.get_transaction(SIGNATURE, KEY)
    assert servers[0].asked("getTransaction") == 1
    assert version_refused(-32602, "Transaction version (3) is not supported") is None


async def test_an_answer_that_is_not_enough_has_the_other_nodes_asked(servers: list[ScriptedRpc], time: Time) -> None:
    """The last node to be asked does not know the transaction, or does not answer: the first one's word stands."""
    first, second = servers
    without = told(0) | {"meta": {"err": None, "logMessages": []}}

    def is_enough(found: ChainTransaction) -> bool:
        return bool(found.logs)

    first.on("getTransaction", result(without))
    second.on("getTransaction", result(told(0)), result(without), result(None), Reply(b"", 503))
    async with connect(time, first, second) as rpc:
        found = [await rpc.get_transaction(SIGNATURE, KEY, is_enough=is_enough) for _ in range(4)]
    assert [each is not None and each.logs for each in found] == [("x",), None, None, None]
