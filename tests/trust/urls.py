"""The demo's URLs, and one that changes accounts from inside a gateway worker."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.urls import path

from project.urls import handler400, handler403, handler404, handler500, urlpatterns
from tests.site import PASSWORD

__all__ = ["handler400", "handler403", "handler404", "handler500"]


def make(user: User, request: HttpRequest) -> None:
    user.groups.add(Group.objects.get_or_create(name="Editors")[0])
    user.user_permissions.add(Permission.objects.get(codename="view_order"))


def rename(user: User, request: HttpRequest) -> None:
    user.first_name, user.last_name = "Zoë", "Łukaszewicz 李"
    user.save()


def deactivate(user: User, request: HttpRequest) -> None:
    user.is_active = False
    user.save()


def change_password(user: User, request: HttpRequest) -> None:
    user.set_password("another-" + PASSWORD)
    user.save()


def leave_group(user: User, request: HttpRequest) -> None:
    user.groups.clear()


def lose_permission(user: User, request: HttpRequest) -> None:
    user.user_permissions.clear()


def lose_staff(user: User, request: HttpRequest) -> None:
    user.is_staff = not user.is_staff
    user.save(update_fields=["is_staff"])


def be_removed_from_group(user: User, request: HttpRequest) -> None:
    Group.objects.get(name="Editors").user_set.remove(user)


def get_permission_by_group(user: User, request: HttpRequest) -> None:
    user.user_permissions.clear()
    group = Group.objects.create(name=user.username)
    group.permissions.add(Permission.objects.get(codename="view_order"))
    user.groups.add(group)


def lose_permission_of_group(user: User, request: HttpRequest) -> None:
    Group.objects.get(name=user.username).permissions.clear()


def delete_group(user: User, request: HttpRequest) -> None:
    Group.objects.get(name=user.username).delete()


def delete_user(user: User, request: HttpRequest) -> None:
    user.delete()


def delete_session(user: User, request: HttpRequest) -> None:
    Session.objects.get(session_key=request.session.session_key).delete()
    # The row is what the test is about: the session of this very request must not write it anew.
    request.session.modified = False


def flush_session(user: User, request: HttpRequest) -> None:
    request.session.flush()


def expire_session(user: User, request: HttpRequest) -> None:
    request.session.set_expiry(3)


ACTIONS = {
    action.__name__: action
    for action in (
        make,
        rename,
        deactivate,
        change_password,
        leave_group,
        lose_permission,
        lose_staff,
        be_removed_from_group,
        get_permission_by_group,
        lose_permission_of_group,
        delete_group,
        delete_user,
        delete_session,
        flush_session,
        expire_session,
    )
}


def change(request: HttpRequest, action: str, username: str) -> HttpResponse:
    """Carry an action out on a user, who is made when there is none, and answer with the user's id."""
    user = User.objects.filter(username=username).first() or User.objects.create_user(
        username, f"{username}@example.com", PASSWORD
    )
    user_id = user.pk
    ACTIONS[action](user, request)
    return HttpResponse(str(user_id))


urlpatterns = [*urlpatterns, path("change/<action>/<username>", change)]
