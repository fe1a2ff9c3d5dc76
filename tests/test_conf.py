"""The configuration: what belongs together is read together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fluxlit_django import conf
from fluxlit_django.exceptions import ConfigError


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sets variables for one test."""
    return monkeypatch


def problem_ids() -> list[str]:
    """The ids of all problems of the configuration as it is now."""
    return [problem.id for problem in conf.load_config()[1]]


@pytest.mark.parametrize("script_name", ["/apps/my-app", "/apps/my-app/"])
def test_root_path__from_force_script_name(settings, script_name):
    """Django's own setting of the prefix is enough."""
    settings.FORCE_SCRIPT_NAME = script_name

    config, problems = conf.load_config()

    assert ("/apps/my-app", "settings", []) == (config.root_path, config.sources["root_path"], problems)


def test_root_path__contradicts_force_script_name(settings, environment):
    """Two different prefixes are an error."""
    settings.FORCE_SCRIPT_NAME = "/one"
    environment.setenv("FLUXLIT_ROOT_PATH", "/two")

    assert ["fluxlit.E006"] == problem_ids()


@pytest.mark.parametrize(
    ("url", "root_path", "expected"),
    [
        ("https://shop.example.com", "", []),
        ("https://shop.example.com/", "", []),
        ("https://example.com/apps/my-app", "/apps/my-app", []),
        ("https://example.com/apps/my-app/", "/apps/my-app", []),
        ("https://example.com/apps/other", "/apps/my-app", ["fluxlit.W030"]),
        ("https://example.com", "/apps/my-app", ["fluxlit.W030"]),
        ("https://example.com/apps/my-app", "", ["fluxlit.W030"]),
        ("example.com", "", ["fluxlit.E001"]),
    ],
)
def test_public_base_url__has_the_root_path(environment, url, root_path, expected):
    """The public URL's path is the root path."""
    environment.setenv("FLUXLIT_PUBLIC_BASE_URL", url)
    environment.setenv("FLUXLIT_ROOT_PATH", root_path)

    assert expected == problem_ids()


# Each setting from each source


@pytest.mark.parametrize(
    ("parse", "raw", "expected"),
    [
        (conf.parse_bool, True, True),
        (conf.parse_bool, " Yes ", True),
        (conf.parse_bool, "1", True),
        (conf.parse_bool, "off", False),
        (conf.parse_bool, "", False),
        (conf.parse_list, '["a", "b"]', ("a", "b")),
        (conf.parse_list, " a, b ,,", ("a", "b")),
        (conf.parse_list, ["a"], ("a",)),
        (conf.parse_list, "", ()),
        (conf.whole_number(1, 64), "8", 8),
        (conf.whole_number(1, 64), 64, 64),
        (conf.seconds(0.1), "0.1", 0.1),
        (conf.seconds(0), 3, 3.0),
        (conf.parse_mount, "/", ""),
        (conf.parse_mount, "explore/", "/explore"),
        (conf.parse_mount, "//a/b//", "/a/b"),
        (conf.parse_url, "http://127.0.0.1:8501/", "http://127.0.0.1:8501"),
        (conf.parse_url, "", ""),
        (conf.parse_url, "https://ann:p@[::1]:8501/a", "https://ann:p@[::1]:8501/a"),
        (conf.parse_host, " shop_1.example ", "shop_1.example"),
        (conf.parse_host, "[::1]", "[::1]"),
        (conf.parse_host, "fe80::1%eth0", "fe80::1%eth0"),
        (conf.parse_host, "", ""),
        (conf.parse_target, "shop.pages:app", "shop.pages:app"),
        (conf.parse_header_names, "TraceParent,traceparent", ("traceparent",)),
        (conf.parse_user_fields, "email,is_staff,email", ("email", "is_staff")),
        (conf.parse_optional_access, " ", ""),
        (conf.parse_optional_access, "staff", "staff"),
        (conf.parse_script, "", ""),
        (conf.one_of("a", "b"), " b ", "b"),
    ],
)
def test_parse(parse, raw, expected):
    """What a source holds becomes the field's value."""
    assert expected == parse(raw)


