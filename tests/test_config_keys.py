"""Keys in the forms in which people have them; what is none is named for what was seen, never by what it says."""

import base64
import json
import os
from pathlib import Path

import pytest
from solders.keypair import Keypair

from zmart_lite.config import Secret, read_keypair
from zmart_lite.errors import ConfigError

PAIR = Keypair.from_seed(bytes(range(32)))
ARRAY = json.dumps(list(bytes(PAIR)))
SEED_ARRAY = json.dumps(list(bytes(PAIR)[:32]))
BASE58 = str(PAIR)
SETTING = "chain.backend_keypair"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_keypair(Secret(text), SETTING)
    message = caught.value.message
    assert message.startswith(SETTING)
    assert "\n" not in message
    return message


def file_of(folder: Path, content: str | bytes, name: str = "id.json") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("text", [ARRAY, f"'{ARRAY}'", f'"{ARRAY}"', f" {ARRAY}\n", f"\"'{ARRAY}'\"", BASE58])
def test_values_that_are_keys(text: str) -> None:
    assert read_keypair(Secret(text), SETTING) == PAIR


@pytest.mark.parametrize(
    "content",
    [
        ARRAY,
        json.dumps(list(bytes(PAIR)), indent=2).replace("\n", "\r\n"),
        "\ufeff" + ARRAY,
        BASE58,
        BASE58 + "\r\n",
        "\ufeff" + BASE58 + "\n",
        f"'{ARRAY}'",
        json.dumps({"publicKey": str(PAIR.pubkey()), "secretKey": list(bytes(PAIR))}),
        json.dumps({"address": str(PAIR.pubkey()), "seed": list(bytes(PAIR)[:32])}),
        json.dumps({"publicKey": str(PAIR.pubkey()), "privateKey": BASE58}),
    ],
)
def test_files_that_are_keys(tmp_path: Path, content: str) -> None:
    assert read_keypair(Secret(str(file_of(tmp_path, content))), SETTING) == PAIR


def test_a_file_needs_no_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(tmp_path, ARRAY, "backend-key")
    monkeypatch.chdir(tmp_path)
    for text in ("backend-key", "./backend-key", str(tmp_path / "backend-key")):
        assert read_keypair(Secret(text), SETTING) == PAIR


def test_a_seed_needs_its_address(tmp_path: Path) -> None:
    """As ``solana-keygen grind`` names its files."""
    assert read_keypair(Secret(str(file_of(tmp_path, SEED_ARRAY, f"{PAIR.pubkey()}.json"))), SETTING) == PAIR
    assert "the secret half only: name the file after its address" in refusal(str(file_of(tmp_path, SEED_ARRAY)))
    assert "the secret half only" in refusal(SEED_ARRAY)
    other = Keypair.from_seed(bytes(32)).pubkey()
    assert "the key of another address" in refusal(str(file_of(tmp_path, ARRAY, f"{other}.json")))


NO_KEYS = {
    "in quotes: take the quotes away": f'"{BASE58}"',
    "a base58 key of 88 characters in quotes": f"'{BASE58}'" if len(BASE58) == 88 else f"'{'5' * 88}'",
    "the public half is not that of the secret one": str([200] * 64),
    "an array of 64 numbers with something before its bracket": f"KEY={ARRAY}",
    "numbers with something before its bracket": f"Uint8Array({ARRAY})",
    "a list of 64 numbers without its brackets": ARRAY.strip("[]"),
    "64 numbers without its brackets": ARRAY.removeprefix("["),
    "an object of 64 numbers": json.dumps({str(place): byte for place, byte in enumerate(bytes(PAIR))}),
    "the field secretKey, but none for the address": json.dumps({"secretKey": list(bytes(PAIR))}),
    "without a key that is known": json.dumps({"mnemonic": BASE58}),
    "64 bytes in hexadecimal digits": bytes(PAIR).hex(),
    "32 bytes in hexadecimal digits": "0x" + bytes(PAIR)[:32].hex(),
    "32 bytes in base58": str(PAIR.pubkey()),
    "a base58 text of 20 characters": BASE58[:20],
    "a seed phrase of 12 words": "abandon " * 11 + "about",
    "a PEM file": "-----BEGIN PRIVATE KEY-----",
    "not of numbers from 0 to 255": "[300, 1]",
    "but not like one in JSON": ARRAY[:-1],
    "is not one in JSON": "{secret",
    "where a key has 64 bytes": "[1, 2]",
    "a text of 5 characters": "no:ke",
}


@pytest.mark.parametrize(("seen", "text"), NO_KEYS.items())
def test_what_is_no_key_is_named_for_what_it_is(tmp_path: Path, seen: str, text: str) -> None:
    for message in (refusal(text), refusal(str(file_of(tmp_path, text)))):
        assert seen in message
        assert not [secret for secret in (text, BASE58[:20], ARRAY[1:40]) if secret in message]


@pytest.mark.parametrize(
    ("seen", "content"),
    [
        ("is written in UTF-16", ARRAY.encode("utf-16")),
        ("is written in UTF-16", ARRAY.encode("utf-16-le")),
        ("a file of 64 bytes that are no text", bytes(range(200, 256)) + bytes(range(200, 208))),
        ("is larger than 4096 bytes", b"1" * 5000),
        ("is empty", b"\r\n"),
    ],
)
def test_files_that_are_no_text_of_a_key(tmp_path: Path, seen: str, content: bytes) -> None:
    assert seen in refusal(str(file_of(tmp_path, content)))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    assert "it is no regular file" in refusal(str(pipe))
    assert "(Is a directory)" in refusal(str(tmp_path))
    assert f"cannot read the keypair file {tmp_path}/none (No such file" in refusal(str(tmp_path / "none"))
    assert "File name too long" in refusal("/" + "x" * 5000)
    assert "no file may be called so" in refusal(f"{tmp_path}/a\0b.json")
    assert "No such file" in refusal("~nobody-of-that-name/key.json")


def test_a_mistyped_key_is_not_shown_as_a_path() -> None:
    """Base64 has slashes, and any text may be longer than a name may be."""
    key = "/" + base64.b64encode(bytes(PAIR)).decode()
    for text in (key, key[1:20] + "/" + key[20:], ARRAY.replace(" ", "") * 2 + ".json", BASE58 + ".json", f"~{BASE58}"):
        assert not [part for part in (BASE58[:20], key[1:15], ARRAY[1:30].replace(" ", "")) if part in refusal(text)]
