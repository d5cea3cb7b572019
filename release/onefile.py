"""The program as one file: a short shell script that is followed by the compressed program.

PyInstaller's own form of it unpacks into the folder of temporary files at each call: seconds of processor time, what is
left behind by a kill, nothing at all where that folder lets no program run, and a program that loses its files when
the system cleans the folder.
"""

import hashlib
from pathlib import Path

from release.archive import compressed, tar_of

LAUNCHER = Path(__file__).with_name("launcher.sh")
SLACK_MB = 10


def one_file(program: Path, version: str) -> bytes:
    """The file's bytes, from the folder that holds the executable."""
    plain = tar_of(program)
    packed = compressed(plain)
    needs_mb = (len(plain) >> 20) + SLACK_MB
    values = {"VERSION": version, "ID": hashlib.sha256(plain).hexdigest()[:12], "NEEDS_MB": str(needs_mb)}
    text = LAUNCHER.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    # The offset stands in the text whose length it is: written with a width of its own.
    begin = len(text.encode()) - len("@BEGIN@") + 6 + 1
    return text.replace("@BEGIN@", f"{begin:06d}").encode() + packed
