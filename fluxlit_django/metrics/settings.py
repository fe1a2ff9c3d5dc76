"""What is wrong with the settings of the metrics."""

from __future__ import annotations

from collections.abc import Iterator

from fluxlit_django.conf import Config, Problem

_PATH = "FLUXLIT_GATEWAY_PROMETHEUS_METRICS_PATH"


def settings_problems(config: Config) -> Iterator[Problem]:
    """A path that would take the place of something else."""
    path, api = config.gateway_prometheus_metrics_path, config.api_mount_path
    if f"{path}/".startswith(f"{api}/"):
        message = f"{_PATH} is {path!r}, which belongs to the API below {api!r}."
        yield Problem("fluxlit.E008", message, "Choose a path outside of it, such as /__fluxlit/metrics.")
    for app in config.apps:
        if path == app.mount:
            message = f"{_PATH} is {path!r}, which is where the app {app.name!r} is."
            yield Problem("fluxlit.E008", message, "Choose another path, such as /__fluxlit/metrics.")


def deployment_problems(config: Config) -> Iterator[Problem]:
    """Metrics that anybody may read."""
    is_closed = config.gateway_prometheus_metrics_token or config.gateway_prometheus_metrics_allow_ips
    if config.enable_gateway_prometheus_metrics and not is_closed:
        message = (
            f"Anybody who reaches the site can read its metrics at {config.gateway_prometheus_metrics_path}."
        )
        hint = (
            "Set FLUXLIT_GATEWAY_PROMETHEUS_METRICS_TOKEN, or name the addresses of your Prometheus in "
            "FLUXLIT_GATEWAY_PROMETHEUS_METRICS_ALLOW_IPS."
        )
        yield Problem("fluxlit.W042", message, hint)
