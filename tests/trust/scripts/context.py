"""Shows what a script sees of its viewer, an uploader and a media file."""

import json

import streamlit as st

st.code(
    json.dumps(
        {
            "ip_address": st.context.ip_address,
            "url": st.context.url,
            "headers": dict(st.context.headers),
            "cookies": dict(st.context.cookies),
            "user": st.user.to_dict(),
        }
    )
)
file = st.file_uploader("File")
st.text(f"{len(file.getvalue())} bytes" if file else "no file")
# A media file that only this viewer's sessions show.
st.audio(f"a sound for {st.user.get('id')}".encode(), format="audio/wav")
