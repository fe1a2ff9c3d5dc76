"""Streamlit's own frontend, served from disk: no sidecar is asked, and none needs to be up.

Streamlit 1.67 serves it uncompressed and leaves compression to a proxy (`starlette_app.py`). Here it goes
out as `precompress` made it; what is not made yet, and every `Range`, goes out plain.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.staticfiles import StaticFiles

from fluxlit_django.conf import MIB
from fluxlit_django.exceptions import ConfigError
from fluxlit_django.gateway import headers, responses

ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Content codings, the smaller first, and the suffix that a file made with each one carries."""

_COMPRESSIBLE = (".css", ".html", ".js", ".json", ".svg")
_SMALLEST = 512  # bytes; below it, compression saves less than its header costs

_ONE_YEAR = 365 * 24 * 60 * 60
_ONE_HOUR = 3600
_REMEMBERED_BYTES = 32 * MIB


@functools.cache
def bundle_directory() -> Path:
    """The folder of the installed Streamlit's frontend. Found without importing Streamlit.

    Raises:
        ConfigError: Streamlit is not installed, or has no frontend in it.
    """
    spec = find_spec("streamlit")
    locations = spec.submodule_search_locations if spec is not None else None
    folder = Path(locations[0], "static") if locations else None
    if folder is None or not (folder / "index.html").is_file():
        msg = "Streamlit's frontend is not installed. Install streamlit from PyPI: pip install streamlit."
        raise ConfigError(msg)
    return folder


@functools.cache
def document() -> bytes:
    """Streamlit's `index.html` with our script in it. All its links are relative to the app's mount.

    The script is inline, as Streamlit's own there: a file would be one more request of each visit.
    """
    html = (bundle_directory() / "index.html").read_bytes()
    script = Path(__file__).with_name("document.js").read_bytes()
    head, tag, rest = html.partition(b"</title>")
    return b"%s%s<script>\n%s</script>%s" % (head, tag, script, rest)


def compressible_names(directory: Path) -> list[str]:
    """The bundle's files that are worth compressing."""
    return [
        name
        for name in file_names(directory)
        if name.endswith(_COMPRESSIBLE) and (directory / name).stat().st_size >= _SMALLEST
    ]


def file_names(directory: Path) -> list[str]:
    """The bundle's files but the document, as paths below the folder."""
    return sorted(
        str(Path(folder, file).relative_to(directory)).replace(os.sep, "/")
        for folder, _, files in os.walk(directory)
        for file in files
        if file != "index.html"
    )


def cache_directory(root: str) -> Path:
    """Where the compressed files of the installed bundle are kept: a folder of its version and content.

    Args:
        root: the folder for all versions; "" for one below the user's own cache folder.
    """
    home = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "fluxlit_django")
    # All names but a few carry a hash of their content, and Streamlit's document names the others.
    bundle = bundle_directory()
    content = "\n".join(file_names(bundle)).encode() + (bundle / "index.html").read_bytes()
    digest = hashlib.blake2b(content, digest_size=6).hexdigest()
    return home.expanduser() / f"streamlit-{version('streamlit')}-{digest}"


def cache_control(name: str) -> str:
    """As Streamlit 1.67 has it (`_apply_cache_headers`), but an icon may change under its name some day."""
    if name.startswith("static/"):
        return f"public, immutable, max-age={_ONE_YEAR}"
    return "no-cache" if name == "manifest.json" else f"public, max-age={_ONE_HOUR}"


def accepted_encodings(header: bytes) -> list[str]:
    """The codings of `ENCODINGS` that an `Accept-Encoding` header allows, the smaller first."""
    weights = dict(_weighted(part) for part in header.decode("latin-1").lower().split(",") if part.strip())
    default = weights.get("*", 0.0)
    return [name for name in ENCODINGS if weights.get(name, default) > 0]


def _weighted(part: str) -> tuple[str, float]:
    name, _, parameter = part.partition(";")
    weight = parameter.strip().removeprefix("q=")
    try:
        return name.strip(), float(weight) if weight else 1.0
    except ValueError:
        return name.strip(), 0.0


