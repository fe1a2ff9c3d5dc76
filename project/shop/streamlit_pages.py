"""The shop's Streamlit pages: how it is doing, its products through the API, and orders from a file."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import httpx
import pandas as pd
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.urls import get_script_prefix, reverse

from fluxlit_django import ApiClient, PageMeta, site
from project.shop import charts, imports, reports
from project.shop.models import Category, Country, Product, Status

# What the browser shows in its tab.
ICON = "🌿"
WIDE = PageMeta(page_icon=ICON, layout="wide")
PREVIEW_ROWS = 200


@site.page("/", title="Overview", icon=":material/monitoring:", page_meta=WIDE)
def overview(st: Any) -> None:
    """What the shop sold, from the ORM."""
    show_account(st)
    st.title("Overview")
    bounds = reports.find_days()
    if bounds is None:
        st.info(
            "There are no orders yet. `manage.py load_demo` fills the shop.", icon=":material/storefront:"
        )
        return
    selection = choose_selection(st, *bounds)
    frame = charts.revenue_frame(reports.revenue_by_day(selection))
    if frame.empty:
        st.info("Nothing was sold in this selection. Take away a filter.", icon=":material/filter_alt_off:")
        return
    show_totals(st, selection, bounds[0])
    left, right = st.columns([2, 1])
    with left.container(border=True):
        st.markdown("**Revenue by category, €**")
        st.altair_chart(charts.revenue_chart(frame, selection.days))
    with right.container(border=True):
        st.markdown("**Revenue by country, €**")
        st.altair_chart(charts.country_chart(reports.revenue_by_country(selection)))
    show_top_products(st, selection)


def choose_selection(st: Any, first_day: dt.date, last_day: dt.date) -> reports.Selection:
    """The filters: period, categories, countries."""
    period, categories, countries = st.columns([2, 1, 1], gap="medium")
    if first_day == last_day:
        # A slider needs two ends.
        first_day -= dt.timedelta(days=1)
    start, end = period.slider(
        "Period",
        min_value=first_day,
        max_value=last_day,
        value=(max(first_day, last_day - dt.timedelta(days=89)), last_day),
        format="D MMM YYYY",
    )
    chosen_categories = categories.multiselect(
        "Categories", Category.values, format_func=lambda value: Category(value).label, placeholder="All"
    )
    chosen_countries = countries.multiselect(
        "Countries", Country.values, format_func=lambda value: Country(value).label, placeholder="All"
    )
    return reports.Selection(start, end, tuple(chosen_categories), tuple(chosen_countries))


def show_totals(st: Any, selection: reports.Selection, first_day: dt.date) -> None:
    """The totals, each compared with as many days before where the shop is old enough for that."""
    now, trend = reports.sum_up(selection), reports.trend(selection)
    before = reports.sum_up(selection.before) if selection.before.first_day >= first_day else None
    shown = {
        "revenue": ("Revenue", f"€{now.revenue:,.0f}"),
        "orders": ("Orders", f"{now.orders:,}"),
        "average_order": ("Average order", f"€{now.average_order:,.2f}"),
        "customers": ("Customers", f"{now.customers:,}"),
    }
    for column, (name, (label, text)) in zip(st.columns(4), shown.items(), strict=True):
        column.metric(
            label,
            text,
            delta=change(getattr(now, name), getattr(before, name, None)),
            border=True,
            height="stretch",
            chart_data=[float(getattr(point, name)) for point in trend] if len(trend) > 1 else None,
            chart_type="area",
        )
    if before is not None:
        st.caption(
            f"Compared with as many days before: {selection.before.first_day:%d %b %Y} "
            f"to {selection.before.last_day:%d %b %Y}"
        )


def change(value: Any, old: Any) -> str | None:
    """By how much a value changed, in per cent; None when there is nothing to compare with."""
    if not old:
        return None
    return f"{float(value) / float(old) - 1:+.1%}"


def show_top_products(st: Any, selection: reports.Selection) -> None:
    """The table of what sold best."""
    frame = pd.DataFrame(reports.top_products(selection, limit=12))
    frame["category"] = frame["category"].map(dict(Category.choices))
    frame["revenue"] = frame["revenue"].astype(float)
    st.subheader("Top products")
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        column_order=("name", "revenue", "items", "orders", "category"),
        column_config={
            "name": st.column_config.TextColumn("Product", width="medium"),
            "category": st.column_config.TextColumn("Category", width="small"),
            "items": st.column_config.NumberColumn("Items", format="localized", width="small"),
            "orders": st.column_config.NumberColumn("Orders", format="localized", width="small"),
            "revenue": st.column_config.ProgressColumn(
                "Revenue", format="euro", min_value=0, max_value=float(frame["revenue"].max())
            ),
        },
    )


@site.page("/products", title="Products", icon=":material/inventory_2:", page_meta=WIDE)
def products(st: Any, client: ApiClient) -> None:
    """The range, asked of the project's own API."""
    show_account(st)
    st.title("Products")
    days = st.segmented_control(
        "Summary of the last",
        (7, 30, 90, 365),
        default=30,
        required=True,
        format_func=lambda value: f"{value} days" if value < 365 else "year",
    )
    summary = ask(st, client, "/summary", {"days": days})
    if summary is not None:
        show_summary(st, summary)
    search, category = st.columns([2, 1], gap="medium")
    given = {
        "search": search.text_input("Search", placeholder="Part of a name", max_chars=80).strip(),
        "category": category.selectbox(
            "Category",
            Category.values,
            index=None,
            placeholder="All",
            format_func=lambda value: Category(value).label,
        ),
    }
    found = ask(
        st, client, "/products", {name: value for name, value in given.items() if value} | {"page_size": 200}
    )
    if found is not None:
        show_products(st, found)
    show_recent_orders(st, client)
    show_viewer(st)


