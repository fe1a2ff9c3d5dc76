"""The recipes of FluxLit's cookbook, run as they are written there, the import name aside.

Each recipe is the text of its page; `run_recipe` executes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import override_settings

from fluxlit_django import Depends, FluxLit, PageContext, SessionStore, conf
from fluxlit_django.conf import get_config, parse_header_names
from fluxlit_django.gateway import headers as header_policy
from fluxlit_django.pages.di import reset_page_header_context, set_page_header_context
from fluxlit_django.testing import FluxLitTestClient
from fluxlit_django.url_session import (
    InMemorySessionStore,
    ensure_url_session,
    hydrate_url_session,
    persist_url_session,
)

FORWARD_AUTH = """
from typing import Annotated, Any
from fluxlit import FluxLit
from fluxlit.client import ApiClient
from fluxlit.pages.di import Header, set_page_header_context, reset_page_header_context
app = FluxLit(title="Example")
@app.page("/")
def home(st: Any, client: ApiClient, remote_user: Annotated[str | None, Header("x-remote-user")]) -> None:
    st.write(remote_user or "anonymous")
"""


def run_recipe(text: str) -> ModuleType:
    """The module that a recipe is, with `fluxlit_django` where it says `fluxlit`."""
    module = ModuleType("recipe")
    exec(text.replace("from fluxlit", "from fluxlit_django"), module.__dict__)
    return module


def shown(at: Any) -> list[str]:
    return [block.value for block in at.markdown]


# Forward-auth style header for a Streamlit page


@pytest.mark.django_db
def test_forward_auth__anonymous() -> None:
    """Without the header the page renders "anonymous"; a client that sends it changes nothing."""
    client = FluxLitTestClient(run_recipe(FORWARD_AUTH).app)

    assert ["anonymous"] == shown(client.streamlit())
    assert ["anonymous"] == shown(client.streamlit(headers={"X-Remote-User": "root"}))


@pytest.mark.django_db
def test_forward_auth__the_signed_in_viewer() -> None:
    """The header is the viewer that the gateway has verified."""
    client = FluxLitTestClient(run_recipe(FORWARD_AUTH).app)
    client.force_login(get_user_model().objects.create_user("ann"))

    assert ["ann"] == shown(client.streamlit())
    assert ["ann"] == shown(client.streamlit(headers={"X-Remote-User": "root"}))


@pytest.mark.django_db
def test_forward_auth__explicit_map() -> None:
    """`set_page_header_context` in a test wins, its names in any case, until the token is given back."""
    client = FluxLitTestClient(run_recipe(FORWARD_AUTH).app)

    token = set_page_header_context({"X-Remote-User": "bob"})
    with_map = shown(client.streamlit())
    reset_page_header_context(token)

    assert (["bob"], ["anonymous"]) == (with_map, shown(client.streamlit()))


def test_forward_auth__as_the_gateway_fills_it() -> None:
    """In production the map is filled for every run from the headers that only the gateway sets."""
    sent_by_client = [(b"x-remote-user", b"root"), (b"x-fluxlit-user-username", b"root"), (b"accept", b"*/*")]
    allowed = header_policy.allowed_names([])

    passed = dict(header_policy.to_sidecar(sent_by_client, allowed))

    assert {"accept": "*/*"} == passed
    assert (
        "ann"
        == PageContext(raw_headers={**passed, "X-Fluxlit-User-Username": "ann"}).trusted_headers[
            "x-remote-user"
        ]
    )


# Optional traceparent on the Streamlit HTTP hop


@pytest.mark.parametrize("value", ['["traceparent"]', "traceparent"])
def test_traceparent__allowlisted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The export of the recipe, and a comma-separated list, let the header through to `Header`."""
    monkeypatch.setenv("FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT", value)
    config, problems = conf.load_config()
    recipe = FORWARD_AUTH.replace("x-remote-user", "traceparent")
    names = config.gateway_forward_client_headers_to_streamlit

    passed = dict(header_policy.to_sidecar([(b"traceparent", b"00-1")], header_policy.allowed_names(names)))

    assert [] == problems
    assert {"traceparent": "00-1"} == passed
    assert ["00-1"] == shown(FluxLitTestClient(run_recipe(recipe).app).streamlit(headers=passed))


def test_traceparent__not_listed() -> None:
    """A header that is not listed stays out, and credentials cannot be listed."""
    allowed = header_policy.allowed_names(parse_header_names("authorization,cookie,x-forwarded-for"))
    sent = [(b"traceparent", b"00-1"), (b"authorization", b"Bearer x"), (b"x-forwarded-for", b"1.2.3.4")]

    assert [] == header_policy.to_sidecar(sent, allowed)


