"""`manage.py fluxlit_assets`: compress Streamlit's frontend ahead of the first start."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fluxlit_django import control
from fluxlit_django.conf import get_config
from fluxlit_django.gateway import assets, precompress

_LOWEST_PRIORITY = 19
_TOLD_TIMES = 4  # how often a run in the background says how far it is


class Command(BaseCommand):
    """Compress, showing how far it is."""

    help = "Compress Streamlit's frontend, which fluxlit_run otherwise does in the background."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The one option."""
        parser.add_argument(
            "--background", action="store_true", help="Run at the lowest priority and print little."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Compress what is not compressed yet.

        Raises:
            CommandError: the folder cannot be written.
        """
        source, target = assets.bundle_directory(), assets.cache_directory(get_config().assets_dir)
        in_background: bool = options["background"]
        if in_background:
            os.nice(_LOWEST_PRIORITY)
        if control.FD_VARIABLE in os.environ:
            control.die_with_parent()
        if precompress.is_complete(source, target):
            if not in_background:
                self.stdout.write(f"Streamlit's frontend is compressed already, in {target}.")
            return
        self.stdout.write("Compressing Streamlit's frontend, once for this version …")
        try:
            for done, total in precompress.compress_bundle(source, target):
                if in_background:
                    self._tell_quarter(done, total)
                elif self.stdout.isatty():
                    self.stdout.write(f"\r{done} of {total} files", ending="")
        except OSError as exc:
            msg = (
                f"{target} cannot be written: {exc.strerror}. "
                "Set FLUXLIT_ASSETS_DIR to a folder that can; until then the frontend is served uncompressed."
            )
            raise CommandError(msg) from exc
        self.stdout.write(f"Streamlit's frontend is compressed, in {target}.")

    def _tell_quarter(self, done: int, total: int) -> None:
        """Say how far it is when another quarter of the files is done; beginning and end have their words."""
        quarter, before = (count * _TOLD_TIMES // total for count in (done, done - 1))
        if 0 < quarter < _TOLD_TIMES and quarter > before:
            self.stdout.write(f"{done} of {total} files are compressed.")
