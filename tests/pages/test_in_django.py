"""Django inside pages: the viewer, transactions, messages, errors, language and time."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from fluxlit_django import ApiClient, AsyncApiClient, Depends, FluxLit, Header, PageContext, PageMeta, Query
from fluxlit_django.public_urls import FluxLitPublicUrls
from fluxlit_django.testing import FluxLitTestClient
from fluxlit_django.trust import sessions

pytestmark = pytest.mark.django_db


@pytest.fixture
def app() -> FluxLit:
    """An app without pages yet."""
    return FluxLit(title="Office")


@pytest.fixture
def client(app: FluxLit) -> FluxLitTestClient:
    """A viewer of it."""
    return FluxLitTestClient(app)


@pytest.fixture
def user() -> Any:
    """Somebody with an account."""
    return get_user_model().objects.create_user("ann")


def shown(at: Any) -> list[str]:
    return [block.value for block in at.markdown]


def test_user__each_way_to_ask(app: FluxLit, client: FluxLitTestClient, user: Any) -> None:
    """By name, by type, and optional: the verified viewer, or nobody."""

    @app.page("/")
    def home(st: Any, user: Any, me: User, maybe: Annotated[User | None, "kept"]) -> None:
        st.write(f"{user.username}|{me.username}|{maybe and maybe.username}|{user.is_authenticated}")

    nobody = shown(client.streamlit())
    client.force_login(user)

    assert ["||None|False"] == nobody
    assert ["ann|ann|ann|True"] == shown(client.streamlit())


def test_client__calls_the_api_as_the_viewer(app: FluxLit, client: FluxLitTestClient, user: Any) -> None:
    """`client` reaches the project's API as the viewer, and sees the test's transaction."""

    @app.page("/")
    def home(st: Any, api: ApiClient) -> None:
        st.write(str(api.get("/orders").status_code))

    nobody = shown(client.streamlit())
    client.force_login(user)

    assert (["401"], ["200"]) == (nobody, shown(client.streamlit()))


used: list[AsyncApiClient] = []


async def orders_status(api: AsyncApiClient) -> int:
    used.append(api)
    both = await asyncio.gather(api.get("/orders"), api.get("/orders"))
    return max(answer.status_code for answer in both)


async def orders_text(api: AsyncApiClient, status: Annotated[int, Depends(orders_status)]) -> str:
    used.append(api)
    return f"orders {status}"


def test_async_client__in_dependencies(app: FluxLit, client: FluxLitTestClient, user: Any) -> None:
    """An async dependency calls the API as the viewer; all share one client, closed after the run."""

    @app.page("/")
    def home(st: Any, text: Annotated[str, Depends(orders_text)]) -> None:
        st.write(text)

    used.clear()
    nobody = shown(client.streamlit())
    client.force_login(user)

    assert (["orders 401"], ["orders 200"]) == (nobody, shown(client.streamlit()))
    assert used[0] is used[1] is not used[2]
    assert [True] * 4 == [api.is_closed for api in used]


def test_async_client__in_a_page(app: FluxLit, client: FluxLitTestClient, user: Any) -> None:
    """A page calls its own async function by `async_to_sync`, and leaves the client on that loop."""

    @app.page("/")
    def home(st: Any, api: AsyncApiClient) -> None:
        async def load() -> int:
            async with api:
                return (await api.get("/orders")).status_code

        st.write(str(async_to_sync(load)()))

    client.force_login(user)
    at = client.streamlit()

    client.assert_no_streamlit_exception(at)
    assert ["200"] == shown(at)


def test_request__header_cookie_query(app: FluxLit, client: FluxLitTestClient) -> None:
    """What came with the request."""

    @app.page("/")
    def home(
        st: Any,
        context: PageContext,
        agent: Annotated[str, Header("user-agent")],
        limit: Annotated[int, Query()],
    ) -> None:
        st.write(f"{agent} {limit} {context.COOKIES['theme']}")

    at = client.streamlit(
        headers={"User-Agent": "Test"}, cookies={"theme": "dark"}, query_params={"limit": "5"}
    )

    assert ["Test 5 dark"] == shown(at)


def test_request__of_the_wrong_form(app: FluxLit, client: FluxLitTestClient) -> None:
    """The viewer is told which parameter to change, and how."""

    @app.page("/")
    def home(st: Any, limit: Annotated[int, Query()]) -> None:
        st.write("never")

    at = client.streamlit(query_params={"limit": "many"})

    assert ["The query parameter 'limit' is 'many': use a whole number."] == [box.value for box in at.error]


def test_request__with_markup_in_it(app: FluxLit, client: FluxLitTestClient) -> None:
    """What a link brings is shown as it is: nobody can put a link or an image of theirs into the page."""

    @app.page("/")
    def home(st: Any, limit: Annotated[int, Query()]) -> None:
        st.write("never")

    at = client.streamlit(query_params={"limit": "![Sign in](http://evil.example) www.evil.example"})

    [box] = at.error
    assert r"'!\[Sign in\](http\://evil.example) www\.evil.example': use a whole number." in box.value


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValidationError(["Too short.", "Too plain."]), "- Too short.\n- Too plain."),
        (ValidationError({"name": ["Missing."]}), "- Missing."),
        (PermissionDenied("Ask the desk."), "Ask the desk."),
        (ValidationError("*a_b* [x](y) :red[z] at 12:30"), r"- \*a_b\* \[x\](y) \:red\[z\] at 12\:30"),
        (PermissionDenied(), "You may not do that."),
        (Http404("secret"), "There is no such thing, or it has gone."),
    ],
)
def test_error__that_django_knows(
    app: FluxLit, client: FluxLitTestClient, error: Exception, expected: str
) -> None:
    """Errors with a meaning for people are shown as messages, not as tracebacks."""

    @app.page("/")
    def home(st: Any) -> None:
        raise error

    at = client.streamlit()

    assert ([expected], []) == ([box.value for box in at.error], list(at.exception))


def test_get_object_or_404(app: FluxLit, client: FluxLitTestClient) -> None:
    """Django's shortcut works in a page."""

    @app.page("/")
    def home(st: Any) -> None:
        get_object_or_404(User, pk=99)

    assert 1 == len(client.streamlit().error)


