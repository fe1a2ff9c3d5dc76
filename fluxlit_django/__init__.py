"""Streamlit inside Django: one port, one login, one command."""

__version__ = "0.1.0"
