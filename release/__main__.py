"""``python -m release file|archive``: makes one form of what is handed to people, in dist/.

Each is made from build/program/zmart-lite, the folder that ``build.spec`` describes.
"""

import platform
import sys
from collections.abc import Callable
from pathlib import Path

from release.archive import compressed, tar_of
from release.onefile import one_file
from zmart_lite import __version__

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "program" / "zmart-lite"
DIST = ROOT / "dist"
MACHINE = platform.machine()


def make_file() -> Path:
    target = DIST / "zmart-lite"
    _put(target, one_file(PROGRAM, __version__))
    target.chmod(0o755)
    return target


def make_archive() -> Path:
    """The program's folder, to be unpacked anywhere and run from there."""
    name = f"zmart-lite-{__version__}-linux-{MACHINE}"
    return _put(DIST / f"{name}.tar.gz", compressed(tar_of(PROGRAM, name)))


FORMS: dict[str, Callable[[], Path]] = {"file": make_file, "archive": make_archive}


def _put(target: Path, data: bytes) -> Path:
    """Never a half-written file under the final name."""
    target.parent.mkdir(exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(data)
    partial.replace(target)
    return target


def main(arguments: list[str]) -> int:
    if not arguments or not set(arguments) <= set(FORMS):
        print(f"usage: python -m release {'|'.join(FORMS)}", file=sys.stderr)
        return 2
    for name in arguments:
        made = FORMS[name]()
        print(f"{made.relative_to(ROOT)}  {made.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
