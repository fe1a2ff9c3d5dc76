"""The testing kit, as a project uses it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import TestCase, override_settings

from fluxlit_django import Depends, FluxLit, Header, SessionStore
from fluxlit_django.pages import runner
from fluxlit_django.pages.di import reset_page_header_context, set_page_header_context
from fluxlit_django.testing import (
    FluxLitTestClient,
    LiveSite,
    StartupError,
    apptest_assert_no_errors,
    apptest_select_page,
    running_site,
    streamlit_main_path,
)
from fluxlit_django.url_session import ConfiguredSessionStore, url_session
from tests.site import prepare_demo, site_environment


def forbidden() -> Any:
    raise AssertionError("called although it is overridden")


@pytest.fixture
def app() -> FluxLit:
    """Two pages and an API."""
    app = FluxLit(title="Office")

    @app.page("/")
    def home(
        st: Any, cart: Annotated[Any, Depends(forbidden)], who: Annotated[str | None, Header("x-u")]
    ) -> None:
        st.write(f"{cart} {who}")

    @app.page("/groups")
    def groups(st: Any) -> None:
        st.write(f"{Group.objects.count()} groups")
        if st.button("Add"):
            Group.objects.create(name="Added by the page")

    return app


def test_overrides__by_name(app: FluxLit, fluxlit_client: FluxLitTestClient) -> None:
    """`page_overrides` replaces what a parameter depends on, without calling it."""
    at = fluxlit_client.streamlit(target=app, page_overrides={"cart": "a cart", "who": "ann"})

    fluxlit_client.assert_no_streamlit_exception(at)
    assert "a cart ann" == at.markdown[0].value


def test_header_context__set_by_the_test(app: FluxLit, fluxlit_client: FluxLitTestClient) -> None:
    """What a test sets explicitly reaches the page, though that runs in another thread."""
    token = set_page_header_context({"X-U": "bob"})
    at = fluxlit_client.streamlit(target=app, page_overrides={"cart": 1})
    reset_page_header_context(token)

    assert "1 bob" == at.markdown[0].value


def test_assert__names_what_is_shown(app: FluxLit, fluxlit_client: FluxLitTestClient) -> None:
    """An exception on the page fails with its message."""
    at = fluxlit_client.streamlit(target=app)

    for check in (fluxlit_client.assert_no_streamlit_exception, apptest_assert_no_errors):
        with pytest.raises(AssertionError, match="called although it is overridden"):
            check(at)


class TransactionTests(TestCase):
    """Pages within the transaction of a TestCase."""

    def test_page__reads_and_writes_it(self) -> None:
        """A page sees what the test wrote, and the test what the page did."""
        app = FluxLit()

        @app.page("/")
        def groups(st: Any) -> None:
            st.write(f"{Group.objects.count()} groups")
            if st.button("Add"):
                Group.objects.create(name="Added by the page")

        Group.objects.create(name="Of the test")
        client = FluxLitTestClient(app)

        at = client.streamlit()
        at = at.button[0].click().run()

        assert "1 groups" == at.markdown[0].value
        assert Group.objects.filter(name="Added by the page").exists()


@pytest.mark.django_db
def test_select_page__from_page_to_page(app: FluxLit, fluxlit_client: FluxLitTestClient) -> None:
    """Both spellings go to another page, and the rest of the query stays."""
    at = fluxlit_client.streamlit(target=app, query_params={"token": "t"}, page_overrides={"cart": 1})

    at = fluxlit_client.select_page(at, "groups")
    assert "0 groups" == at.markdown[0].value
    assert {"token": ["t"]} == {name: [*at.query_params[name]] for name in at.query_params}
    at = apptest_select_page(at, fluxlit_client, page="/", page_overrides={"cart": 2})
    assert "2 None" == at.markdown[0].value


@pytest.mark.django_db
def test_force_login__and_out(fluxlit_client: FluxLitTestClient) -> None:
    """The API knows the user, and no more after a logout."""
    fluxlit_client.force_login(get_user_model().objects.create_user("ann"))

    assert 200 == fluxlit_client.api_get("/orders", params={"page": 1}).status_code
    fluxlit_client.logout()
    assert 401 == fluxlit_client.api_get("orders").status_code
    assert 405 == fluxlit_client.api_post("/orders", json={"a": 1}).status_code
    for call in (fluxlit_client.api_put, fluxlit_client.api_patch, fluxlit_client.api_delete):
        assert 405 == call("/orders").status_code


@pytest.mark.django_db
def test_viewer__as_behind_the_gateway(fluxlit_client: FluxLitTestClient) -> None:
    """A page knows as much of the viewer, by `user`, `st.user` and headers, as it does in production."""
    app = FluxLit()

    @app.page("/", login_required=True)
    def home(st: Any, user: Any, mail: Annotated[str | None, Header("x-remote-email")]) -> None:
        st.write(f"{user.username} {mail} {st.user.username} {st.user.groups} {st.user.is_staff}")
        st.button("Act", on_click=lambda: st.session_state.update(called_by=st.user.username))
        st.write(str(st.session_state.get("called_by")))

    ann = get_user_model().objects.create_user("ann", "ann@mail.example", is_staff=True)
    ann.groups.add(Group.objects.create(name="desk"))

    nobody = fluxlit_client.streamlit(target=app)
    fluxlit_client.force_login(ann)
    at = fluxlit_client.streamlit(target=app)

    assert ["Sign in to open “Home”."] == [box.value for box in nobody.info]
    assert "ann ann@mail.example ann desk true" == at.markdown[0].value
    assert "ann" == at.button[0].click().run().markdown[1].value


@pytest.mark.django_db
def test_viewer__read_anew_at_each_run(fluxlit_client: FluxLitTestClient) -> None:
    """What the test changes of the viewer counts from the next run on."""
    app = FluxLit()

    @app.page("/", staff_only=True)
    def home(st: Any) -> None:
        st.write("for staff")

    ann = get_user_model().objects.create_user("ann", is_staff=True)
    fluxlit_client.force_login(ann)
    at = fluxlit_client.streamlit(target=app)
    assert "for staff" == at.markdown[0].value
    ann.is_staff = False
    ann.save()

    assert ["You may not open “Home”."] == [box.value for box in at.run().error]


@pytest.mark.django_db
@pytest.mark.parametrize("store", ["database", "session", "cache", "memory"])
def test_url_session__of_the_viewer(fluxlit_client: FluxLitTestClient, store: str) -> None:
    """A page's URL session is the signed-in viewer's, in every store; to another it brings nothing."""
    app = FluxLit(session_store=ConfiguredSessionStore())

    @app.page("/")
    def home(st: Any, store: SessionStore) -> None:
        with url_session(st, store, keys="step"):
            st.number_input("Step", key="step", step=1, value=None)

    fluxlit_client.force_login(get_user_model().objects.create_user("ann"))
    with override_settings(FLUXLIT={"URL_SESSION_STORE": store}):
        at = fluxlit_client.streamlit(target=app)
        at.number_input[0].set_value(7).run()
        query = {"fluxlit_sid": at.query_params["fluxlit_sid"]}
        again = fluxlit_client.streamlit(target=app, query_params=query)
        fluxlit_client.force_login(get_user_model().objects.create_user("bob"))
        bobs = fluxlit_client.streamlit(target=app, query_params=query)

    assert (7, None) == (again.number_input[0].value, bobs.number_input[0].value)


def test_openapi__missing() -> None:
    """Without an API of the app's own the kit says what is missing."""
    client = FluxLitTestClient(api_prefix="/api/no-such-place")

    with pytest.raises(TypeError, match="answered 404, which is no schema"):
        client.openapi()
    with pytest.raises(AssertionError, match="answered 404"):
        client.assert_docs_available()


