"""`Session`: what a user holds. The same object over a thread, a process or a distant server."""

from __future__ import annotations

import atexit
import html
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from toolkit.core.parameters import Parameters
from toolkit.errors import ConfigError
from toolkit.runtime import LoopThread
from toolkit.session.hosts import Host

if TYPE_CHECKING:
    from toolkit.client.frames import LiveFrame
    from toolkit.client.sync import Client

Confirm = Callable[[str], bool]


def ask(question: str) -> bool:
    """Ask on the console or in the notebook's input line."""
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


class Session:
    """A running bot and everything one does with it.

    Made by `tk.launch` and `tk.connect`. All calls are synchronous, thread-safe and short; what
    goes on, goes on in the background.
    """

    def __init__(self, *, client: Client, loop: LoopThread, host: Host | None, link: str) -> None:
        self.client = client
        self._loop, self._host, self._link = loop, host, link
        self._closers: list[Callable[[], None]] = []
        self._forget = _at_exit(self)

    @property
    def url(self) -> str:
        """Address of the server."""
        return self.client.url

    @property
    def link(self) -> str:
        """Address with token for your own browser: the dashboard, where one was launched."""
        return self._link

    @property
    def isolation(self) -> str:
        """Where the bot runs: thread, process, or connected when it was started elsewhere."""
        return self._host.record.isolation if self._host else "connected"

    @property
    def symbols(self) -> Sequence[str]:
        """What the bot trades."""
        return self.client.symbols

    @property
    def state(self) -> str:
        """Connection: connected, connecting, disconnected or closed."""
        return self.client.state

    @property
    def role(self) -> str:
        """What this session's token may do: view, tune, trade or admin."""
        return self.client.role

    @property
    def parameters(self) -> Parameters:
        """The parameters now in force at the bot."""
        return self.client.parameters

    def set_parameters(
        self, changes: Mapping[str, Any] | None = None, /, **named: Any
    ) -> dict[str, Any]:
        """Change parameters of the running bot; returns its confirmation (who, when, old, new).

        Raises ConfigError for unknown names and values out of bounds; then nothing changes.
        """
        return self.client.set_parameters({**(changes or {}), **named})

    def apply(
        self, choice: Parameters | Mapping[str, Any], *, confirm: Confirm = ask
    ) -> dict[str, Any] | None:
        """Put chosen parameters in force: all of Parameters, or the named ones of a mapping.

        A sweep's `best()` that its data does not support, or that was found with other values of
        what was not swept than the bot has now, is applied only when `confirm` agrees to the
        listed changes. Returns the bot's confirmation, or None when it was declined.
        """
        if not isinstance(choice, (Parameters, Mapping)) or not choice:
            raise ConfigError(
                f"apply takes Parameters or a mapping of names and values, not {choice!r}",
                field="choice",
                allowed="Parameters, {name: value}",
            )
        now = self.parameters
        new = choice if isinstance(choice, Parameters) else now.replace(choice)
        doubts = _doubts(choice, now)
        if doubts and not confirm(f"{' '.join(doubts)} {_changes(now, new)} Apply all the same?"):
            return None
        return self.client.set_parameters(new.to_dict())

    def frame(
        self,
        stream: str,
        symbol: str | None = None,
        *,
        kind: str | None = None,
        limit: int = 2000,
    ) -> LiveFrame:
        """Return a DataFrame of the last `limit` messages that keeps growing.

        Of market_data it shows bars, unless `kind` says `quote` or `trade`.
        """
        return self.client.frame(stream, symbol, kind=kind, limit=limit)

    def history(self, symbol: str, limit: int = 500) -> dict[str, Any]:
        """Return the last bars with their indicators, and the fills, of a symbol."""
        return self.client.history(symbol, limit=limit)

    def trades(self) -> list[dict[str, Any]]:
        """Return the round trips so far, in the order in which they closed."""
        return self.client.trades()

    def status(self) -> dict[str, Any]:
        """Return the bot's state and feed."""
        status: dict[str, Any] = self.client.command("get_status")
        return status

    def pause(self) -> dict[str, Any]:
        """Take no new entries and take back those that wait; exits go on."""
        status: dict[str, Any] = self.client.command("stop")
        return status

    def resume(self) -> dict[str, Any]:
        """Take entries again."""
        status: dict[str, Any] = self.client.command("start")
        return status

    def flatten(self) -> dict[str, Any]:
        """Close all positions at their next bar and take back entries that wait.

        Returns the ids of orders sent, refused and cancelled.
        """
        result: dict[str, Any] = self.client.command("flatten")
        return result

    def halt(self, *, flatten: bool = False, reason: str = "") -> dict[str, Any]:
        """Pull the kill switch: no entries, those that wait are taken back, also after a restart.

        `flatten` closes all positions too. Returns the ids of orders sent, refused, cancelled.
        """
        result: dict[str, Any] = self.client.command("halt", flatten=flatten, reason=reason)
        return result

    def lift_halt(self) -> dict[str, Any]:
        """Take entries again after a halt; what was stopped otherwise stays so."""
        status: dict[str, Any] = self.client.command("resume_trading")
        return status

    def start_streaming(self, interval: float | None = None) -> dict[str, Any]:
        """Let messages flow to clients; `interval` (seconds) as in `set_streaming_interval`.

        This and what follows acts on all clients, and answers what is then in force:
        `{streaming, streaming_interval, notifications, notification_throttle}`.
        """
        args = {} if interval is None else {"interval": interval}
        return self._control("start_streaming", **args)

    def stop_streaming(self) -> dict[str, Any]:
        """Hold messages back; the bot goes on. Values conflate, the rest waits (or a gap)."""
        return self._control("stop_streaming")

    def set_streaming_interval(self, seconds: float) -> dict[str, Any]:
        """Send market data, health and performance of a symbol this far apart; 0 sends at once."""
        return self._control("set_streaming", streaming_interval=seconds)

    def enable_websocket_notifications(self, enabled: bool = True) -> dict[str, Any]:
        """Publish positions, account and performance, or stop; then the latest come at once.

        Signals, orders and fills always come, and so does the state when one subscribes.
        """
        return self._control("set_streaming", notifications=enabled)

    def set_notification_throttle(self, seconds: float) -> dict[str, Any]:
        """Publish each symbol's state at most once in so many seconds; the latest always comes.

        Signals, orders and fills are never throttled, nor is a change of the bot's state.
        """
        return self._control("set_streaming", notification_throttle=seconds)

    def get_streaming_stats(self) -> dict[str, Any]:
        """Return `connected_clients`, `websocket_stats.average_latency` (ms) and more."""
        return self._control("get_streaming_stats")

    def on(self, event: str, handler: Callable[[Any], None]) -> Callable[[], None]:
        """Call `handler` for each event (`stream_market_data`, `symbol_AAPL`, `connected`, ...).

        It runs in the client's thread and must not block. Returns what removes it.
        """
        return self.client.on(event, handler)

    def subscribe(
        self, streams: Sequence[str], symbols: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Ask for streams; no symbols means all."""
        return self.client.subscribe(streams, symbols)

    def chart(self, symbol: str | None = None, *, height: int = 520) -> Any:
        """Return a live chart (candles, EMA, StochRSI, fills) that outlives its cell."""
        from toolkit.views.notebook.live_chart import live_chart

        widget = live_chart(self.client, self._known(symbol), height=height)
        self._closers.append(widget.stop)
        return widget

    def tuner(self) -> Any:
        """Return sliders for every parameter, with Apply and the bot's confirmation.

        Each draft is run on the bot's recent bars and counts as a trial on them.
        """
        from toolkit.session.kept import run_store
        from toolkit.session.sliders import SliderTrials
        from toolkit.views.notebook.tuner import tuner

        trials = SliderTrials(self.client, store=run_store)
        widget = tuner(self.client, tried=trials.tried)
        self._closers += [widget.stop, trials.stop]
        return widget

    def _control(self, command: str, **args: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.command(command, **args)
        return answer

    def _known(self, symbol: str | None) -> str:
        chosen = symbol if symbol is not None else self.symbols[0]
        if chosen not in self.symbols:
            known = ", ".join(self.symbols)
            raise ConfigError(
                f"{chosen!r} is not traded here; known symbols: {known}",
                field="symbol",
                value=chosen,
                allowed=list(self.symbols),
            )
        return chosen

    def stop(self) -> None:
        """End what this session started: bot, server, threads; a connected bot goes on."""
        host, self._host = self._host, None
        try:
            self._close_views()
            if self._loop.alive:
                self.client.close()
        finally:
            try:
                if host is not None:
                    host.stop()
            finally:
                self._loop.stop()
                self._forget()

    def close(self) -> None:
        """Let go of the bot without ending it where it runs in a process of its own."""
        if self._host is not None and self._host.record.isolation != "thread":
            self._host = None
        self.stop()

    def _close_views(self) -> None:
        closers, self._closers = self._closers, []
        for close in closers:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Session {self.state} {self.url} {', '.join(self.symbols)}>"

    def _repr_html_(self) -> str:
        link = html.escape(self.link, quote=True)
        names = html.escape(", ".join(self.symbols))
        return (
            f"<b>{html.escape(self.state)}</b> · {names} · "
            f'<a href="{link}" target="_blank">open in the browser</a>'
        )


def _doubts(choice: Any, now: Parameters) -> list[str]:
    verdict = getattr(choice, "verdict", None)
    if verdict is None:
        return []
    doubts = []
    if not verdict.supported:
        doubts.append(f"The sweep does not support this set: {'; '.join(verdict.reasons)}.")
    others = [name for name in now.difference(choice) if name not in choice.swept]
    if others:
        doubts.append(f"It was found with other values of {', '.join(others)}.")
    return doubts


def _changes(now: Parameters, new: Parameters) -> str:
    changed = now.difference(new)
    listed = ", ".join(f"{name} {old} to {after}" for name, (old, after) in changed.items())
    return f"This changes {listed}." if listed else "This changes nothing."


def _at_exit(session: Session) -> Callable[[], None]:
    reference = weakref.ref(session)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.close()

    atexit.register(close)
    return lambda: atexit.unregister(close)
