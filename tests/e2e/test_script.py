"""An unmodified script behind the login: all that a browser fetches for it beside its page."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import sign_in
from tests.site import Site, manage, running_site, site_environment

FILES = {
    "plain/app.py": """
from pathlib import Path
import streamlit as st
import streamlit_new_part

old_part = st.components.v1.declare_component("old_part", path=str(Path(__file__).parent / "old_part"))

def first():
    st.title("First")
    st.write("Old part:", old_part(default="nothing"))
    st.write("New part:", streamlit_new_part.show().word)
    st.write("Key:", st.secrets["key"])
    st.markdown("![Leaf](app/static/leaf.png)")

st.navigation([st.Page(first, title="First"), st.Page("second.py", title="Second")]).run()
""",
    "plain/second.py": 'import streamlit as st\n"The *second* page"\nst.text(__name__)\n',
    "plain/.streamlit/config.toml": "[server]\nenableStaticServing = true\n",
    "plain/.streamlit/secrets.toml": 'key = "from the file"\n',
    # The protocol of components in frames, which `streamlit-component-lib` speaks for others.
    "plain/old_part/index.html": """
<button>Press the old part</button>
<script>
const tell = (type, more) => parent.postMessage({ isStreamlitMessage: true, type, ...more }, "*");
document.querySelector("button").onclick = () =>
  tell("streamlit:setComponentValue", { value: "pressed", dataType: "json" });
tell("streamlit:componentReady", { apiVersion: 1 });
tell("streamlit:setFrameHeight", { height: 60 });
</script>
""",
    # A component of a package that is installed, with its script in a file.
    "packages/streamlit_new_part/__init__.py": """
import streamlit as st

part = st.components.v2.component(
    "streamlit-new-part.part", html="<button>Press the new part</button>", js="part.js"
)

def show():
    return part(default={"word": "nothing"}, on_word_change=lambda: None)
""",
    "packages/streamlit_new_part/frontend/part.js": """
export default ({ parentElement, setStateValue }) => {
  parentElement.querySelector("button").onclick = () => setStateValue("word", "pressed");
};
""",
    "packages/streamlit_new_part/pyproject.toml": """
[project]
name = "streamlit-new-part"
version = "1.0"
[[tool.streamlit.component.components]]
name = "part"
asset_dir = "frontend"
""",
    "packages/streamlit_new_part-1.0.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: streamlit-new-part\nVersion: 1.0\n"
    ),
}


LEAF = base64.b64decode(  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The script, as the default app of the demo project, for whoever is signed in."""
    folder = tmp_path_factory.mktemp("plain")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "plain" / "static").mkdir()
    (folder / "plain" / "static" / "leaf.png").write_bytes(LEAF)
    environment = site_environment(
        folder, FLUXLIT_SCRIPT=str(folder / "plain" / "app.py"), PYTHONPATH=str(folder / "packages")
    )
    manage(environment, "migrate", "-v0")
    manage(environment, "demo_admin")
    with running_site(environment) as site:
        yield site


async def test_components__of_both_kinds(page, plain):
    """A component in a frame and one in the page are fetched, shown, and heard."""
    await sign_in(page, f"{plain.url}/")
    await expect(page.get_by_text("Old part: nothing")).to_be_visible()

    await page.frame_locator("iframe").get_by_role("button", name="Press the old part").click()
    await expect(page.get_by_text("Old part: pressed")).to_be_visible()
    await page.get_by_role("button", name="Press the new part").click()
    await expect(page.get_by_text("New part: pressed")).to_be_visible()


async def test_static_files_secrets_and_pages(page, plain):
    """Files of the folder `static`, secrets beside the script and pages of `st.navigation` are there."""
    await sign_in(page, f"{plain.url}/second")
    await expect(page.get_by_text("The second page")).to_be_visible()
    await expect(page.get_by_text("__main__")).to_be_visible()

    await page.get_by_test_id("stSidebarNav").get_by_role("link", name="First").click()

    await expect(page.get_by_text("Key: from the file")).to_be_visible()
    image = page.get_by_role("img", name="Leaf")
    await expect(image).to_be_visible()
    assert 1 == await image.evaluate("image => image.decode().then(() => image.naturalWidth)")


async def test_nothing_for_anonymous(page, plain):
    """What the script's page is made of is for nobody who is not signed in."""
    for path in (
        "component/app.old_part/index.html",
        "_stcore/bidi-components/streamlit-new-part.part/part.js",
        "app/static/leaf.png",
    ):
        answer = await page.request.get(f"{plain.url}/{path}")
        assert (401, path) == (answer.status, path)