@pytest.mark.parametrize(
    ("parse", "raw", "remedy"),
    [
        (conf.parse_bool, "perhaps", "use true or false"),
        (conf.parse_list, "[1", "use a JSON array"),
        (conf.parse_list, "[1]", "use a list of strings"),
        (conf.parse_list, 7, "use a list of strings"),
        (conf.whole_number(1, 64), "65", "use a whole number from 1 to 64"),
        (conf.whole_number(1, 64), "1.5", "use a whole number from 1 to 64"),
        (conf.whole_number(0, 64), True, "use a whole number from 0 to 64"),
        (conf.seconds(0.1), "0", "use a number of seconds from 0.1 to 86400"),
        (conf.seconds(0), "soon", "use a number of seconds"),
        (conf.seconds(0), "nan", "use a number of seconds"),
        (conf.parse_mount, "/a b", "use a path such as"),
        (conf.parse_mount, "/a/../b", "use a path such as"),
        (conf.parse_mount, "/a?b", "use a path such as"),
        (conf.parse_api_mount, "/", "use a path other than /"),
        (conf.parse_url, "127.0.0.1:8501", "use an absolute URL"),
        (conf.parse_url, "unix:/x.sock", "use an absolute URL"),
        (conf.parse_url, "http://[::1", "use an absolute URL"),
        (conf.parse_url, "http://h:port", "use an absolute URL"),
        (conf.parse_url, "http://h:65536", "use an absolute URL"),
        (conf.parse_url, "http://shop example", "use an absolute URL"),
        (conf.parse_url, "http://h/?token=x", "without ? and #"),
        (conf.parse_url, "http://h/#x", "without ? and #"),
        (conf.parse_host, "http://ann:s3cret@h", "use an address or a host name"),
        (conf.parse_host, "shop example", "use an address or a host name"),
        (conf.parse_script, "app.txt", "ending in .py"),
        (conf.parse_target, "shop.pages", "use package.module:attribute"),
        (conf.parse_header_names, "a b", "use at most 32 header names"),
        (conf.parse_user_fields, "_password", "use at most 32 names"),
        (conf.parse_user_fields, "a__b", "use at most 32 names"),
        (conf.parse_optional_access, "everybody", "use public, login"),
        (conf.parse_header_names, ",".join(f"x-{n}" for n in range(33)), "use at most 32 header names"),
        (conf.one_of("a", "b", "c"), "d", "use a, b or c"),
    ],
)
def test_parse__that_cannot_be_used(parse, raw, remedy):
    """What cannot be used is refused, with the remedy."""
    with pytest.raises(ValueError, match=re.escape(remedy)):
        parse(raw)


def test_sources__in_their_order(settings, environment):
    """A flag goes before the environment, that before the settings, those before the default."""
    settings.FLUXLIT = {"WORKERS": 2, "LOG_LEVEL": "error", "TITLE": "Shop"}
    environment.setenv("FLUXLIT_WORKERS", "3")
    environment.setenv("FLUXLIT_LOG_LEVEL", "debug")
    environment.setenv("FLUXLIT_FLAGS", '{"workers": 4}')

    config, problems = conf.load_config()

    assert [] == problems
    assert (4, "debug", "Shop", 8000) == (config.workers, config.log_level, config.title, config.gateway_port)
    names = ("workers", "log_level", "title", "gateway_port")
    assert ["flag", "environment", "settings", "default"] == [config.sources[name] for name in names]


def test_get_config__names_every_fault(settings):
    """A configuration that cannot be used is one error with all its faults, each with its remedy."""
    settings.FLUXLIT = {"WORKERS": 0, "SERVER": "gunicorn", "TITEL": "x"}

    with pytest.raises(ConfigError) as error:
        conf.get_config()

    said = str(error.value)
    assert 'FLUXLIT["WORKERS"] is 0: use a whole number from 1 to 64.' in said
    assert "FLUXLIT[\"SERVER\"] is 'gunicorn': use uvicorn or daphne." in said
    assert 'FLUXLIT["TITEL"] is not a setting. Did you mean TITLE?' in said


def test_environment__unknown_name(environment):
    """A misspelt variable is a warning: it may be somebody else's."""
    environment.setenv("FLUXLIT_WORKRES", "2")

    (problem,) = conf.load_config()[1]

    assert ("fluxlit.W001", "Did you mean WORKERS?", False) == (problem.id, problem.hint, problem.is_error)


def test_apps(settings):
    """Each entry is an app under its own mount; without a default one there is none at the root."""
    settings.INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "fluxlit_django"]
    settings.FLUXLIT = {
        "ACCESS": "public",
        "APPS": {
            "a": {"SCRIPT": "a.py"},
            "b": {"MOUNT": "/x/b/", "STREAMLIT_WORKERS": 2, "ACCESS": "public"},
        },
    }

    apps = conf.get_config().apps

    assert [("a", "/a", "login", 1), ("b", "/x/b", "public", 2)] == [
        (app.name, app.mount, app.access, app.sidecars) for app in apps
    ]
    assert ["/a/", "/x/b/"] == [app.url_path for app in apps]
    assert apps[0].script.startswith("/")


