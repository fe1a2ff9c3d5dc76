"""A page whose path comes last."""


def register(app):
    """Put the page on the app."""
    app.page("/zebra", title="Zebra")(lambda st: None)
