"""What is said of the settings of the metrics."""

from __future__ import annotations

from typing import Any

import pytest

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.metrics import settings as metric_settings

APPS = (AppConfig("default", ""), AppConfig("explore", "/explore"))


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("/__fluxlit/metrics", []),
        ("/apis", []),
        ("/explore/metrics", []),
        ("/api", ["fluxlit.E008"]),
        ("/api/metrics", ["fluxlit.E008"]),
        ("/explore", ["fluxlit.E008"]),
    ],
)
def test_settings_problems(path: str, ids: list[str]) -> None:
    """The metrics take the place neither of the API nor of an app."""
    config = Config(gateway_prometheus_metrics_path=path, apps=APPS)

    assert ids == [problem.id for problem in metric_settings.settings_problems(config)]


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({"enable_gateway_prometheus_metrics": False}, []),
        ({}, ["fluxlit.W042"]),
        ({"gateway_prometheus_metrics_token": "t"}, []),
        ({"gateway_prometheus_metrics_allow_ips": ("10.0.0.0/8",)}, []),
    ],
)
def test_deployment_problems(settings: dict[str, Any], ids: list[str]) -> None:
    """Metrics that anybody may read are a warning for a site in public."""
    config = Config(**{"enable_gateway_prometheus_metrics": True, **settings})

    assert ids == [problem.id for problem in metric_settings.deployment_problems(config)]
