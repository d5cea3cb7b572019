"""The modules that the page's first view is made of, announced in index.html so that a slow network fetches them at
once instead of one after the other. ``python -m tests.page.preloads`` writes the list anew.
"""

import re
from pathlib import Path

STATIC = Path(__file__).resolve().parents[2] / "static"
INDEX = STATIC / "index.html"
STARTS = ("page/main.js", "page/views/markets.js")
IMPORT = re.compile(r"^(?:import|export)\s[^;]*?from\s+'(\.[^']+)'", re.MULTILINE)
LINE = '    <link rel="modulepreload" href="/static/{}">\n'
LINES = re.compile(r'(?:    <link rel="modulepreload"[^\n]*\n)+')


def modules() -> list[str]:
    """Paths below static/ in the order in which they run."""
    found: dict[Path, None] = {}

    def visit(path: Path) -> None:
        if path in found:
            return
        found[path] = None
        for imported in IMPORT.findall(path.read_text(encoding="utf-8")):
            visit((path.parent / imported).resolve())

    for start in STARTS:
        visit(STATIC / start)
    return [path.relative_to(STATIC).as_posix() for path in found]


def written() -> str:
    """What index.html should be."""
    return LINES.sub("".join(map(LINE.format, modules())), INDEX.read_text(encoding="utf-8"), count=1)


if __name__ == "__main__":
    INDEX.write_text(written(), encoding="utf-8")
