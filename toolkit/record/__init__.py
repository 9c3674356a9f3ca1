"""Storing all that came in, and playing it back through the live path."""
