"""Commands that are run to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


async def run(*command: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command; what it wrote.

    Args:
        folder: its working directory.
        environment: its whole environment; ours when None.

    Raises:
        BenchError: its exit code is not 0.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        written, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.shield(process.wait())
    output = written.decode(errors="replace")
    if process.returncode:
        msg = f"This ended with exit code {process.returncode}: {' '.join(command)}\n{output.strip()}"
        raise BenchError(msg)
    return output
