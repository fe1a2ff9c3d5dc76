"""The settings, read from the environment by a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PRODUCTION = {
    "SECRET_KEY": "kX2vQ9-mZ7bT4wR8yH1nJ6cF3gL5pD0sA-uE7iO2xV9qB4tW-long-enough",
    "ALLOWED_HOSTS": "shop.example",
    "CSRF_TRUSTED_ORIGINS": "https://shop.example",
    "SECURE_HSTS_SECONDS": "31536000",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": "true",
    "SECURE_HSTS_PRELOAD": "true",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing but this environment, and no `.env` unless it is named."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ENV_FILE": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


READ = """
import json, sys
from project import settings
print(json.dumps([getattr(settings, name, None) for name in sys.argv[1:]], default=str))
"""


def read(*names: str, **environment: str) -> list[Any]:
    """The values of some settings; None for one that is not there."""
    result = run("-c", READ, *names, **environment)
    assert 0 == result.returncode, result.stderr
    return list(json.loads(result.stdout))


def test_secret_key__missing():
    """Outside DEBUG there is no default: one sentence, and no start."""
    result = run("manage.py", "check")

    said = (
        "SECRET_KEY is not set: put a long random string into the environment or .env, or set DEBUG=true.\n"
    )
    assert (1, said) == (result.returncode, result.stderr)


def test_env_file__broken_line(tmp_path):
    """A line of `.env` that assigns nothing is one sentence, which names the file and the line."""
    (tmp_path / "env").write_text("A=1\nSECRET_KEY: s3cret\n")

    result = run("manage.py", "check", ENV_FILE=str(tmp_path / "env"))

    assert (1, 1) == (result.returncode, len(result.stderr.splitlines()))
    assert result.stderr.startswith(
        f"{tmp_path}/env, line 2: this line, which begins with 'SECRET_KEY', is not"
    )
    assert "s3cret" not in result.stderr


def test_fluxlit_config__strict_passes():
    """The configuration of a production environment has nothing that `--strict` would fail on."""
    sub_path = {
        "FLUXLIT_ROOT_PATH": "/apps/my-app",
        "FLUXLIT_PUBLIC_BASE_URL": "https://shop.example/apps/my-app",
        "FLUXLIT_FORWARDED_ALLOW_IPS": "10.0.0.0/8",
    }

    for environment in (PRODUCTION, PRODUCTION | sub_path):
        result = run("manage.py", "fluxlit_config", "--strict", **environment)
        assert (0, "No problems found.") == (result.returncode, result.stdout.splitlines()[-1])


def test_check_deploy__clean():
    """`check --deploy` has nothing to say about a production environment."""
    result = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)

    assert (0, "System check identified no issues (0 silenced).") == (
        result.returncode,
        result.stdout.strip(),
    )
    assert "" == result.stderr


def test_debug__works_with_nothing_else():
    """DEBUG alone is enough to develop, over plain HTTP."""
    names = ("DEBUG", "SESSION_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS")

    assert [True, False, False, 0] == read(*names, DEBUG="true")


def test_production__safe_by_default():
    """Outside DEBUG cookies are secure and HTTP leads to HTTPS."""
    names = ("DEBUG", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT")

    assert [False, True, True, True] == read(*names, SECRET_KEY="x")
    assert [False] * 4 == read(*names, SECRET_KEY="x", HTTPS="false")


def test_env_file__is_read_and_yields_to_the_environment(tmp_path):
    """`.env` fills in what the environment leaves out."""
    env_file = tmp_path / "env"
    env_file.write_text("SECRET_KEY=from-file\nALLOWED_HOSTS=file.example\n")

    values = read(
        "SECRET_KEY", "ALLOWED_HOSTS", ENV_FILE=str(env_file), ALLOWED_HOSTS="one.example,two.example"
    )

    assert ["from-file", ["one.example", "two.example"]] == values


def test_database__sqlite_by_default():
    """SQLite in WAL mode that waits for its lock, wherever the file is."""
    default = read("DATABASES", DEBUG="true")[0]["default"]
    elsewhere = read("DATABASES", DEBUG="true", DATABASE_URL="sqlite:////tmp/else.sqlite3")[0]["default"]

    assert str(ROOT / "db.sqlite3") == default["NAME"]
    assert "/tmp/else.sqlite3" == elsewhere["NAME"]
    assert default["OPTIONS"] == elsewhere["OPTIONS"]
    assert "journal_mode=WAL" in default["OPTIONS"]["init_command"]


def test_database__postgresql():
    """SQLite's options are SQLite's alone."""
    database = read("DATABASES", DEBUG="true", DATABASE_URL="postgres://shop:pw@db.example:5433/shop")[0][
        "default"
    ]

    assert ("django.db.backends.postgresql", "db.example", 5433) == (
        database["ENGINE"],
        database["HOST"],
        database["PORT"],
    )
    assert "OPTIONS" not in database


def test_redis__only_when_set():
    """Without Redis, sessions are in the database alone: a process's own cache would outlive a logout."""
    names = ("SESSION_ENGINE", "CACHES", "CHANNEL_LAYERS")

    assert ["django.contrib.sessions.backends.db", None, None] == read(*names, DEBUG="true")


def test_redis__cache_sessions_and_channels(tmp_path):
    """With Redis it is all three."""
    # The settings only ask whether the package is there.
    (tmp_path / "channels_redis.py").touch()
    environment = {"DEBUG": "true", "PYTHONPATH": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:6379/0"}

    engine, caches, layers = read("SESSION_ENGINE", "CACHES", "CHANNEL_LAYERS", **environment)

    assert "django.contrib.sessions.backends.cached_db" == engine
    assert "redis://127.0.0.1:6379/0" == caches["default"]["LOCATION"]
    assert ["redis://127.0.0.1:6379/0"] == layers["default"]["CONFIG"]["hosts"]


def test_redis__without_its_package():
    """REDIS_URL without channels_redis is said in one sentence."""
    without = "import sys; sys.modules['channels_redis'] = None; import project.settings"

    result = run("-c", without, DEBUG="true", REDIS_URL="redis://127.0.0.1:6379/0")

    assert 1 == result.returncode
    assert "REDIS_URL is set and channels_redis is not installed" in result.stderr.splitlines()[-1]


def test_migrations__complete():
    """The models need no further migration."""
    result = run(
        "manage.py", "makemigrations", "--check", "--dry-run", DEBUG="true", DATABASE_URL="sqlite://:memory:"
    )

    assert 0 == result.returncode, result.stdout
