"""Pages in a real sidecar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar import process
from tests.sidecar.process import Sidecar
from tests.streamlit_protocol import Run, StreamlitClient

CENTERED, WIDE = 0, 1  # `PageConfig.Layout` (Streamlit 1.67)


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    """The pages of `tests.sidecar.shop`, outside DEBUG."""
    with process.running() as running:
        yield running


async def visit(sidecar: Sidecar, page: str = "", query: str = "") -> Run:
    async with StreamlitClient(sidecar.address) as client:
        return await client.rerun(page=page, query=query)


async def test_root__is_the_default_page(sidecar: Sidecar) -> None:
    """`/` is the default page although it was registered last; its `page_meta` is applied."""
    run = await visit(sidecar)

    assert ["Start here"] == run.texts()
    assert ("Welcome", 1) == (run.page_config["title"], run.page_config["layout"])
    assert ["Start"] == [page.page_name for page in run.navigation.app_pages if page.is_default]


async def test_page__by_its_address(sidecar: Sidecar) -> None:
    """A page is served at its slug, under its title, with its query."""
    run = await visit(sidecar, "orders", "a=1")

    assert ["Orders here", "{'a': '1'}"] == run.texts()
    assert ("Open Orders · Corner shop", ":material/list:") == (
        run.page_config["title"],
        run.page_config["favicon"],
    )


async def test_page__unknown_address(sidecar: Sidecar) -> None:
    """An address that no page has says so and shows the default page, as Streamlit does."""
    run = await visit(sidecar, "nope")

    assert run.page_not_found
    assert ["Start here"] == run.texts()


async def test_navigation__titles_and_paths(sidecar: Sidecar) -> None:
    """Every page is in the navigation, in the order of registration."""
    run = await visit(sidecar)

    shown = [(page.page_name, page.url_pathname) for page in run.navigation.app_pages]
    assert ("Open Orders", "orders") == shown[0]
    assert ("ORM", "orm") in shown
    assert ("Start", "") == shown[-1]


async def test_page__arguments(sidecar: Sidecar) -> None:
    """Names and annotations are filled in."""
    run = await visit(sidecar, "arguments")

    assert ["http://127.0.0.1:8000/api FluxLit Corner shop 10"] == run.texts()


async def test_client__one_per_session(sidecar: Sidecar) -> None:
    """Reruns of a session share a client; sessions do not."""
    async with StreamlitClient(sidecar.address) as one, StreamlitClient(sidecar.address) as two:
        first = (await one.rerun(page="client")).texts()
        again = (await one.rerun(page="client")).texts()
        other = (await two.rerun(page="client")).texts()

    assert first == again
    assert first != other


async def test_page__error_outside_debug(sidecar: Sidecar) -> None:
    """The viewer sees an error id; the log has it, with the traceback."""
    async with StreamlitClient(sidecar.address) as client:
        page = await client.rerun(page="broken")
        callback = await client.rerun(page="broken", widgets={page.widget("Raise in a callback").id: True})
        unknown = await client.rerun(page="unknown")

    log = sidecar.log.read_text()
    for run in (page, callback, unknown):
        [text] = run.texts()
        [error_id] = re.findall(r"\*\*([0-9a-f]{8})\*\*", text)
        assert f"error id {error_id}" in log
        assert "secret" not in text
        assert [] == run.exceptions()
    assert "RuntimeError: a secret of the page" in log
    assert "LookupError: a secret of the callback" in log


async def test_page__error_in_debug() -> None:
    """In DEBUG the viewer sees Streamlit's own box with the error as it is."""
    with process.running(env={"TEST_DEBUG": "1"}) as sidecar:
        broken = await visit(sidecar, "broken")
        unknown = await visit(sidecar, "unknown")

    assert ["RuntimeError: a secret of the page"] == broken.exceptions()
    assert "has a parameter 'orders' that nothing provides" in unknown.exceptions()[0]


def write_app(folder: Path, name: str, pages: str | None) -> dict[str, str]:
    """Make a Django app with this `streamlit_pages.py` and return the environment that installs it."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    if pages is not None:
        (package / "streamlit_pages.py").write_text(pages)
    return {"TEST_APPS": name, "TEST_DEBUG": "1", "PYTHONPATH": f"{process.ROOT}:{folder}"}


async def test_pages__none_yet(tmp_path: Path) -> None:
    """Without a page the viewer is told which file to write, with an example."""
    with process.running(env=write_app(tmp_path, "empty_app", None)) as sidecar:
        run = await visit(sidecar)

    shown = "\n".join(run.texts())
    assert "streamlit_pages.py" in shown
    assert '@site.page("/", title="Orders")' in shown


async def test_pages__import_error(tmp_path: Path) -> None:
    """A broken pages module shows the error that it is, on every visit, and never as "no pages"."""
    pages = (
        "from fluxlit_django import site\n@site.page('/a')\ndef a(st): pass\nimport no_such_module_anywhere\n"
    )
    with process.running(env=write_app(tmp_path, "broken_app", pages)) as sidecar:
        first = await visit(sidecar)
        second = await visit(sidecar)

    expected = ["ModuleNotFoundError: No module named 'no_such_module_anywhere'"]
    assert expected == first.exceptions()
    assert expected == second.exceptions()


async def test_pages__without_a_root(tmp_path: Path) -> None:
    """Without a page at `/`, `/` goes on to the first page, and every page keeps its own address."""
    pages = (
        "from fluxlit_django import FluxLit\n"
        "app = FluxLit(title='No root')\n"
        "@app.page('/first')\ndef first(st): st.text('the first')\n"
        "@app.page('/second')\ndef second(st): st.text('the second')\n"
    )
    env = write_app(tmp_path, "rootless_app", pages) | {"FLUXLIT_APP": "rootless_app.streamlit_pages:app"}
    with process.running(env=env) as sidecar:
        root = await visit(sidecar)
        first = await visit(sidecar, "first")
        second = await visit(sidecar, "second")

    assert ["the first"] == root.texts()
    assert ["the first"] == first.texts()
    assert ["the second"] == second.texts()
    assert "First · No root" == first.page_config["title"]
    assert ["First", "Second"] == [
        page.page_name for page in first.navigation.app_pages if not page.is_hidden
    ]


async def test_pages__shown_as_the_app_says(tmp_path: Path) -> None:
    """What the app says of all pages holds for those that do not say it themselves."""
    pages = (
        "from fluxlit_django import FluxLit, PageMeta\n"
        "menu = {'Get help': 'https://help.example.com/'}\n"
        "app = FluxLit(title='Shop', page_meta=PageMeta(layout='wide', page_icon='🏪', menu_items=menu))\n"
        "@app.page('/')\ndef start(st): pass\n"
        "@app.page('/own', icon='🍵', page_meta=PageMeta(layout='centered', page_icon='🫖', menu_items={}))\n"
        "def own(st): pass\n"
    )
    env = write_app(tmp_path, "wide_app", pages) | {"FLUXLIT_APP": "wide_app.streamlit_pages:app"}
    with process.running(env=env) as sidecar:
        start = (await visit(sidecar)).page_config
        run = await visit(sidecar, "own")
        own = run.page_config

    assert ("Start · Shop", "emoji:🏪", WIDE) == (start["title"], start["favicon"], start["layout"])
    assert "https://help.example.com/" == start["menu_items"].get_help_url
    assert ("Own · Shop", "emoji:🫖", CENTERED) == (own["title"], own["favicon"], own.get("layout", CENTERED))
    assert ["", "emoji:🍵"] == [page.icon for page in run.navigation.app_pages]
    assert not getattr(own.get("menu_items"), "get_help_url", "")
