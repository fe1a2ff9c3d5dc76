"""The probes: `healthz` (this worker lives) and `readyz` (every app has a sidecar that answers)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
from asgiref.typing import ASGISendCallable

from fluxlit_django.conf import AppConfig
from fluxlit_django.control import SidecarStatus
from fluxlit_django.exceptions import UpstreamError
from fluxlit_django.gateway import responses, upstream
from fluxlit_django.gateway.runtime import Runtime

_PROBE_TIMEOUT_S = 2.0
_REMEMBER_S = 0.5
_REPLACED = {"draining", "stopped"}


async def send_liveness(send: ASGISendCallable) -> None:
    """Answer that this worker lives. Asks nobody."""
    await responses.send_json(send, 200, {"status": "ok"})


class Readiness:
    """Answers whether every app can serve; asks the sidecars, at most twice a second."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = asyncio.Lock()
        self._expires = 0.0
        self._report: dict[str, Any] = {}

    async def send(self, send: ASGISendCallable) -> None:
        """Answer 200 or 503 with a JSON object that names each app and sidecar."""
        report = await self._current_report()
        await responses.send_json(send, 200 if report["status"] == "ready" else 503, report)

    async def _current_report(self) -> dict[str, Any]:
        if self._runtime.is_draining:
            return {"status": "not_ready", "detail": "This server is shutting down.", "apps": {}}
        async with self._lock:
            if time.monotonic() >= self._expires:
                self._report = await self._make_report()
                self._expires = time.monotonic() + _REMEMBER_S
            return self._report

    async def _make_report(self) -> dict[str, Any]:
        apps = self._runtime.config.apps
        reports = await asyncio.gather(*(self._app_report(app) for app in apps))
        missing = [app.name for app, report in zip(apps, reports, strict=True) if report["status"] != "ready"]
        report: dict[str, Any] = {
            "status": "not_ready" if missing else "ready",
            "streamlit": "ok" if apps and not missing else "not_ok" if apps else "not_configured",
            "apps": {app.name: report for app, report in zip(apps, reports, strict=True)},
        }
        if missing:
            report["detail"] = f"No sidecar answers for: {', '.join(missing)}."
        return report

    async def _app_report(self, app: AppConfig) -> dict[str, Any]:
        sidecars = self._runtime.directory.of(app)
        answers = await asyncio.gather(*(self._ask(app, sidecar) for sidecar in sidecars))
        return {
            "status": "ready" if any(answers) else "not_ready",
            "mount": app.url_path,
            "sidecars": {
                _shown_name(sidecar): {
                    "state": sidecar.state,
                    "answers": answer,
                    "restarts": sidecar.restarts,
                    "detail": sidecar.detail,
                    "generation": sidecar.generation,
                }
                for sidecar, answer in zip(sidecars, answers, strict=True)
            },
        }

    async def _ask(self, app: AppConfig, sidecar: SidecarStatus) -> bool:
        if sidecar.state not in upstream.SERVING_STATES:
            return False
        path = f"{self._runtime.config.root_path}{app.mount}/_stcore/health".encode()
        client = self._runtime.clients.of(sidecar.address)
        try:
            with upstream.translated_errors():
                async with client.get(
                    upstream.url(sidecar.address, path, b""),
                    timeout=aiohttp.ClientTimeout(total=_PROBE_TIMEOUT_S),
                ) as response:
                    return response.status == 200
        except UpstreamError:
            return False


def _shown_name(sidecar: SidecarStatus) -> str:
    """A sidecar's name; while its replacement has it, with its generation."""
    return f"{sidecar.name}.{sidecar.generation}" if sidecar.state in _REPLACED else sidecar.name
