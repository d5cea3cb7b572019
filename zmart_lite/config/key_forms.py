"""The forms in which people keep Solana keys, and names for what is none. Nothing here repeats what it looks at."""

import base64
import binascii
import json
import re
from typing import Any

import based58
from solders.keypair import Keypair
from solders.pubkey import Pubkey

KEY_BYTES = 64
SEED_BYTES = 32
BASE58_LENGTH = range(80, 91)
"""Characters of 64 bytes in base58; fewer where they begin with zeros."""
QUOTES = ("'", '"', "`")
SECRET_FIELDS = ("secretKey", "secret_key", "privateKey", "private_key", "secret", "keypair", "seed")
"""What wallets and scripts call the secret half in an object."""
ADDRESS_FIELDS = ("publicKey", "public_key", "pubkey", "address")
PHRASE_WORDS = (12, 15, 18, 21, 24)

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]+")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+")
_WORDS = re.compile(r"[a-z]+(?: [a-z]+)+")
_NUMBER = re.compile(r"\d+")
_LISTED = re.compile(r"\d+(?:[\s,;]+\d+)+[\s,;]*")


class NoKey(Exception):
    """What was seen instead of a key."""


def decode(text: str, address: str | None = None) -> Keypair:
    """The key in a text: a JSON array of 64 numbers, also in quotes; base58 of 64 bytes; an object that names both
    halves. ``address``: the wallet that something beside the text names, which a seed of 32 bytes needs.

    Raises NoKey with what was seen.
    """
    bare, is_quoted = unquoted(text.strip())
    if bare.startswith("["):
        return _from_numbers(bare, address)
    if bare.startswith("{"):
        return _from_object(bare, address)
    if not is_quoted and _BASE58.fullmatch(bare) and (len(bare) in BASE58_LENGTH or address is not None):
        return _from_base58(bare, address)
    raise NoKey(describe(text))


def looks_like_path(text: str) -> bool:
    """Whether a text may be the path of a file rather than a key; a key in base64 may look like one, too."""
    return "/" in text or text.startswith("~") or text.lower().endswith((".json", ".key", ".txt"))


def unquoted(text: str) -> tuple[str, bool]:
    """The text without the quotes around it, as env files of containers keep them, and whether it had some."""
    bare = text
    while len(bare) > 1 and bare[0] in QUOTES and bare[-1] == bare[0]:
        bare = bare[1:-1].strip()
    return bare, bare != text


def describe(text: str) -> str:
    """What a text that is no key looks like: its form and how long it is, and nothing of it."""
    bare, is_quoted = unquoted(text.strip())
    return f"it looks like {_form(bare)}" + (" in quotes: take the quotes away" if is_quoted and bare else "")


def _form(text: str) -> str:
    if not text:
        return "nothing but blanks"
    if "PRIVATE KEY-----" in text or text.startswith("-----BEGIN"):
        return "a PEM file; Solana keys are 64 bytes"
    for form in (_form_of_numbers, _form_of_one_word):
        if found := form(text):
            return found
    if looks_like_path(text):
        return "a path"
    words = len(text.split())
    if _WORDS.fullmatch(text) and words in PHRASE_WORDS:
        return f"a seed phrase of {words} words; write its key with: solana-keygen recover --outfile FILE"
    return f"a text of {len(text)} characters"


def _form_of_numbers(text: str) -> str | None:
    count = len(_NUMBER.findall(text[text.find("[") + 1 :]))
    if "[" in text and count > 1:
        return f"an array of {count} numbers with something before its bracket"
    if count > 1 and text.rstrip("]; ,").count("]") == 0 and _LISTED.fullmatch(text.rstrip("]; ,")):
        return f"a list of {count} numbers without its brackets"
    return None


def _form_of_one_word(text: str) -> str | None:
    if _HEX.fullmatch(text) and len(text.removeprefix("0x")) in (2 * KEY_BYTES, 2 * SEED_BYTES):
        return f"{len(text.removeprefix('0x')) // 2} bytes in hexadecimal digits"
    if _BASE58.fullmatch(text):
        if len(text) in BASE58_LENGTH:
            return f"a base58 key of {len(text)} characters"
        if (raw := _unbase58(text)) is not None and len(raw) == SEED_BYTES:
            return "32 bytes in base58: an address, or a seed whose public half is not named"
        return f"a base58 text of {len(text)} characters, where a key has 87 or 88"
    if _is_base64(text):
        return f"a base64 text of {len(text)} characters"
    return None


def _is_base64(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) in (KEY_BYTES, SEED_BYTES)
    except (binascii.Error, ValueError):
        return False


def _unbase58(text: str) -> bytes | None:
    try:
        return based58.b58decode(text.encode())
    except ValueError:
        return None


# What holds a key


def _from_numbers(text: str, address: str | None) -> Keypair:
    try:
        numbers = json.loads(text)
    except (ValueError, RecursionError):
        raise NoKey("it looks like an array, but not like one in JSON: [1, 2, …]") from None
    return _from_list(numbers, address)


def _from_list(numbers: Any, address: str | None) -> Keypair:
    try:
        if not isinstance(numbers, list) or any(isinstance(number, float) for number in numbers):
            raise TypeError
        raw = bytes(numbers)
    except (ValueError, TypeError):
        raise NoKey("it is an array, but not of numbers from 0 to 255") from None
    return _from_bytes(raw, address, f"an array of {len(raw)} numbers")


def _from_base58(text: str, address: str | None) -> Keypair:
    seen = f"a base58 text of {len(text)} characters"
    return _from_bytes(_unbase58(text) or b"", address, seen)


def _from_object(text: str, address: str | None) -> Keypair:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NoKey("it begins like an object, but is not one in JSON") from None
    if found and all(name.isdigit() for name in found):
        raise NoKey(f"it is an object of {len(found)} numbers, as JSON.stringify makes of bytes: write the array only")
    secret = next((name for name in SECRET_FIELDS if name in found), None)
    if secret is None:
        raise NoKey("it is an object without a key that is known: write the array of 64 numbers only")
    named = next((found[name] for name in ADDRESS_FIELDS if isinstance(found.get(name), str)), address)
    if named is None:
        raise NoKey(f"it is an object with the field {secret}, but none for the address: write the array only")
    held = found[secret]
    return _from_base58(held, named) if isinstance(held, str) else _from_list(held, named)


def _from_bytes(raw: bytes, address: str | None, seen: str) -> Keypair:
    """The key of 64 bytes, or of a seed of 32 whose address is named. The public half has to be that of the secret."""
    if len(raw) not in (KEY_BYTES, SEED_BYTES):
        raise NoKey(f"it is {seen}, where a key has {KEY_BYTES} bytes")
    pair = Keypair.from_seed(raw[:SEED_BYTES])
    if len(raw) == KEY_BYTES and bytes(pair) != raw:
        raise NoKey(f"it is {seen}, but the public half is not that of the secret one")
    if len(raw) == SEED_BYTES and address is None:
        raise NoKey(f"it is {seen}, the secret half only: name the file after its address, ADDRESS.json")
    if address is not None and str(pair.pubkey()) != address:
        raise NoKey(f"it is {seen}, but the key of another address than the one named beside it")
    return pair


def is_address(text: str) -> bool:
    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True
