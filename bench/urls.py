"""URLs of the benchmark's project: none of its own."""

urlpatterns: list[object] = []
