"""Rendered moving shapes and digits."""
