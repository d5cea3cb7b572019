"""Finds the files that are shipped with the code: schema.sql, static/, zmart.toml, the IDL, migrations.

They lie at the top of the repository (where people read them) or inside the package. A wheel and the built program hold
the former in ``_shipped``. Nothing is ever written beside them: an installation belongs to root.
"""

from pathlib import Path, PurePosixPath

from zmart_lite.errors import StartupError

PACKAGE = Path(__file__).resolve().parent
SHIPPED = "_shipped"


def find(name: str, package: Path = PACKAGE) -> Path:
    """The file or folder called ``name`` (``static/index.html``); raises StartupError if the installation lacks it."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"not a name inside the package: {name}")
    for folder in _folders(package):
        if (path := folder / parts).exists():
            return path
    raise StartupError(f"{name} is missing from this installation: install zmart-lite again")


def read_text(name: str) -> str:
    """The UTF-8 text of a shipped file; raises StartupError if it is missing."""
    return find(name).read_text(encoding="utf-8")


def _folders(package: Path) -> tuple[Path, ...]:
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file():
        return (checkout, package)
    return (package / SHIPPED, package)
