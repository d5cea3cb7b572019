"""One line of the doctor."""

from enum import Enum
from typing import NamedTuple


class Mark(Enum):
    """OFF is neither good nor bad: not configured, or not to be seen from here."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    OFF = "off"


class Finding(NamedTuple):
    """``advice`` says what to do, for whatever is not well."""

    mark: Mark
    name: str
    text: str
    advice: str = ""


def good(name: str, text: str) -> Finding:
    return Finding(Mark.GOOD, name, text)


def warning(name: str, text: str, advice: str) -> Finding:
    return Finding(Mark.WARNING, name, text, advice)


def bad(name: str, text: str, advice: str) -> Finding:
    return Finding(Mark.BAD, name, text, advice)


def off(name: str, text: str) -> Finding:
    return Finding(Mark.OFF, name, text)