# Multipage + URL session continuity


@pytest.fixture
def wizard() -> FluxLit:
    """Two pages that keep a value under the same id in the URL."""
    app = FluxLit(title="Wizard", session_store=InMemorySessionStore())

    @app.page("/")
    def first(st: Any, store: SessionStore) -> None:
        ensure_url_session(st, store)
        hydrate_url_session(st, store)
        st.number_input("Step", key="step", step=1, value=None)
        persist_url_session(st, store, keys=["step"])

    @app.page("/second")
    def second(st: Any, store: SessionStore, context: PageContext) -> None:
        hydrate_url_session(st, store)
        st.write(f"step {st.session_state.get('step')}")

    return app


@pytest.mark.parametrize("param", ["fluxlit_sid", "s"])
def test_url_session__continues(wizard: FluxLit, param: str) -> None:
    """The id stays through a page switch, a deep link, a refresh on any page, under the configured name."""
    client = FluxLitTestClient(wizard)
    with override_settings(FLUXLIT={"URL_SESSION_QUERY_PARAM": param}):
        at = client.streamlit()
        at = at.number_input[0].set_value(7).run()
        sid = at.query_params[param]

        at = client.select_page(at, "second")
        assert (["step 7"], sid) == (shown(at), at.query_params[param])
        refreshed = client.streamlit(query_params={"page": "second", param: sid})
        assert (["step 7"], sid) == (shown(refreshed), refreshed.query_params[param])
        stranger = client.streamlit(query_params={"page": "second", param: ["made-up"]})
        assert ["step None"] == shown(stranger)


def test_url_session__after_the_query_is_lost(wizard: FluxLit) -> None:
    """A link of `st.navigation` has no query: the id comes back into the URL by itself."""
    at = FluxLitTestClient(wizard).streamlit()
    sid = at.query_params["fluxlit_sid"]
    at.query_params.clear()

    assert sid == at.run().query_params["fluxlit_sid"]


# FluxLitTestClient with Depends overrides


def get_orders() -> list[str]:
    """What a test cannot have."""
    raise AssertionError("the real dependency was called")


def test_depends__overridden() -> None:
    """`page_overrides` injects a fake without calling the real dependency."""
    app = FluxLit(title="Orders")

    @app.page("/")
    def orders(st: Any, orders: Annotated[list[str], Depends(get_orders)]) -> None:
        st.write(f"{len(orders)} orders")

    client = FluxLitTestClient(app)
    at = client.streamlit(page_overrides={"orders": ["one"]})

    client.assert_no_streamlit_exception(at)
    assert ["1 orders"] == shown(at)


@pytest.mark.parametrize(("tests", "expected"), [("1", ["2 orders"]), ("0", [])])
def test_depends__overridden_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tests: str, expected: list[str]
) -> None:
    """`FLUXLIT_TEST_PAGE_OVERRIDES` does it in test mode, and nothing outside of it."""
    monkeypatch.setenv("FLUXLIT_TESTS", tests)
    monkeypatch.setenv("FLUXLIT_TEST_PAGE_OVERRIDES", json.dumps({"orders": ["one", "two"]}))
    get_config.cache_clear()
    app = FluxLit(title="Orders")

    @app.page("/")
    def orders(st: Any, orders: Annotated[list[str], Depends(get_orders)]) -> None:
        st.write(f"{len(orders)} orders")

    try:
        assert expected == shown(FluxLitTestClient(app).streamlit())
    finally:
        monkeypatch.undo()
        get_config.cache_clear()


# Production pins


def test_pins__ranges_and_constraints() -> None:
    """pyproject.toml has the ranges; requirements.txt the pins that a container installs."""
    root = Path(__file__).parent.parent

    assert "streamlit>=1.57" in (root / "pyproject.toml").read_text()
    assert "\nstreamlit==" in (root / "requirements.txt").read_text()
    assert "requirements.txt" in (root / "Dockerfile").read_text()


# Fail CI on configuration warnings; cap uploads


def test_upload_cap__as_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export of the recipe is the cap in bytes; the gateway's tests send one byte more and get 413."""
    monkeypatch.setenv("FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES", "67108864")

    config, problems = conf.load_config()

    assert (67_108_864, []) == (config.gateway_max_proxy_request_body_bytes, problems)


def test_manifest__of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe's app has a manifest."""
    call_command("fluxlit_pages", "manifest", target="tests.test_cookbook:RECIPE_APP")

    assert "Example" == json.loads(capsys.readouterr().out)["title"]


RECIPE_APP = run_recipe(FORWARD_AUTH).app