@dataclass(frozen=True)
class Compressed:
    """One file in one coding, as it goes out."""

    body: bytes
    etag: bytes
    encoding: str


class Assets:
    """The bundle's files, by their path below an app's mount.

    Args:
        directory: the bundle.
        compressed: the folder that `precompress` fills, perhaps while we serve; each file in it is whole.
    """

    def __init__(self, directory: Path, compressed: Path) -> None:
        self._plain = StaticFiles(directory=directory, follow_symlink=True)
        self._names = frozenset(file_names(directory))
        self._compressible = frozenset(compressible_names(directory))
        self._compressed = compressed
        self._remembered: OrderedDict[Path, Compressed] = OrderedDict()
        self._remembered_bytes = 0

    def __contains__(self, name: str) -> bool:
        """Whether the bundle has a file of this relative path."""
        return name in self._names

    async def __call__(self, scope: Any, receive: Any, send: Any, *, name: str) -> None:
        """Answer with one of the bundle's files; `HEAD`, `Range` and `If-None-Match` are honoured."""
        if scope["method"] not in {"GET", "HEAD"}:
            await responses.send_text(send, 405, "Method Not Allowed.", headers=((b"allow", b"GET, HEAD"),))
            return
        file = await self._find_compressed(scope, name)
        if file is None:
            await self._send_plain(scope, receive, send, name)
        else:
            await _send_compressed(scope, send, name, file)

    async def _send_plain(self, scope: Any, receive: Any, send: Any, name: str) -> None:
        response = await self._plain.get_response(name, dict(scope))
        response.headers["Cache-Control"] = cache_control(name)
        if name in self._compressible:
            response.headers["Vary"] = "Accept-Encoding"
        await response(dict(scope), receive, send)

    async def _find_compressed(self, scope: Any, name: str) -> Compressed | None:
        accepted = headers.get(scope["headers"], b"accept-encoding")
        is_whole = headers.get(scope["headers"], b"range") is None
        if not accepted or not is_whole or name not in self._compressible:
            return None
        for encoding in accepted_encodings(accepted):
            path = self._compressed / f"{name}{ENCODINGS[encoding]}"
            file = self._remembered.get(path) or await asyncio.to_thread(_read, path, encoding)
            if file is not None:
                self._remember(path, file)
                return file
        return None

    def _remember(self, path: Path, file: Compressed) -> None:
        if path not in self._remembered:
            self._remembered_bytes += len(file.body)
        self._remembered[path] = file
        self._remembered.move_to_end(path)
        while self._remembered_bytes > _REMEMBERED_BYTES:
            _, oldest = self._remembered.popitem(last=False)
            self._remembered_bytes -= len(oldest.body)


def _read(path: Path, encoding: str) -> Compressed | None:
    try:
        body = path.read_bytes()
    except OSError:
        return None
    etag = hashlib.blake2b(body, digest_size=8).hexdigest()
    return Compressed(body, f'"{etag}"'.encode(), encoding)


async def _send_compressed(scope: Any, send: Callable[[Any], Any], name: str, file: Compressed) -> None:
    fields = [
        (b"etag", file.etag),
        (b"cache-control", cache_control(name).encode()),
        (b"vary", b"Accept-Encoding"),
    ]
    if _has_already(headers.get(scope["headers"], b"if-none-match"), file.etag):
        await send({"type": "http.response.start", "status": 304, "headers": fields})
        await send({"type": "http.response.body"})
        return
    fields += [
        (b"content-type", _media_type(name)),
        (b"content-encoding", file.encoding.encode()),
        (b"content-length", str(len(file.body)).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else file.body})


def _has_already(if_none_match: bytes | None, etag: bytes) -> bool:
    if if_none_match is None:
        return False
    return any(tag.strip().removeprefix(b"W/") in {etag, b"*"} for tag in if_none_match.split(b","))


def _media_type(name: str) -> bytes:
    """The type of a compressible file. The machine's own table of types varies, so it is not asked."""
    return {
        "css": b"text/css; charset=utf-8",
        "html": b"text/html; charset=utf-8",
        "js": b"text/javascript; charset=utf-8",
        "json": b"application/json",
        "svg": b"image/svg+xml",
    }[name.rpartition(".")[2]]
