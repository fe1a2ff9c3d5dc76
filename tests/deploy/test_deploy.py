"""The files of `deploy/`: read as what they are, with settings that exist and go together."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fluxlit_django import conf
from fluxlit_django.management.commands.fluxlit_shutdown import longest_stop_s
from tests.site import ROOT, site_environment

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "fluxlit.service"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))

NO_SETTINGS = {
    # Variables of the proxies' own files.
    "FLUXLIT_CERTIFICATE",
    "FLUXLIT_CERTIFICATE_KEY",
    "FLUXLIT_HTTP",
    "FLUXLIT_HTTPS",
    "FLUXLIT_HTTPS_PORT",
    "FLUXLIT_HTTP_PORT",
    "FLUXLIT_LISTEN",
    "FLUXLIT_SITE",
    "FLUXLIT_UPSTREAM",
    # The demo's administrator.
    "FLUXLIT_DEMO_PASSWORD",
    # What a Kubernetes Service would set; named where that is switched off.
    "FLUXLIT_PORT",
}


def settings_named_in(text: str) -> set[str]:
    """Every `FLUXLIT_…` name in a text, those that end in … or * apart."""
    return set(re.findall(r"\bFLUXLIT_[A-Z0-9_]*[A-Z0-9]\b(?![_…*])", text))


def files_for_people() -> Iterator[Path]:
    """The README, the documentation and everything in `deploy/`.

    The way from FluxLit also names the settings that are only there; a test of its own holds it to both.
    """
    yield from (ROOT / "README.md", ROOT / "Dockerfile", ROOT / ".env.example")
    yield from (path for path in (ROOT / "docs").glob("*.md") if path.name != "from-fluxlit.md")
    yield from (path for path in DEPLOY.rglob("*") if path.is_file())


@pytest.mark.parametrize("file", list(files_for_people()), ids=lambda file: str(file.relative_to(ROOT)))
def test_settings__exist(file):
    """No file for people names a setting that there is not."""
    known = {f"FLUXLIT_{field.name.upper()}" for field in conf.setting_fields()}

    assert set() == settings_named_in(file.read_text()) - known - NO_SETTINGS


def strict(folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Judge an environment as FLUXLIT_STRICT_STARTUP does."""
    return subprocess.run(
        [sys.executable, "manage.py", "fluxlit_config", "--strict", "--no-color"],
        cwd=ROOT,
        env=site_environment(folder, DEBUG="false", **variables),
        capture_output=True,
        text=True,
    )


def compose_service(name: str) -> dict[str, Any]:
    """A service of the Compose file, as Compose sees it with the variables of its first lines."""
    values = {"POSTGRES_PASSWORD": "pw", "PUBLIC_HOST": "shop.example.com"}
    text = re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: values.get(found[1], "x"), COMPOSE.read_text())
    service: dict[str, Any] = yaml.safe_load(text)["services"][name]
    return service


def manifests(kind: str) -> dict[str, Any]:
    """The one manifest of a kind."""
    (found,) = (
        document
        for file in MANIFESTS
        for document in yaml.safe_load_all(file.read_text())
        if document["kind"] == kind
    )
    return dict(found)


# systemd


def test_unit__verified(tmp_path):
    """systemd finds nothing wrong with the unit, and little that an intruder could do in it."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze on this machine (Debian: apt install systemd)")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/srv/fluxlit/.venv/bin/python", sys.executable))

    verified = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True)
    security = subprocess.run(
        [program, "security", "--offline=true", "--threshold=20", str(unit)], capture_output=True, text=True
    )

    assert (0, "") == (verified.returncode, verified.stderr)
    assert 0 == security.returncode, security.stdout


def unit_values(name: str) -> list[str]:
    """The values of an option of the unit."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_unit__settings_pass(tmp_path):
    """Its settings pass strict start-up, and its stop has the time that ours may take."""
    variables = dict(line.split("=", 1) for line in unit_values("Environment"))

    done = strict(tmp_path, variables)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert ["notify", "mixed", "0700"] == [
        unit_values(name)[0] for name in ("Type", "KillMode", "RuntimeDirectoryMode")
    ]
    assert longest_stop_s(conf.Config()) <= float(unit_values("TimeoutStopSec")[0])
    assert conf.Config().streamlit_start_timeout_s < float(unit_values("TimeoutStartSec")[0])


