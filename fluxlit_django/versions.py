"""Versions of models, so that what a page caches is made anew when a row changes.

    FLUXLIT = {"WATCHED_MODELS": ["shop.Order"]}

    @st.cache_data
    def revenue(version, days): ...

    revenue(model_version(Order), 30)

A version is counted in the database, in the transaction that changes the row: every process sees it, and a
rollback takes it back. `QuerySet.update` and the bulk methods send no signals: call `touch` after them.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db.models import F, QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save

from fluxlit_django.conf import get_config, load_config
from fluxlit_django.exceptions import ConfigError


def connect() -> None:
    """Count the changes of the models in `FLUXLIT_WATCHED_MODELS`. Called once, when Django is ready."""
    config, _ = load_config()  # what is wrong with it is for the checks to say
    for label in config.watched_models:
        post_save.connect(_on_change, sender=label, dispatch_uid=f"fluxlit.{label}.save")
        post_delete.connect(_on_change, sender=label, dispatch_uid=f"fluxlit.{label}.delete")
    if config.watched_models:
        m2m_changed.connect(_on_relation, dispatch_uid="fluxlit.m2m")


def model_version(*watched: Any) -> str:
    """The versions of these models, or of these querysets' models, as a short text. Reads the database.

    Raises:
        ConfigError: a model is not watched.
    """
    from fluxlit_django.models import ModelVersion

    labels = sorted({_label(each) for each in watched})
    numbers = dict(ModelVersion.objects.filter(label__in=labels).values_list("label", "number"))
    return ",".join(f"{label}:{numbers.get(label, 0)}" for label in labels)


def queryset_key(queryset: QuerySet[Any]) -> str:
    """A key for what a queryset finds: another when its query, or a row of a watched model in it, changes.

    Example:
        @st.cache_data
        def table(key, _queryset):
            return pd.DataFrame(_queryset.values())

        table(queryset_key(orders), orders)

    Raises:
        ConfigError: the queryset's own model is not watched.
    """
    try:
        sql, params = queryset.query.sql_with_params()
    except EmptyResultSet:  # nothing can ever be found, such as by filter(pk__in=[])
        sql, params = "", ()
    tables = {getattr(join, "table_name", "") for join in queryset.query.alias_map.values()}
    config = get_config()
    joined = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table in tables and model._meta.label_lower in config.watched_models
    ]
    text = f"{queryset.db}|{sql}|{params!r}|{model_version(queryset, *joined)}"
    return hashlib.sha256(text.encode()).hexdigest()


def touch(model: Any) -> None:
    """Count a change of a watched model, after `QuerySet.update` or a bulk method.

    Raises:
        ConfigError: the model is not watched.
    """
    _count(_label(model))


def _label(watched: Any) -> str:
    model = watched.model if hasattr(watched, "query") else watched
    label: str = model._meta.label_lower
    if label not in get_config().watched_models:
        msg = (
            f"The changes of {model._meta.label} are not counted. "
            f"Add it to FLUXLIT['WATCHED_MODELS'], which is {list(get_config().watched_models)}."
        )
        raise ConfigError(msg)
    return label


def _on_change(sender: Any, **kwargs: Any) -> None:
    if not kwargs.get("raw"):
        _count(sender._meta.label_lower)


def _on_relation(sender: Any, instance: Any, action: str, model: Any, **kwargs: Any) -> None:
    if not action.startswith("post_"):
        return
    for changed in {type(instance), model}:
        if changed._meta.label_lower in get_config().watched_models:
            _count(changed._meta.label_lower)


def _count(label: str) -> None:
    from fluxlit_django.models import ModelVersion

    rows = ModelVersion.objects.filter(label=label)
    if not rows.update(number=F("number") + 1):
        ModelVersion.objects.bulk_create([ModelVersion(label=label)], ignore_conflicts=True)
        rows.update(number=F("number") + 1)
