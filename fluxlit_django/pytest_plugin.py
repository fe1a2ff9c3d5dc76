"""Fixtures for projects with Streamlit pages; pytest finds them when this package is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fluxlit_django.testing import FluxLitTestClient, LiveSite


@pytest.fixture
def fluxlit_client() -> FluxLitTestClient:
    """A viewer who has not signed in: shows pages under AppTest and calls the API in this process."""
    from fluxlit_django.testing import FluxLitTestClient

    return FluxLitTestClient()


@pytest.fixture(scope="session")
def fluxlit_live_server_environment() -> Mapping[str, str]:
    """Further environment variables for `fluxlit_live_server`; override it to name a database."""
    return {}


@pytest.fixture(scope="session")
def fluxlit_live_server(fluxlit_live_server_environment: Mapping[str, str]) -> Iterator[LiveSite]:
    """The real command on a free port, until the tests are over; `.url` is its address.

    It is a process of its own: what a test writes in a transaction, or in memory, it does not see.
    """
    from fluxlit_django.testing import running_site

    with running_site(fluxlit_live_server_environment) as site:
        yield site
