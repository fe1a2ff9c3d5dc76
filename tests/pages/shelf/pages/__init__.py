"""Modules with `register(app)`."""
