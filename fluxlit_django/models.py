"""What this package keeps in the database."""

from __future__ import annotations

from django.db import models


class URLSession(models.Model):
    """State of a page, kept under an id that is in its URL."""

    digest = models.CharField("digest of the id", max_length=64, primary_key=True, editable=False)
    data = models.JSONField(default=dict, editable=False)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "URL session"
        ordering = ("-expires_at",)

    def __str__(self) -> str:
        return f"{self.digest[:12]}…"


class ModelVersion(models.Model):
    """How often the rows of a model have changed; see `fluxlit_django.versions`."""

    label = models.CharField(max_length=200, primary_key=True)
    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.label} {self.number}"
