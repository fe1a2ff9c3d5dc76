"""The compressed copies of Streamlit's frontend."""

from __future__ import annotations

import gzip

import brotli
import pytest

from fluxlit_django.gateway import assets, precompress

SCRIPT = b"const greeting = 'hello';\n" * 100


@pytest.fixture
def bundle(tmp_path):
    """A small frontend: a script the document names, one it does not, a font, a tiny file."""
    folder = tmp_path / "bundle"
    (folder / "static" / "js").mkdir(parents=True)
    (folder / "index.html").write_text('<script type="module" src="./static/js/z.js"></script>')
    (folder / "static" / "js" / "a.js").write_bytes(SCRIPT)
    (folder / "static" / "js" / "z.js").write_bytes(SCRIPT + b"//")
    (folder / "static" / "font.woff2").write_bytes(b"x" * 2000)
    (folder / "static" / "js" / "tiny.js").write_bytes(b"1")
    return folder


def made(target):
    """The names of the copies."""
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())


def test_compress_bundle__copies_are_what_they_are_copies_of(bundle, tmp_path):
    """Each file worth it has a brotli and a gzip copy with its content."""
    target = tmp_path / "cache"

    list(precompress.compress_bundle(bundle, target))

    assert [f"static/js/{name}.js{suffix}" for name in "az" for suffix in (".br", ".gz")] == made(target)
    assert SCRIPT == brotli.decompress((target / "static/js/a.js.br").read_bytes())
    assert SCRIPT == gzip.decompress((target / "static/js/a.js.gz").read_bytes())
    assert precompress.is_complete(bundle, target)


def test_compress_bundle__the_first_visit_first(bundle, tmp_path):
    """What the document names is compressed before the rest."""
    target = tmp_path / "cache"
    steps = precompress.compress_bundle(bundle, target)

    assert (0, 2) == next(steps)
    assert (1, 2) == next(steps)

    assert ["static/js/z.js.br", "static/js/z.js.gz"] == made(target)
    steps.close()


def test_compress_bundle__goes_on_where_it_stopped(bundle, tmp_path):
    """A second run makes what is missing and leaves what is there."""
    target = tmp_path / "cache"
    list(precompress.compress_bundle(bundle, target))
    (target / "static/js/a.js.br").unlink()
    (target / "static/js/z.js.br").write_bytes(b"kept")
    assert not precompress.is_complete(bundle, target)

    list(precompress.compress_bundle(bundle, target))

    assert b"kept" == (target / "static/js/z.js.br").read_bytes()
    assert (target / "static/js/a.js.br").exists()


def test_compress_bundle__target_cannot_be_written(bundle, tmp_path):
    """An unusable folder is an OSError, which the command turns into a sentence."""
    (tmp_path / "cache").write_text("a file")

    with pytest.raises(OSError, match="cache"):
        list(precompress.compress_bundle(bundle, tmp_path / "cache"))


def test_cache_directory__names_version_and_content(tmp_path):
    """Another Streamlit has another folder."""
    folder = assets.cache_directory(str(tmp_path))

    assert folder.parent == tmp_path
    assert folder.name.startswith("streamlit-1.")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"gzip, deflate, br, zstd", ["br", "gzip"]),
        (b"gzip", ["gzip"]),
        (b"br;q=0, gzip;q=0.5", ["gzip"]),
        (b"*", ["br", "gzip"]),
        (b"*;q=0", []),
        (b"identity", []),
        (b"", []),
        (b"br;q=nonsense", []),
        (b"GZIP", ["gzip"]),
    ],
)
def test_accepted_encodings(header, expected):
    """Weights and the star are honoured; the smaller coding comes first."""
    assert expected == assets.accepted_encodings(header)
