"""What the whole suite shares."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers, get_channel_layer

from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

# Under `nohup` it is ignored, which the commands under test would inherit and take for a wish.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes `--numprocesses auto` stands for: each starts sites and a browser of its own."""
    return min(os.cpu_count() or 1, 4)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Give the processes this one's interpreter, with the options it was started with."""
    dev_mode = ["-X", "dev"] if sys.flags.dev_mode else []
    warnings = [f"-W{option}" for option in sys.warnoptions]
    for spec in specs:
        spec.python = shlex.join([sys.executable, *dev_mode, *warnings])


def pytest_unconfigure() -> None:
    """Remove the folder that Streamlit's AppTest (1.67) leaves to the interpreter, which warns of it."""
    kit = sys.modules.get("streamlit.testing.v1.app_test")
    if kit is not None:
        kit.TMP_DIR.cleanup()


@pytest.fixture(autouse=True)
def keep_channel_layer() -> Iterator[None]:
    """Give back the layer that the app sets at its start, which Channels forgets with other settings."""
    layer = get_channel_layer()
    yield
    channel_layers.set(DEFAULT_CHANNEL_LAYER, layer)
