"""The demo's settings with both apps open to everybody."""

from project.settings import *  # noqa: F403
from project.settings import FLUXLIT

FLUXLIT = {**FLUXLIT, "APPS": {name: {**app, "ACCESS": "public"} for name, app in FLUXLIT["APPS"].items()}}
