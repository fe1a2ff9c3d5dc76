"""The recipes of FluxLit's cookbook, run as they are written there, the import name aside; and those of ours.

Each recipe of FluxLit's is the text of its page; `run_recipe` executes it. What needs a server is asked of
`site`: the real command, with the recipe's module as its app and the recipes' exports as its environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command, load_command_class
from django.db import connection
from django.db.models.signals import post_delete, post_save
from django.template import engines
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import fluxlit_django
from fluxlit_django import Depends, FluxLit, PageContext, SessionStore, conf, diagnostics, versions
from fluxlit_django.conf import get_config, parse_header_names
from fluxlit_django.gateway import headers as header_policy
from fluxlit_django.pages import discovery
from fluxlit_django.pages.di import reset_page_header_context, set_page_header_context
from fluxlit_django.testing import FluxLitTestClient
from fluxlit_django.url_session import (
    InMemorySessionStore,
    ensure_url_session,
    hydrate_url_session,
    persist_url_session,
)
from project.shop.models import Product
from tests.site import ROOT, Site, manage, running_site, site_environment
from tests.viewer import Viewer

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


MORE_PAGES = """
@app.page("/trace")
def trace(st: Any, seen: Annotated[str | None, Header("traceparent")]) -> None:
    st.write(f"{seen} {st.context.headers.get('traceparent')}")

@app.page("/upload")
def upload(st: Any) -> None:
    st.file_uploader("File")
"""
CAP = 1 << 20


def rename(text: str) -> str:
    """A recipe with `fluxlit_django` where it says `fluxlit`."""
    return text.replace("from fluxlit", "from fluxlit_django")


def run_recipe(text: str) -> ModuleType:
    """The module that a recipe is."""
    module = ModuleType("recipe")
    exec(rename(text), module.__dict__)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`fluxlit run recipe:app`, after the recipes' exports."""
    folder = tmp_path_factory.mktemp("cookbook")
    (folder / "recipe.py").write_text(rename(FORWARD_AUTH + MORE_PAGES))
    environment = site_environment(
        folder,
        PYTHONPATH=str(folder),
        FLUXLIT_APP="recipe:app",
        FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT='["traceparent"]',
        FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES=str(CAP),
        FLUXLIT_ENABLE_GATEWAY_PROMETHEUS_METRICS="1",
    )
    manage(environment, "migrate", "-v0")
    manage(environment, "demo_admin")
    with running_site(environment) as running:
        yield running


@pytest.fixture
async def viewer(site: Site) -> AsyncIterator[Viewer]:
    """Somebody who is signed in there."""
    async with Viewer(site.url) as browser:
        await browser.sign_in()
        yield browser


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


async def test_forward_auth__in_production(viewer: Viewer) -> None:
    """Behind the real gateway the page has the verified name, whatever the client says of itself."""
    for headers in ({}, {"X-Remote-User": "root", "Remote-User": "root", "X-Fluxlit-User-Username": "root"}):
        async with viewer.streamlit(headers=headers) as tab:
            run = await tab.rerun()
        assert ["admin"] == run.texts()


# Optional traceparent on the Streamlit HTTP hop


async def test_traceparent__in_production(viewer: Viewer) -> None:
    """The exported name reaches `Header` and `st.context.headers`; without the header there is None."""
    async with viewer.streamlit(headers={"traceparent": "00-1", "tracestate": "a=1"}) as tab:
        sent = await tab.rerun(page="trace")
    async with viewer.streamlit() as tab:
        nothing = await tab.rerun(page="trace")

    assert (["00-1 00-1"], ["None None"]) == (sent.texts(), nothing.texts())


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


# Gateway Prometheus metrics


async def test_metrics__scraped_from_the_gateway(site: Site, viewer: Viewer) -> None:
    """The gateway answers a scraper that has not signed in, with rates, errors and durations."""
    async with viewer.streamlit() as tab:
        await tab.rerun()
    async with Viewer(site.url) as scraper, scraper.get("/__fluxlit/metrics") as answer:
        text = await answer.text()

    assert 200 == answer.status
    for series in ("requests_total", "responses_total", "request_duration_seconds_bucket"):
        assert f"fluxlit_gateway_{series}{{" in text


@pytest.mark.parametrize(("path", "expected"), [("/ops/metrics", []), ("/api/metrics", ["fluxlit.E008"])])
def test_metrics__path_of_ones_own(monkeypatch: pytest.MonkeyPatch, path: str, expected: list[str]) -> None:
    """The optional export of the recipe; a path below the API's is refused."""
    monkeypatch.setenv("FLUXLIT_ENABLE_GATEWAY_PROMETHEUS_METRICS", "1")
    monkeypatch.setenv("FLUXLIT_GATEWAY_PROMETHEUS_METRICS_PATH", path)

    assert expected == [problem.id for problem in diagnostics.settings_problems() if problem.is_error]


