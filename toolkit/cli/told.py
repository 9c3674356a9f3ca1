"""What a bot in the foreground tells its terminal: state, gates, problems; each once."""

from __future__ import annotations

from rich.markup import escape

from toolkit.bot.events import BotState, Event, Health, Problem
from toolkit.cli import console

_COLOURS = {BotState.RUNNING: "green", BotState.PAUSED: "yellow", BotState.FAILED: "bold red"}


class Told:
    """A listener of the bot that prints what has changed, and every problem."""

    def __init__(self) -> None:
        self._last: tuple[BotState, str] | None = None

    def __call__(self, event: Event) -> None:
        """Take an event of the bot."""
        if isinstance(event, Problem):
            self._print(f"{event.timestamp:%H:%M:%S}", "yellow", "problem", event.message)
        elif isinstance(event, Health) and (event.state, event.reason) != self._last:
            self._last = (event.state, event.reason)
            colour = _COLOURS.get(event.state, "dim")
            self._print(f"{event.timestamp:%H:%M:%S}", colour, event.state.value, event.reason)

    def _print(self, time: str, colour: str, what: str, why: str) -> None:
        text = f": {escape(why)}" if why not in ("", what) else ""
        console.screen.print(f"{time} [{colour}]{what}[/]{text}", soft_wrap=True)