def show_recent_orders(st: Any, client: ApiClient) -> None:
    """The newest orders, which the API gives to who is signed in: `client` asks as the viewer."""
    st.subheader("Newest orders")
    found = ask(st, client, "/orders", {"page_size": 5})
    if found is None:
        return
    frame = pd.DataFrame(found["results"], columns=["reference", "placed_at", "customer", "status", "total"])
    frame["status"] = frame["status"].map(dict(Status.choices))
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        column_config={
            "reference": "Order",
            "placed_at": st.column_config.DatetimeColumn("Placed", format="D MMM YYYY, HH:mm"),
            "customer": "Customer",
            "status": "Status",
            "total": st.column_config.NumberColumn("Total", format="euro"),
        },
    )


def ask(st: Any, client: ApiClient, path: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The API's answer; None, with a message on the page, when it has none."""
    started = time.perf_counter()
    try:
        response = client.get(path, params=params)
    except httpx.RequestError as exc:
        st.error(
            f"The API does not answer ({type(exc).__name__}). Try again in a moment.",
            icon=":material/cloud_off:",
        )
        return None
    if response.status_code != httpx.codes.OK:
        message = f"The API answered {response.status_code} to GET {path}."
        if response.status_code == httpx.codes.UNAUTHORIZED:
            message = "Sign in to see this."
        elif response.headers.get("content-type", "").startswith("application/json"):
            message += f" {response.json()['error']['message']}"
        st.error(message, icon=":material/error:")
        return None
    milliseconds = (time.perf_counter() - started) * 1000
    st.caption(
        f":material/api: `GET {response.url.raw_path.decode('ascii')}` answered in {milliseconds:.0f} ms"
    )
    result: dict[str, Any] = response.json()
    return result


def show_summary(st: Any, summary: dict[str, Any]) -> None:
    """The totals that the API sent."""
    now, before = summary["now"], summary["before"]
    revenue, orders, items = st.columns(3)
    revenue.metric(
        "Revenue",
        f"€{float(now['revenue']):,.0f}",
        change(now["revenue"], float(before["revenue"])),
        border=True,
    )
    orders.metric("Orders", f"{now['orders']:,}", change(now["orders"], before["orders"]), border=True)
    items.metric("Items", f"{now['items']:,}", change(now["items"], before["items"]), border=True)


def show_products(st: Any, found: dict[str, Any]) -> None:
    """The products that the API sent."""
    if not found["results"]:
        st.info("No product is like that.", icon=":material/search_off:")
        return
    frame = pd.DataFrame(found["results"])
    frame["category"] = frame["category"].map(dict(Category.choices))
    frame["price"] = frame["price"].astype(float)
    st.dataframe(
        frame,
        hide_index=True,
        height=460,
        column_order=("name", "price", "stock", "category", "sku"),
        column_config={
            "name": st.column_config.TextColumn("Product", width="medium"),
            "category": st.column_config.TextColumn("Category", width="small"),
            "price": st.column_config.NumberColumn("Price", format="euro", width="small"),
            "stock": st.column_config.ProgressColumn(
                "In stock", format="localized", min_value=0, max_value=max(int(frame["stock"].max()), 1)
            ),
            "sku": st.column_config.TextColumn("SKU", width="small"),
        },
    )
    st.caption(f"{found['count']} products")


def show_viewer(st: Any) -> None:
    """Who is signed in, as `st.user` has it."""
    with st.expander("Who is signed in", icon=":material/badge:"):
        user = dict(st.user)
        if not user.get("username"):
            st.write("Nobody is.")
            return
        for name in ("username", "name", "email", "groups", "is_staff", "id"):
            label, value = st.columns([1, 3])
            label.caption(f"st.user.{name}")
            value.write(user.get(name) or "–")


@site.page("/import", title="Import", icon=":material/upload_file:", page_meta=PageMeta(page_icon=ICON))
def import_orders(st: Any, user: User) -> None:
    """Orders from a CSV file, checked line by line and saved together."""
    show_account(st)
    st.title("Import orders")
    st.markdown(
        "A CSV file with one line for each product of an order. "
        f"Columns: {', '.join(imports.REQUIRED_COLUMNS)}; "
        f"{' and '.join(imports.OPTIONAL_COLUMNS)} may be left out. "
        "All orders of a file come in together, or none does."
    )
    show_last_import(st)
    data = choose_file(st)
    if data is None:
        return
    parsed = imports.check_orders(imports.parse_orders(data))
    if parsed.errors:
        show_errors(st, parsed)
        return
    show_preview(st, parsed)
    allowed = may_import(user)
    label = f"Import {len(parsed.orders):,} orders" if len(parsed.orders) > 1 else "Import the order"
    if st.button(label, type="primary", icon=":material/done_all:", disabled=not allowed):
        save(st, parsed)
    if not allowed:
        st.caption("This account may not add orders: that takes staff with the permission “Can add order”.")


def choose_file(st: Any) -> bytes | None:
    """The uploaded file, beside a sample to download."""
    st.download_button(
        "Sample file",
        imports.make_sample(),
        file_name="orders.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    # Another key is another, empty, uploader: that is how it is cleared after an import.
    turn = st.session_state.setdefault("import_turn", 0)
    upload = st.file_uploader("CSV file", type="csv", max_upload_size=10, key=f"orders_file_{turn}")
    return None if upload is None else bytes(upload.getvalue())


def show_errors(st: Any, parsed: imports.ParsedFile) -> None:
    """What has to be mended in the file, line by line."""
    count = len(parsed.errors)
    st.error(
        f"{count:,} things to mend; nothing was imported."
        if count > 1
        else "One thing to mend; nothing was imported.",
        icon=":material/report:",
    )
    st.dataframe(
        [
            {"Line": error.line, "Column": error.column or "–", "What": error.message}
            for error in parsed.errors[:1000]
        ],
        hide_index=True,
        column_config={
            "Line": st.column_config.NumberColumn(width="small"),
            "Column": st.column_config.TextColumn(width="small"),
            "What": st.column_config.TextColumn(width="large"),
        },
    )


def show_preview(st: Any, parsed: imports.ParsedFile) -> None:
    """The orders that would come in."""
    prices = dict(Product.objects.values_list("sku", "price"))
    rows = [
        {
            "Order": order.reference,
            "Placed": order.placed_at,
            "Customer": order.email,
            "Status": order.status,
            "Items": sum(line.quantity for line in order.lines),
            "Total": float(
                sum(
                    line.quantity * (prices.get(line.sku, 0) if line.unit_price is None else line.unit_price)
                    for line in order.lines
                )
            ),
        }
        for order in parsed.orders
    ]
    orders, lines, total = st.columns(3)
    orders.metric("Orders", f"{len(rows):,}", border=True)
    lines.metric("Lines", f"{parsed.line_count:,}", border=True)
    total.metric("Total", f"€{sum(row['Total'] for row in rows):,.2f}", border=True)
    st.dataframe(
        rows[:PREVIEW_ROWS],
        hide_index=True,
        height=300,
        column_config={
            "Placed": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm"),
            "Total": st.column_config.NumberColumn(format="euro"),
        },
    )
    if len(rows) > PREVIEW_ROWS:
        st.caption(f"The first {PREVIEW_ROWS} of {len(rows):,} orders")


def may_import(user: Any) -> bool:
    """Whether the viewer is staff with the permission to add orders, as the database has it now."""
    return bool(user.is_staff and user.has_perm("shop.add_order"))


def save(st: Any, parsed: imports.ParsedFile) -> None:
    """Save the orders with a progress bar, then show the page anew with an empty uploader."""
    total = len(parsed.orders)
    bar = st.progress(0.0, text="Importing …")
    try:
        lines = imports.save_orders(
            parsed.orders,
            lambda done: bar.progress(done / total, text=f"Importing {done:,} of {total:,} orders"),
        )
    except IntegrityError:
        bar.empty()
        st.error("Some of these orders came in meanwhile; nothing was imported. Upload the file again.")
        return
    st.session_state["last_import"] = f"Imported {total:,} orders with {lines:,} lines."
    st.session_state["import_turn"] += 1
    st.rerun()


def show_last_import(st: Any) -> None:
    """What the import just before this rerun did."""
    if message := st.session_state.pop("last_import", None):
        st.success(message, icon=":material/task_alt:")


def show_account(st: Any) -> None:
    """Who is signed in, in the sidebar, with the ways to the other parts of the site and out."""
    if st.context.is_embedded:
        return
    user = dict(st.user)
    links = [(f"{get_script_prefix()}explore/", "Waves")]
    if user.get("is_staff") == "true":
        links.append((reverse("admin:index"), "Administration"))
    links.append((reverse("logout"), "Sign out") if user.get("username") else (reverse("login"), "Sign in"))
    # Streamlit's own links open another tab.
    anchors = " · ".join(f'<a href="{address}" target="_self">{text}</a>' for address, text in links)
    with st.sidebar:
        if user.get("username"):
            st.caption(f":material/account_circle: {user.get('name') or user['username']}")
        st.markdown(f"<small>{anchors}</small>", unsafe_allow_html=True)
