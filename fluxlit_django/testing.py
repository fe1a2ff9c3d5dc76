"""Tests of pages and of the API they call: no server, no browser, the test's own database.

def test_orders(fluxlit_client, admin_user):
    fluxlit_client.force_login(admin_user)
    at = fluxlit_client.streamlit(target=site, query_params={"page": "orders"})
    fluxlit_client.assert_no_streamlit_exception(at)
    assert at.title[0].value == "Orders"
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections
from django.test import Client
from django.test.client import ClientHandler

from fluxlit_django import conf, handlers
from fluxlit_django.client import ApiClient, in_process_transport
from fluxlit_django.exceptions import StartupError
from fluxlit_django.gateway.identity import Viewer
from fluxlit_django.pages import di, discovery
from fluxlit_django.pages.registry import FluxLit
from fluxlit_django.trust import hosts, sessions, users, viewer_token
from fluxlit_django.trust.viewer_token import Claim

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

DEFAULT_TIMEOUT_S = 10.0
_TRIAL = "_fluxlit_trial"
_SHOWN = "_fluxlit_shown_page"
_START_LIMIT_S = 90.0
_READY = re.compile(r"ready in [\d.]+ s")
_URL = re.compile(r"http://[\w.\[\]:-]+:\d+[^\s]*")
_SCRIPT = "from fluxlit_django import testing\ntesting.show_trial()\n"


class _Handler(handlers.AsksUsLast, ClientHandler):
    """The test client's handler, which knows this package's URLs too."""


class ProjectClient(Client):
    """Django's test client, for which this package's own URLs are there without being included."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.handler = _Handler(enforce_csrf_checks=bool(options.get("enforce_csrf_checks")))


@dataclass(frozen=True)
class Trial:
    """What a script under AppTest is told: which app to show, to whom, with what."""

    app: FluxLit
    identity: Mapping[str, str]
    """The viewer as `st.user` has one; empty for nobody."""
    client: ApiClient
    overrides: Mapping[str, Any]
    headers: Mapping[str, str]
    """As a sidecar gets them: what the gateway says of the viewer among them."""
    cookies: Mapping[str, str]
    header_context: Mapping[str, str] | None
    """What the test has set with `set_page_header_context`; the page runs in another thread."""
    cookie_context: Mapping[str, str] | None
    databases: Mapping[str, Any] = field(default_factory=lambda: {c.alias: c for c in connections.all()})
    """The test's own connections, so that a page sees what its transaction has written."""


