"""Reads and writes through Django's ORM and cache in every rerun."""

import streamlit as st
from django.contrib.auth.models import User
from django.core.cache import cache

st.write(f"{User.objects.count()} users")
if st.query_params.get("with") == "cache":
    cache.set("seen", "yes")
    st.write(f"cached: {cache.get('seen')}")
