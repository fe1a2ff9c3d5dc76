"""What the gateway takes for granted of the installed Streamlit. A new release that breaks it fails here."""

from __future__ import annotations

import re
from unittest.mock import Mock

import pytest
from streamlit import config
from streamlit.proto.AppPage_pb2 import AppPage
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Navigation_pb2 import Navigation
from streamlit.proto.NewSession_pb2 import Initialize, NewSession
from streamlit.web.server.starlette import starlette_app

from fluxlit_django.conf import Config
from fluxlit_django.gateway import protocol, routes, routing


def test_field_numbers():
    """The field numbers that the gateway looks for are those of the protocol."""
    assert protocol.RERUN_SCRIPT_FIELD == BackMsg.DESCRIPTOR.fields_by_name["rerun_script"].number
    assert protocol.SCRIPT_FINISHED_FIELD == ForwardMsg.DESCRIPTOR.fields_by_name["script_finished"].number
    assert protocol.FINISHED_EARLY_FOR_RERUN == ForwardMsg.FINISHED_EARLY_FOR_RERUN
    assert protocol.NEW_SESSION_FIELD == ForwardMsg.DESCRIPTOR.fields_by_name["new_session"].number
    assert protocol.INITIALIZE_FIELD == NewSession.DESCRIPTOR.fields_by_name["initialize"].number
    assert protocol.SESSION_ID_FIELD == Initialize.DESCRIPTOR.fields_by_name["session_id"].number
    assert protocol.NAVIGATION_FIELD == ForwardMsg.DESCRIPTOR.fields_by_name["navigation"].number
    assert protocol.PAGES_FIELD == Navigation.DESCRIPTOR.fields_by_name["app_pages"].number
    assert protocol.CURRENT_PAGE_FIELD == Navigation.DESCRIPTOR.fields_by_name["page_script_hash"].number
    assert protocol.PAGE_HASH_FIELD == AppPage.DESCRIPTOR.fields_by_name["page_script_hash"].number
    assert protocol.IS_DEFAULT_FIELD == AppPage.DESCRIPTOR.fields_by_name["is_default"].number
    assert protocol.PAGE_PATH_FIELD == AppPage.DESCRIPTOR.fields_by_name["url_pathname"].number


def test_asks_for_rerun():
    """A rerun request is told from other messages of a browser."""
    rerun, other = BackMsg(), BackMsg()
    rerun.rerun_script.query_string = "x=1"
    other.app_heartbeat = True

    assert protocol.asks_for_rerun(rerun.SerializeToString())
    assert not protocol.asks_for_rerun(other.SerializeToString())
    assert not protocol.asks_for_rerun(b"")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ForwardMsg.FINISHED_SUCCESSFULLY, True),
        (ForwardMsg.FINISHED_WITH_COMPILE_ERROR, True),
        (ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY, True),
        (ForwardMsg.FINISHED_EARLY_FOR_RERUN, False),
    ],
)
def test_ends_rerun(status, expected):
    """The end of a run is seen behind a hash and metadata too, unless another run follows at once."""
    message = ForwardMsg(script_finished=status, hash="0123456789abcdef")
    message.metadata.cacheable = True

    assert expected is protocol.ends_rerun(message.SerializeToString())


@pytest.mark.parametrize("frame", [b"", b"\xff" * 20, b"\x0a\xff", b"\x80" * 30, bytes(range(256))])
def test_ends_rerun__nonsense(frame):
    """A frame that is no message ends no run, and raises nothing."""
    assert protocol.ends_rerun(frame) is False


def test_ends_rerun__other_messages():
    """A delta is no end."""
    message = ForwardMsg()
    message.delta.new_element.markdown.body = "text"

    assert not protocol.ends_rerun(message.SerializeToString())


