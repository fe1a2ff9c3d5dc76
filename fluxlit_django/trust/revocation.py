"""Live revocation: what changes who may, makes the sockets it concerns ask again, wherever they are.

Django's signals are turned into messages to the gateway workers, through a Channels group. A message names
the group of sockets it is for: there is one for each user and each session, and one for all. With several
workers or hosts the layer has to be one they share, such as channels_redis.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.utils import timezone

from fluxlit_django.trust import sessions

logger = logging.getLogger(__name__)

GATEWAYS = "fluxlit.gateways"
"""The Channels group that every gateway worker is in."""

EVERYBODY = "everybody"
"""The group of all sockets of signed-in viewers."""

RECHECK = "fluxlit.recheck"
"""Type of the message on which a socket asks the gatekeeper again."""

SIGNED_OUT = "fluxlit.signed_out"
"""Type of the message on which a socket closes: its session is about to end."""

END = "fluxlit.end"
"""Type of the message on which a socket closes: an administrator wants it to."""


def user_group(user_id: str) -> str:
    """The group of a user's sockets."""
    return f"user.{_digest(user_id)}"


def session_group(session_key: str) -> str:
    """The group of a session's sockets. Its name gives nothing of the key away."""
    return f"session.{_digest(session_key)}"


def socket_group(id: str) -> str:
    """The group of one socket of a signed-in viewer, by its id in the admin."""
    return f"socket.{id}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def recheck(group: str) -> None:
    """Have the sockets of a group ask again, once the transaction that changes their answer is through."""
    transaction.on_commit(lambda: tell(group, RECHECK))


def tell(group: str, message_type: str) -> None:
    """Send a message to the sockets of a group. Callable from any thread, with a running loop or without."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(_send)(layer, group, message_type)
    else:
        _keep(loop.create_task(_send(layer, group, message_type)))


async def _send(layer: Any, group: str, message_type: str) -> None:
    try:
        await layer.group_send(GATEWAYS, {"type": message_type, "group": group})
    except Exception:
        # Each layer has errors of its own. A sign-out must not fail with the layer; the sockets it concerns
        # ask again by themselves within FLUXLIT_ACCESS_RECHECK_S.
        logger.exception("The channel layer did not take %s.", message_type)


_sending: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    _sending.add(task)
    task.add_done_callback(_sending.discard)


def connect() -> None:
    """Listen to what changes who may. Called once, when Django is ready."""
    user_model = get_user_model()
    user_logged_out.connect(_on_logout)
    post_save.connect(_on_user, sender=user_model)
    post_delete.connect(_on_user, sender=user_model)
    post_delete.connect(_on_session_end)
    for field in ("groups", "user_permissions"):
        if hasattr(user_model, field):
            m2m_changed.connect(_on_user_relation, sender=getattr(user_model, field).through)
    m2m_changed.connect(_on_group, sender=Group.permissions.through)
    post_delete.connect(_on_group, sender=Group)
    post_delete.connect(_on_group, sender=Permission)
    post_save.connect(_on_group, sender=Group)


def _on_logout(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    # Django sends this signal before it flushes the session, so asking again would find it alive.
    key = request.session.session_key
    if key and settings.SESSION_ENGINE == sessions.IN_COOKIES and user is not None:
        # Each change of such a session is a new key, so a socket may have been opened with an older one.
        tell(user_group(str(user.pk)), SIGNED_OUT)
    elif key:
        tell(session_group(key), SIGNED_OUT)


def _on_user(sender: Any, instance: Any, **kwargs: Any) -> None:
    changed = kwargs.get("update_fields")
    if kwargs.get("created") or changed == frozenset({"last_login"}):  # every sign-in saves that one
        return
    recheck(user_group(str(instance.pk)))


def _on_session_end(sender: Any, instance: Any, **kwargs: Any) -> None:
    # Sockets notice by themselves when a session expires; `clearsessions` deletes many of those.
    if isinstance(instance, AbstractBaseSession) and instance.expire_date > timezone.now():
        transaction.on_commit(functools.partial(_end_session, instance.session_key))


def _end_session(key: str) -> None:
    sessions.forget(key)
    tell(session_group(key), SIGNED_OUT)


def _on_user_relation(sender: Any, instance: Any, action: str, pk_set: Any, **kwargs: Any) -> None:
    if not action.startswith("post_"):
        return
    if isinstance(instance, get_user_model()):
        recheck(user_group(str(instance.pk)))
    else:  # changed from the other side: group.user_set.add(user)
        recheck(EVERYBODY)


def _on_group(sender: Any, **kwargs: Any) -> None:
    if str(kwargs.get("action", "post_")).startswith("post_"):
        recheck(EVERYBODY)
