"""Serves the dashboard over a `LivelyClient` on a free port; prints its address."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lively import LivelyClient

from toolkit.views.dashboard import Dashboard


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", default="trade")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    client = LivelyClient(role=options.role)
    client.start()
    dashboard = Dashboard(client)

    def ready(address: str) -> None:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()

    try:
        dashboard.serve(port=options.port, on_ready=ready)
    finally:
        client.stop()
        sys.stdout.write(f"left: {client.handlers} handlers, {dashboard.followed}\n")


if __name__ == "__main__":
    main()
