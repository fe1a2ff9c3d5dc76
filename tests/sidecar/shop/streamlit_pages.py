"""Pages that tests visit; `/` comes last on purpose."""

from __future__ import annotations

from typing import Annotated

from django.contrib.auth import get_user_model

from fluxlit_django import ApiClient, FluxLit, PageMeta, site
from fluxlit_django.conf import Config


@site.page("/orders", icon=":material/list:")
def open_orders(st):
    """All open orders."""
    st.title("Orders here")
    st.text(st.query_params.to_dict())


@site.page("/arguments")
def arguments(st, client, /, app: FluxLit, *, settings: Annotated[Config, "kept"], limit: int = 10):
    st.text(f"{client.base_url} {type(app).__name__} {settings.title} {limit}")


@site.page("/client")
def client_twice(st, api: ApiClient):
    st.text(f"{id(api)}")
    st.button("again")


@site.page("/broken")
def broken(st):
    st.button("Raise in a callback", on_click=_raise)
    raise RuntimeError("a secret of the page")


@site.page("/unknown")
def unknown(st, orders):
    st.text(orders)


@site.page("/orm", title="ORM")
def orm(st):
    st.text(get_user_model()._meta.label)


@site.page("/", title="Start", page_meta=PageMeta(layout="wide", page_title="Welcome"))
def start(st):
    st.title("Start here")


def _raise() -> None:
    raise LookupError("a secret of the callback")
