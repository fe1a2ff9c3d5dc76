"""Makes the compressed copies of Streamlit's frontend that `assets` serves."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli

from fluxlit_django.gateway import assets

_LINK = re.compile(rb'(?:src|href)="\./([^"]+)"')


def compress_bundle(directory: Path, target: Path) -> Iterator[tuple[int, int]]:
    """Compress every file of the bundle that is worth it and not made yet.

    Each copy is written aside and moved into place, so that a reader finds a whole file or none, and two
    processes may do it at once. What the document names comes first.

    Yields:
        How many files are done, and how many there are.

    Raises:
        OSError: the target cannot be written.
    """
    names = _in_order(directory)
    for done, name in enumerate(names):
        yield done, len(names)
        content = (directory / name).read_bytes()
        for encoding, suffix in assets.ENCODINGS.items():
            copy = target / f"{name}{suffix}"
            if not copy.exists():
                _write_whole(copy, _COMPRESS[encoding](content))
    yield len(names), len(names)


def is_complete(directory: Path, target: Path) -> bool:
    """Whether nothing is left to compress."""
    return all(
        (target / f"{name}{suffix}").exists()
        for name in assets.compressible_names(directory)
        for suffix in assets.ENCODINGS.values()
    )


def _in_order(directory: Path) -> list[str]:
    names = assets.compressible_names(directory)
    document = (directory / "index.html").read_bytes()
    first = [link.decode() for link in _LINK.findall(document)]
    return [name for name in first if name in names] + [name for name in names if name not in first]


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _gzip(content: bytes) -> bytes:
    # 16 + 15: a gzip wrapper round the largest window; no time in it, so that copies are equal.
    compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def _brotli(content: bytes) -> bytes:
    compressed: bytes = brotli.compress(content, quality=11)
    return compressed


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {"br": _brotli, "gzip": _gzip}