# Kubernetes-style probes


async def status_of(viewer: Viewer, path: str) -> int:
    async with viewer.get(path) as response:
        return int(response.status)


async def until(viewer: Viewer, path: str, status: int) -> None:
    """Ask as a kubelet does, until a probe answers with this status."""
    for _ in range(200):
        if await status_of(viewer, path) == status:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await status_of(viewer, path))


async def test_probes__liveness_and_readiness(site: Site, viewer: Viewer) -> None:
    """Nobody has to sign in for them; a sidecar that hangs makes the site unready, and leaves it alive."""
    async with Viewer(site.url) as kubelet:
        await until(kubelet, "/api/readyz", 200)
        sidecar = site.child("fluxlit_django.sidecar", "default")
        os.kill(sidecar, signal.SIGSTOP)
        try:
            await until(kubelet, "/api/readyz", 503)
            assert 200 == await status_of(kubelet, "/api/healthz")
        finally:
            os.kill(sidecar, signal.SIGCONT)
        await until(kubelet, "/api/readyz", 200)


# Production pins


def test_pins__ranges_and_constraints() -> None:
    """pyproject.toml has the ranges; requirements.txt the pins that a container installs."""
    assert "streamlit>=1.57" in (ROOT / "pyproject.toml").read_text()
    assert "\nstreamlit==" in (ROOT / "requirements.txt").read_text()
    assert "requirements.txt" in (ROOT / "Dockerfile").read_text()


# Fail CI on configuration warnings


