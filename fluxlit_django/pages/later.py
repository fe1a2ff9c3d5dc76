"""What Streamlit calls of a page later, without running the page: callbacks, fragments, deferred downloads.

Streamlit has no hook around these calls, so they are wrapped where it stores them: who may not open the page
any more may not have them called either. `tests/pages/test_later.py` names the methods, and fails when one is
gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol


class Owner(Protocol):
    """The page that something belongs to. Each method calls the function, if the viewer may."""

    def call_callback(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what a widget calls when its value changes."""

    def call_fragment(self, function: Callable[[], Any]) -> Any:
        """Call what is run again without the page around it."""

    def call_download(self, function: Callable[[], Any]) -> Any:
        """Call what makes a file once it is asked for; in a thread that is no script's."""


_owner: ContextVar[Owner | None] = ContextVar("fluxlit_page_owner", default=None)


@contextlib.contextmanager
def owned_by(owner: Owner) -> Iterator[None]:
    """Let what is stored inside the block belong to this page."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)


def install(session_state: Any, fragments: Any, downloads: Any) -> None:
    """Have these classes of Streamlit store what belongs to a page wrapped. Call once.

    Args:
        session_state: `SessionState`, which stores the callbacks of widgets.
        fragments: `MemoryFragmentStorage`.
        downloads: `MediaFileManager`.
    """
    session_state._set_widget_metadata = _wrapping_callbacks(session_state._set_widget_metadata)
    name = method_that_stores(fragments)
    setattr(fragments, name, _wrapping_fragment(getattr(fragments, name)))
    downloads.add_deferred = _wrapping_download(downloads.add_deferred)


def method_that_stores(fragments: Any) -> str:
    """`register`, or `set` in Streamlit 1.57, where only the class's metaclass, ABCMeta, has a `register`."""
    is_registered = any("register" in vars(owner) for owner in fragments.__mro__)
    return "register" if is_registered else "set"


def _wrapping_callbacks(store: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(store)
    def wrapper(self: Any, metadata: Any) -> None:
        owner = _owner.get()
        if owner is not None and metadata.callback is not None:
            owned = functools.partial(owner.call_callback, metadata.callback)
            metadata = dataclasses.replace(metadata, callback=owned)
        if owner is not None and metadata.callbacks:
            several = {
                name: functools.partial(owner.call_callback, each)
                for name, each in metadata.callbacks.items()
            }
            metadata = dataclasses.replace(metadata, callbacks=several)
        store(self, metadata)

    return wrapper


def _wrapping_fragment(store: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(store)
    def wrapper(self: Any, key: str, fragment: Callable[[], Any], **options: Any) -> None:
        owner = _owner.get()
        owned = fragment if owner is None else functools.partial(owner.call_fragment, fragment)
        store(self, key, owned, **options)

    return wrapper


def _wrapping_download(store: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(store)
    def wrapper(self: Any, data_callable: Callable[[], Any], *args: Any, **options: Any) -> str:
        owner = _owner.get()
        owned = data_callable if owner is None else functools.partial(owner.call_download, data_callable)
        return store(self, owned, *args, **options)

    return wrapper
