"""Live sessions in the admin, and how they are ended."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from fluxlit_django.models import GatewayWorker, LiveSession
from fluxlit_django.trust import revocation

LIST = "admin:fluxlit_livesession_changelist"


def add_worker(seen_ago_s=0, **fields):
    now = timezone.now()
    return GatewayWorker.objects.create(
        id=uuid.uuid4(),
        host="box",
        pid=1,
        started_at=now,
        seen_at=now - timedelta(seconds=seen_ago_s),
        **fields,
    )


def add_session(worker, viewer="ada", **fields):
    fields = {"app": "default", "page": "/orders", "sidecar": "default-0", **fields}
    return LiveSession.objects.create(
        id=uuid.uuid4(), worker=worker, viewer=viewer, since=timezone.now(), **fields
    )


def disconnect(client, *sessions):
    return client.post(
        reverse(LIST),
        {"action": "disconnect", "_selected_action": [each.pk for each in sessions], "index": 0},
    )


@pytest.mark.django_db
def test_list(admin_client):
    """Sessions of workers that are alive are listed; those of one that died are not."""
    add_session(add_worker(), bytes_out=2048)
    add_session(add_worker(seen_ago_s=600), viewer="ghost")

    page = admin_client.get(reverse(LIST)).content.decode()

    assert "/orders" in page
    assert "2.0\xa0KB" in page
    assert "ghost" not in page


@pytest.mark.django_db
def test_list__many(admin_client, django_assert_num_queries):
    """A list of many sessions takes four queries."""
    worker = add_worker()
    LiveSession.objects.bulk_create(
        LiveSession(id=uuid.uuid4(), worker=worker, app="default", page="/", since=timezone.now())
        for _ in range(2000)
    )

    with django_assert_num_queries(4):
        admin_client.get(reverse(LIST))


@pytest.mark.django_db(transaction=True)
async def test_disconnect__tells_the_socket(admin_client):
    """The workers are told which socket it is, its row is marked, and the admin's log has who did it."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(revocation.GATEWAYS, channel)
    session = await sync_to_async(lambda: add_session(add_worker()))()

    response = await sync_to_async(disconnect)(admin_client, session)
    message = await asyncio.wait_for(layer.receive(channel), 10)

    assert 302 == response.status_code
    assert {"type": "fluxlit.end", "group": f"socket.{session.pk}"} == message
    await session.arefresh_from_db()
    assert session.must_end
    entry = await LogEntry.objects.aget()
    assert str(session.pk) == entry.object_id
    assert "Disconnected ada on default/orders" in entry.change_message


@pytest.mark.django_db
def test_disconnect__needs_its_own_permission(make_staff):
    """Who may only view has no such action, and a request for it does nothing."""
    session = add_session(add_worker())
    client = make_staff("view_livesession")

    page = client.get(reverse(LIST)).content.decode()
    disconnect(client, session)

    assert "disconnect" not in page
    session.refresh_from_db()
    assert not session.must_end


@pytest.mark.django_db
def test_disconnect__with_the_permission(make_staff):
    """Who may, does; the others' sessions stay."""
    worker = add_worker()
    chosen, other = add_session(worker), add_session(worker)
    client = make_staff("view_livesession", "disconnect_livesession")

    disconnect(client, chosen)

    assert [True, False] == [LiveSession.objects.get(pk=each.pk).must_end for each in (chosen, other)]