@pytest.mark.parametrize(("is_test", "expected"), [(True, {"limit": 5}), (False, {})])
def test_overrides__of_the_environment(is_test: bool, expected: dict[str, Any]) -> None:
    """FLUXLIT_TEST_PAGE_OVERRIDES counts in tests alone."""
    with override_settings(FLUXLIT={"TESTS": is_test, "TEST_PAGE_OVERRIDES": '{"limit": 5}'}):
        from fluxlit_django.conf import get_config

        assert expected == runner.configured_overrides(get_config())


def test_main_path__is_the_script() -> None:
    """The script that sidecars run is where the kit says."""
    assert "fluxlit_pages.py" == streamlit_main_path().name
    assert streamlit_main_path().is_file()


def test_plugin__loads_nothing() -> None:
    """A project that has the package and no test of it pays nothing."""
    code = (
        "import sys, fluxlit_django.pytest_plugin; "
        "print([m for m in ('django', 'streamlit') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


@pytest.fixture(scope="session")
def fluxlit_live_server_environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A database of its own."""
    environment = site_environment(tmp_path_factory.mktemp("live"))
    prepare_demo(environment)
    return environment


def test_live_server__serves(fluxlit_live_server: LiveSite) -> None:
    """The fixture is the real command, under its address."""
    with urllib.request.urlopen(f"{fluxlit_live_server.url}/api/readyz", timeout=10) as answer:
        assert 200 == answer.status


def test_running_site__that_does_not_start() -> None:
    """A command that ends says why."""
    with pytest.raises(StartupError, match="no-such-server"), running_site({}, "--server", "no-such-server"):
        raise AssertionError
