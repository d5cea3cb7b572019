"""The node's own keys: a file, base58 text, or a byte array; read without a word of what they hold."""

import os
import stat
from pathlib import Path

from solders.keypair import Keypair

from zmart_lite.config import key_forms
from zmart_lite.config.values import Secret
from zmart_lite.errors import ConfigError

FILE_BYTES_MAX = 4096
SHOWN_PART_CHARS_MAX = 60
"""No part of a path that is shown is longer: a key in base58, in numbers or in hexadecimal digits is."""
GROUP_OR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
FORMS = "give the path of a Solana CLI key file, a base58 key or a byte array"


def read_keypair(value: Secret, setting: str) -> Keypair:
    """The key that ``setting`` holds or points at; raises ConfigError, which never quotes it."""
    text = value.reveal().strip()
    path = _path_in(text)
    if path is not None:
        return _from_file(path, setting)
    try:
        return key_forms.decode(text)
    except key_forms.NoKey as seen:
        raise ConfigError(f"{setting}: not a Solana key: {seen}; {FORMS}") from None


def names_file(value: Secret) -> bool:
    """Whether a key's setting holds a path rather than the key."""
    return _path_in(value.reveal().strip()) is not None


def open_to_others(value: Secret) -> Path | None:
    """The key's file, if users besides its owner may read it."""
    path = _path_in(value.reveal().strip())
    try:
        mode = path.stat().st_mode if path else 0
    except (OSError, ValueError):
        return None
    return path if stat.S_ISREG(mode) and mode & GROUP_OR_OTHERS else None


def _path_in(text: str) -> Path | None:
    """The file that a setting names; None where it rather is the key itself. What it raises would hold the text."""
    # os.path answers False where Path would raise: a folder that may not be entered, a text too long for a name.
    is_there = os.path.lexists(text)
    is_list = "[" in text or text[:1] in ("{", *key_forms.QUOTES)
    if not text or not (is_there or (key_forms.looks_like_path(text) and not is_list)):
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of a user who is not known: opening it says so
        return Path(text)


def shown_path(path: Path) -> str:
    """A blank and the path, or nothing where it may be a mistyped key."""
    text = str(path)
    plainly = all(len(part) <= SHOWN_PART_CHARS_MAX for part in path.parts) and text.isprintable()
    beside = path.parent not in (Path(), Path("/")) and os.path.lexists(path.parent)
    is_path = os.path.lexists(text) or beside or path.suffix == ".json"
    return f" {path}" if plainly and is_path else ""


def _from_file(path: Path, setting: str) -> Keypair:
    shown = shown_path(path)
    raw = _read(path, f"{setting}: cannot read the keypair file{shown}")
    if not shown:
        shown = " the file"
    address = path.stem if key_forms.is_address(path.stem) else None
    try:
        return key_forms.decode(_text_of(raw), address)
    except key_forms.NoKey as seen:
        raise ConfigError(
            f"{setting}:{shown} is not a Solana key: {seen}; it must be as `solana-keygen new --outfile FILE` writes it"
        ) from None


def _read(path: Path, failing: str) -> bytes:
    """The file's bytes. Only a regular file: another one may never end, or answer only once."""
    try:
        # Without waiting: a pipe that nobody writes to would keep the start for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{failing} (it is no regular file); {FORMS}")
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(f"{failing} ({exc.strerror}); {FORMS}") from None
    except ValueError:
        raise ConfigError(f"{failing} (no file may be called so); {FORMS}") from None


def _text_of(raw: bytes) -> str:
    """The text of a file, without the mark that editors put before it. Raises NoKey."""
    if len(raw) > FILE_BYTES_MAX:
        raise key_forms.NoKey(f"it is larger than {FILE_BYTES_MAX} bytes")
    if raw.startswith(UTF16_MARKS) or raw.count(0) > len(raw) // 3:
        raise key_forms.NoKey("it is written in UTF-16; save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise key_forms.NoKey(f"it is a file of {len(raw)} bytes that are no text") from None
    if not text.strip():
        raise key_forms.NoKey("it is empty")
    return text
