"""Version-1 transactions written from the text of SIMD-0385, of nothing that the devnet shares."""

from collections.abc import Sequence
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

FIELDS = (("priority_fee", 8, 0b11), ("units", 4, 0b100), ("loaded", 4, 0b1000), ("heap", 4, 0b10000))
"""The values of the config in their order: bytes and bits of the mask."""
ENOUGH = {"units": 200_000, "loaded": 100_000}
"""What a transaction here must ask for: nothing is given to one that asks for nothing."""


def ordered_keys(payer: Pubkey, instructions: Sequence[Instruction]) -> tuple[list[Pubkey], tuple[int, int, int]]:
    """The addresses in the order of the format, and the header's three counts."""
    roles: dict[Pubkey, list[bool]] = {payer: [True, True]}
    for instruction in instructions:
        for meta in instruction.accounts:
            role = roles.setdefault(meta.pubkey, [False, False])
            role[0] |= meta.is_signer
            role[1] |= meta.is_writable
        roles.setdefault(instruction.program_id, [False, False])

    def rank(key: Pubkey) -> tuple[Any, ...]:
        signs, writes = roles[key]
        return (not signs, not writes, key != payer, bytes(key))

    keys = sorted(roles, key=rank)
    signers = [key for key in keys if roles[key][0]]
    readonly = [key for key in keys if not roles[key][1]]
    signing = sum(key in signers for key in readonly)
    return keys, (len(signers), signing, len(readonly) - signing)


def message(payer: Pubkey, instructions: Sequence[Instruction], blockhash: bytes, **config: int) -> bytes:
    keys, header = ordered_keys(payer, instructions)
    place = {key: number for number, key in enumerate(keys)}
    asked = [field for field in FIELDS if field[0] in config]
    text = bytes([129, *header]) + sum(bits for _, _, bits in asked).to_bytes(4, "little") + blockhash
    text += bytes([len(instructions), len(keys)]) + b"".join(bytes(key) for key in keys)
    for name, size, _bits in asked:
        text += config[name].to_bytes(size, "little")
    for each in instructions:
        text += bytes([place[each.program_id], len(each.accounts)]) + len(each.data).to_bytes(2, "little")
    for each in instructions:
        text += bytes(place[meta.pubkey] for meta in each.accounts) + bytes(each.data)
    return text


def signed(signers: Sequence[Keypair], instructions: Sequence[Instruction], blockhash: bytes, **config: int) -> bytes:
    """The wire form; the first of the signers pays."""
    text = message(signers[0].pubkey(), instructions, blockhash, **config)
    keys, header = ordered_keys(signers[0].pubkey(), instructions)
    by_key = {each.pubkey(): each for each in signers}
    return text + b"".join(bytes(by_key[key].sign_message(text)) for key in keys[: header[0]])