# Compose


def test_compose__settings_pass(tmp_path):
    """Its settings pass strict start-up; nginx's address is the one that is trusted."""
    environment = compose_service("app")["environment"]

    done = strict(tmp_path, environment)

    assert 0 == done.returncode, done.stdout + done.stderr
    address = compose_service("edge")["networks"]["default"]["ipv4_address"]
    assert address == environment["FLUXLIT_FORWARDED_ALLOW_IPS"]


def test_compose__shape():
    """The app waits for its database's tables, runs on a read-only root and gets time to stop."""
    app, document = compose_service("app"), yaml.safe_load(COMPOSE.read_text())

    assert {"migrate", "app", "edge", "db", "redis"} == set(document["services"])
    assert (True, ["ALL"]) == (app["read_only"], app["cap_drop"])
    assert "service_completed_successfully" == app["depends_on"]["migrate"]["condition"]
    assert longest_stop_s(conf.Config()) <= float(app["stop_grace_period"].removesuffix("s"))
    assert (COMPOSE.parent / app["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"


def test_compose__nginx_is_the_root_layout():
    """Its nginx.conf is deploy/nginx/root.conf, filled in."""
    text = (DEPLOY / "nginx" / "root.conf").read_text()
    text = text[text.index("map $http_upgrade") :]
    values = {
        "host": "_",
        "http": "80",
        "https": "443",
        "upstream": "app:8000",
        "certificate": "/etc/nginx/certificate.pem",
        "certificate_key": "/etc/nginx/certificate.key",
    }
    for name, value in values.items():
        text = text.replace(f"{{{{{name}}}}}", value)

    assert text == (COMPOSE.parent / "nginx.conf").read_text().partition("\n\n")[2]


# Kubernetes


def test_kubernetes__settings_pass(tmp_path):
    """The settings pass strict start-up, with what the Secret brings."""
    data = manifests("ConfigMap")["data"]
    secret = {"DATABASE_URL": "postgres://u:p@db/x", "REDIS_URL": "redis://redis:6379/0"}

    done = strict(tmp_path, data | secret)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_kubernetes__pods():
    """Pods are nobody in particular on a read-only root, are probed at our probes, and get time to stop."""
    deployment, data = manifests("Deployment"), manifests("ConfigMap")["data"]
    pods = [deployment["spec"]["template"]["spec"], manifests("Job")["spec"]["template"]["spec"]]

    for pod in pods:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["enableServiceLinks"]  # they would set FLUXLIT_PORT, FLUXLIT_SERVICE_HOST, …
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert ["ALL"] == container["securityContext"]["capabilities"]["drop"]
    pod, (container,) = pods[0], pods[0]["containers"]
    assert "/api/healthz" == container["livenessProbe"]["httpGet"]["path"]
    assert "/api/readyz" == container["readinessProbe"]["httpGet"]["path"]
    pre_stop_s = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain_s = float(data["FLUXLIT_GRACEFUL_SHUTDOWN_TIMEOUT_S"])
    assert pre_stop_s + drain_s + 10 <= pod["terminationGracePeriodSeconds"]


def test_kubernetes__fits_together():
    """Names, labels and ports of the manifests are each other's, and the proxy's limits are the settings'."""
    deployment, service, ingress = (manifests(kind) for kind in ("Deployment", "Service", "Ingress"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert labels == manifests("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert labels != manifests("Job")["spec"]["template"]["metadata"]["labels"]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert service["metadata"]["name"] == path["backend"]["service"]["name"]
    annotations = ingress["metadata"]["annotations"]
    idle = manifests("ConfigMap")["data"]["FLUXLIT_EDGE_IDLE_TIMEOUT_S"]
    assert idle == annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]
    resources = set(manifests("Kustomization")["resources"])
    assert resources | {"kustomization.yaml"} == {file.name for file in MANIFESTS}
