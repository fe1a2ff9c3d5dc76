"""FluxLit from PyPI in a virtual environment of its own, outside the repository."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

from bench import commands

FLUXLIT_VERSION = "0.13.2"


async def fluxlit_python() -> Path:
    """The Python that has FluxLit and our version of Streamlit; made when it is not there yet.

    Raises:
        BenchError: it could not be made. `--without fluxlit` goes on without it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "fluxlit_django", "bench").expanduser()
    streamlit = version("streamlit")
    folder = cache / f"fluxlit-{FLUXLIT_VERSION}-streamlit-{streamlit}"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists():
        await commands.run(sys.executable, "-m", "venv", "--clear", str(folder))
        # With the same fast parts as ours has.
        packages = [f"fluxlit=={FLUXLIT_VERSION}", f"streamlit=={streamlit}", "uvloop", "httptools"]
        await commands.run(str(python), "-m", "pip", "install", "--quiet", *packages)
        stamp.touch()
    return python
