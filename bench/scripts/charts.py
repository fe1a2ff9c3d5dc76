"""A dashboard: a table of 2,000 rows, two charts and three figures, all drawn anew on every rerun."""

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import streamlit as st

value = st.slider("Value", 0, 1_000_000, 0)
days = pd.date_range("2024-01-01", periods=2_000, freq="D")
random = np.random.default_rng(value)
frame = pd.DataFrame(random.normal(size=(2_000, 4)).cumsum(axis=0), index=days, columns=["a", "b", "c", "d"])

st.title("Bench")
for column, name in zip(st.columns(3), ("a", "b", "c"), strict=True):
    column.metric(name, f"{frame[name].iloc[-1]:.2f}", f"{frame[name].iloc[-1] - frame[name].iloc[-2]:.2f}")
st.dataframe(frame)
st.line_chart(frame.resample("W").mean())
st.bar_chart(frame.resample("YE").sum())
st.write(f"The value is {value}.")
