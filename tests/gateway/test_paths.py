"""What a path says."""

from __future__ import annotations

import pytest

from fluxlit_django.conf import AppConfig
from fluxlit_django.gateway import paths

APPS = tuple(
    AppConfig(name=f"app{mount}", mount=mount, access="public") for mount in ("", "/open", "/open/deep")
)


@pytest.mark.parametrize(
    ("target", "mount"),
    [
        ("/", ""),
        ("/page", ""),
        ("/open", "/open"),
        ("/open/", "/open"),
        ("/open/page", "/open"),
        ("/openly", ""),
        ("/open/deep", "/open/deep"),
        ("/open/deep/x", "/open/deep"),
        ("/open/deeper", "/open"),
        ("/Open", ""),
    ],
)
def test_find_app__longest_mount(target: str, mount: str) -> None:
    """Of several mounts above a path the longest has it."""
    app = paths.find_app(APPS, target)

    assert app is not None
    assert mount == app.mount


def test_find_app__under_no_mount() -> None:
    """There may be none."""
    assert paths.find_app(APPS[1:], "/elsewhere") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/base", "/"), ("/base/", "/"), ("/base/x", "/x"), ("/basement", "/basement"), ("/x/base", "/x/base")],
)
def test_split_root(path: str, expected: str) -> None:
    """The prefix is taken away where a proxy left it, and nothing else is."""
    assert expected == paths.split_root("/base", path)
    assert path == paths.split_root("", path)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/base/a%2Fb", b"/base/a%2Fb"),
        (b"/a%2Fb", b"/base/a%2Fb"),
        (b"/base", b"/base"),
        (b"/basement", b"/base/basement"),
    ],
)
def test_upstream_path(raw: bytes, expected: bytes) -> None:
    """A sidecar is asked for the public path, whichever half of it came here."""
    assert expected == paths.upstream_path("/base", raw)
    assert raw == paths.upstream_path("", raw)
