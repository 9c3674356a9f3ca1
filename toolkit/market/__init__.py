"""Market data: one port, and the adapters that feed it."""
