"""Callbacks, fragments and downloads of a page, which Streamlit calls without running the page."""

from __future__ import annotations

import abc
import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils import translation
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.state.common import WidgetMetadata
from streamlit.runtime.state.session_state import SessionState

from fluxlit_django import FluxLit
from fluxlit_django.pages import later
from fluxlit_django.testing import FluxLitTestClient
from tests.pages.conftest import ANN
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import Run, StreamlitClient


def shown(at: Any) -> list[str]:
    return [block.value for block in at.markdown]


# Callbacks under AppTest


@pytest.fixture
def allowed() -> list[str]:
    """What the viewer may; the test takes it away."""
    return ["open"]


@pytest.fixture
def called() -> list[str]:
    """What the callbacks have done."""
    return []


@pytest.fixture
def client(allowed: list[str], called: list[str]) -> FluxLitTestClient:
    """An app with a page of one button, whose callback does as the session state says."""
    app = FluxLit(title="Desk")

    def act(st: Any, word: str, *, times: int) -> None:
        called.append(f"{word} x{times} in {translation.get_language()}")
        how = st.session_state.get("how")
        if how == "write":
            Group.objects.create(name="by a callback")
        if how == "refuse":
            Group.objects.create(name="refused")
            raise PermissionDenied("Ask the desk.")
        if how == "invalid":
            raise ValidationError("Too short.")
        if how == "stop":
            Group.objects.create(name="stopped")
            st.stop()
        if how == "depth":
            called.append(str(transaction.get_connection().in_atomic_block))

    @app.page("/", access=lambda user: "open" in allowed, transaction=True)
    def home(st: Any) -> None:
        st.button("Act", on_click=act, args=(st, "act"), kwargs={"times": 2})
        st.write("the page")

    @app.page("/other")
    def other(st: Any) -> None:
        st.write("other")

    return FluxLitTestClient(app)


@pytest.mark.django_db
def test_callback__called_as_for_the_page(client: FluxLitTestClient, called: list[str]) -> None:
    """With its arguments, in the viewer's language, and the page follows."""
    at = client.streamlit().button[0].click().run()

    assert ["act x2 in en-gb"] == called
    assert ["the page"] == shown(at)


@pytest.mark.django_db
def test_callback__of_a_page_that_was_closed_to_the_viewer(
    client: FluxLitTestClient, allowed: list[str], called: list[str]
) -> None:
    """It is not called, and the page says why."""
    at = client.streamlit()
    allowed.clear()
    at.button[0].click().run()

    assert [] == called
    assert ["Sign in to open “Home”."] == [box.value for box in at.info]
    assert [] == shown(at)


@pytest.mark.django_db
def test_callback__of_another_page(client: FluxLitTestClient, allowed: list[str], called: list[str]) -> None:
    """A rerun of a page that is open does not call what belongs to one that is not."""
    at = client.streamlit()
    allowed.clear()
    at.query_params["page"] = "other"
    at.button[0].click().run()

    assert [] == called
    assert ["other"] == shown(at)


@pytest.mark.django_db
@pytest.mark.parametrize(("how", "message"), [("refuse", "Ask the desk."), ("invalid", "- Too short.")])
def test_callback__error_that_is_meant_for_the_viewer(
    client: FluxLitTestClient, how: str, message: str
) -> None:
    """It is shown as a message above the page, and what the callback wrote is rolled back."""
    at = client.streamlit()
    at.session_state["how"] = how
    at.button[0].click().run()

    assert [message] == [box.value for box in at.error]
    assert ["the page"] == shown(at)
    assert not Group.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["write", "stop"])
def test_callback__transaction_is_kept(client: FluxLitTestClient, how: str) -> None:
    """What a callback wrote before it returned, or stopped on purpose, is kept."""
    at = client.streamlit()
    at.session_state["how"] = how
    at.button[0].click().run()

    assert 1 == Group.objects.count()


# In a real sidecar


@contextlib.contextmanager
def demoted(database: Path) -> Iterator[None]:
    """Ann is not of the staff."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE auth_user SET is_staff = 0 WHERE username = 'ann'")
        try:
            yield
        finally:
            connection.execute("UPDATE auth_user SET is_staff = 1 WHERE username = 'ann'")


def groups(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM auth_group ORDER BY name")]


@pytest.fixture(autouse=True)
def no_groups(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins without groups in the sidecar's database."""
    yield
    if "database" in request.fixturenames:
        with contextlib.closing(sqlite3.connect(request.getfixturevalue("database"))) as connection:
            connection.execute("DELETE FROM auth_group")
            connection.commit()


def fragment_of(run: Run) -> str:
    return next(
        message.delta.fragment_id
        for message in run.messages
        if message.WhichOneof("type") == "delta" and message.delta.fragment_id
    )


async def test_fragment__in_the_viewers_surroundings(sidecar: Sidecar, database: Path) -> None:
    """A rerun of a fragment runs it alone, with the site's language."""
    async with StreamlitClient(sidecar.address, headers=ANN) as client:
        run = await client.rerun(page="desk")
        again = await client.rerun(page="desk", fragment_id=fragment_of(run))

    assert ["the desk", "part in en-us"] == run.texts()
    assert ["part in en-us"] == again.texts()


async def test_fragment__of_a_page_that_was_closed_to_the_viewer(sidecar: Sidecar, database: Path) -> None:
    """A rerun with the fragment's id shows the page that it names, and runs nothing of the fragment."""
    shown_instead = []
    for is_crafted in (False, True):
        async with StreamlitClient(sidecar.address, headers=ANN) as client:
            run = await client.rerun(page="desk")
            page_hash = "" if is_crafted else run.navigation.page_script_hash
            button = run.widget("Write and rerun").id
            with demoted(database):
                again = await client.rerun(
                    page_hash=page_hash, fragment_id=fragment_of(run), widgets={button: True}
                )
            shown_instead.append(again.texts())

    assert [["You may not open “Desk”."], ["ann ann none False"]] == shown_instead
    assert [] == groups(database)


