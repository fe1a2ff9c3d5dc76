"""Modules of which one fails."""
