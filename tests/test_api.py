"""The API that a FluxLit app has of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings
from django.urls import clear_url_caches

from fluxlit_django import ApiClient, FluxLit, handlers
from fluxlit_django.testing import FluxLitTestClient

app = FluxLit(title="Ported")


@app.api.get("/users")
def users(request: Any, limit: int = 2) -> list[str]:
    """As in a ported app."""
    return [user.username for user in get_user_model().objects.order_by("pk")[:limit]]


@app.api.get("/me")
def me(request: Any) -> dict[str, str]:
    """Who asks."""
    return {"name": request.user.get_username()}


@app.page("/")
def home(st: Any, client: ApiClient) -> None:
    """Calls them."""
    st.write(f"{client.get('/users').json()} {client.get('/me').json()['name']}")


@pytest.fixture
def client() -> Any:
    """A viewer of a site that runs this app, its URLs made anew."""
    with override_settings(FLUXLIT={"APP": f"{__name__}:app"}):
        forget_urls()
        yield FluxLitTestClient(app)
    forget_urls()


def forget_urls() -> None:
    sys.modules.pop("fluxlit_django.urls", None)
    handlers.both_urls.cache_clear()
    clear_url_caches()


@pytest.mark.django_db
@pytest.mark.urls("tests.sidecar.urls")
def test_api__of_a_ported_app(client: FluxLitTestClient) -> None:
    """Endpoints answer below the API's path, without being included, with their schema and documentation."""
    get_user_model().objects.create_user("ann")

    assert ["ann"] == client.api_get("/users", params={"limit": 5}).json()
    assert {"/api/users", "/api/me"} == set(client.openapi()["paths"])
    assert "Ported" == client.openapi()["info"]["title"]
    client.assert_docs_available()
    assert 422 == client.api_get("/users?limit=x").status_code


@pytest.mark.django_db
@pytest.mark.urls("tests.sidecar.urls")
def test_api__called_by_a_page_as_its_viewer(client: FluxLitTestClient) -> None:
    """A page's `client` reaches them, and they know the viewer."""
    client.force_login(get_user_model().objects.create_user("ann"))

    at = client.streamlit()

    client.assert_no_streamlit_exception(at)
    assert "['ann'] ann" == at.markdown[0].value


def test_api__of_the_demo() -> None:
    """The demo declares a part of its API on `site.api`; the rest is plain Django."""
    client = FluxLitTestClient()

    client.assert_docs_available()
    assert {"/api/stock"} == set(client.openapi()["paths"])


def test_api__without_ninja() -> None:
    """Where django-ninja is not installed, the error says how to install it, and all else works."""
    code = (
        "import sys; sys.modules['ninja'] = None\n"
        "from fluxlit_django import FluxLit\n"
        "app = FluxLit()\n"
        "app.page('/')(lambda st: None)\n"
        "print(app.has_api)\n"
        "try: app.api\n"
        "except ImportError as exc: print(exc)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    expected = "False\nFluxLit.api needs django-ninja. Install it with: pip install 'fluxlit-django[api]'\n"
    assert expected == done.stdout


def test_urls__know_of_the_docs() -> None:
    """The app's URLs name its documentation."""
    with override_settings(FLUXLIT={"PUBLIC_BASE_URL": "https://shop.example"}):
        assert "https://shop.example/api/docs" == app.urls.docs_url(None)  # type: ignore[arg-type]
        assert "https://shop.example/api/openapi.json" == app.urls.openapi_url(None)  # type: ignore[arg-type]