async def test_callback__crafted_after_the_page_was_closed(sidecar: Sidecar, database: Path) -> None:
    """Neither with the page's own address nor with another page's."""
    for page in ("desk", "", "state"):
        async with StreamlitClient(sidecar.address, headers=ANN) as client:
            button = (await client.rerun(page="desk")).widget("Write").id
            with demoted(database):
                await client.rerun(page=page, widgets={button: True})

    assert [] == groups(database)


async def test_download__of_a_page_that_was_closed_to_the_viewer(sidecar: Sidecar, database: Path) -> None:
    """A file is made for who may open the page, and for nobody else."""
    async with StreamlitClient(sidecar.address, headers=ANN) as client:
        file_id = (await client.rerun(page="desk")).widget("Get").deferred_file_id
        with demoted(database):
            refused = await client.generate_download(file_id)
        url = await client.generate_download(file_id)
        body = await (await client.http.get(url)).text()

    assert re.match("Failed to generate file for download|Callable execution failed", refused)  # 1.67|1.57
    assert "You may not open “Desk”." in refused + sidecar.log.read_text()
    assert "0 groups" == body


async def test_fragment__errors(sidecar: Sidecar, database: Path) -> None:
    """An error for the viewer is its message; another is an id that is in the log; neither leaves a row."""
    async with StreamlitClient(sidecar.address, headers=ANN) as client:
        run = await client.rerun(page="desk")
        fragment_id = fragment_of(run)
        refuse, fail = run.widget("Write and refuse").id, run.widget("Fail").id
        refused = await client.rerun(page="desk", fragment_id=fragment_id, widgets={refuse: True})
        failed = await client.rerun(page="desk", fragment_id=fragment_id, widgets={fail: True})

    assert "Ask the desk." == refused.texts()[-1]
    assert [] == groups(database)
    [error_id] = re.findall(r"\*\*([0-9a-f]{8})\*\*", failed.texts()[-1])
    assert f"error id {error_id}" in sidecar.log.read_text()
    assert "secret" not in failed.texts()[-1]
    assert [] == [*refused.exceptions(), *failed.exceptions()]


async def test_fragment__keeps_what_it_wrote_before_a_rerun(sidecar: Sidecar, database: Path) -> None:
    """`st.rerun` in a fragment ends its transaction well."""
    async with StreamlitClient(sidecar.address, headers=ANN) as client:
        run = await client.rerun(page="desk")
        button = run.widget("Write and rerun").id
        await client.rerun(page="desk", fragment_id=fragment_of(run), widgets={button: True})

    assert ["by a fragment"] == groups(database)


# The seams


def test_later__streamlit_has_the_methods_that_are_wrapped() -> None:
    """Read in Streamlit 1.57 and 1.67: when one of these is gone, `pages.later` needs a new look."""
    for owner, name in [
        (SessionState, "_set_widget_metadata"),
        (MediaFileManager, "add_deferred"),
        (MemoryFragmentStorage, later.method_that_stores(MemoryFragmentStorage)),
    ]:
        assert any(name in vars(each) for each in owner.__mro__), f"{owner.__name__}.{name} is gone"
    assert {"callback", "callbacks"} <= set(WidgetMetadata.__dataclass_fields__)


def test_method_that_stores__is_the_classs_own() -> None:
    """Every abstract class has a `register` by its metaclass, which stores nothing."""

    class Old(abc.ABC):
        @abc.abstractmethod
        def set(self, key: str, value: Any) -> None: ...

    class New(abc.ABC):
        @abc.abstractmethod
        def register(self, key: str, fragment: Any) -> None: ...

    assert ["set", "register"] == [later.method_that_stores(each) for each in (Old, New)]


class Box:
    """Stands for the classes of Streamlit that store what is called later."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def _set_widget_metadata(self, metadata: Any) -> None:
        self.kept.append(metadata)

    def register(self, key: str, fragment: Any, **options: Any) -> None:
        self.kept.append(fragment)

    def add_deferred(self, data_callable: Any, *args: Any) -> str:
        self.kept.append(data_callable)
        return "id"


class Loud:
    """An owner that says what it calls."""

    def call_callback(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return "callback", function(*args, **kwargs)

    def call_fragment(self, function: Any) -> Any:
        return "fragment", function()

    def call_download(self, function: Any) -> Any:
        return "download", function()


def test_install__wraps_what_an_owner_stores() -> None:
    """Each goes through its owner; what is stored outside of a page stays as it is."""

    class Wrapped(Box):
        """A class of its own, since it is changed in place."""

    later.install(Wrapped, Wrapped, Wrapped)
    metadata = WidgetMetadata("id", str, str, "string_value", callback=str, callbacks={"x": str})
    box, free = Wrapped(), Wrapped()
    with later.owned_by(Loud()):
        box._set_widget_metadata(metadata)
        box.register("key", list, target_key=None)
        box.add_deferred(dict, None, "place")
    free._set_widget_metadata(metadata)
    free.register("key", list)
    free.add_deferred(dict)

    kept, fragment, download = box.kept
    assert ("callback", "7") == kept.callback(7) == kept.callbacks["x"](7)
    assert (("fragment", []), ("download", {})) == (fragment(), download())
    assert [metadata, list, dict] == free.kept
