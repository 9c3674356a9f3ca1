"""The buttons that trade: pause and resume entries, flatten after a confirmation, and halt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from toolkit.core.gates import Gate
from toolkit.errors import ToolkitError
from toolkit.views.dashboard.desk import DeskData
from toolkit.views.dashboard.kill_switch import KillSwitch
from toolkit.views.dashboard.known import KnownClient
from toolkit.views.dashboard.page import button
from toolkit.views.gates import has_gate

if TYPE_CHECKING:
    from collections.abc import Callable

_AS_WIDE = {"width": "max-content", "max-width": "100%"}
_TRADERS = ("trade", "admin")
# What the command `start` opens; the other gates open by themselves, a halt by being lifted.
_RESUMABLE = (Gate.COMMAND, Gate.ERROR, Gate.LOSS)


class Controls:
    """Pause, resume, flatten and halt; invisible to those whose role may not trade.

    `ceiling` is the role of the person at the browser, which may be less than the client's; `who`
    that is, where it is known.
    `on_trouble` is told in words why a command failed, and "" when one succeeded.
    """

    def __init__(
        self,
        client: KnownClient,
        *,
        on_trouble: Callable[[str], None],
        ceiling: str,
        who: str = "",
    ) -> None:
        import panel as pn

        self._client, self._on_trouble, self._ceiling = client, on_trouble, ceiling
        self._entries = button("Pause entries", width=122)
        self._flatten = button("Flatten", width=80)
        self._confirm = button("Close all", width=140, danger=True)
        self._cancel = button("Cancel", width=72)
        self._entries.on_click(self._toggle_entries)
        self._flatten.on_click(lambda _event: self._ask(asking=True))
        self._cancel.on_click(lambda _event: self._ask(asking=False))
        self._confirm.on_click(self._close_all)
        self._asking = False
        self.switch = KillSwitch(self._send, on_ask=self._show, who=who)
        parts = [self._entries, self._flatten, self._confirm, self._cancel, *self.switch.parts]
        self.panel = pn.FlexBox(
            *parts, gap="6px 0px", margin=0, visible=False, sizing_mode=None, styles=_AS_WIDE
        )
        self._show()

    def update(self, data: DeskData) -> None:
        """Follow the bot's state, the positions and this client's role."""
        state = str((data.health or {}).get("state"))
        self.panel.visible = self._may_trade
        resumable = has_gate(data.health, *_RESUMABLE)
        self._entries.label = "Resume entries" if resumable else "Pause entries"
        connected = data.connection == "connected"
        self._entries.disabled = not connected or state not in ("starting", "running", "paused")
        count = len(data.positions)
        self._flatten.disabled = not connected or not count
        self._confirm.label = f"Close {count} position{'s' * (count != 1)}"
        if self._flatten.disabled:
            self._asking = False
        self.switch.update(data)
        self._show()

    @property
    def _may_trade(self) -> bool:
        return self._client.role in _TRADERS and self._ceiling in _TRADERS

    def _ask(self, *, asking: bool) -> None:
        self._asking = asking
        self._show()

    def _show(self) -> None:
        # Only one question at a time: the others wait out of sight.
        calm = not self._asking and not self.switch.asking
        self._entries.visible = self._flatten.visible = calm
        self._confirm.visible = self._cancel.visible = self._asking

    async def _toggle_entries(self, _event: Any) -> None:
        resume = self._entries.label == "Resume entries"
        await self._send("start" if resume else "stop")

    async def _close_all(self, _event: Any) -> None:
        self._ask(asking=False)
        await self._send("flatten")

    async def _send(self, command: str, **args: Any) -> None:
        if not self._may_trade:  # a hidden button can still be pressed over the websocket
            self._on_trouble(f"{command} needs the role trade")
            return
        try:
            await asyncio.to_thread(self._client.command, command, **args)
        except ToolkitError as error:
            self._on_trouble(error.message)
        else:
            self._on_trouble("")
