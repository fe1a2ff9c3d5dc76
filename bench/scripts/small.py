"""A small app: one slider and what it says."""

import streamlit as st

value = st.slider("Value", 0, 1_000_000, 0)
st.title("Bench")
st.write(f"The value is {value}.")
st.caption("A small script: a slider and text.")
