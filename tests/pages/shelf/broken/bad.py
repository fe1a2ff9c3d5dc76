"""A module that fails."""


def register(app):
    """Fail."""
    raise LookupError("no such thing")
