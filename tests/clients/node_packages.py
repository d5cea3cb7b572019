"""Programs with packages of their own: a folder's lock file installed once, beside it, and a script in it run."""

import asyncio
import hashlib
import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.conftest import REQUIRED_VARIABLE

INSTALL_OPTIONS = (
    *("--ignore-scripts", "--omit=optional", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"),
    # Offline it is to say so within seconds.
    *("--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000"),
)
PIP_INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-input")
INSTALL_TIMEOUT_S = 180
REASON_CHARS = 300
RUN_TIMEOUT_S = 60


async def run(
    folder: Path, *command: str, stdin: bytes = b"", timeout_s: int = RUN_TIMEOUT_S
) -> tuple[int, bytes, str]:
    """Exit code, output and messages of a program in that folder, which is ended when its time is over."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, b"", f"{command[0]} did not end within {timeout_s} s"
    return process.returncode or 0, out, err.decode()


async def install(npm: str, folder: Path) -> None:
    """The packages of the lock file, once for each of its versions; skips where the registry cannot be reached."""
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    mark = folder / "node_modules" / ".installed"
    if mark.exists() and mark.read_text() == wanted:
        return
    code, _out, err = await run(folder, npm, "ci", *INSTALL_OPTIONS, timeout_s=INSTALL_TIMEOUT_S)
    if code:
        _cannot(f"npm could not install the packages of {folder / 'package-lock.json'}: {err}")
    mark.write_text(wanted)


async def install_python(folder: Path) -> Path:
    """The interpreter of an environment with the folder's ``requirements.txt``; skips as :func:`install` does."""
    environment, wanted = folder / ".venv", hashlib.sha256((folder / "requirements.txt").read_bytes()).hexdigest()
    python, mark = environment / "bin" / "python", environment / ".installed"
    if mark.exists() and mark.read_text() == wanted:
        return python
    steps = (
        (sys.executable, "-m", "venv", "--clear", str(environment)),
        (str(python), *PIP_INSTALL, "--requirement", str(folder / "requirements.txt")),
    )
    for step in steps:
        code, _out, err = await run(folder, *step, timeout_s=INSTALL_TIMEOUT_S)
        if code:
            _cannot(f"pip could not install the packages of {folder / 'requirements.txt'}: {err}")
    mark.write_text(wanted)
    return python


def _cannot(reason: str) -> NoReturn:
    short = reason.strip()[:REASON_CHARS]
    if os.environ.get(REQUIRED_VARIABLE):
        pytest.fail(short)
    pytest.skip(short)
