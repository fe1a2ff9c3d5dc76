"""A page that does not stay."""


def register(app):
    """Put the page on the app."""
    app.page("/good")(lambda st: None)
