"""Actions that give the chosen rows as a file, row by row, however many there are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

_CHUNK = 500  # rows read at a time
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Flatten = Callable[[Any], Iterable[Sequence[Any]]]
"""Gives the lines of a CSV file that a row becomes."""


def as_json(name: str) -> Callable[..., StreamingHttpResponse]:
    """An action that gives the chosen rows as a JSON array, with all their fields."""

    @admin.action(description="Export as JSON", permissions=["view"])
    def export_json(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> StreamingHttpResponse:
        pieces = _json_pieces(queryset.values().iterator(_CHUNK))
        return _file(pieces, f"{name}.json", "application/json")

    return export_json


def as_csv(name: str, header: Sequence[str], flatten: Flatten) -> Callable[..., StreamingHttpResponse]:
    """An action that gives the chosen rows as CSV."""

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> StreamingHttpResponse:
        lines = (line for row in queryset.iterator(_CHUNK) for line in flatten(row))
        return _file(_csv_pieces(header, lines), f"{name}.csv", "text/csv; charset=utf-8")

    return export_csv


def _file(pieces: Iterator[str], name: str, content_type: str) -> StreamingHttpResponse:
    dated = f"{timezone.localdate():%Y-%m-%d}-{name}"
    headers = {"Content-Disposition": f'attachment; filename="{dated}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(pieces, content_type=content_type, headers=headers)


def _json_pieces(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        yield f"{',' if number else ''}\n{json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)}"
    yield "\n]\n"


class _Echo:
    """A file for `csv` that hands each line back."""

    def write(self, text: str) -> str:
        return text


def _csv_pieces(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(header)
    for line in lines:
        yield writer.writerow([_cell(value) for value in line])


def _cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
