"""Whatever comes in: pages' functions refuse it with a message that names it, or take it; nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlit_django import FluxLit, InMemorySessionStore, PageContext, hydrate_url_session, new_session_id
from fluxlit_django.conf import load_config, parse_object
from fluxlit_django.pages import di, manifest, navigation
from fluxlit_django.pages.page import ROOT_SLUG, PageMeta, check_path, page_slug
from fluxlit_django.pages.runner import configured_overrides
from fluxlit_django.url_session import CacheSessionStore

ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)
PATHS = st.one_of(
    st.text(),
    st.text(alphabet="/.aä_~- %?#\\\x00"),
    st.sampled_from(["..", "/_stcore", "/static", "//", "/a/b", "home", "/home/", "a\nb", "/\uff41"]),
)


def outcome(function: Callable[[Any], Any], given: Any) -> tuple[Any, str]:
    """What a function makes of a value, or the message with which it refuses it."""
    try:
        return function(given), ""
    except ValueError as exc:
        return None, str(exc)


@given(st.one_of(PATHS, ANYTHING))
def test_check_path__anything(path: Any) -> None:
    """A path is refused with its value and a remedy, or is one that Streamlit serves; twice is once."""
    found, refusal = outcome(check_path, path)
    if refusal:
        assert repr(path) in refusal
        assert "Use" in refusal
        return
    slug = found[1:]
    assert found == check_path(found) == check_path(f"/{slug}/")
    assert slug not in {".", "..", "_stcore", "static"}
    assert "/" not in slug
    assert not any(character.isspace() or character in "?#%\\\x00" for character in slug)
    assert (slug or ROOT_SLUG) == page_slug(found)


@given(st.lists(PATHS, max_size=6))
def test_page__any_paths(paths: list[str]) -> None:
    """Whatever is registered, slugs are unique, each page is found by its path, and the manifest is JSON."""
    app = FluxLit()
    for path in paths:
        _, refusal = outcome(lambda path: app.page(path)(lambda st: None), path)
        assert not refusal or repr(path) in refusal or repr(f"/{path.strip('/')}") in refusal

    records = app.page_records
    assert len(records) == len({record.slug for record in records})
    for record in records:
        assert record.path == navigation.match_nav_page({"page": record.path}, records)[0]
        assert quote(record.slug)
    assert json.dumps(manifest.build("", records))


@given(st.text())
def test_page_meta__any_word(word: str) -> None:
    """A layout is one of two words, or a ValueError that names them."""
    _, refusal = outcome(lambda word: PageMeta(layout=word), word)

    assert word in {"centered", "wide"} or refusal == f"layout is {word!r}. Use centered or wide."


@given(st.one_of(st.text(), JSON.map(json.dumps)))
def test_overrides__any_text(text: str) -> None:
    """Text that is no JSON object is an error of the setting; one that is, is what pages are given."""
    parsed, refusal = outcome(parse_object, text)
    if refusal:
        assert refusal.startswith("use a JSON object")
        return
    config, _ = load_config()
    found = configured_overrides(_with(config, tests=True, test_page_overrides=parsed))
    assert isinstance(found, dict)
    assert {} == configured_overrides(_with(config, tests=False, test_page_overrides=parsed))


def _with(config: Any, **changes: Any) -> Any:
    return SimpleNamespace(**{"tests": config.tests, "test_page_overrides": "", **changes})


@given(st.dictionaries(st.text(), JSON), st.dictionaries(st.text(), st.text()))
def test_run__any_overrides(overrides: dict[str, Any], headers: dict[str, str]) -> None:
    """A parameter gets the override of its name, however the rest is named, and else its default."""

    def page(x: Any = 7, *, other: Any = None) -> tuple[Any, Any]:
        return x, other

    with di.Run((), request=di.Request(headers=headers), overrides=overrides) as run:
        assert (overrides.get("x", 7), overrides.get("other")) == run.call(page)


@given(
    st.dictionaries(st.text().filter(lambda name: not name.lower().startswith("x-fluxlit-")), st.text()),
    st.dictionaries(st.text(), st.text()),
)
def test_context__any_headers(headers: dict[str, str], cookies: dict[str, str]) -> None:
    """No header map is an error, and what a client may send makes no viewer."""
    context = PageContext(raw_headers=headers, raw_cookies=cookies)

    assert {} == context.trusted_headers
    assert context.is_anonymous
    assert context.claim is None
    assert all(name.startswith("HTTP_") for name in context.META)
    assert cookies == context.COOKIES


@given(st.dictionaries(st.text(), JSON))
def test_hydrate__any_blob(blob: dict[str, Any]) -> None:
    """Whatever is kept comes back as it was, and what the session state has already stays."""
    store, sid = InMemorySessionStore(), new_session_id()
    store.set(sid, blob)
    name = load_config()[0].url_session_query_param
    page = SimpleNamespace(query_params={name: sid}, session_state={"mine": 1}, user={})

    assert sid == hydrate_url_session(page, store)
    assert {**blob, "mine": 1} == {
        key: value for key, value in page.session_state.items() if key != "_fluxlit_url_sessions"
    } | ({"_fluxlit_url_sessions": blob["_fluxlit_url_sessions"]} if "_fluxlit_url_sessions" in blob else {})


@given(st.text(), st.dictionaries(st.text(), JSON))
def test_cache_store__any_id_and_blob(sid: str, blob: dict[str, Any]) -> None:
    """Ids are hashed, so that none is too long or of wrong characters for a cache."""
    store = CacheSessionStore()
    store.set(sid, blob)

    assert blob == store.get(sid)


@pytest.mark.parametrize("name", ["page", "p"])
@given(values=st.lists(st.text(), max_size=3))
def test_deep_link__any_values(name: str, values: list[str]) -> None:
    """A deep link leads to a page that there is, or nowhere."""
    app = FluxLit()
    for path in ("/", "/orders", "/päge", "/a.b~c-d"):
        app.page(path)(lambda st: None)

    found = navigation.match_nav_page({name: values}, app.page_records, page_key=name)

    assert found is None or found[0] in {"/", "/orders", "/päge", "/a.b~c-d"}
