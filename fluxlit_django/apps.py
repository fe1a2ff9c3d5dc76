"""The Django app."""

from __future__ import annotations

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import InMemoryChannelLayer, channel_layers
from django.apps import AppConfig
from django.conf import settings
from django.urls import set_script_prefix


class FluxLitConfig(AppConfig):
    """Streamlit inside Django."""

    name = "fluxlit_django"
    label = "fluxlit"
    verbose_name = "FluxLit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks and listen for what ends a viewer's access."""
        from fluxlit_django import checks, conf, logs, versions  # noqa: F401
        from fluxlit_django.trust import revocation

        config, _ = conf.load_config()  # what is wrong with it is for the system checks to say
        logs.keep_secrets_out(config)
        if config.root_path:
            # Links that are made outside of a request, and the URLs of static files, need the prefix too.
            settings.FORCE_SCRIPT_NAME = config.root_path
            set_script_prefix(f"{config.root_path}/")
        if not getattr(settings, "CHANNEL_LAYERS", None):
            channel_layers.set(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer())
        revocation.connect()
        versions.connect()