@pytest.mark.parametrize(
    ("exports", "code"),
    [
        ({}, ""),
        (
            {"FLUXLIT_GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": '["cookie"]'},
            "gateway_forward_blocked_names",
        ),
        (
            {
                "FLUXLIT_TRUST_PROXY": "1",
                "FLUXLIT_FORWARDED_ALLOW_IPS": "10.0.0.1",
                "FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES": "0",
            },
            "gateway_max_body_unlimited_trust_proxy",
        ),
        ({"FLUXLIT_TRUST_PROXY": "1", "FLUXLIT_FORWARDED_ALLOW_IPS": "*"}, "forwarded_allow_ips_broad"),
    ],
)
def test_strict__fails_on_warnings(tmp_path: Path, exports: dict[str, str], code: str) -> None:
    """`config --strict` and `doctor --strict` end with 1 for each warning of the recipe, else with 0."""
    environment = site_environment(tmp_path, **exports)
    manage(environment, "migrate", "-v0")
    for command in (["fluxlit_config"], ["fluxlit_doctor", "--quick"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *command, "--strict", "--json"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (int(bool(code)), True) == (done.returncode, code in done.stdout), done.stdout + done.stderr


# Cap uploads


def test_upload_cap__as_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export of the recipe is the cap in bytes; the gateway's tests send one byte more and get 413."""
    monkeypatch.setenv("FLUXLIT_GATEWAY_MAX_PROXY_REQUEST_BODY_BYTES", "67108864")

    config, problems = conf.load_config()

    assert (67_108_864, []) == (config.gateway_max_proxy_request_body_bytes, problems)


async def test_upload_cap__in_production(viewer: Viewer) -> None:
    """A file over the cap is 413 and never reaches the sidecar; one below it arrives."""
    async with viewer.streamlit() as tab:
        uploader = (await tab.rerun(page="upload")).widget("File")
        urls = await tab.upload_url("data.bin")
        too_large, text = await viewer.upload(urls.upload_url, b"x" * (CAP + 1))
        fits, _ = await viewer.upload(urls.upload_url, b"x" * (CAP - 1000))

    assert (413, 204) == (too_large, fits)
    assert str(CAP) in text
    assert CAP == uploader.max_upload_size_mb << 20


def test_manifest__of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe's app has a manifest."""
    call_command("fluxlit_pages", "manifest", target="tests.test_cookbook:RECIPE_APP")

    assert "Example" == json.loads(capsys.readouterr().out)["title"]


RECIPE_APP = run_recipe(FORWARD_AUTH).app


# The recipes of docs/cookbook.md

OURS = (ROOT / "docs" / "cookbook.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", OURS, flags=re.DOTALL)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[dict[str, Any]]:
    """What our page defines, with the demo's shop for its `shop`; its pages are all of `site`."""
    discovery.autodiscover()
    monkeypatch.setattr(fluxlit_django.site, "_records", {})
    names: dict[str, Any] = {"__name__": "cookbook"}
    code = "\n".join(BLOCKS).replace("from shop.", "from project.shop.")
    exec(compile(code, "docs/cookbook.md", "exec", dont_inherit=True), names)
    with override_settings(FLUXLIT={"WATCHED_MODELS": ["shop.Product"]}):
        versions.connect()
        yield names
        for signal, kind in ((post_save, "save"), (post_delete, "delete")):
            signal.disconnect(sender="shop.product", dispatch_uid=f"fluxlit.shop.product.{kind}")


def test_ours__their_own_tests(ours: dict[str, Any]) -> None:
    """The tests that the page shows pass."""
    ours["test_who"]()
    ours["test_newest"]()


@pytest.fixture
def admin(admin_user: Any) -> FluxLitTestClient:
    """Somebody who may do all of it."""
    client = FluxLitTestClient()
    client.force_login(admin_user)
    return client


def test_ours__every_page(ours: dict[str, Any], admin: FluxLitTestClient) -> None:
    """Each page is shown without an error."""
    for record in fluxlit_django.site.page_records:
        admin.assert_no_streamlit_exception(admin.streamlit(query_params={"page": record.slug}))


def test_ours__state_of_several_pages(ours: dict[str, Any], admin: FluxLitTestClient) -> None:
    """What one page asks another shows, after a refresh and back again."""
    at = admin.streamlit(query_params={"page": "address"})
    at = at.text_input[0].set_value("Wien").run()
    sid = at.query_params["fluxlit_sid"]

    assert ["To Wien"] == shown(admin.select_page(at, "confirm"))
    assert ["To Wien"] == shown(admin.streamlit(query_params={"page": "confirm", "fluxlit_sid": sid}))
    assert "Wien" == admin.select_page(at, "address").text_input[0].value


def test_ours__table_after_a_save(ours: dict[str, Any], admin: FluxLitTestClient) -> None:
    """A save makes the table be read again, a rerun alone does not."""
    product = Product.objects.create(sku="CUP-1", name="Cup", price=5, stock=1)
    at = admin.streamlit(query_params={"page": "stock"})
    with CaptureQueriesContext(connection) as reads:
        at.run()
    product.stock = 9
    product.save()

    assert not [query for query in reads if "shop_product" in query["sql"]]
    assert [9] == list(at.run().dataframe[0].value["stock"])


def test_ours__form_that_django_checks(ours: dict[str, Any], admin: FluxLitTestClient) -> None:
    """What the model refuses is a message and no change; what it takes is saved."""
    product = Product.objects.create(sku="CUP-1", name="Cup", price=5, category="table")
    at = admin.streamlit(query_params={"page": "rename"})
    at.text_input[0].set_value("")
    at.button[0].click().run()
    refusals = [box.value for box in at.error]
    at.text_input[0].set_value("Mug")
    at.button[0].click().run()

    product.refresh_from_db()
    assert (["- This field cannot be blank."], ["Saved “Mug”."], "Mug") == (
        refusals,
        [box.value for box in at.success],
        product.name,
    )


def test_ours__template(ours: dict[str, Any]) -> None:
    """The template's line shows the page, or asks for a sign-in."""
    [line] = re.findall(r"`(\{% streamlit .*?%\})`", OURS)

    html = engines["django"].from_string("{% load fluxlit %}" + line).render({})

    assert "Sign in to see “Stock”." in html


def test_ours__commands_and_variables() -> None:
    """Every command and option there is one, every variable a setting, and every probe answers."""
    known = {f"FLUXLIT_{field.name.upper()}" for field in conf.setting_fields()}

    assert set(re.findall(r"FLUXLIT_[A-Z_]+", OURS)) <= known
    for command, options in re.findall(r"^python manage.py (\w+)(.*)$", OURS, flags=re.MULTILINE):
        parser = load_command_class("fluxlit_django", command).create_parser("manage.py", command)
        parser.parse_args(options.split())
    assert {"/api/healthz", "/api/readyz"} == set(re.findall(r"path: (\S+)", OURS))


def test_ours__formatted() -> None:
    """Its code is formatted as the package's."""
    for block in BLOCKS:
        command = [sys.executable, "-m", "ruff", "format", "--check", "--stdin-filename", "block.py", "-"]
        done = subprocess.run(command, input=block, capture_output=True, text=True, cwd=ROOT)
        assert 0 == done.returncode, done.stderr + block
