"""A script that opens a database connection and then ends in the way that its query string asks for."""

import gc
import sys
import time

import streamlit as st
from django.db import connection, transaction

way = st.query_params.get("way", "")


def query():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "downloaded"


if way == "user":
    st.json(st.user.to_dict())
    st.text(st.context.ip_address)
elif way == "cycle":
    cycle = [bytearray(1_000_000)]
    cycle.append(cycle)
elif way == "garbage":
    st.text(f"collected: {gc.isenabled()}, set aside: {gc.get_freeze_count()}")
elif way == "fragment":
    st.fragment(query)()
elif way == "parallel":
    st.fragment(parallel=True)(query)()
elif way == "download":
    st.download_button("Get it", query)
elif way == "callback":
    st.button("Query", on_click=query)
elif way:
    query()
    st.text("queried")
    if way == "error":
        raise RuntimeError("on purpose")
    if way == "atomic-error":
        with transaction.atomic():
            query()
            raise RuntimeError("on purpose")
    if way == "stop":
        st.stop()
    if way == "rerun" and not st.session_state.get("again"):
        st.session_state.again = True
        st.rerun()
    if way == "exit":
        sys.exit(3)
    if way == "interrupted":
        for _ in range(1000):
            time.sleep(0.01)
            st.text("still here")
