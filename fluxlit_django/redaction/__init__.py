"""Keeps secrets out of what people read."""
