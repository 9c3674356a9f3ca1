"""The HTTP API, pages and the proxy to the dashboard."""
