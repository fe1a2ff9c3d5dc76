"""The demo's settings, as if browsers reached it by TLS only; they take "localhost" for as safe."""

from project.settings import *  # noqa: F403

SESSION_COOKIE_SECURE = True
