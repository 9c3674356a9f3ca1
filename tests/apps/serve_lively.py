"""Serves the dashboard over a `LivelyClient`; says its address and who is watching what."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from lively import LivelyClient

from toolkit.views.dashboard.app import Dashboard
from toolkit.views.feed import ChartFeed


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


class TalkingDashboard(Dashboard):
    """Says how many watch each symbol whenever that changes."""

    def follow(self, symbol: str) -> ChartFeed:
        feed = super().follow(symbol)
        say(f"followed {self.followed}")
        return feed

    def release(self, symbol: str) -> None:
        super().release(symbol)
        say(f"followed {self.followed}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", default="trade")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    client = LivelyClient(role=options.role)
    client.start(0.1)
    try:
        TalkingDashboard(client).serve(port=options.port, on_ready=say)
    finally:
        client.stop()
        say(f"handlers left {client.handlers}")


if __name__ == "__main__":
    main()
