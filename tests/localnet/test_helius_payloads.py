"""What deliveries say: the documented fields, and that the node reads them."""

from solders.pubkey import Pubkey

from tests.localnet.chain_harness import ALICE, BOB, CAROL, PROGRAM, PROGRAM_ID, SOL, Chain, payment
from tests.localnet.helius_harness import address, call_program, pay_within
from zmart_lite.chain.webhook import parse_payload
from zmart_lite.localnet.helius_payloads import encode_delivery, enhanced_item, raw_item


def test_raw_items_have_the_documented_fields_and_the_node_reads_them() -> None:
    chain = Chain()
    chain.program.act = pay_within
    landed = chain.run(call_program())
    item = raw_item(landed)
    assert set(item) == {"blockTime", "indexWithinBlock", "meta", "slot", "transaction", "version"}
    assert set(item["meta"]) == {
        "err", "fee", "innerInstructions", "loadedAddresses", "logMessages", "postBalances", "postTokenBalances",
        "preBalances", "preTokenBalances", "rewards",
    }  # fmt: skip
    message = item["transaction"]["message"]
    assert set(message) == {"accountKeys", "addressTableLookups", "header", "instructions", "recentBlockhash"}
    inner = item["meta"]["innerInstructions"][0]["instructions"][0]
    assert set(inner) == set(message["instructions"][0]) == {"accounts", "data", "programIdIndex"}
    [read] = parse_payload(encode_delivery([landed], enhanced=False), PROGRAM_ID)
    assert (read.kind, read.signature, read.error) == ("raw", landed.signature, None)
    found = read.transaction
    assert found is not None
    assert (found.slot, found.index_in_block, found.block_time) == (landed.slot, landed.index, landed.block_time)
    assert found.logs == landed.meta.logs
    assert [each.data for each in found.instructions] == [b"\x01\x02"]


def test_enhanced_items_describe_a_transfer() -> None:
    chain = Chain()
    landed = chain.pay(SOL + SOL // 4)
    both = chain.run(payment(SOL), payment(2 * SOL, ALICE, CAROL))
    item = enhanced_item(landed)
    assert set(item) == {
        "accountData", "description", "events", "fee", "feePayer", "instructions", "nativeTransfers", "signature",
        "slot", "source", "timestamp", "tokenTransfers", "transactionError", "type",
    }  # fmt: skip
    assert (item["type"], item["source"], item["transactionError"]) == ("TRANSFER", "SYSTEM_PROGRAM", None)
    assert item["description"] == f"{address(ALICE)} transferred 1.25 SOL to {address(BOB)}."
    assert item["nativeTransfers"] == [
        {"amount": SOL + SOL // 4, "fromUserAccount": address(ALICE), "toUserAccount": address(BOB)}
    ]
    changes = {each["account"]: each["nativeBalanceChange"] for each in item["accountData"]}
    assert (changes[address(ALICE)], changes[address(BOB)]) == (-SOL - SOL // 4 - 5_000, SOL + SOL // 4)
    assert enhanced_item(both)["description"] == f"{address(ALICE)} transferred a total 3 SOL to multiple accounts."
    [read] = parse_payload(encode_delivery([landed], enhanced=True), PROGRAM_ID)
    assert (read.kind, read.signature, read.slot, read.failed) == ("enhanced", landed.signature, landed.slot, False)


def test_enhanced_items_do_not_know_programs_and_carry_no_logs() -> None:
    chain = Chain()
    chain.program.act = pay_within
    landed = chain.run(call_program())
    item = enhanced_item(landed)
    assert (item["type"], item["source"], item["description"], item["events"]) == ("UNKNOWN", "UNKNOWN", "", {})
    assert [each["amount"] for each in item["nativeTransfers"]] == [7]
    [outer] = item["instructions"]
    assert outer["programId"] == str(PROGRAM)
    assert [each["programId"] for each in outer["innerInstructions"]] == [str(Pubkey.default())]
    assert "logMessages" not in str(item)


def test_enhanced_items_of_failed_transactions_moved_nothing() -> None:
    chain = Chain()
    landed = chain.pay(1_000 * SOL)
    item = enhanced_item(landed)
    assert item["transactionError"] == {"error": '{"InstructionError":[0,{"Custom":1}]}'}
    assert (item["type"], item["nativeTransfers"]) == ("UNKNOWN", [])
    assert [each["nativeBalanceChange"] for each in item["accountData"]] == [-5_000, 0, 0]
    [read] = parse_payload(encode_delivery([landed], enhanced=True), PROGRAM_ID)
    assert read.failed
