"""A picture of a market for whoever unfolds its link: question, price and its course, as SVG and turned into PNG."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from zmart_lite.resources import find
from zmart_lite.store.views.history import Point

WIDTH, HEIGHT = 1_200, 630
LEFT, RIGHT, TOP, BOTTOM = 70, 1_130, 330, 545
LINE_CHARS, LINES_MAX = 36, 3
POINTS_MAX = 200
"""More would not be seen."""
GROUND, INK, MUTED, YES, NO, LINE = "#121316", "#ececee", "#9a9ca5", "#4cc9a4", "#f0877e", "#2d2f36"
SIGN = (
    '<path d="M70 30h32L80 58h24" fill="none" stroke="#9d97f2" stroke-width="6" stroke-linecap="round"'
    ' stroke-linejoin="round"/>'
)
FONTS = ("fonts/dejavusans.ttf", "fonts/dejavusans-bold.ttf")
FAMILY = "DejaVu Sans"
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Shown(NamedTuple):
    """What is drawn. ``price_yes``: 10^9 = 1.0; None where nobody trades. ``outcome``: once there is one."""

    title: str
    state: str
    price_yes: int | None
    outcome: str | None
    traded: str


def svg_of(shown: Shown, points: Sequence[Point]) -> str:
    """The picture as SVG; what people wrote is escaped. ``points``: oldest first."""
    lines = wrapped(shown.title)
    title = "".join(
        f'<text x="{LEFT}" y="{130 + 62 * number}" font-size="50" font-weight="bold" fill="{INK}">{_text(line)}</text>'
        for number, line in enumerate(lines)
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="{FAMILY}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{GROUND}"/>',
        SIGN,
        f'<text x="120" y="56" font-size="24" font-weight="bold" fill="{MUTED}">ZMART</text>',
        f'<text x="{RIGHT}" y="56" font-size="24" fill="{MUTED}" text-anchor="end">{_text(shown.state)}</text>',
        title,
        _course(points) if shown.price_yes is not None else "",
        _headline(shown),
        "</svg>",
    ]
    return "".join(parts)


def _text(written: str) -> str:
    return escape(NOT_IN_XML.sub("\ufffd", written))


def _headline(shown: Shown) -> str:
    y = 602
    if shown.outcome is not None:
        colour = {"YES": YES, "NO": NO}.get(shown.outcome, INK)
        said = (
            f'<text x="{LEFT}" y="{y}" font-size="44" font-weight="bold" fill="{colour}">{_text(shown.outcome)}</text>'
        )
    elif shown.price_yes is None:
        said = f'<text x="{LEFT}" y="{y}" font-size="36" fill="{MUTED}">No trades yet</text>'
    else:
        yes = round(shown.price_yes / 10**7)
        said = (
            f'<text x="{LEFT}" y="{y}" font-size="44" font-weight="bold" fill="{YES}">YES {yes} %</text>'
            f'<text x="{LEFT + 290}" y="{y}" font-size="44" font-weight="bold" fill="{NO}">NO {100 - yes} %</text>'
        )
    traded = f'<text x="{RIGHT}" y="{y}" font-size="28" fill="{MUTED}" text-anchor="end">{_text(shown.traded)}</text>'
    return said + traded


def _course(points: Sequence[Point]) -> str:
    """The price as steps: it stands still between two trades."""
    grid = f'<path d="M{LEFT} {BOTTOM}H{RIGHT}" stroke="{LINE}" stroke-width="2"/>'
    if len(points) < 2:
        return grid
    start, span = points[0].at_s, max(1, points[-1].at_s - points[0].at_s)
    prices = [point.price for point in points]
    low, high = min(prices), max(prices)
    height = max(1, high - low)

    def x(at_s: int) -> float:
        return LEFT + (RIGHT - LEFT) * (at_s - start) / span

    def y(price: int) -> float:
        return BOTTOM - 10 - (BOTTOM - TOP - 20) * ((price - low) / height if high > low else 0.5)

    path = f"M{x(points[0].at_s):.1f} {y(prices[0]):.1f}"
    path += "".join(f"H{x(point.at_s):.1f}V{y(point.price):.1f}" for point in points[1:])
    area = f'<path d="{path}H{RIGHT}V{BOTTOM}H{LEFT}Z" fill="{YES}" fill-opacity="0.12"/>'
    line = f'<path d="{path}H{RIGHT}" fill="none" stroke="{YES}" stroke-width="5" stroke-linejoin="round"/>'
    return grid + area + line


def wrapped(title: str) -> list[str]:
    """The title in lines that fit; what is left over ends in an ellipsis."""
    lines, line = [], ""
    for word in title.split():
        while len(word) > LINE_CHARS:
            word, rest = word[:LINE_CHARS], word[LINE_CHARS:]
            lines += [line] if line else []
            lines, line, word = [*lines, word], "", rest
        if line and len(line) + 1 + len(word) > LINE_CHARS:
            lines, line = [*lines, line], word
        else:
            line = f"{line} {word}".strip()
    lines += [line] if line else []
    if len(lines) <= LINES_MAX:
        return lines
    return [*lines[: LINES_MAX - 1], f"{lines[LINES_MAX - 1][: LINE_CHARS - 1]}…"]


class NotDrawable(Exception):
    """The library cannot draw these shapes."""


def png_of(svg: str) -> bytes:
    """Takes some tens of milliseconds: not on the event loop. Fonts of the machine count for nothing.

    Raises NotDrawable.
    """
    # Nothing else needs this library, and most nodes never draw.
    import resvg_py

    files = [str(find(font)) for font in FONTS]
    try:
        return resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True, font_files=files, font_family=FAMILY)
    except BaseException as error:
        # What its native part gives up on is no Exception, and would go past everything that answers errors.
        if type(error).__name__ != "PanicException":
            raise
        raise NotDrawable from error