@dataclass(frozen=True)
class FluxLitTestClient:
    """Shows pages under Streamlit's AppTest and calls the API, as one viewer.

    A page's `client` reaches the project's API in the same process, and is signed in as the viewer is. What a
    page knows of the viewer by `user`, `st.user` and headers is what it knows behind the gateway.

    Args:
        app: whose pages are shown where no `target` is given; None for `site` and what is installed.
        api_prefix: the API's path; the one in the settings by default.
        root_mount: the public prefix, as a proxy in front would add it.
    """

    app: FluxLit | str | None = None
    api_prefix: str | None = None
    root_mount: str = ""
    api: ProjectClient = field(default_factory=ProjectClient, compare=False)
    """Django's test client, with the cookies of this viewer."""

    def with_root_path(self, root_path: str) -> FluxLitTestClient:
        """The same viewer behind a public prefix."""
        return replace(self, root_mount=root_path)

    def force_login(self, user: Any) -> None:
        """Sign a user in, for pages and for the API."""
        self.api.force_login(user)

    def logout(self) -> None:
        """Sign the viewer out."""
        self.api.logout()

    def api_get(self, path: str, **options: Any) -> Any:
        """GET a path below the API's."""
        return self._call("get", path, options)

    def api_post(self, path: str, **options: Any) -> Any:
        """POST to a path below the API's; `json=` sends JSON."""
        return self._call("post", path, options)

    def api_put(self, path: str, **options: Any) -> Any:
        """PUT to a path below the API's."""
        return self._call("put", path, options)

    def api_patch(self, path: str, **options: Any) -> Any:
        """PATCH a path below the API's."""
        return self._call("patch", path, options)

    def api_delete(self, path: str, **options: Any) -> Any:
        """DELETE a path below the API's."""
        return self._call("delete", path, options)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI schema of the app's API.

        Raises:
            TypeError: there is none, or it is no object.
        """
        response = self.api_get("/openapi.json")
        found = response.json() if response.status_code == 200 else None
        if not isinstance(found, dict):
            msg = f"GET {self._prefix()}/openapi.json answered {response.status_code}, which is no schema."
            raise TypeError(msg)
        return found

    def assert_docs_available(self) -> None:
        """Fail unless the app's API has its schema and its documentation.

        Raises:
            AssertionError: one is missing.
        """
        try:
            schema = self.openapi()
        except TypeError as exc:
            raise AssertionError(str(exc)) from None
        _require("openapi" in schema, f"{self._prefix()}/openapi.json has no 'openapi' in it.")
        status = self.api_get("/docs").status_code
        _require(status in {200, 307, 308}, f"GET {self._prefix()}/docs answered {status}.")

    def streamlit(
        self,
        *,
        target: FluxLit | str | None = None,
        query_params: Mapping[str, str | list[str]] | None = None,
        page_overrides: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> AppTest:
        """Run an app once under AppTest, and return it.

        Args:
            target: the app, or `module:attribute`; else this client's.
            query_params: those of the page's URL; `page` names the page to open.
            page_overrides: values for parameters by name; what they depend on is then not called.
            headers: what `Header` parameters are read from, as if the gateway had let it pass.
            cookies: what `Cookie` parameters are read from.
            timeout: most seconds for a run.
        """
        from streamlit.testing.v1 import AppTest

        at = AppTest.from_string(_SCRIPT, default_timeout=timeout)
        at.session_state[_TRIAL] = self._trial(target, page_overrides, headers, cookies)
        at.query_params.update(query_params or {})
        return _stay(at.run())

    def select_page(
        self,
        at: AppTest,
        page: str,
        *,
        page_key: str = "page",
        page_overrides: Mapping[str, Any] | None = None,
    ) -> AppTest:
        """Go to another page by its path, slug or title, as a link with `?page=` does."""
        if page_overrides is not None:
            at.session_state[_TRIAL] = replace(at.session_state[_TRIAL], overrides=page_overrides)
        at.query_params[page_key] = page
        return _stay(at.run())

    def assert_no_streamlit_exception(self, at: AppTest) -> None:
        """See the function of this name."""
        assert_no_streamlit_exception(at)

    def _trial(
        self,
        target: FluxLit | str | None,
        overrides: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        cookies: Mapping[str, str] | None,
    ) -> Trial:
        said = self._said_by_the_gateway()
        user_headers = users.headers(conf.get_config().user_fields)
        return Trial(
            app=find_app(target if target is not None else self.app),
            identity={key: said[name] for name, key in user_headers.items() if name in said},
            client=ApiClient(
                f"http://{_test_host()}{self._prefix()}",
                transport=in_process_transport(),
                auth_header_factory=self._credentials,
            ),
            overrides=overrides or {},
            headers={**said, **(headers or {})},
            cookies=cookies or {},
            header_context=di.page_header_context(),
            cookie_context=di.page_cookie_context(),
        )

    def _viewer(self) -> Any:
        key = self._session_key()
        return (sessions.user_of_session(key) if key else None) or users.nobody()

    def _session_key(self) -> str:
        cookie = self.api.cookies.get(settings.SESSION_COOKIE_NAME)
        return cookie.value if cookie else ""

    def _said_by_the_gateway(self) -> dict[str, str]:
        """The headers that the gateway sets for a sidecar."""
        user, headers = self._viewer(), {"host": _test_host()}
        if user.is_authenticated:
            headers |= dict(Viewer.from_user(user).headers())
            headers[viewer_token.HANDSHAKE_HEADER] = self._token(user)
        return headers

    def _credentials(self) -> Mapping[str, str]:
        user = self._viewer()
        return (
            {"Authorization": f"{viewer_token.SCHEME} {self._token(user)}"} if user.is_authenticated else {}
        )

    def _token(self, user: Any) -> str:
        return viewer_token.mint(Claim(str(user.pk), self._session_key()))

    def _prefix(self) -> str:
        return conf.get_config().api_mount_path if self.api_prefix is None else self.api_prefix

    def _call(self, method: str, path: str, options: dict[str, Any]) -> Any:
        root_path = options.pop("root_path", None) or self.root_mount
        if "json" in options:
            options["data"] = json.dumps(options.pop("json"))
            options.setdefault("content_type", "application/json")
        if "params" in options:
            options["query_params"] = options.pop("params")
        if root_path:
            options["SCRIPT_NAME"] = root_path.rstrip("/")
        return getattr(self.api, method)(f"{self._prefix()}/{path.lstrip('/')}", **options)


def find_app(target: FluxLit | str | None) -> FluxLit:
    """The app that a test means: itself, `module:attribute`, or `site` with all installed pages.

    Raises:
        ConfigError: the target names no app.
    """
    return target if isinstance(target, FluxLit) else discovery.load_app(target or "")


def show_trial() -> None:
    """Show the app that the test put into the session state. The script under AppTest calls it."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    from fluxlit_django.pages import runner

    trial: Trial = st.session_state[_TRIAL]
    given = runner.Given(
        identity=trial.identity,
        client=trial.client,
        overrides={**runner.configured_overrides(conf.get_config()), **trial.overrides},
        headers=trial.headers,
        cookies=trial.cookies,
        around=lambda: _as_in_the_test(trial),
    )
    try:
        runner.show(trial.app, given)
    finally:
        context = get_script_run_ctx(suppress_warning=True)
        st.session_state[_SHOWN] = "" if context is None else context.pages_manager.current_page_script_hash


