"""A package whose pages are discovered."""
