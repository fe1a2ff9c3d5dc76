"""Run a supervisor over fake children, as a process that a test can kill.

Arguments: a JSON object of child names to lists of `fake_child.py` arguments.
"""

import asyncio
import json
import sys

from fluxlit_django.conf import AppConfig, Config
from fluxlit_django.supervisor.events import Event
from fluxlit_django.supervisor.supervisor import Supervisor
from tests.supervisor.children import PATIENCE, fake


def tell(event: Event) -> None:
    print("event", event.kind.value, event.child, flush=True)


def show_lines(name: str, texts: list[str]) -> None:
    for text in texts:
        print(name, text, flush=True)


children = [fake(name, *words) for name, words in json.loads(sys.argv[1]).items()]
config = Config(gateway_port=0, apps=(AppConfig("default", ""),))
supervisor = Supervisor(config, show_lines, hooks=[tell], commands=children, patience=PATIENCE)
sys.exit(asyncio.run(supervisor.run()))
