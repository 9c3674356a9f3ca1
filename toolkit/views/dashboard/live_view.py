"""One browser session of the dashboard: it pulls from the shared feeds and draws what changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import unquote

from toolkit.views.charts.figures import ChartSources, chart_figure, set_bands
from toolkit.views.charts.theme import DARK, LIGHT, THEMES, apply_theme
from toolkit.views.dashboard import blocks, safety, tables
from toolkit.views.dashboard.controls import Controls
from toolkit.views.dashboard.desk import Desk, DeskData
from toolkit.views.dashboard.known import KnownClient
from toolkit.views.dashboard.page import CONTROL_STYLE, page, theme_switch
from toolkit.views.feed import ChartFeed

log = logging.getLogger(__name__)

PERIOD = 300
"""Milliseconds between two looks at the feeds."""

ROLE_HEADER = "X-Toolkit-Role"
"""Set by the proxy in front: what the person at the browser may do, whatever our token may."""
WHO_HEADER = "X-Toolkit-Who"
"""Set by the proxy too: who that is, percent-encoded."""


class Source(Protocol):
    """What a session needs of the dashboard it belongs to."""

    client: KnownClient
    desk: Desk

    def follow(self, symbol: str) -> ChartFeed: ...
    def release(self, symbol: str) -> None: ...
    def trouble(self, symbol: str) -> str: ...


class LiveView:
    """Builds the page of one session, keeps it moving, and lets go when the session ends."""

    def __init__(self, source: Source, *, symbol: str | None = None) -> None:
        import panel as pn

        pn.extension("tabulator", notifications=False)
        self._source = source
        self._trouble = ""
        self._shown: tuple[str, int] | None = None
        self._drawn: DeskData | None = None
        symbols = sorted(source.client.symbols)
        first = symbol if symbol is not None else next(iter(symbols), "")
        self._feed = source.follow(first)
        cookies = pn.state.cookies
        wanted = cookies.get("tk_theme") or cookies.get("tk_system", "")
        self._theme = THEMES.get(wanted, LIGHT)
        try:
            self._build(symbols, first)
        except BaseException:
            source.release(first)
            raise
        self._callback = pn.io.PeriodicCallback(
            callback=self.tick, period=PERIOD, background=True, log=False
        )
        pn.state.on_session_destroyed(lambda _context: self.close())
        # What changes while the page is still loading may be lost or applied twice: look after.
        pn.state.onload(self._begin)

    def _begin(self) -> None:
        if self._feed is not None:
            self._callback.start()
            self.tick()

    def _build(self, symbols: list[str], symbol: str) -> None:
        import panel as pn

        data = self._feed.snapshot()
        self._sources = ChartSources.from_data(data)
        self._figure = chart_figure(self._sources, theme=self._theme, parameters=data.parameters)
        self._symbol = pn.widgets.Select(
            options=symbols, value=symbol, width=136, margin=0, stylesheets=[CONTROL_STYLE]
        )
        self._symbol.param.watch(lambda event: self._show(event.new), "value")
        self._switch = theme_switch(dark=self._theme is DARK)
        self._switch.on_change("active", lambda _attr, _old, dark: self._paint(dark=dark))
        self._controls = Controls(
            self._source.client,
            on_trouble=self._set_trouble,
            ceiling=pn.state.headers.get(ROLE_HEADER, "admin"),
            who=unquote(pn.state.headers.get(WHO_HEADER, "")),
        )
        self._blocks = {name: _block() for name in ("headline", "status")}
        for name in ("notice", "account", "guards", "parameters"):
            self._blocks[name] = _block(sizing_mode="stretch_width")
        self._tables = _tables()
        self.template = self._page(symbol)

    def _page(self, symbol: str) -> Any:
        import panel as pn

        widgets = {name: widget for name, (widget, _) in self._tables.items()}
        log_tabs = pn.Tabs(
            ("Positions", widgets["positions"]),
            ("Orders", widgets["orders"]),
            ("Trades", widgets["trades"]),
            sizing_mode="stretch_both",
            stylesheets=[_TABS_STYLE],
        )
        return page(
            title=f"{symbol} · StochRSI toolkit",
            switch=self._switch,
            parts={
                **self._blocks,
                "symbol": self._symbol,
                "chart": pn.pane.Bokeh(self._figure, sizing_mode="stretch_both"),
                "controls": self._controls.panel,
                "log": log_tabs,
            },
        )

    def tick(self) -> None:
        """Draw what changed since the last look; a failure is logged, said, and ends the looks."""
        import panel as pn

        try:
            with pn.io.hold():
                self._draw()
        except Exception:
            log.exception("the dashboard could not be drawn")
            self._callback.stop()
            words = "This page could not be drawn and stands still; the log says why. Reload it."
            self._say("notice", blocks.notice(self._source.desk.snapshot(), words))

    def close(self) -> None:
        """Stop looking and release the feed. Calling it twice is harmless."""
        feed, self._feed = self._feed, None  # type: ignore[assignment]
        if feed is not None:
            self._callback.stop()
            self._source.release(feed.symbol)

    def _draw(self) -> None:
        data = self._source.desk.snapshot()
        shown = (self._feed.symbol, self._feed.version)
        if shown != self._shown:
            self._shown = shown
            self._draw_chart()
        self._draw_desk(data)
        trouble = self._trouble or self._source.trouble(self._feed.symbol)
        self._say("status", blocks.status(data))
        self._say("notice", blocks.notice(data, trouble))
        self._controls.update(data)

    def _draw_chart(self) -> None:
        data = self._feed.snapshot()
        self._sources.update(data)
        set_bands(self._figure, data.parameters)
        self._say("headline", blocks.headline(data.bars))

    def _draw_desk(self, data: DeskData) -> None:
        old, self._drawn = self._drawn, data
        self._say("account", blocks.account(data))
        self._say("guards", safety.guards(data))
        if old is None or data.parameters != old.parameters:
            self._say("parameters", blocks.parameters(data.parameters))
        for name, (widget, columns) in self._tables.items():
            rows = _rows(data, name)
            if old is None or rows != _rows(old, name):
                tables.fill(widget, rows, columns)

    def _say(self, name: str, text: str) -> None:
        if self._blocks[name].object != text:
            self._blocks[name].object = text

    def _show(self, symbol: str) -> None:
        old, self._feed = self._feed, self._source.follow(symbol)
        self._source.release(old.symbol)
        self._trouble = ""
        self.tick()

    def _paint(self, *, dark: bool) -> None:
        self._theme = DARK if dark else LIGHT
        apply_theme(self._figure, self._theme)

    def _set_trouble(self, words: str) -> None:
        self._trouble = words


def _rows(data: DeskData, name: str) -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = getattr(data, name)
    return safety.with_nets(data) if name == "positions" else rows


def _tables() -> dict[str, tuple[Any, tuple[tables.Column, ...]]]:
    return {
        "positions": (tables.table(tables.POSITIONS, empty="No open position"), tables.POSITIONS),
        "trades": (tables.table(tables.TRADES, empty="No trade yet"), tables.TRADES),
        "orders": (tables.table(tables.ORDERS, empty="No order yet"), tables.ORDERS),
    }


def _block(**options: Any) -> Any:
    import panel as pn

    return pn.pane.HTML(
        "", margin=0, stylesheets=[blocks.BLOCK_STYLE, safety.SAFETY_STYLE], **options
    )


_TABS_STYLE = """
:host { font-family: var(--tk-font); }
:host .bk-header { border: 0 !important; padding: 4px 4px 0; }
:host .bk-tab { font-size: 13px; padding: 5px 8px; border: 0 !important; color: var(--tk-muted);
  background: transparent; }
:host .bk-tab:hover { color: var(--tk-text); background: transparent; }
:host .bk-tab.bk-active { color: var(--tk-text); font-weight: 600; background: transparent;
  box-shadow: inset 0 -2px 0 var(--tk-accent); }
"""