def make_group_page(app: FluxLit, ending: Any) -> None:
    @app.page("/", transaction=True)
    def home(st: Any) -> None:
        Group.objects.create(name="Desk")
        ending(st)


@pytest.mark.parametrize("ending", [lambda st: None, lambda st: st.stop()])
def test_transaction__committed(app: FluxLit, client: FluxLitTestClient, ending: Any) -> None:
    """A page that returns, or stops on purpose, keeps what it wrote."""
    make_group_page(app, ending)

    client.streamlit()

    assert Group.objects.filter(name="Desk").exists()


def test_transaction__committed_before_a_rerun(app: FluxLit, client: FluxLitTestClient) -> None:
    """So does one that asks for a rerun."""

    @app.page("/", transaction=True)
    def home(st: Any) -> None:
        if not Group.objects.exists():
            Group.objects.create(name="Desk")
            st.rerun()
        st.write("again")

    assert ["again"] == shown(client.streamlit())


def test_transaction__rolled_back(app: FluxLit, client: FluxLitTestClient) -> None:
    """A page that raises leaves nothing."""

    def fail(st: Any) -> None:
        raise PermissionDenied

    make_group_page(app, fail)

    client.streamlit()

    assert not Group.objects.exists()


def test_transaction__off_unless_asked_for(app: FluxLit, client: FluxLitTestClient) -> None:
    """Without the word each query is a transaction of its own."""
    depth = len(connection.savepoint_ids)

    @app.page("/")
    def home(st: Any) -> None:
        st.write(str(len(transaction.get_connection().savepoint_ids) - depth))

    @app.page("/inside", transaction="default")
    def inside(st: Any) -> None:
        st.write(str(len(transaction.get_connection().savepoint_ids) - depth))

    assert ["0"] == shown(client.streamlit())
    assert ["1"] == shown(client.streamlit(query_params={"page": "inside"}))


