"""Altair's checks of charts, made once for charts that look alike.

Altair (5 and 6) checks every chart, and most of its parts, against the schema of Vega-Lite: of a rerun with
a table and two of Streamlit's charts that is a third. What has been found valid is valid the next time.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from collections.abc import Callable
from typing import Any

_MODULE = "altair.utils.schemapi"
_MOST_REMEMBERED = 10_000  # parts of charts, in some 100 bytes each

_CHANGING_NAME = re.compile(r'"(?:(?:view|param)_[0-9a-f]+(?:_[0-9]+)?|[0-9a-f]{32,})"')
"""What is named anew in every rerun: views and parameters (by altair) and data (by Streamlit, with a hash).

No keyword of the schema tells one such name from another: it knows none of them, and none is a URI, a colour
or a single character, which are all that it asks of text (Vega-Lite 5 and 6).
"""

_ANY_NAME = '"view_0"'

Validate = Callable[..., None]


def remember_valid() -> None:
    """Have altair remember what is valid, once a script has imported it. May be called again."""
    base = getattr(sys.modules.get(_MODULE), "SchemaBase", None)
    if base is not None and not hasattr(base.validate, "__wrapped__"):
        base.validate = classmethod(remembering(base.validate.__func__))


def remembering(validate: Validate) -> Validate:
    """`SchemaBase.validate` of altair, which does not look again at what is like something it let pass."""
    known: dict[tuple[Any, ...], Any] = {}

    @functools.wraps(validate)
    def wrapper(cls: Any, instance: Any, schema: Any = None) -> None:
        try:
            text = json.dumps(instance)
        except (TypeError, ValueError):  # not JSON, which is for altair to say
            validate(cls, instance, schema)
            return
        shape = _CHANGING_NAME.sub(_ANY_NAME, text)
        key = (cls, id(schema), hashlib.blake2b(shape.encode(), digest_size=16).digest())
        if key in known:
            return
        validate(cls, instance, schema)
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[key] = schema  # held, so that its id stays its own

    return wrapper
