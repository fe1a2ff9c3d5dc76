"""The code of docs/pages.md, run in its order as one module, and its tests with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.template import engines

from fluxlit_django import FluxLit, site
from fluxlit_django.pages import discovery
from fluxlit_django.testing import FluxLitTestClient

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "pages.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the page defines, with the demo's shop for its `shop`; its pages are all of `site`."""
    discovery.autodiscover()
    monkeypatch.setattr(site, "_records", {})
    names: dict[str, Any] = {"__name__": "docs_pages"}
    code = "\n".join(BLOCKS).replace("from shop.", "from project.shop.")
    exec(compile(code, "docs/pages.md", "exec", dont_inherit=True), names)
    return names


@pytest.mark.django_db
def test_example__its_own_tests(pages: dict[str, Any], admin_user: Any) -> None:
    """The tests that it shows pass with the pages that it shows."""
    pages["test_orders"](admin_user)
    pages["test_recent__without_the_api"]()


@pytest.mark.django_db
def test_example__every_page(pages: dict[str, Any], admin_user: Any) -> None:
    """Each page is shown without an error, by the API and the database as they are."""
    client = FluxLitTestClient()
    client.force_login(admin_user)

    for page in ("orders", "recent", "wizard"):
        client.assert_no_streamlit_exception(client.streamlit(query_params={"page": page}))
    recent = client.streamlit(query_params={"page": "recent"})
    assert "0 orders, 0 products, for admin" == recent.markdown[0].value


@pytest.mark.django_db
def test_example__refused(pages: dict[str, Any]) -> None:
    """Who lacks the permission is told so."""
    client = FluxLitTestClient()
    client.force_login(get_user_model().objects.create_user("bob"))

    at = client.streamlit(query_params={"page": "orders"})

    assert ["You may not open “Orders”."] == [box.value for box in at.error]


def test_example__api(pages: dict[str, Any]) -> None:
    """The app's own API has the endpoint."""
    app: FluxLit = pages["app"]

    assert "/api/ping" in str(app.api.get_openapi_schema(path_prefix="/api/"))


@pytest.mark.django_db
def test_example__template(pages: dict[str, Any], rf: Any, admin_user: Any) -> None:
    """The template shows a frame."""
    [template] = re.findall(r"```html\n(.*?)```", TEXT, flags=re.DOTALL)
    request = rf.get("/")
    request.user = admin_user

    html = engines["django"].from_string(template).render({}, request)

    assert 'src="/orders?state=open&amp;embed=true"' in html
    assert "The app" not in html


@pytest.mark.django_db
def test_readme__its_page(pages: dict[str, Any], admin_user: Any) -> None:
    """So does the README's."""
    [code] = [block for block in readme_blocks() if "def show_open" in block]
    exec(code.replace("from shop.", "from project.shop."), {"__name__": "readme_pages"})
    client = FluxLitTestClient()
    client.force_login(admin_user)

    at = client.streamlit(query_params={"page": "open"})

    client.assert_no_streamlit_exception(at)
    assert "admin: 0 open" == at.markdown[0].value


def readme_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_code__formatted() -> None:
    """Its code is formatted as the package's."""
    for block in BLOCKS:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--check", "--stdin-filename", "block.py", "-"],
            input=block,
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert 0 == done.returncode, done.stderr + block