def test_dependencies__closed_however_the_page_ends(app: FluxLit, client: FluxLitTestClient) -> None:
    """After a return, an error, `st.stop` and `st.rerun` nothing is open."""
    open_now: list[str] = []

    def opened() -> Any:
        open_now.append("one")
        try:
            yield
        finally:
            open_now.pop()

    @app.page("/")
    def home(st: Any, it: Annotated[Any, Depends(opened)], how: Annotated[str, Query()] = "return") -> None:
        assert ["one"] == open_now
        if how == "stop":
            st.stop()
        if how == "raise":
            raise LookupError
        if how == "rerun" and "done" not in st.session_state:
            st.session_state.done = True
            st.rerun()

    for how in ("return", "stop", "raise", "rerun"):
        client.streamlit(query_params={"how": how})
        assert [] == open_now


def test_reverse__links_to_django(app: FluxLit, client: FluxLitTestClient) -> None:
    """`reverse()` and the app's URLs work in a page."""

    @app.page("/")
    def home(st: Any, urls: FluxLitPublicUrls, context: PageContext) -> None:
        st.write(f"{reverse('admin:index')} {urls.for_page(context, '/orders')}")

    at = client.streamlit()

    assert ["/admin/ http://testserver/orders"] == shown(at)


def test_context__path_of_the_page(app: FluxLit, client: FluxLitTestClient, user: Any) -> None:
    """The context knows which page runs."""

    @app.page("/")
    @app.page("/orders")
    def page(st: Any, context: PageContext) -> None:
        st.write(context.path)

    assert ["/"] == shown(client.streamlit())
    assert ["/orders"] == shown(client.streamlit(query_params={"page": "orders"}))


def test_user__read_once_per_run(app: FluxLit, client: FluxLitTestClient, user: Any) -> None:
    """The rules of all pages and the page itself share one reading of the viewer."""

    @app.page("/", login_required=True)
    def home(st: Any, user: Any, context: PageContext) -> None:
        st.write(f"{user.username} {context.user.username}")

    @app.page("/other", staff_only=True)
    def other(st: Any) -> None: ...

    client.force_login(user)
    at = client.streamlit()
    with CaptureQueriesContext(connection) as queries:
        at.run()

    assert ["ann ann"] == shown(at)
    assert 1 == len(queries)


def test_language__of_the_viewer(app: FluxLit, client: FluxLitTestClient) -> None:
    """With LocaleMiddleware it is the browser's, else the site's; after the run it is what it was."""

    @app.page("/")
    def home(st: Any) -> None:
        st.write(translation.get_language())

    before = translation.get_language()
    german = {"Accept-Language": "de"}
    with override_settings(MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"]):
        viewers = shown(client.streamlit(headers=german))
    sites = shown(client.streamlit(headers=german))

    assert (["de"], ["en-gb"]) == (viewers, sites)
    assert before == translation.get_language()


def test_time_zone__left_as_it_was(app: FluxLit, client: FluxLitTestClient) -> None:
    """Without a browser that names its zone the site's counts."""

    @app.page("/")
    def home(st: Any) -> None:
        st.write(timezone.get_current_timezone_name())

    assert ["UTC"] == shown(client.streamlit())


def test_take_messages__once(client: FluxLitTestClient, user: Any) -> None:
    """What a Django view told the viewer is there for a page once."""
    client.force_login(user)
    session = client.api.session
    sessions.keep_messages(session, [("success", "Saved."), ("error", "Not sent.")])
    session.save()

    assert [("success", "Saved."), ("error", "Not sent.")] == sessions.take_messages(session.session_key)
    assert [] == sessions.take_messages(session.session_key)
    assert [] == sessions.take_messages("no-such-session")


def test_page_meta__breadcrumb(app: FluxLit, client: FluxLitTestClient) -> None:
    """A breadcrumb is shown in the sidebar, from the registration and from what the page returns."""

    @app.page("/", page_meta=PageMeta(breadcrumb="Home"))
    def home(st: Any) -> Any:
        return {"breadcrumb": "Home / Orders", "unknown": 1}

    at = client.streamlit()

    assert ["Home", "Home / Orders"] == [caption.value for caption in at.sidebar.caption]


def test_page_meta__returned_with_a_wrong_value(app: FluxLit, client: FluxLitTestClient) -> None:
    """A value that cannot be used is named."""

    @app.page("/")
    def home(st: Any) -> Any:
        return {"layout": "round"}

    assert "layout is 'round'. Use centered or wide." in client.streamlit().error[0].value
