"""Archives that come out the same for the same files: sorted, of nobody in particular, at one time."""

import gzip
import io
import os
import tarfile
from pathlib import Path

EPOCH_S = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
LEVEL = 9


def tar_of(folder: Path, under: str = "") -> bytes:
    """Every file, folder and link below ``folder``, its names below ``under`` (``usr/lib``; "" = the top)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        paths = sorted(folder.rglob("*"))
        for parent in reversed(Path(under).parents[:-1] if under else ()):
            archive.addfile(_folder(parent.as_posix()))
        if under:
            archive.addfile(_folder(under))
        for path in paths:
            name = (Path(under) / path.relative_to(folder)).as_posix()
            entry = archive.gettarinfo(path, name)
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = EPOCH_S
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            if entry.isreg():
                # Hard links would be written as links: each file stands for itself.
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
                with path.open("rb") as body:
                    archive.addfile(entry, body)
            else:
                archive.addfile(entry)
    return out.getvalue()


def _folder(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, EPOCH_S
    return entry


def compressed(data: bytes) -> bytes:
    """gzip, the one form that every system unpacks without more."""
    return gzip.compress(data, LEVEL, mtime=0)
