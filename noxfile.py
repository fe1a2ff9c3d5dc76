"""The test suite under each combination that docs/support-matrix.md names.

./scripts/matrix --list
./scripts/matrix --tags oldest
./scripts/matrix --python 3.12 -- tests/gateway -k cookies
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"

MATRIX = {
    "3.10": (["5.2"], ["1.57", "1.65"]),
    "3.11": (["5.2"], ["1.57", "1.67"]),
    "3.12": (["5.2", "6.1"], ["1.57", "1.67"]),
    "3.13": (["5.2", "6.1"], ["1.57", "1.67"]),
}
"""For each Python the oldest and the newest Django and Streamlit that run on it."""

COMBINATIONS = [
    (python, django, streamlit)
    for python, (djangos, streamlits) in MATRIX.items()
    for django in djangos
    for streamlit in streamlits
]
CORNERS = {COMBINATIONS[0]: ["oldest"], COMBINATIONS[-1]: ["newest"]}
CONSTRAINTS = {COMBINATIONS[0]: "constraints-oldest.txt", COMBINATIONS[-1]: "requirements-dev.txt"}
"""What the corners have of all else; between them it is what the index has to offer."""

NOT_IN_FRONT = ["--ignore=tests/e2e", "--ignore=tests/edge"]
"""Left out with the oldest Streamlit: the tests in a browser, and those behind proxies."""


@nox.session
@nox.parametrize(
    ["python", "django", "streamlit"],
    COMBINATIONS,
    tags=[CORNERS.get(combination, []) for combination in COMBINATIONS],
)
def tests(session: nox.Session, django: str, streamlit: str) -> None:
    """The suite as scripts/test runs it; arguments go to pytest."""
    session.install(*requirements(str(session.python), django, streamlit))
    chosen = session.posargs or (NOT_IN_FRONT if streamlit == COMBINATIONS[0][2] else [])
    warnings = ("-W", "error", "-W", "ignore:unclosed database:ResourceWarning")  # as in scripts/test
    processes = ("--numprocesses", "auto", "--dist", "loadfile")
    session.run("python", "-X", "dev", *warnings, "-m", "pytest", *processes, *chosen)


def requirements(python: str, django: str, streamlit: str) -> list[str]:
    """What pip is asked for."""
    constraints = CONSTRAINTS.get((python, django, streamlit))
    # ruff, as the tests ask whether the docs' code is formatted.
    wanted = ["--editable", ".[test]", "ruff", f"django=={django}.*", f"streamlit=={streamlit}.*"]
    return [*wanted, "--constraint", constraints] if constraints else wanted
