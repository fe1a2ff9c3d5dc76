"""What docs/support-matrix.md claims, what can be tried, and the pins for production."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from fluxlit_django.diagnostics import SUPPORTED
from tests.test_packaging import (
    PLATFORMS,
    PYTHONS,
    ROOT,
    pinned_versions,
    read_pins,
    read_pyproject,
    read_ranges,
)

PAGE = (ROOT / "docs" / "support-matrix.md").read_text()
OLDEST_PINS = "constraints-oldest.txt"
PRODUCTION_PINS = "constraints.txt"

Matrix = dict[str, tuple[list[str], list[str]]]


def read_matrix() -> Matrix:
    """The versions in noxfile.py, which is read and not run: nox is not installed everywhere."""
    for node in ast.parse((ROOT / "noxfile.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MATRIX":
            matrix: Matrix = ast.literal_eval(node.value)
            return matrix
    raise AssertionError("noxfile.py has no MATRIX.")


def minor(version: str) -> str:
    """Major and minor number."""
    return ".".join(version.split(".")[:2])


def floor(requirement: Requirement) -> Version:
    """The least version that a requirement lets in."""
    (least,) = (each.version for each in requirement.specifier if each.operator == ">=")
    return Version(least)


def test_page__is_what_is_tried():
    """The table of the page has the combinations of noxfile.py."""
    rows = re.findall(r"^\| (3\.\d+) \| ([\d., ]+) \| ([\d., ]+) \|$", PAGE, flags=re.MULTILINE)

    shown = {python: (django.split(", "), streamlit.split(", ")) for python, django, streamlit in rows}

    assert read_matrix() == shown


def test_matrix__has_every_supported_version():
    """The diagnostics call just these versions tested, pyproject.toml begins with the oldest."""
    matrix = read_matrix()
    djangos = [version for versions, _ in matrix.values() for version in versions]
    streamlits = [version for _, versions in matrix.values() for version in versions]

    def bounds(versions: Any) -> tuple[str, str]:
        ordered = sorted(versions, key=Version)
        return ordered[0], ordered[-1]

    assert PYTHONS == tuple(matrix)
    assert {"Python": bounds(matrix), "Django": bounds(djangos), "Streamlit": bounds(streamlits)} == SUPPORTED
    floors = {requirement.name: str(floor(requirement)) for requirement in read_ranges()}
    assert (SUPPORTED["Django"][0], SUPPORTED["Streamlit"][0]) == (floors["django"], floors["streamlit"])


def test_classifiers__name_the_oldest_and_the_newest_django():
    """The package's page at an index says the same."""
    prefix = "Framework :: Django :: "

    named = [
        name.removeprefix(prefix)
        for name in read_pyproject()["project"]["classifiers"]
        if name.startswith(prefix)
    ]

    assert list(SUPPORTED["Django"]) == named


@pytest.mark.parametrize("python", PYTHONS)
def test_matrix__ends_with_the_pins(python):
    """The newest versions of a Python are those that the demo, the image and the developers get."""
    djangos, streamlits = read_matrix()[python]

    pins = pinned_versions(read_pins("requirements.txt"), python, "linux")

    assert (djangos[-1], streamlits[-1]) == (minor(pins["django"]), minor(pins["streamlit"]))


def test_oldest_pins__are_the_floors():
    """The oldest corner has the very least that pyproject.toml lets in, so that no floor is only claimed."""
    pins = pinned_versions(read_pins(OLDEST_PINS), PYTHONS[0], "linux")

    for wanted in read_ranges("demo", "fast", "postgres", "redis"):
        pinned = Version(pins[canonicalize_name(wanted.name)])
        assert floor(wanted).release == pinned.release[: len(floor(wanted).release)], wanted


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_production_pins__hold_everything_of_the_package(python, platform):
    """Every extra that a site installs is pinned, to the version that the tests are run with."""
    pins = pinned_versions(read_pins(PRODUCTION_PINS), python, platform)

    for wanted in read_ranges("api", "fast", "postgres", "redis"):
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted
    assert pins.items() <= pinned_versions(read_pins("requirements-dev.txt"), python, platform).items()
