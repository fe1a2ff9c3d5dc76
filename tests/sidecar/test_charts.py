"""What altair need not check again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from fluxlit_django.sidecar import charts
from tests.sidecar import process
from tests.streamlit_protocol import StreamlitClient

SCRIPT = """
import altair as alt, pandas as pd, streamlit as st
from altair.utils.schemapi import SchemaBase
data = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
st.text(f"remembers: {hasattr(SchemaBase.validate, '__wrapped__')}")
st.line_chart(data)
st.altair_chart(alt.Chart(data).mark_bar().encode(x="a", y="b"))
try:
    st.altair_chart(alt.Chart(data).mark_bar().encode(x=alt.X("a", axis="no axis")))
except Exception as exc:
    st.text(type(exc).__name__)
"""


class Checks:
    """Altair's check, which lets everything pass but `{"bad": …}`."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, cls: type, instance: Any, schema: Any = None) -> None:
        self.made.append(instance)
        if "bad" in instance:
            raise ValueError("bad")


def chart(view: str = "view_1", data: str = "0" * 64, **other: Any) -> dict[str, Any]:
    return {"data": {"name": data}, "params": [{"name": "param_1", "views": [view]}], **other}


def keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """What a JSON schema asks of text."""
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name in {"const", "enum", "format", "maxLength", "minLength", "pattern"}:
                yield name, value
            yield from keywords(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keywords(value)


def test_remembering__like_a_valid_one() -> None:
    """What differs from a valid chart in the names that every rerun makes anew is not checked again."""
    checks = Checks()
    validate = charts.remembering(checks)

    validate(dict, chart())
    validate(dict, chart("view_4711", "1" * 64))
    validate(dict, chart("view_79c4_0"))

    assert [chart()] == checks.made


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(chart("view_mine"), id="a name of the script's"),
        pytest.param(chart(mark="bar"), id="a further property"),
        pytest.param({**chart(), "data": {"name": ""}}, id="no name"),
        pytest.param({**chart(), "data": {"name": 0}}, id="a number"),
        pytest.param({**chart(), "data": {"view_1": "view_1"}}, id="a name as a property"),
    ],
)
def test_remembering__unlike(other: dict[str, Any]) -> None:
    """Anything else is checked."""
    checks = Checks()
    validate = charts.remembering(checks)

    validate(dict, chart())
    validate(dict, other)

    assert [chart(), other] == checks.made


def test_remembering__by_class_and_schema() -> None:
    """What is valid for one class, or one schema, may be wrong for another."""
    checks, schema, other_schema = Checks(), {"type": "object"}, {"type": "object"}
    validate = charts.remembering(checks)

    for cls, wanted in [(dict, None), (list, None), (dict, schema), (dict, other_schema), (dict, schema)]:
        validate(cls, chart(), wanted)

    assert 4 == len(checks.made)


def test_remembering__invalid() -> None:
    """What is wrong is wrong each time."""
    validate = charts.remembering(Checks())

    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            validate(dict, {"bad": 1})


def test_remembering__not_json() -> None:
    """What cannot be compared is checked each time."""
    checks = Checks()
    validate = charts.remembering(checks)

    validate(dict, {"day": {1, 2}})
    validate(dict, {"day": {1, 2}})

    assert 2 == len(checks.made)


def test_remembering__not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory has an end."""
    monkeypatch.setattr(charts, "_MOST_REMEMBERED", 2)
    checks = Checks()
    validate = charts.remembering(checks)

    for width in (1, 2, 3, 1):
        validate(dict, {"width": width})

    assert 4 == len(checks.made)


def test_changing_names__alike_to_the_schema() -> None:
    """No keyword of the installed Vega-Lite schema tells one of the names from another."""
    import altair

    text = next(files(altair.vegalite).glob("v*/schema/vega-lite-schema.json")).read_text()
    asked = list(keywords(json.loads(text)))
    words = {
        value
        for name, given in asked
        if name in {"const", "enum"}
        for value in ([given] if name == "const" else given)
    }
    others = {
        (name, given)
        for name, given in asked
        if name not in {"const", "enum"} and not isinstance(given, dict)
    }

    assert not [word for word in words if charts._CHANGING_NAME.fullmatch(json.dumps(word))]
    assert {
        ("format", "uri"),
        ("format", "color-hex"),
        ("format", "uri-reference"),
        ("minLength", 1),
        ("maxLength", 1),
    } >= others


def test_remember_valid__no_altair(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that draws nothing has altair not imported for it."""
    monkeypatch.delitem(sys.modules, "altair.utils.schemapi", raising=False)

    charts.remember_valid()

    assert "altair.utils.schemapi" not in sys.modules


async def test_sidecar__charts(tmp_path: Path) -> None:
    """Charts are the same in every rerun, and so is what is wrong with one."""
    script = tmp_path / "app.py"
    script.write_text(SCRIPT)

    with process.running(env={"FLUXLIT_SCRIPT": str(script)}) as sidecar:
        async with StreamlitClient(sidecar.address) as client:
            runs = [await client.rerun() for _ in range(3)]

    assert [
        ["remembers: False", "SchemaValidationError"],
        ["remembers: True", "SchemaValidationError"],
        ["remembers: True", "SchemaValidationError"],
    ] == [run.texts() for run in runs]
    specs = [
        [
            getattr(element, kind).spec
            for element in run.elements()
            if "vega" in (kind := str(element.WhichOneof("type")))
        ]
        for run in runs
    ]
    assert 2 == len(specs[0])
    assert specs[0] == specs[1] == specs[2]
