"""The charts of the Streamlit pages. Their colours come from the theme, so they suit light and dark."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from project.shop.models import Category, Country

# The longest period, in days, that is shown by day, by week, by month.
GRAINS = ((45, "D", "%-d %b"), (240, "W", "%-d %b"), (1_000_000, "M", "%b %Y"))
CHART_HEIGHT = 320
AMOUNT_LABEL = "datum.value ? format(datum.value, '~s') : '0'"

CATEGORY_ORDER = sorted(Category.labels)


def revenue_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `reports.revenue_by_day`, with the names that people read."""
    frame = pd.DataFrame(rows, columns=["day", "category", "revenue"])
    frame["day"] = pd.to_datetime(frame["day"])
    frame["category"] = frame["category"].map(dict(Category.choices))
    frame["revenue"] = frame["revenue"].astype(float)
    return frame


def revenue_chart(frame: pd.DataFrame, days: int) -> alt.Chart:
    """Stacked bars of revenue by category, one for each day, week or month."""
    rule, date_format = next((rule, shown) for longest, rule, shown in GRAINS if days <= longest)
    # Bars are named by the first day of their week or month.
    bars = frame.assign(day=frame["day"].dt.to_period(rule).dt.start_time)
    bars = bars.groupby(["day", "category"], as_index=False)["revenue"].sum()
    return (
        alt.Chart(bars, height=CHART_HEIGHT)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "yearmonthdate(day):O",
                title=None,
                axis=alt.Axis(format=date_format, labelAngle=0, labelOverlap=True, ticks=False),
                scale=alt.Scale(paddingInner=0.25),
            ),
            y=alt.Y("revenue:Q", title=None, axis=alt.Axis(labelExpr=AMOUNT_LABEL, tickCount=5)),
            color=alt.Color(
                "category:N",
                scale=alt.Scale(domain=CATEGORY_ORDER),
                legend=alt.Legend(title=None, orient="bottom", columns=3, offset=0),
            ),
            order=alt.Order("category:N", sort="descending"),
            tooltip=[
                alt.Tooltip("day:T", title="Day" if rule == "D" else "From", format="%-d %B %Y"),
                alt.Tooltip("category:N", title="Category"),
                alt.Tooltip("revenue:Q", title="Revenue, €", format=",.2f"),
            ],
        )
    )


def country_chart(rows: list[dict[str, Any]]) -> alt.Chart:
    """Bars of revenue by country, the largest first."""
    frame = pd.DataFrame(rows, columns=["country", "orders", "revenue"])
    frame["country"] = frame["country"].map(dict(Country.choices))
    frame["revenue"] = frame["revenue"].astype(float)
    return (
        alt.Chart(frame, height=CHART_HEIGHT)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X(
                "revenue:Q",
                title=None,
                axis=alt.Axis(labelExpr=AMOUNT_LABEL, tickCount=4),
                # The axis ends at a tick, whose label then has room.
                scale=alt.Scale(nice=4),
            ),
            y=alt.Y("country:N", title=None, sort="-x", axis=alt.Axis(labelLimit=110, ticks=False)),
            tooltip=[
                alt.Tooltip("country:N", title="Country"),
                alt.Tooltip("orders:Q", title="Orders", format=","),
                alt.Tooltip("revenue:Q", title="Revenue, €", format=",.2f"),
            ],
        )
    )