def _stay(at: AppTest) -> AppTest:
    """Have the next run show the same page. AppTest remembers it in Streamlit 1.67, and does not in 1.57."""
    if not hasattr(at, "_finished_page_script_hash") and _SHOWN in at.session_state:
        at._page_hash = at.session_state[_SHOWN]
    return at


@contextlib.contextmanager
def _as_in_the_test(trial: Trial) -> Iterator[None]:
    """The test's viewer, connections and maps: a page runs in another thread."""
    _say_who(trial.identity)
    header_token = di.set_page_header_context(trial.header_context)
    cookie_token = di.set_page_cookie_context(trial.cookie_context)
    try:
        with _lent(trial.databases):
            yield
    finally:
        di.reset_page_cookie_context(cookie_token)
        di.reset_page_header_context(header_token)


def _say_who(identity: Mapping[str, str]) -> None:
    """Have `st.user` be the viewer: Streamlit's AppTest takes none in 1.57, and in 1.67 a dict of its own."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:
        context.user_info = {**context.user_info, **identity}


@contextlib.contextmanager
def _lent(databases: Mapping[str, Any]) -> Iterator[None]:
    """Use another thread's connections in this one, as Django's LiveServerTestCase does."""
    for alias, connection in databases.items():
        connection.inc_thread_sharing()
        connections[alias] = connection
    try:
        yield
    finally:
        for alias, connection in databases.items():
            del connections[alias]
            connection.dec_thread_sharing()


def assert_no_streamlit_exception(at: AppTest) -> None:
    """Fail when a page shows an exception or an error.

    Raises:
        AssertionError: it does; with what it shows.
    """
    shown = [box.value for box in (*at.exception, *at.error)]
    _require(not shown, f"The page shows: {'; '.join(map(str, shown))}")


apptest_assert_no_errors = assert_no_streamlit_exception


def apptest_select_page(at: AppTest, client: FluxLitTestClient, *, page: str, **options: Any) -> AppTest:
    """Go to another page; see `FluxLitTestClient.select_page`."""
    options.pop("target", None)
    return client.select_page(at, page, **options)


def streamlit_main_path() -> Path:
    """The script that a sidecar runs for an app made of pages."""
    return Path(__file__).parent / "sidecar" / "script" / "fluxlit_pages.py"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _test_host() -> str:
    """The host of Django's test client, or another that the project accepts."""
    if hosts.is_allowed("testserver"):
        return "testserver"
    return next((host for host in hosts.allowed_hosts() if host[0] not in "*."), "testserver")


# The real command


class LiveSite:
    """A running `fluxlit_run`.

    Args:
        process: started with its output as text in a pipe.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._is_decided = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        """All that the command has printed."""
        return "".join(self._lines)

    @property
    def url(self) -> str:
        """Its address, without a slash at its end."""
        found = _URL.search(self.log)
        return found[0].rstrip("/") if found else ""

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until it serves.

        Raises:
            StartupError: it ended, or did not get there in time; with what it printed.
        """
        self._is_decided.wait(timeout_s)
        if not (_READY.search(self.log) and self.url):
            msg = f"fluxlit_run did not serve within {timeout_s:g} s:\n{self.log}"
            raise StartupError(msg)

    def stop(self, timeout_s: float = 30.0) -> int:
        """Stop it as an operator does; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout_s)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.append(line)
            if _READY.search(line):
                self._is_decided.set()
        self._is_decided.set()


@contextlib.contextmanager
def running_site(environment: Mapping[str, str] | None = None, *arguments: str) -> Iterator[LiveSite]:
    """Run `fluxlit_run` with these settings on a free port, until the end of the block.

    Args:
        environment: variables on top of this process's own.
        arguments: further arguments of the command.

    Raises:
        StartupError: it did not get to serve.
    """
    settings_module = {"DJANGO_SETTINGS_MODULE": str(settings.SETTINGS_MODULE)}
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "fluxlit_run", "--port", "0", *arguments],
        env={**os.environ, **settings_module, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    site = LiveSite(process)
    try:
        site.wait_ready(_START_LIMIT_S)
        yield site
    finally:
        site.stop()
