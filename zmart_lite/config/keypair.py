"""The node's own keys: a Solana CLI file, base58 text, or a byte array."""

import json
import stat
from pathlib import Path

from solders.keypair import Keypair

from zmart_lite.config.values import Secret
from zmart_lite.errors import ConfigError

KEY_BYTES = 64
BASE58_LENGTH = range(80, 91)
FILE_BYTES_MAX = 4096
GROUP_OR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_keypair(value: Secret, setting: str) -> Keypair:
    """The key that ``setting`` holds or points at; raises ConfigError, which never quotes it."""
    text = value.reveal().strip()
    if text.startswith("["):
        return _from_array(text, setting)
    if len(text) in BASE58_LENGTH and text.isalnum():
        return _from_base58(text, setting)
    return _from_file(Path(text).expanduser(), setting)


def open_to_others(value: Secret) -> Path | None:
    """The key's file, if users besides its owner may read it."""
    path = Path(value.reveal().strip()).expanduser()
    try:
        mode = path.stat().st_mode if value else 0
    except OSError:
        return None
    return path if stat.S_ISREG(mode) and mode & GROUP_OR_OTHERS else None


def _from_file(path: Path, setting: str) -> Keypair:
    # The text may be a mistyped key: only what plainly is a path is repeated.
    shown = f" {path}" if path.suffix == ".json" or path.exists() else ""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(
            f"{setting}: cannot read the keypair file{shown} ({exc.strerror}); "
            "give the path of a Solana CLI key file, a base58 key or a byte array"
        ) from None
    return _from_array(raw.decode("utf-8", errors="replace"), f"{setting}:{shown}")


def _from_array(text: str, setting: str) -> Keypair:
    try:
        numbers = json.loads(text)
        raw = bytes(numbers) if isinstance(numbers, list) else b""
    except (ValueError, TypeError, RecursionError):
        raw = b""
    return _checked(raw, setting)


def _from_base58(text: str, setting: str) -> Keypair:
    try:
        raw = bytes(Keypair.from_base58_string(text))
    except ValueError:
        raw = b""
    return _checked(raw, setting)


def _checked(raw: bytes, setting: str) -> Keypair:
    if len(raw) == KEY_BYTES:
        pair = Keypair.from_seed(raw[:32])
        if bytes(pair) == raw:
            return pair
    raise ConfigError(
        f"{setting.removesuffix(':')}: not a Solana key; it must be {KEY_BYTES} bytes, secret and public half, "
        "as `solana-keygen new --outfile FILE` writes them"
    )
