"""What this package keeps in the database."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


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


class SettingsSnapshot(models.Model):
    """What one `fluxlit_run` started with, without any secret; see `fluxlit_django.history.snapshot`."""

    at = models.DateTimeField("start", default=timezone.now, db_index=True)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField("process id")
    command_line = models.TextField()
    versions = models.JSONField(default=dict)
    """Version by the name of what has it."""
    settings = models.JSONField(default=dict)
    """`{"value": …, "source": …}` by the name of the setting."""
    diagnostics = models.JSONField(default=list)
    """What the system checks said: `id`, `level`, `message`, `hint`."""
    changes = models.PositiveIntegerField(null=True, db_index=True)
    """How many facts differ from the start before; None for the first."""
    problems = models.PositiveIntegerField(default=0)
    """How many diagnostics there are."""

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} on {self.host}"


class SidecarEvent(models.Model):
    """Something that happened to a child of a supervisor; see `fluxlit_django.history.recorder`."""

    class Kind(models.TextChoices):
        """The values of the supervisor's `EventKind`."""

        STARTED = "started", "started"
        READY = "ready", "ready"
        EXITED = "exited", "exited"
        RESTARTED = "restarted", "restarted"
        BREAKER = "breaker", "given up for now"
        RECYCLED = "recycled", "too large"
        REPLACED = "replaced", "replaced"
        GONE = "gone", "gone"
        RELOADING = "reloading", "reloading"
        RELOADED = "reloaded", "reloaded"
        RELOAD_FAILED = "reload_failed", "reload failed"
        SERVING = "serving", "everything serves"
        STOPPING = "stopping", "stopping"

    at = models.DateTimeField("time", default=timezone.now, db_index=True)
    kind = models.CharField("event", max_length=16, choices=Kind.choices)
    child = models.CharField("process", max_length=64, blank=True)
    """`gateway-0`, or `<app>-<index>` for a sidecar; "" for the supervisor itself."""
    app = models.CharField(max_length=32, blank=True)
    """Name of a sidecar's app."""
    code = models.IntegerField("exit code", null=True)
    """Negative for a signal."""
    restarts = models.PositiveIntegerField(default=0)
    last_lines = models.TextField(blank=True)
    host = models.CharField(max_length=255)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        indexes = (
            models.Index(fields=("kind", "-id"), name="fluxlit_event_kind"),
            models.Index(fields=("child", "-id"), name="fluxlit_event_child"),
            models.Index(fields=("app", "-id"), name="fluxlit_event_app"),
        )

    def __str__(self) -> str:
        return f"{self.child or 'supervisor'} {self.get_kind_display()}"


class GatewayWorker(models.Model):
    """A gateway worker that reports; one that has died is no longer seen. See `gateway.live`."""

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField("process id")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)
    sockets = models.PositiveIntegerField("open sockets", default=0)
    sidecars = models.JSONField(default=list)
    """What the supervisor told this worker of each sidecar."""
    samples = models.JSONField(default=list)
    """The last minutes; see `gateway.live.Sample`."""

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"


class Overview(GatewayWorker):
    """The overview page in the admin: it has a permission of its own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = verbose_name_plural = "overview"


class LiveSession(models.Model):
    """An open WebSocket, as its gateway worker last reported it."""

    id = models.UUIDField(primary_key=True, editable=False)
    worker = models.ForeignKey(GatewayWorker, models.CASCADE)
    viewer_id = models.CharField(max_length=64, blank=True)
    viewer = models.CharField(max_length=200, blank=True)
    """The viewer's username; "" for nobody."""
    app = models.CharField(max_length=32)
    page = models.CharField(max_length=200)
    sidecar = models.CharField(max_length=64)
    since = models.DateTimeField(db_index=True)
    bytes_in = models.BigIntegerField("received", default=0)
    bytes_out = models.BigIntegerField("sent", default=0)
    reruns = models.PositiveIntegerField(default=0)
    must_end = models.BooleanField(default=False)
    """Somebody wants it closed; its worker looks at this when it reports."""

    class Meta:
        ordering = ("-since",)
        default_permissions = ("view",)
        permissions = (("disconnect_livesession", "Can disconnect live session"),)
        indexes = (
            models.Index(fields=("worker",), condition=models.Q(must_end=True), name="fluxlit_live_must_end"),
        )

    def __str__(self) -> str:
        return f"{self.viewer or 'somebody'} on {self.app}{self.page}"
