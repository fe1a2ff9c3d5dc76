"""URLs that answer what the project's own URLconf does not know.

`fluxlit_django.asgi` asks them last, so including them is not needed; a project may, as its last
pattern, to have them under the test client as well.
"""

from __future__ import annotations

from django.urls import re_path

from fluxlit_django import views

app_name = "fluxlit"
urlpatterns = [re_path(r"^(?P<path>.*)$", views.document, name="document")]
