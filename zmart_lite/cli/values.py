"""What people write on the command line: amounts of SOL, lengths of time, moments, ids; each with its own refusals."""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import click

LAMPORTS_PER_SOL = 1_000_000_000
LAMPORTS_MAX = 2**63 - 1
UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
DURATION_MAX_S = 100 * 366 * 86_400
MOMENT_MAX_S = 2**40
MARKET_ID = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)

_PARTS = re.compile(r"([0-9]{1,12})([smhdw])")
_NUMBER = re.compile(r"-[0-9.]")


class Command(click.Command):
    """A command to which a negative number is a value, not an option that nobody knows: what is wrong with it is said
    by whoever reads it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        taking = {
            name for part in self.params if isinstance(part, click.Option) and not part.is_flag for name in part.opts
        }
        kept: list[str] = []
        numbers: list[str] = []
        for place, word in enumerate(args):
            if word == "--":
                return super().parse_args(ctx, [*kept, "--", *numbers, *args[place + 1 :]])
            is_value = place > 0 and args[place - 1] in taking
            (numbers if _NUMBER.match(word) and not is_value else kept).append(word)
        return super().parse_args(ctx, [*kept, "--", *numbers] if numbers else args)


class _Lamports(click.ParamType[int]):
    """An amount of SOL, exact to the lamport; converted to lamports."""

    name = "sol"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).removesuffix(" SOL").removesuffix("SOL")
        try:
            lamports = Decimal(text) * LAMPORTS_PER_SOL
        except InvalidOperation:
            self.fail(f"{value!r} is no amount of SOL; write it like 2 or 0.5.", param, ctx)
        if not lamports.is_finite() or not 0 < lamports <= LAMPORTS_MAX:
            self.fail(
                f"{value!r}: an amount of SOL is above 0 and at most {LAMPORTS_MAX // LAMPORTS_PER_SOL}.", param, ctx
            )
        if lamports != lamports.to_integral_value():
            self.fail(f"{value!r}: SOL has nine decimals, a lamport is 0.000000001.", param, ctx)
        return int(lamports)


class _Duration(click.ParamType[int]):
    """``90s``, ``5m``, ``48h``, ``3d``, ``1w`` or several of them together; converted to seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value)
        seconds = duration_s(text.removeprefix("-"))
        if text.startswith("-") and seconds is not None:
            self.fail(
                f"{text!r} lies in the past: the devnet's clock goes forward only (see snapshot, revert).", param, ctx
            )
        if seconds is None:
            self.fail(f"{text!r} is not a duration; write 90s, 5m, 48h, 3d, 1w or 1d12h.", param, ctx)
        if seconds > DURATION_MAX_S:
            self.fail(f"{text!r} is more than a hundred years.", param, ctx)
        return seconds


LAMPORTS = _Lamports()
DURATION = _Duration()


def sol_text(lamports: int) -> str:
    """An amount of SOL without zeros at its end: 0.5."""
    whole, part = divmod(lamports, LAMPORTS_PER_SOL)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".")


def duration_s(text: str) -> int | None:
    """Seconds of a length of time; None for what is none."""
    parts = _PARTS.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(int(number) * UNITS_S[unit] for number, unit in parts)


def moment_s(text: str) -> int:
    """Unix seconds of a unix time or an ISO time, which is UTC where it names no zone. Raises BadParameter."""
    if text.removeprefix("-").isdigit() and text.isascii():
        seconds = int(text[:20])
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is neither a unix time nor an ISO time like 2026-05-01T12:00:00Z."
            ) from None
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if not 0 <= seconds <= MOMENT_MAX_S:
        raise click.BadParameter(f"{text!r} is no moment that a chain's clock shows.")
    return seconds