def new_session() -> ForwardMsg:
    """The first message of a run, as Streamlit fills it."""
    message = ForwardMsg(hash="0123456789abcdef")
    message.metadata.cacheable = False
    message.new_session.page_script_hash = "abc"
    message.new_session.main_script_path = "/srv/app.py"
    message.new_session.initialize.session_id = "7b5a8a4e-session"
    message.new_session.initialize.user_info.installation_id = "x"
    return message


def test_session_id():
    """The session is found in a run's first message and in no other."""
    finished = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY, hash="0123456789abcdef")

    assert protocol.session_id(new_session().SerializeToString()) == "7b5a8a4e-session"
    assert protocol.session_id(finished.SerializeToString()) == ""


@pytest.mark.parametrize(
    "frame", [b"", b"\xff" * 20, b"\x22\xff", b"\x80" * 30, bytes(range(256)), bytes(1000)]
)
def test_session_id__nonsense(frame):
    """A frame that is no message is of no session, and raises nothing."""
    assert protocol.session_id(frame) == ""


@pytest.mark.parametrize(("current", "expected"), [("a", "/"), ("b", "/orders"), ("c", None)])
def test_page_path(current, expected):
    """The page that a run shows is told from the others; the default one is at the app's root."""
    message = ForwardMsg(hash="h")
    message.metadata.cacheable = True
    message.navigation.sections[:] = ["", "Shop"]
    message.navigation.app_pages.add(
        page_script_hash="a", page_name="Home", is_default=True, url_pathname="x"
    )
    message.navigation.app_pages.add(page_script_hash="b", page_name="Orders", url_pathname="orders")
    message.navigation.expanded = True
    message.navigation.page_script_hash = current

    assert expected == protocol.page_path(message.SerializeToString())


@pytest.mark.parametrize("frame", [b"", b"\xba\x01\x02\x12\xff", b"\xba\x01\x01\x1d", bytes(1 << 17)])
def test_page_path__nonsense(frame):
    """A frame that is no message of pages names none, and raises nothing."""
    assert protocol.page_path(frame) is None


def test_session_to_resume():
    """The third entry of the line, as `_parse_subprotocols` takes it."""
    assert protocol.session_to_resume(b"streamlit, token, 7b5a8a4e") == "7b5a8a4e"
    assert protocol.session_to_resume(b"streamlit,token") == ""
    assert protocol.session_to_resume(b"") == ""


@pytest.fixture
def installed_routes():
    """The installed Streamlit's routes with their methods, optional ones included, but the frontend's."""
    options = {"server.enableStaticServing": True, "server.scriptHealthCheckEnabled": True}
    before = {name: config.get_option(name) for name in options}
    for name, value in options.items():
        config.set_option(name, value)
    found: dict[str, set[str]] = {}
    for route in starlette_app.create_streamlit_routes(Mock(_main_script_path=__file__)):
        if getattr(route, "path", "") not in {"", routing.STREAM_PATH}:
            found.setdefault(route.path, set()).update(route.methods)
    yield found
    for name, value in before.items():
        config.set_option(name, value)


def test_routes__are_all_known(installed_routes):
    """A route or a method that comes with a new Streamlit is to be opened or closed on purpose."""
    known = {route.path: route.methods for route in routes.TABLE}

    assert installed_routes.items() <= known.items()  # old versions have fewer


@pytest.mark.parametrize("route", routes.TABLE, ids=lambda route: route.path)
def test_routes__are_found(route):
    """A path of a route is found as that route, and what stands around it is none."""
    path = re.sub(r"{[^}]*}", "x", route.path)

    assert route is routes.find(path)
    assert routes.find(f"/page{path}") is None
    assert routes.find(f"{path}/") is None or "{" in route.path


def test_routes__closed_by_default():
    """What is for operators stays closed until a setting says who they are."""
    closed = {route.path for route in routes.TABLE if route.setting and not getattr(Config(), route.setting)}

    assert closed == {
        "/_stcore/metrics",
        "/_stcore/script-health-check",
        "/_stcore/agent/interact",
        "/_stcore/agent/openapi.json",
        "/_stcore/agent/mcp",
    }
