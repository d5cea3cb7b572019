"""The picture of a market: it is drawn for every title and course, and its text is that of people, never markup."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmart_lite.api.routes import picture
from zmart_lite.api.routes.picture import Shown
from zmart_lite.store.views.history import Point

P = 10**9
NAMESPACE = "{http://www.w3.org/2000/svg}"
COURSES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(66_987_297, 933_012_702)), max_size=30)


@settings(max_examples=60)
@given(title=st.text(st.characters(exclude_categories=["Cs"]), max_size=200), course=COURSES)
def test_every_title_and_course_can_be_drawn(title: str, course: list[tuple[int, int]]) -> None:
    points = [Point(*each) for each in sorted(course)]
    svg = picture.svg_of(Shown(title, "Active", P // 2, None, "1 SOL traded"), points)
    texts = [each.text or "" for each in ET.fromstring(svg).iter(f"{NAMESPACE}text")]
    lines = [picture.NOT_IN_XML.sub("\ufffd", line) for line in picture.wrapped(title)]
    assert texts[2 : 2 + len(lines)] == lines
    assert len(lines) <= picture.LINES_MAX
    assert all(len(line) <= picture.LINE_CHARS for line in lines)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (Shown("Q", "Active", 541_234_567, None, ""), ["YES 54 %", "NO 46 %"]),
        (Shown("Q", "Finalized", P // 2, "NO", ""), ["NO"]),
        (Shown("Q", "Finalized", P // 2, "INVALID", ""), ["INVALID"]),
        (Shown("Q", "Proposed", None, None, ""), ["No trades yet"]),
    ],
)
def test_what_it_says(shown: Shown, said: list[str]) -> None:
    svg = picture.svg_of(shown, [Point(0, P // 2), Point(10, P // 3)])
    assert all(f">{text}</text>" in svg for text in said)


def test_a_long_title_ends_in_an_ellipsis() -> None:
    lines = picture.wrapped("word " * 60 + "x" * 90)
    assert len(lines) == picture.LINES_MAX
    assert lines[-1].endswith("…")
    assert picture.wrapped("x" * 80) == ["x" * 36, "x" * 36, "x" * 8]


def test_it_becomes_a_png_of_its_size_with_letters_from_its_own_fonts() -> None:
    empty = picture.png_of(picture.svg_of(Shown("", "", None, "", ""), []))
    drawn = picture.png_of(picture.svg_of(Shown("Does it rain? Ειν. Идёт?", "Active", P // 2, None, "1 SOL"), []))
    for png in (empty, drawn):
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (picture.WIDTH, picture.HEIGHT)
    assert len(drawn) > len(empty) + 5_000
