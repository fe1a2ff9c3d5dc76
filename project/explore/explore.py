"""Waves: an ordinary Streamlit script, with nothing of Django in it.

`streamlit run explore.py` runs it just the same.
"""

import io
import wave
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

RATE = 22_050
NOTES = {"A3": 220.0, "C4": 261.63, "E4": 329.63, "A4": 440.0, "C5": 523.25, "E5": 659.25}

st.set_page_config(page_title="Waves", page_icon="🌊", layout="wide")


def tone(frequency: float, overtones: int, decay: float, detune: float) -> np.ndarray:
    """One second and a half of a sound: overtones that fade, beside their slightly detuned twins."""
    time = np.arange(int(1.5 * RATE)) / RATE
    sound = np.zeros_like(time)
    for number in range(1, overtones + 1):
        for shift in (1, 1 + detune / 1000):
            sound += np.sin(2 * np.pi * frequency * number * shift * time) / number**1.4
    sound *= np.exp(-decay * time)
    return sound / np.abs(sound).max()


@st.cache_data(show_spinner=False, max_entries=50)
def wav_file(frequency: float, overtones: int, decay: float, detune: float) -> bytes:
    """The sound as a WAV file: 16 bits, one channel."""
    samples = (tone(frequency, overtones, decay, detune) * 0.8 * 32767).astype("<i2")
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return output.getvalue()


def line(frame: pd.DataFrame, x: str, y: str, log: bool = False) -> alt.Chart:
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(nice=False)
    ticks = {"values": [200, 500, 1000, 2000, 5000]} if log else {"tickCount": 6}
    return (
        alt.Chart(frame, height=260)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X(f"{x}:Q", scale=scale, axis=alt.Axis(grid=False, **ticks)),
            y=alt.Y(f"{y}:Q", title=None, axis=alt.Axis(tickCount=5)),
        )
    )


with st.sidebar:
    st.header("Sound")
    note = st.select_slider("Note", list(NOTES), value="A3")
    overtones = st.slider("Overtones", 1, 12, 6)
    decay = st.slider("Decay", 0.0, 6.0, 2.5, 0.1)
    detune = st.slider("Detune", 0, 20, 4, help="Thousandths by which the second voice is higher")

# The count is this browser tab's own: another tab starts at one.
st.session_state["runs"] = st.session_state.get("runs", 0) + 1

st.title("Waves")
st.caption(f"Run {st.session_state['runs']} of this session")

sound, interference, numbers = st.tabs(["Sound", "Interference", "Numbers"])
samples = tone(NOTES[note], overtones, decay, detune)

with sound:
    st.audio(wav_file(NOTES[note], overtones, decay, detune), format="audio/wav")
    shape, spectrum = st.columns(2)
    with shape.container(border=True):
        st.markdown("**Shape, the first 20 ms**")
        count = RATE // 50
        st.altair_chart(
            line(
                pd.DataFrame({"Milliseconds": np.arange(count) * 1000 / RATE, "Level": samples[:count]}),
                "Milliseconds",
                "Level",
            )
        )
    with spectrum.container(border=True):
        st.markdown("**Spectrum, dB**")
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        level = 20 * np.log10(np.maximum(power / power.max(), 1e-4))
        hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
        heard = (hertz > 100) & (hertz < 8000)
        step = pd.DataFrame({"Hertz": hertz[heard], "Level": level[heard]})
        # The loudest of every few: enough for the eye, and a tenth of the data.
        step = step.groupby(np.arange(len(step)) // 10).max()
        st.altair_chart(line(step, "Hertz", "Level", log=True))

with interference:
    st.video(str(Path(__file__).parent / "clip.mp4"), loop=True, muted=True)
    st.caption("Two sources circle each other; where their waves meet, they add up or cancel out.")

with numbers:
    table = pd.DataFrame(
        {
            "overtone": range(1, overtones + 1),
            "frequency": [NOTES[note] * number for number in range(1, overtones + 1)],
            "level": [1 / number**1.4 for number in range(1, overtones + 1)],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "overtone": st.column_config.NumberColumn("Overtone", width="small"),
            "frequency": st.column_config.NumberColumn("Frequency, Hz", format="%.1f"),
            "level": st.column_config.ProgressColumn("Level", format="percent", min_value=0, max_value=1),
        },
    )
    st.download_button(
        "Samples as CSV",
        pd.DataFrame({"level": samples}).to_csv(index_label="sample", float_format="%.5f"),
        file_name=f"{note}.csv",
        mime="text/csv",
        icon=":material/download:",
    )
