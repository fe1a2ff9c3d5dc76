"""The demo in production, at the root and below a prefix, and the edges in front of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from tests.edge import edges
from tests.edge.edges import Certificate, Edge
from tests.site import Site, manage, running_site, site_environment
from tests.viewer import Viewer

CLIENT = "127.0.0.9"
"""The address browsers connect from: Streamlit (1.67) takes 127.0.0.1 for "no address"."""

CAP = 1 << 20
"""Most bytes that an upload may have."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The edges' certificate, signed by itself."""
    return edges.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Gives the site for a prefix, started when it is first asked for."""
    folder = tmp_path_factory.mktemp("site")
    running: dict[str, Site] = {}
    with ExitStack() as stack:

        def site(prefix: str) -> Site:
            if prefix not in running:
                environment = production_environment(folder, FLUXLIT_ROOT_PATH=prefix)
                if not running:
                    manage(environment, "migrate", "-v0")
                    manage(environment, "demo_admin")
                    manage(environment, "collectstatic", "--no-input", "-v0")
                running[prefix] = stack.enter_context(running_site(environment))
            return running[prefix]

        yield site


def production_environment(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of the demo without DEBUG, behind an edge on this machine."""
    return site_environment(
        folder,
        DJANGO_SETTINGS_MODULE="tests.edge.settings",
        DEBUG="false",
        HTTPS="true",
        STATIC_ROOT=str(folder / "static"),
        FLUXLIT_FORWARDED_ALLOW_IPS="127.0.0.1",
        FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES=str(CAP),
        **variables,
    )


@pytest.fixture(scope="session")
def edge(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    sites: Callable[[str], Site],
) -> Iterator[Edge]:
    """The edge that the parameter names, as (kind, layout)."""
    kind, layout = request.param
    if edges.find_program(kind) is None:
        pytest.skip(f"there is no {kind} on this machine (Debian: apt install {kind})")
    upstream = sites(edges.LAYOUTS[layout]).url.removeprefix("http://")
    folder = tmp_path_factory.mktemp(f"{kind}-{layout}")
    with edges.running_edge(kind, layout, folder=folder, upstream=upstream, certificate=certificate) as edge:
        yield edge


@pytest.fixture
async def new_viewer(edge: Edge, certificate: Certificate) -> AsyncIterator[Callable[..., Viewer]]:
    """Makes viewers who come through the edge, each from `CLIENT`."""
    trust = ssl.create_default_context(cafile=str(certificate.certificate))
    async with AsyncExitStack() as stack:

        def make(url: str = edge.url, **options) -> Viewer:
            viewer = Viewer(url, trust=trust, address=CLIENT, **options)
            stack.push_async_exit(viewer)
            return viewer

        yield make


@pytest.fixture
async def viewer(new_viewer: Callable[..., Viewer]) -> Viewer:
    """The administrator, signed in."""
    viewer = new_viewer()
    await viewer.sign_in()
    return viewer
