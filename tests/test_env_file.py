"""A `.env` file: what it sets, and what is said of a line that sets nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fluxlit_django import conf
from fluxlit_django.env_file import place_of, read_env_file
from fluxlit_django.exceptions import ConfigError


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a file; what it sets is taken back after the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return tmp_path / ".env"


def test_read_env_file(env_file):
    """Assignments count, comments and empty lines don't, and what is set already stays."""
    os.environ["FLUXLIT_WORKERS"] = "9"
    env_file.write_text(
        "# A comment\n\n  # Another\nFLUXLIT_TITLE='Shop'\nexport FLUXLIT_SERVER=daphne\nFLUXLIT_WORKERS=2\n"
    )

    read_env_file(env_file)

    found = [os.environ[f"FLUXLIT_{name}"] for name in ("TITLE", "SERVER", "WORKERS")]
    assert ["Shop", "daphne", "9"] == found
    assert [f"{env_file}, line 5", ""] == [place_of("FLUXLIT_SERVER"), place_of("FLUXLIT_WORKERS")]


def test_read_env_file__not_there(env_file):
    """A project may do without."""
    read_env_file(env_file)

    assert "" == place_of("FLUXLIT_TITLE")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "FLUXLIT_WORKERS 2",
            "line 2: this line, which begins with 'FLUXLIT_WORKERS', is not NAME=value. Write it",
        ),
        ("FLUXLIT_WORKERS = 2", "line 2: this line, which begins with 'FLUXLIT_WORKERS', is not NAME=value."),
        ("  FLUXLIT_WORKERS=2", "line 2: this line, which begins with 'FLUXLIT_WORKERS', is not NAME=value."),
        ("=s3cret", "line 2: this line, which begins with no name, is not NAME=value."),
        ('SECRET_KEY="s3cret', 'line 2: the value of SECRET_KEY opens a quote, ", and does not close it.'),
        ("SECRET_KEY='", "line 2: the value of SECRET_KEY opens a quote, ', and does not close it."),
    ],
)
def test_read_env_file__broken_line(env_file, line, said):
    """A line that is no assignment is one error with its file, line and remedy, without the value."""
    env_file.write_text(f"A=1\n{line}\n")

    with pytest.raises(ConfigError, match=re.escape(f"{env_file}, {said}")) as error:
        read_env_file(env_file)

    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_read_env_file__no_text(env_file):
    """What is no text is one error too, and shows nothing of the file."""
    env_file.write_bytes(b"SECRET_KEY=\xff\xfe")

    with pytest.raises(
        ConfigError, match=r"cannot be read: it is not UTF-8 text\. Mend it or take it away\.$"
    ):
        read_env_file(env_file)


def test_conf__names_the_line_of_a_bad_value(env_file):
    """A value that cannot be used is reported with the line it stands in."""
    env_file.write_text('FLUXLIT_FORWARDED_ALLOW_IPS=["10.0.0.0/8"\n')
    read_env_file(env_file)

    (problem,) = conf.load_config()[1]

    assert "forwarded_allow_ips_invalid" == problem.code
    assert problem.message.startswith(
        f"FLUXLIT_FORWARDED_ALLOW_IPS ({env_file}, line 1) is '[\"10.0.0.0/8\"': use a JSON array such as"
    )
