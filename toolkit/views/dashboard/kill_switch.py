"""The kill switch: stops entries at once, closes what is held where told so, lifted by a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from toolkit.core.gates import Gate
from toolkit.views.dashboard.desk import DeskData
from toolkit.views.dashboard.page import CONTROL_STYLE, button
from toolkit.views.gates import has_gate

Send = Callable[..., Awaitable[None]]


class KillSwitch:
    """A button that halts after a second one says how; in a halt it lifts it, asked twice too.

    `send(command, **args)` has the bot do it; `on_ask` is called when a question comes or goes.
    The bot knows the dashboard alone, so the reason names `who`, the person at the browser.
    """

    def __init__(self, send: Send, *, on_ask: Callable[[], None], who: str = "") -> None:
        import panel as pn

        self._send, self._on_ask, self._who = send, on_ask, who
        self._halted = False
        self._halt = button("Halt", width=64, danger=True)
        self._lift = button("Lift halt", width=84)
        self._why = pn.widgets.TextInput(
            placeholder="Why (may be empty)",
            width=170,
            height=30,
            margin=(0, 8, 0, 0),
            max_length=200,
            stylesheets=[CONTROL_STYLE],
        )
        self._entries = button("Stop entries", width=104, danger=True)
        self._all = button("", width=216, danger=True)
        self._sure = button("Take entries again", width=142)
        self._cancel = button("Cancel", width=72)
        self._halt.on_click(lambda _event: self.ask(asking=True))
        self._lift.on_click(lambda _event: self.ask(asking=True))
        self._cancel.on_click(lambda _event: self.ask(asking=False))
        self._entries.on_click(self._stop_entries)
        self._all.on_click(self._stop_all)
        self._sure.on_click(self._resume)
        self.asking = False
        self.parts = [
            self._halt,
            self._lift,
            self._why,
            self._entries,
            self._all,
            self._sure,
            self._cancel,
        ]
        self._show()

    def update(self, data: DeskData) -> None:
        """Follow whether the bot is halted and how much it holds."""
        halted, count = has_gate(data.health, Gate.HALT), len(data.positions)
        if halted != self._halted:
            self._halted, self.asking = halted, False
        self._all.label = f"Stop and close {count} position{'s' * (count != 1)}"
        lost = data.connection != "connected"
        for part in self.parts:
            part.disabled = lost and part is not self._cancel
        self._all.disabled = lost or not count
        self._show()

    def ask(self, *, asking: bool) -> None:
        """Ask how, or stop asking."""
        self.asking = asking
        self._show()
        self._on_ask()

    def _show(self) -> None:
        self._halt.visible = not self._halted and not self.asking
        self._lift.visible = self._halted and not self.asking
        for part in (self._why, self._entries, self._all):
            part.visible = self.asking and not self._halted
        self._sure.visible = self.asking and self._halted
        self._cancel.visible = self.asking

    async def _stop_entries(self, _event: Any) -> None:
        await self._throw(flatten=False)

    async def _stop_all(self, _event: Any) -> None:
        await self._throw(flatten=True)

    async def _throw(self, *, flatten: bool) -> None:
        said = (self._why.value_input.strip(), self._who and f"asked by {self._who}")
        reason = ", ".join(part for part in said if part)
        self._why.param.update(value="", value_input="")
        self.ask(asking=False)
        await self._send("halt", flatten=flatten, reason=reason)

    async def _resume(self, _event: Any) -> None:
        self.ask(asking=False)
        await self._send("resume_trading")
