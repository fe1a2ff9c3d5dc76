from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

PLUGINS = ("-p", "no:randomly", "-p", "no:django", "-p", "no:asyncio")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty test suite with the hooks under test."""
    pytester.makeini("[pytest]")  # no file of a folder above counts
    pytester.makeconftest("from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport")
    return pytester


@pytest.mark.parametrize(
    ("ci", "expected"),
    [("true", {"failed": 1, "xfailed": 1}), ("", {"skipped": 1, "xfailed": 1})],
)
def test_skipped_test__fails_under_ci_only(suite, monkeypatch, ci, expected):
    """A skipped test fails when CI=true; an expected failure stays one."""
    monkeypatch.setenv("CI", ci)
    suite.makepyfile(
        """
        import pytest

        def test_skipped():
            pytest.skip("no browser here")

        @pytest.mark.xfail
        def test_expected_failure():
            assert False
        """
    )

    result = suite.runpytest_inprocess(*PLUGINS, "-rsf")

    result.assert_outcomes(**expected)
    result.stdout.fnmatch_lines(["*no browser here*"])


@pytest.mark.parametrize(("ci", "expected"), [("true", {"errors": 1}), ("", {"skipped": 1})])
def test_skipped_module__fails_under_ci_only(suite, monkeypatch, ci, expected):
    """A module that skips itself is an error when CI=true."""
    monkeypatch.setenv("CI", ci)
    suite.makepyfile("import pytest\npytest.skip('not on this platform', allow_module_level=True)")

    result = suite.runpytest_inprocess(*PLUGINS, "-rse")

    result.assert_outcomes(**expected)
    result.stdout.fnmatch_lines(["*not on this platform*"])
