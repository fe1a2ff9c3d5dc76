"""`manage.py fluxlit_run`: Django and Streamlit on one port."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.urls import NoReverseMatch, get_script_prefix, reverse

from fluxlit_django import conf, logs
from fluxlit_django.exceptions import ConfigError, StartupError
from fluxlit_django.history.recorder import Recorder
from fluxlit_django.history.snapshot import scrubber_of, take_snapshot
from fluxlit_django.supervisor.banner import banner
from fluxlit_django.supervisor.command import Command as ChildCommand
from fluxlit_django.supervisor.command import assets_command, commands
from fluxlit_django.supervisor.notify import Notifier
from fluxlit_django.supervisor.output import (
    JsonOutput,
    JsonStream,
    Output,
    OutputHandler,
    StartScreen,
    uses_colour,
)
from fluxlit_django.supervisor.supervisor import Changes, Supervisor


class Command(BaseCommand):
    """Parse, check, run."""

    help = "Serve Django and its Streamlit apps on one port."
    requires_system_checks = ()  # they run in `handle`, where the flags are known

    def add_arguments(self, parser: CommandParser) -> None:
        """One option for each setting that has a flag."""
        for field in conf.setting_fields():
            flag, help = field.metadata["flag"], field.metadata["help"]
            if flag and field.type == "bool":
                parser.add_argument(flag, dest=field.name, action="store_true", default=None, help=help)
            elif flag:
                metavar = flag.removeprefix("--").upper()
                help = f"{help} Default: {field.default}."
                parser.add_argument(flag, dest=field.name, metavar=metavar, help=help)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal.

        Raises:
            CommandError: it could not start; the message says why.
        """
        hand_down_flags(options)
        if conf.load_config()[0].log_format == "json":
            self.stderr = OutputWrapper(JsonStream(JsonOutput(options.get("stderr") or sys.stderr)))
        self._check()
        config = conf.get_config()
        require_scripts(config)

        stream = options.get("stdout") or sys.stdout
        colour = options["force_color"] or (uses_colour(stream) and not options["no_color"])
        names = [command.name for command in commands(config)]
        output = (
            JsonOutput(stream)
            if config.log_format == "json"
            else Output(stream, width=max(map(len, [*names, "supervisor"])), colour=colour)
        )
        logs.make_visible(config, OutputHandler(output))

        def render_banner(started_in_s: float) -> str:
            return banner(
                config,
                port=supervisor.port,
                admin_path=find_admin(),  # only now, as it loads the project's URLs
                started_in_s=started_in_s,
                colour=colour and config.log_format == "console",
            )

        screen = StartScreen(output, names, render_banner)
        notifier, recorder = Notifier.from_environment(os.environ), make_recorder(config)
        supervisor = Supervisor(
            config,
            output.lines,
            hooks=[screen, notifier, recorder],
            watcher=find_watcher(config),
            jobs=assets_job(config),
        )
        screen.show()
        try:
            with recorder:
                exit_code = asyncio.run(run(supervisor, notifier))
        except StartupError as exc:
            raise CommandError(str(exc)) from exc
        if exit_code:
            sys.exit(exit_code)

    def _check(self) -> None:
        """Show what is wrong; the code of the project is looked at only when a warning is to stop us.

        Raises:
            SystemCheckError: there is an error, or under FLUXLIT_STRICT_STARTUP a warning.
        """
        if not conf.load_config()[0].strict_startup:
            self.check(tags=["fluxlit"])
            return
        self.check(
            tags=["fluxlit", "fluxlit_project", "fluxlit_pages"],
            include_deployment_checks=True,
            fail_level=checks.WARNING,
        )


async def run(supervisor: Supervisor, notifier: Notifier) -> int:
    """Run, and let systemd's watchdog know that the loop does; the exit code."""
    async with notifier.heart_beat():
        return await supervisor.run()


def make_recorder(config: conf.Config) -> Recorder:
    """What keeps this start and what happens from now on for the admin."""
    scrubber = scrubber_of(config)
    apps = {command.name: command.app for command in commands(config)}
    return Recorder(take_snapshot(config, sys.argv, scrubber), apps, scrubber, config)


def hand_down_flags(options: dict[str, Any]) -> None:
    """Make the flags that were given known to `conf`, here and in every child."""
    flags = {
        field.name: options[field.name]
        for field in conf.setting_fields()
        if field.metadata["flag"] and options.get(field.name) is not None
    }
    os.environ[conf.FLAGS_VARIABLE] = json.dumps(flags)
    conf.get_config.cache_clear()


def require_scripts(config: conf.Config) -> None:
    """Refuse to start with a script that cannot be read.

    Raises:
        CommandError: says which, why, and what to do.
    """
    try:
        for app in config.apps:
            if not app.upstream:
                app.require_script()
    except ConfigError as exc:
        raise CommandError(str(exc)) from exc


def find_watcher(config: conf.Config) -> Changes | None:
    """What tells of changed files under `--reload`."""
    if not config.reload:
        return None
    # Only then: a start waits for each import.
    from fluxlit_django.supervisor.reload import Sources, Watcher

    return Watcher(Sources.of_project(config))


def assets_job(config: conf.Config) -> Iterator[ChildCommand]:
    """The job that compresses Streamlit's frontend, unless that has been done.

    The supervisor asks when everything serves: until then, neither the question nor its imports delay it.
    """
    from fluxlit_django.gateway import assets, precompress

    compressed = assets.cache_directory(config.assets_dir)
    if not precompress.is_complete(assets.bundle_directory(), compressed):
        yield assets_command()


def find_admin() -> str:
    """Path of Django's admin below the project's own prefix, "" when the project has none."""
    try:
        path = reverse("admin:index")
    except NoReverseMatch:
        return ""
    return "/" + path.removeprefix(get_script_prefix())
