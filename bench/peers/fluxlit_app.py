"""The same scripts as pages of FluxLit: compiled once, run on every rerun, as Streamlit does with a script.

It runs in FluxLit's own virtual environment, never in ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fluxlit import FluxLit  # type: ignore[import-not-found]

_path = Path(os.environ["BENCH_SCRIPT"])
_code = compile(_path.read_bytes(), str(_path), "exec")

app = FluxLit(title="Bench")


@app.page("/", title="Bench")  # type: ignore[untyped-decorator]
def bench(st: Any) -> None:
    """Run the script."""
    exec(_code, {"__name__": "__main__"})
