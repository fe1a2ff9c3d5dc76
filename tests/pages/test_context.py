"""The request behind a run."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import DisallowedHost
from django.test import override_settings
from django.utils import translation

from fluxlit_django.pages.context import PageContext
from fluxlit_django.public_urls import FluxLitPublicUrls

GATEWAYS = {
    "X-Fluxlit-User-Id": "7",
    "X-Fluxlit-User-Username": "ann",
    "X-Fluxlit-User-Email": "ann@mail.example",
    "X-Forwarded-Host": "testserver",
    "X-Forwarded-Proto": "https",
    "X-Fluxlit-Viewer-Token": "secret",
}


def test_headers__forward_auth_names_are_the_verified_viewer() -> None:
    """The names of forward-auth proxies carry what the gateway verified, not what a client sent."""
    context = PageContext(raw_headers={**GATEWAYS, "X-Remote-User": "root", "Remote-Email": "root@x"})

    assert ("ann", "ann@mail.example") == (context.headers["x-remote-user"], context.headers["Remote-Email"])


def test_headers__client_sent_identity_of_nobody() -> None:
    """For an anonymous viewer they are absent, whatever the client sent."""
    context = PageContext(raw_headers={"X-Remote-User": "root"})

    assert None is context.headers.get("x-remote-user")
    assert {} == context.trusted_headers


def test_headers__without_the_token() -> None:
    """The viewer's token is no header of a page."""
    context = PageContext(raw_headers=GATEWAYS)

    assert "secret" == context.token
    assert "secret" not in {**context.headers}.values()
    assert "secret" not in context.META.values()


@override_settings(FLUXLIT={"GATEWAY_FORWARD_CLIENT_HEADERS_TO_STREAMLIT": ["traceparent"]})
def test_trusted_headers__listed_ones_too() -> None:
    """A header that the setting lists is in the map; another is not."""
    context = PageContext(raw_headers={"Traceparent": "00-1", "User-Agent": "Test"})

    assert {"traceparent": "00-1"} == context.trusted_headers


@pytest.mark.django_db
def test_user__by_the_verified_id(django_assert_num_queries) -> None:
    """The viewer is read when first used, once."""
    user = get_user_model().objects.create_user("ann")
    context = PageContext(user_id=str(user.pk))

    with django_assert_num_queries(0):
        viewer = context.user
    with django_assert_num_queries(1):
        assert user == viewer
        assert "ann" == context.user.username


@pytest.mark.django_db
@pytest.mark.parametrize("user_id", ["", "0", "99", "x", "1 OR 1=1", "\0"])
def test_user__nobody(user_id: str) -> None:
    """An id that is nobody's is the anonymous user's."""
    assert not PageContext(user_id=user_id).user.is_authenticated


@pytest.mark.django_db
def test_user__inactive() -> None:
    """A closed account is nobody's."""
    user = get_user_model().objects.create_user("ann", is_active=False)

    assert not PageContext(user_id=str(user.pk)).user.is_authenticated


def test_host__unknown() -> None:
    """A host that is not in ALLOWED_HOSTS is refused."""
    with pytest.raises(DisallowedHost, match=r"'evil\.example'"):
        PageContext(raw_headers={"Host": "evil.example"}).build_absolute_uri("/x")


def test_as_a_django_request() -> None:
    """Django's own functions on requests take it."""
    context = PageContext(
        raw_headers={**GATEWAYS, "Accept-Language": "de"}, query={"a": ["1", "2"]}, raw_cookies={"c": "x"}
    )

    assert "https://testserver/orders" == context.build_absolute_uri("/orders")
    assert ("2", ["1", "2"]) == (context.GET["a"], context.GET.getlist("a"))
    assert "de" == translation.get_language_from_request(context)


def test_urls__of_a_page() -> None:
    """URLs are made of the request's host, which is checked."""
    urls, context = FluxLitPublicUrls(), PageContext(raw_headers=GATEWAYS)

    assert "https://testserver" == urls.app_base(context)
    assert "https://testserver/api/healthz" == urls.health_url(context)
    assert "https://testserver/orders?q=a+b&t=1&t=2" == urls.page_url(
        context, "orders", query={"q": "a b", "t": [1, 2]}
    )
    assert "https://testserver/" == urls.for_page(context, "/")
    assert "https://testserver/gr%C3%B6%C3%9Fe" == urls.for_page(context, "/größe")
    assert None is urls.docs_url(context)


@pytest.mark.parametrize(
    ("base", "root", "expected"),
    [
        ("https://shop.example", "", "https://shop.example"),
        ("https://shop.example/bi/", "/bi", "https://shop.example/bi"),
    ],
)
def test_urls__public_base_url(base: str, root: str, expected: str) -> None:
    """The setting decides over the request."""
    with override_settings(FLUXLIT={"PUBLIC_BASE_URL": base, "ROOT_PATH": root}):
        assert expected == FluxLitPublicUrls().app_base(PageContext())
        assert f"{expected}/api/docs" == FluxLitPublicUrls(has_docs=True).docs_url(PageContext())
