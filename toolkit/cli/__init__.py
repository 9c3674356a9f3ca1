"""The `toolkit` command."""

from toolkit.cli.main import main

__all__ = ["main"]
