"""Prints docs/settings.md, made from the settings' own declarations.

Run after a change of `fluxlit_django/conf.py`:
    python scripts/settings_page.py > docs/settings.md
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from fluxlit_django import conf

INTRODUCTION = """\
# Settings

A value comes from the first of:

1. the command-line flag of `fluxlit_run`, where there is one;
2. the environment variable;
3. `FLUXLIT` in Django's settings, by the same name without the prefix: `FLUXLIT = {"ACCESS": "public"}`;
4. the default.

In the environment, a truth value is `true` or `false`, and a list is a JSON array or comma-separated.
`python manage.py check` reports a value that cannot be used and a name that is not known;
`python manage.py fluxlit_config` shows what each one is, and why ([diagnostics.md](diagnostics.md)).

A `.env` file is your settings module's to read. `fluxlit_django.env_file.read_env_file(path)` does it with
django-environ's rules, and stops at a line that assigns nothing, with its number.
"""

APPS = """\
## Several apps

The settings above describe the app named `default`. `FLUXLIT["APPS"]` in Django's settings describes more,
each with sidecars of its own:

```python
FLUXLIT = {
    "APPS": {
        "explore": {"SCRIPT": "analysis/explore.py", "MOUNT": "/explore", "ACCESS": "public"},
        "reports": {"APP": "reports.pages:app", "STREAMLIT_WORKERS": 2},
    },
}
```

An app takes `SCRIPT`, `APP`, `MOUNT`, `ACCESS`, `STREAMLIT_WORKERS`, `STREAMLIT_UPSTREAM` and
`FRAME_ANCESTORS`; `MOUNT` is the
app's name unless it is given. The default app is there as well when one of its settings names it, or an
installed Django app has a module `streamlit_pages`.
"""


def settings_page() -> str:
    """The page as Markdown."""
    rows = "\n".join(_rows())
    table = f"| Variable | Flag | Default | Meaning |\n| --- | --- | --- | --- |\n{rows}\n"
    return "\n".join((INTRODUCTION, table, APPS))


def _rows() -> Iterator[str]:
    for field in conf.setting_fields():
        flag = f"`{field.metadata['flag']}`" if field.metadata["flag"] else ""
        meaning = field.metadata["help"].replace("|", "\\|")
        yield f"| `FLUXLIT_{field.name.upper()}` | {flag} | {_shown_default(field)} | {meaning} |"


def _shown_default(field: dataclasses.Field[Any]) -> str:
    unit = field.metadata["unit"]
    if field.metadata["parse"] is conf.parse_mount:
        return f"`{field.default or '/'}`"
    if field.default in ("", ()):
        return "none"
    if isinstance(field.default, tuple):
        return f"`{','.join(field.default)}`"
    if unit == "bytes" and field.default and field.default % conf.MIB == 0:
        return f"`{field.default}` ({field.default // conf.MIB} MiB)"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, float):
        return f"`{field.default:g}` {unit}".rstrip()
    return f"`{field.default}` {unit}".rstrip()


if __name__ == "__main__":
    print(settings_page(), end="")
