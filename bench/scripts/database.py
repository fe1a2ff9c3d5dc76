"""An app that asks the database on every rerun and leaves reference cycles behind, for the soak."""

import streamlit as st
from django.contrib.contenttypes.models import ContentType

value = st.slider("Value", 0, 1_000_000, 0)
known = ContentType.objects.count()
cycle: list[object] = [bytearray(100_000)]
cycle.append(cycle)

st.title("Bench")
st.write(f"The value is {value}.")
st.caption(f"{known} content types.")
