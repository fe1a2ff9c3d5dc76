"""Bar charts as SVG that read well on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT = 760, 190, 120
_TOP, _ROW, _BAR, _BOTTOM = 66, 34, 18, 14

_STYLE = """\
  <style>
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #3d4742; }
    .title { font-size: 16px; font-weight: 600; fill: #1f2a24; }
    .note { font-size: 12px; fill: #69736d; }
    .value { font-weight: 600; fill: #1f2a24; font-variant-numeric: tabular-nums; }
    .other { fill: #b3bcb6; }
    .ours { fill: #2f7d57; }
    .spread { stroke: #1f2a24; stroke-width: 1.5; opacity: .55; }
    .axis { stroke: #d7dcd8; }
    @media (prefers-color-scheme: dark) {
      text { fill: #c3ccc6; }
      .title, .value { fill: #edf0ec; }
      .note { fill: #98a29c; }
      .other { fill: #5a655f; }
      .ours { fill: #5fb98b; }
      .spread { stroke: #edf0ec; }
      .axis { stroke: #39423d; }
    }
  </style>"""


@dataclass(frozen=True)
class Row:
    """One bar: its middle, and the line from its least to its greatest round."""

    label: str
    value: float
    low: float
    high: float
    is_ours: bool


def bar_chart(title: str, note: str, unit: str, rows: Sequence[Row]) -> str:
    """A chart of horizontal bars from 0."""
    height = _TOP + _ROW * len(rows) + _BOTTOM
    room = _WIDTH - _LEFT - _RIGHT
    greatest = max((row.high for row in rows), default=0.0) or 1.0
    drawn = "\n".join(
        _draw(row, _TOP + _ROW * number, room / greatest, unit) for number, row in enumerate(rows)
    )
    described = "; ".join(f"{row.label}: {shown_value(row.value)} {unit}".strip() for row in rows)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">
  <title>{escape(title)}</title>
  <desc>{escape(described)}</desc>
{_STYLE}
  <text class="title" x="16" y="28">{escape(title)}</text>
  <text class="note" x="16" y="48">{escape(note)}</text>
  <line class="axis" x1="{_LEFT}" y1="{_TOP - 6}" x2="{_LEFT}" y2="{height - _BOTTOM}"/>
{drawn}
</svg>
"""


def _draw(row: Row, top: int, scale: float, unit: str) -> str:
    middle = top + _BAR / 2
    width = max(row.value * scale, 1.5)
    spread = ""
    if row.high > row.low:
        ends = (_LEFT + row.low * scale, _LEFT + row.high * scale)
        spread = (
            f'\n  <line class="spread" x1="{ends[0]:.1f}" y1="{middle}" x2="{ends[1]:.1f}" y2="{middle}"/>'
        )
    text_x = _LEFT + max(width, row.high * scale) + 8
    return (
        f'  <text x="{_LEFT - 10}" y="{middle + 4.5}" text-anchor="end">{escape(row.label)}</text>\n'
        f'  <rect class="{"ours" if row.is_ours else "other"}" x="{_LEFT}" y="{top}" width="{width:.1f}" '
        f'height="{_BAR}" rx="3"/>{spread}\n'
        f'  <text class="value" x="{text_x:.1f}" y="{middle + 4.5}">'
        f"{shown_value(row.value)} {escape(unit)}</text>"
    )


def shown_value(value: float) -> str:
    """A number with three digits that count, and no more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"