def test_apps__the_script_is_the_default_app(settings, environment):
    """With a script in the environment, that script is at the root, whatever else there is."""
    settings.FLUXLIT = {"APPS": {"a": {"SCRIPT": "a.py"}}}
    environment.setenv("FLUXLIT_SCRIPT", "dashboard.py")

    config = conf.get_config.__wrapped__()

    assert ["default", "a"] == [app.name for app in config.apps]
    assert config.get_app("default").script.endswith("/dashboard.py")


def test_get_app__unknown(settings):
    """Asking for an app that is not there names those that are."""
    settings.FLUXLIT = {"SCRIPT": "x.py"}

    with pytest.raises(ConfigError, match="no Streamlit app named 'shop'; known are: default"):
        conf.get_config().get_app("shop")


@pytest.mark.parametrize("field", list(conf.setting_fields()), ids=lambda field: field.name)
def test_settings__defaults_are_usable(field):
    """Every default is what its own parser would make of it, and every setting has a line of help."""
    if field.default != "":
        assert field.default == field.metadata["parse"](field.default)
    assert field.metadata["help"].endswith(".")


# What is shown of them


def explained() -> dict[str, conf.Effective]:
    """Every setting as it is shown now, by name."""
    return {entry.name: entry for entry in conf.explain(conf.load_config()[0])}


def test_explain__says_where_a_value_came_from(settings, environment):
    """Every setting is there, with its value, source, default, unit and help."""
    settings.FLUXLIT = {"TITLE": "Shop"}
    environment.setenv("FLUXLIT_STREAMLIT_MAX_RSS_MB", "512")
    environment.setenv("FLUXLIT_FLAGS", '{"workers": "4"}')

    found = explained()

    assert {f"FLUXLIT_{field.name.upper()}" for field in conf.setting_fields()} == set(found)
    assert ("Shop", "settings", "") == (
        found["FLUXLIT_TITLE"].value,
        found["FLUXLIT_TITLE"].source,
        found["FLUXLIT_TITLE"].place,
    )
    assert (4, "flag", "--workers") == (
        found["FLUXLIT_WORKERS"].value,
        found["FLUXLIT_WORKERS"].source,
        found["FLUXLIT_WORKERS"].place,
    )
    assert (
        conf.Effective(
            name="FLUXLIT_STREAMLIT_MAX_RSS_MB",
            value=512,
            source="environment",
            place="",
            default=0,
            unit="MiB",
            help="Memory above which a sidecar is replaced, sessions going on until they end; 0 for never.",
        )
        == found["FLUXLIT_STREAMLIT_MAX_RSS_MB"]
    )


def test_explain__keeps_secrets(settings, environment):
    """Secret settings and what a URL says of a user are left out, in messages too."""
    environment.setenv("FLUXLIT_STREAMLIT_UPSTREAM", "http://ann:s3cret@10.0.0.9:8501")
    environment.setenv("FLUXLIT_PUBLIC_BASE_URL", "https://ann:s3cret@shop.example/x")
    environment.setenv("FLUXLIT_INTERNAL_API_BASE", "ann:s3cret@shop.example")
    environment.setenv("FLUXLIT_TEST_PAGE_OVERRIDES", '{"user": "s3cret"')
    settings.FLUXLIT = {"FRAME_ANCESTORS": ["https://ann:s3cret@portal.example"]}

    config, problems = conf.load_config()

    assert "s3cret" not in repr(conf.explain(config))
    assert "s3cret" not in repr(problems)
    assert "http://[REDACTED]@10.0.0.9:8501" == explained()["FLUXLIT_STREAMLIT_UPSTREAM"].value
    assert [
        "internal_api_base_invalid",
        "frame_ancestors_invalid",
        "test_page_overrides_invalid",
        "public_base_url_path_mismatch",
    ] == [problem.code for problem in problems]


def test_codes__every_id_has_a_word():
    """Every id that the package uses has a word, and no two have the same."""
    package = Path(conf.__file__).parent
    used = {
        id for file in package.rglob("*.py") for id in re.findall(r'"(fluxlit\.[EW]\d{3})"', file.read_text())
    }

    assert used == set(conf.CODES)
    assert len(conf.CODES) == len(set(conf.CODES.values()))
