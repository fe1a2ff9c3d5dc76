"""What is shipped: the wheel, the pinned requirements, the image and the generated documentation."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fluxlit_django
from fluxlit_django import conf

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PLATFORMS = ("linux", "darwin")


def read_pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def read_ranges(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, the project's own extras resolved."""
    project = read_pyproject()["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    requirements = [Requirement(line) for line in lines]
    own = [requirement for requirement in requirements if requirement.name == project["name"]]
    others = [requirement for requirement in requirements if requirement.name != project["name"]]
    return others + [nested for requirement in own for nested in read_ranges(*sorted(requirement.extras))]


def read_pins(file: str) -> list[Requirement]:
    lines = (ROOT / file).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.lstrip().startswith("#")]


def pinned_versions(pins: list[Requirement], python: str, platform: str) -> dict[str, str]:
    """The version of each package that an environment gets; a package pinned twice for it is an error."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    versions: dict[str, str] = {}
    for pin in pins:
        if pin.marker is None or pin.marker.evaluate(environment):
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert canonicalize_name(pin.name) not in versions
            versions[canonicalize_name(pin.name)] = specifier.version
    return versions


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from this tree by its own build backend."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel__contains_the_whole_package(wheel):
    """Every file of the package is in the wheel: modules, templates, static files, migrations, py.typed."""
    package = ROOT / "fluxlit_django"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    shipped = {name for name in wheel.namelist() if name.startswith("fluxlit_django/")}

    assert expected == shipped
    assert "fluxlit_django/py.typed" in shipped


def test_wheel__contains_nothing_else(wheel):
    """Neither the demo project nor the tests are installed with the package."""
    version = fluxlit_django.__version__

    folders = {name.partition("/")[0] for name in wheel.namelist()}

    assert {"fluxlit_django", f"fluxlit_django-{version}.dist-info"} == folders


def test_wheel__states_its_version_and_licence(wheel):
    """The wheel's metadata agree with the code."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))

    metadata = message_from_bytes(wheel.read(name))

    assert fluxlit_django.__version__ == metadata["Version"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def check_new_project(python: str, folder: Path, *path: Path) -> str:
    """Pass Django's checks in a project that knows this package only; the place of the package it found.

    Args:
        python: the interpreter.
        folder: where the project is made.
        path: further places of modules.
    """
    (folder / "new_settings.py").write_text(
        "SECRET_KEY = 'a-key-for-this-test'\n"
        "INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes', "
        "'django.contrib.sessions', 'fluxlit_django']\n"
        "ASGI_APPLICATION = 'fluxlit_django.asgi.application'\n"
        "ROOT_URLCONF = 'new_settings'\n"
        "FLUXLIT = {'ACCESS': 'public'}\n"
        "urlpatterns = []\n"
    )
    code = (
        "import django, fluxlit_django; django.setup(); print(fluxlit_django.__file__)\n"
        "from django.core.management import call_command; call_command('check')"
    )
    environment = {
        "PATH": "",
        "PYTHONPATH": os.pathsep.join(map(str, (*path, folder))),
        "DJANGO_SETTINGS_MODULE": "new_settings",
    }

    result = subprocess.run([python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)

    assert (0, "") == (
        result.returncode,
        result.stderr.replace("System check identified no issues (0 silenced).", "").strip(),
    )
    return result.stdout.splitlines()[0]


def test_wheel__works_in_a_new_project(wheel, tmp_path):
    """Unpacked elsewhere, the package passes Django's checks in a project that knows nothing else."""
    wheel.extractall(tmp_path / "site")

    found = check_new_project(sys.executable, tmp_path, tmp_path / "site")

    assert found.startswith(str(tmp_path / "site" / "fluxlit_django"))


@pytest.mark.timeout(600)
def test_production_pins__can_be_installed(wheel, tmp_path):
    """pip installs the package and every extra of a site with the pins, from wheels alone, and it works."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    asked = f"{wheel.filename}[api,fast,postgres,redis]"
    constraints = ["--constraint", ROOT / "constraints.txt", "--only-binary", ":all:", "--no-compile"]

    subprocess.run([*pip, "install", *constraints, asked], check=True)

    installed = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    versions = dict(line.split("==") for line in installed.splitlines() if "==" in line)
    pins = pinned_versions(
        read_pins("constraints.txt"), f"{sys.version_info.major}.{sys.version_info.minor}", sys.platform
    )
    assert {canonicalize_name(name): version for name, version in versions.items()}.items() <= pins.items()
    subprocess.run([*pip, "check"], check=True)
    assert check_new_project(str(python), tmp_path).startswith(str(tmp_path / "venv"))


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.txt", ("demo", "fast")), ("requirements-dev.txt", ("test", "lint", "matrix"))],
)
def test_requirements__pin_what_pyproject_asks_for(file, extras, python, platform):
    """Every dependency has exactly one pin in each supported environment, within its range."""
    pins = pinned_versions(read_pins(file), python, platform)

    for wanted in read_ranges(*extras):
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted


@pytest.mark.parametrize("python", PYTHONS)
def test_requirements_dev__contains_the_other_pins(python):
    """Tests run with the very versions that the demo and the image get."""
    pins = pinned_versions(read_pins("requirements.txt"), python, "linux")
    development_pins = pinned_versions(read_pins("requirements-dev.txt"), python, "linux")

    assert pins.items() <= development_pins.items()


@pytest.mark.parametrize(
    "file", ["requirements.txt", "requirements-dev.txt", "constraints.txt", "constraints-oldest.txt"]
)
def test_requirements__name_no_place(file):
    """The pins hold on every machine: no package index, no path, no link."""
    text = (ROOT / file).read_text()

    assert not re.search(r"://|^-|@|/(home|root|tmp|work)/", text, flags=re.MULTILINE)


def test_supported_pythons__agree():
    """The classifiers name the versions that are tested, and the lowest is the required one."""
    project = read_pyproject()["project"]
    prefix = "Programming Language :: Python :: 3."

    classified = tuple(
        f"3.{name.removeprefix(prefix)}" for name in project["classifiers"] if name.startswith(prefix)
    )

    assert PYTHONS == classified
    assert f">={PYTHONS[0]}" == project["requires-python"]


@pytest.mark.parametrize("file", ["Dockerfile", ".env.example", "README.md"])
def test_settings__named_in_a_file_exist(file):
    """A FLUXLIT_* variable that a file names is one that is read."""
    known = {f"FLUXLIT_{field.name.upper()}" for field in conf.setting_fields()} | {"FLUXLIT_DEMO_PASSWORD"}

    named = set(re.findall(r"FLUXLIT_[A-Z_]+[A-Z]", (ROOT / file).read_text()))

    assert named <= known


def test_settings_page__is_what_the_code_says():
    """docs/settings.md is up to date; if not: python scripts/settings_page.py > docs/settings.md."""
    expected = runpy.run_path(str(ROOT / "scripts" / "settings_page.py"))["settings_page"]()

    assert expected == (ROOT / "docs" / "settings.md").read_text()


def test_dockerignore__lets_through_what_is_copied():
    """Every path that the Dockerfile copies from the tree exists and is not ignored."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }

    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)


def test_readme_links__lead_somewhere():
    """Relative links in the README and the documentation name files of the tree."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]

    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
