"""What a transaction may have changed, by the accounts its instructions name: for those that do not tell everything."""

from collections.abc import Iterator
from typing import NamedTuple

from zmart_lite.chain.events import program_instructions
from zmart_lite.codec import Codec
from zmart_lite.models import ChainTransaction

CONFIG_INSTRUCTIONS = frozenset({"initialize_global_config", "update_global_config", "emergency_pause"})


class Touched(NamedTuple):
    """Ids of markets that were created, addresses that are or may be markets, and whether the config may be another."""

    created: tuple[bytes, ...]
    addresses: tuple[bytes, ...]
    config: bool


def touched_by(codec: Codec, found: ChainTransaction) -> Touched:
    """Of an instruction that is not one of the IDL's, any account may be a market, and the config may have changed."""
    calls = program_instructions(codec, found)
    is_strange = len(calls) < sum(each.program_id == codec.program_id for each in found.instructions)
    return Touched(
        tuple(call.args["market_id"] for call in calls if call.name == "create_market"),
        tuple(_addresses(codec, found)),
        is_strange or any(call.name in CONFIG_INSTRUCTIONS for call in calls),
    )


def _addresses(codec: Codec, found: ChainTransaction) -> Iterator[bytes]:
    for instruction in found.instructions:
        if instruction.program_id != codec.program_id:
            continue
        name = codec.instruction_by_discriminator(instruction.data)
        specs = None if name is None else codec.instruction_accounts(name)
        for place, key in enumerate(instruction.accounts):
            if specs is None or (place < len(specs) and specs[place].name == "market"):
                yield key
