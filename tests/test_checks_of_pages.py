"""Pages as Django's system checks see them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from django.test import override_settings

from fluxlit_django import ApiClient, Depends, FluxLit, Header
from fluxlit_django.checks import check_pages

fine = FluxLit()
fine.page("/")(lambda st: None)
loose = FluxLit()
loose.page("/")(lambda st, orders: None)
shadowed = FluxLit()
for shadowed_path in ("/", "/admin", "/report", "/reports"):
    shadowed.page(shadowed_path)(lambda st: None)
elsewhere = FluxLit()
elsewhere.page("/", transaction="archive")(lambda st: None)
calling = FluxLit()


def stock(api: ApiClient) -> int:
    return int(api.get("/stock").json()["count"])


@calling.page("/stock")
def show_stock(st: Any, count: Annotated[int, Depends(stock)]) -> None:
    st.write(count)


@calling.page("/header")
def show_header(st: Any, client: Annotated[str | None, Header("x-client")]) -> None:
    st.write(client)


def test_check__of_the_demo() -> None:
    """The demo's pages are in order."""
    assert [] == check_pages()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("tests.no_such_module:app", "there is no module 'tests.no_such_module'"),
        ("no_such_package.pages:app", "there is no module 'no_such_package'"),
        (f"{__name__}:nothing", f"the module '{__name__}' has no 'nothing'"),
        (f"{__name__}:pytest", f"the module '{__name__}' has a module of that name"),
    ],
)
def test_check__target_that_is_none(target: str, reason: str) -> None:
    """A wrong `FLUXLIT_APP` is an error that says what is wrong, and what to write."""
    with override_settings(FLUXLIT={"APP": target}):
        [message] = check_pages()

    assert "fluxlit.E020" == message.id
    assert f"FLUXLIT_APP is {target!r}, and {reason}." == message.msg
    assert str(message.hint).startswith("Name a FluxLit instance")


def test_check__cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that fails is an error that names the app, and what it could not import."""
    (tmp_path / "failing_pages.py").write_text("import no_such_thing_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(FLUXLIT={"APP": "failing_pages:app"}):
        [message] = check_pages()

    assert "fluxlit.E020" == message.id
    assert "The pages of the app 'default' cannot be imported: ModuleNotFoundError" in message.msg
    assert "no_such_thing_anywhere" in message.msg


def test_check__loose_signatures() -> None:
    """A parameter that nothing fills is one when signatures are strict."""
    target = f"{__name__}:loose"
    with override_settings(FLUXLIT={"APP": target}):
        assert [] == check_pages()
    with override_settings(FLUXLIT={"APP": target, "STRICT_PAGE_SIGNATURES": True}):
        assert ["fluxlit.E021"] == [message.id for message in check_pages()]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["fluxlit.W023"]),
        ({"MIDDLEWARE": ["fluxlit_django.middleware.ViewerTokenMiddleware"]}, []),
        ({"FLUXLIT": {"INTERNAL_API_BASE": "https://api.example.com"}}, []),
    ],
)
def test_check__calls_the_api_as_nobody(settings: dict[str, Any], expected: list[str]) -> None:
    """A page that calls this project's API needs the middleware that reads whose page it is."""
    flat = {"APP": f"{__name__}:calling", **settings.pop("FLUXLIT", {})}
    with override_settings(**{"MIDDLEWARE": [], "FLUXLIT": flat, **settings}):
        messages = check_pages()

    assert expected == [message.id for message in messages]
    assert all("nobody (/stock)." in message.msg for message in messages)


def test_check__shadowed() -> None:
    """A page at an address that the project's URLs answer is named, with or without the slash."""
    with override_settings(FLUXLIT={"APP": f"{__name__}:shadowed"}):
        messages = check_pages()

    assert ["fluxlit.W024"] * 2 == [message.id for message in messages]
    assert [f"is at {path}, and your URLs have something at {path}/." for path in ("/admin", "/report")] == [
        message.msg.partition(") ")[2] for message in messages
    ]


def test_check__unknown_database() -> None:
    """A transaction of a database that there is not is one."""
    with override_settings(FLUXLIT={"APP": f"{__name__}:elsewhere"}):
        [message] = check_pages()

    assert "fluxlit.E021" == message.id
    assert "transaction='archive', which is no database. Use default." in message.msg


def test_check__broken_settings() -> None:
    """With settings that cannot be used, pages are not asked about."""
    with override_settings(FLUXLIT={"GATEWAY_PORT": "many"}):
        assert [] == check_pages()
