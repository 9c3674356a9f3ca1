"""The buttons that trade: pause and resume entries, and flatten after a confirmation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from toolkit.errors import ToolkitError
from toolkit.views.dashboard.desk import DeskData
from toolkit.views.dashboard.known import KnownClient
from toolkit.views.dashboard.page import CONTROL_STYLE, DANGER_STYLE

if TYPE_CHECKING:
    from collections.abc import Callable

_TRADERS = ("trade", "admin")


class Controls:
    """Pause, resume and flatten; invisible to those whose role may not trade.

    `ceiling` is the role of the person at the browser, which may be less than the client's.
    `on_trouble` is told in words why a command failed, and "" when one succeeded.
    """

    def __init__(
        self, client: KnownClient, *, on_trouble: Callable[[str], None], ceiling: str
    ) -> None:
        import panel as pn

        self._client, self._on_trouble, self._ceiling = client, on_trouble, ceiling
        self._entries = _button("Pause entries", width=122)
        self._flatten = _button("Flatten", width=80)
        self._confirm = _button("Close all", width=140, danger=True)
        self._cancel = _button("Cancel", width=72)
        self._entries.on_click(self._toggle_entries)
        self._flatten.on_click(lambda _event: self._ask(asking=True))
        self._cancel.on_click(lambda _event: self._ask(asking=False))
        self._confirm.on_click(self._close_all)
        self._ask(asking=False)
        self.panel = pn.Row(
            self._entries, self._flatten, self._confirm, self._cancel, margin=0, visible=False
        )

    def update(self, data: DeskData) -> None:
        """Follow the bot's state, the positions and this client's role."""
        state = str((data.health or {}).get("state"))
        self.panel.visible = self._may_trade
        self._entries.label = "Resume entries" if state == "paused" else "Pause entries"
        connected = data.connection == "connected"
        self._entries.disabled = not connected or state not in ("starting", "running", "paused")
        count = len(data.positions)
        self._flatten.disabled = not connected or not count
        self._confirm.label = f"Close {count} position{'s' * (count != 1)}"
        if self._flatten.disabled:
            self._ask(asking=False)

    @property
    def _may_trade(self) -> bool:
        return self._client.role in _TRADERS and self._ceiling in _TRADERS

    def _ask(self, *, asking: bool) -> None:
        self._flatten.visible = not asking
        self._confirm.visible = self._cancel.visible = asking

    async def _toggle_entries(self, _event: Any) -> None:
        resume = self._entries.label == "Resume entries"
        await self._send("start" if resume else "stop")

    async def _close_all(self, _event: Any) -> None:
        self._ask(asking=False)
        await self._send("flatten")

    async def _send(self, command: str) -> None:
        if not self._may_trade:  # a hidden button can still be pressed over the websocket
            self._on_trouble(f"{command} needs the role trade")
            return
        try:
            await asyncio.to_thread(self._client.command, command)
        except ToolkitError as error:
            self._on_trouble(error.message)
        else:
            self._on_trouble("")


def _button(label: str, *, width: int, danger: bool = False) -> Any:
    import panel as pn

    return pn.widgets.Button(
        label=label,
        width=width,
        height=30,
        margin=(0, 8, 0, 0),
        stylesheets=[CONTROL_STYLE, *([DANGER_STYLE] * danger)],
    )
