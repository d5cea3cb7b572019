"""Node programs with packages of their own: a folder's lock file installed once, and a script in it run."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.conftest import REQUIRED_VARIABLE

INSTALL_OPTIONS = (
    *("--ignore-scripts", "--omit=optional", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"),
    # Offline it is to say so within seconds.
    *("--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000"),
)
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
        reason = f"npm could not install the packages of {folder / 'package-lock.json'}: {err.strip()[:REASON_CHARS]}"
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(reason)
        pytest.skip(reason)
    mark.write_text(wanted)
