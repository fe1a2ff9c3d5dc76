from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.watcher.local_sources_watcher import LocalSourcesWatcher

from fluxlit_django.sidecar.modules import belongs_to_django
from tests.sidecar import process
from tests.streamlit_protocol import StreamlitClient

PACKAGES = {"company.shop", "project"}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("company.shop", True),
        ("company.shop.models", True),
        ("company", True),
        ("project.settings", True),
        ("company.shopping", False),
        ("charts", False),
        ("shop.models", False),
    ],
)
def test_belongs_to_django__names(module: str, expected: bool) -> None:
    """A package of Django's, what it contains and what contains it; not what merely sounds like it."""
    assert expected == belongs_to_django(module, PACKAGES)


def test_local_sources_watcher__has_the_method_that_is_wrapped() -> None:
    """Read in Streamlit 1.57 and 1.67: `_register_watcher(filepath, module_name, …)`."""
    assert callable(getattr(LocalSourcesWatcher, "_register_watcher", None))


async def test_reload__script_reruns_and_models_stay(tmp_path: Path) -> None:
    """A saved script and a saved module beside it rerun by themselves; Django's modules are left alone."""
    app = tmp_path / "catalogue"
    app.mkdir()  # No __init__.py: a namespace package, which Streamlit watches as a folder.
    (app / "apps.py").write_text(
        "from django.apps import AppConfig\n"
        "class Catalogue(AppConfig):\n    name = 'catalogue'\n"
        f"    path = {str(app)!r}\n"
    )
    (app / "models.py").write_text(
        "from django.db import models\nclass Book(models.Model):\n    title = models.TextField()\n"
    )
    helper = tmp_path / "helper.py"
    helper.write_text("WORD = 'first'\n")
    script = tmp_path / "dash.py"
    body = (
        "import streamlit as st\nfrom catalogue.models import Book\nimport helper\n"
        "st.text(f'{number} {helper.WORD} {id(Book)}')\n"
    )
    script.write_text(body.replace("number", "1"))
    env = {
        "FLUXLIT_SCRIPT": str(script),
        "FLUXLIT_RELOAD": "1",
        "TEST_APPS": "catalogue.apps.Catalogue",
        "PYTHONPATH": f"{process.ROOT}:{tmp_path}",
    }

    with process.running(env=env, cwd=tmp_path) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            first = await client.rerun()
            script.write_text(body.replace("number", "2"))
            second = await client.collect()
            helper.write_text("WORD = 'second word'\n")
            third = await client.collect()

    [[before], [saved], [helped]] = first.texts(), second.texts(), third.texts()
    assert before.replace("1 first", "2 first") == saved
    assert saved.replace("first", "second word") == helped
