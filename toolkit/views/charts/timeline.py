"""Panes below each other over one axis of bars: nights take no room, zooming brings detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.views.charts import page_scripts, scripts
from toolkit.views.charts.drawing import link_crosshairs, pane
from toolkit.views.charts.reduction import Track, bars_per_point, reduced
from toolkit.views.charts.theme import FONT, role

if TYPE_CHECKING:
    import numpy as np

MAX_POINTS = 1000
DETAIL_BARS = 100_000  # beyond, a page would grow past 10 MB

_READOUT_STYLE = f"""
:host {{ font: 12px {FONT}; font-variant-numeric: tabular-nums; padding: 2px 10px;
  min-height: 24px; color: inherit; }}
.bk-clearfix {{ display: flex !important; flex-wrap: wrap; column-gap: 12px; width: 100%; }}
.bk-clearfix::before, .bk-clearfix::after {{ display: none; }}
span {{ white-space: nowrap; }}
i {{ font-style: normal; opacity: 0.65; margin-right: 4px; }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A column in the line above the panes: its name there, decimals, and what follows it."""

    column: str
    name: str
    decimals: int = 2
    unit: str = ""


class Timeline:
    """The shared axis: `source` has the tracks, reduced; `view` is the range of bar numbers.

    `times` are those of all bars, in ms; `most` points are shown at once.
    """

    def __init__(
        self,
        times: np.ndarray[Any, Any],
        tracks: Mapping[str, Track],
        *,
        most: int = MAX_POINTS,
    ) -> None:
        from bokeh.models import ColumnDataSource, Range1d

        self.bars = len(times)
        self.size = bars_per_point(self.bars, most)
        self.tracks = {"time": Track(values=times, how="first"), **tracks}
        self.source = ColumnDataSource(reduced(self.tracks, self.size), name="bars")
        edge = max(self.bars * 0.05, 1.0)
        self.view = Range1d(
            -1, self.bars, bounds=(-1 - edge, self.bars + edge), syncable=False, name="view"
        )
        step = bars_per_point(self.bars, DETAIL_BARS)
        self._clock = ColumnDataSource({"time": times[::step].copy()}, name="clock")
        self._step = step
        self._most = most
        self._panes: list[Any] = []

    @property
    def detailed(self) -> bool:
        """Whether zooming in shows more than is there at first."""
        return self.size > 1 and self.bars <= DETAIL_BARS

    def pane(self, name: str, *, title: str, height: int, **options: Any) -> Any:
        """Add a pane at the bottom and return its figure."""
        plot = pane(
            self.view,
            name=name,
            title=title,
            height=height,
            window_axis="x",
            sizing_mode="stretch_width",
            wheel="ctrl",
            **options,
        )
        self._panes.append(plot)
        return plot

    def layout(self, *, name: str, readings: Sequence[Reading], titles: Sequence[Any] = ()) -> Any:
        """Return the panes as one layout, the newest bar's values in a line above them.

        `titles` are (figure, text at full detail, text else); `#` in it is the bars to a point.
        """
        from bokeh.events import DoubleTap
        from bokeh.models import Column, CustomJS

        everything = CustomJS(args={"view": self.view, "count": self.bars}, code=scripts.SHOW_ALL)
        for plot in self._panes:
            self._label(plot)
            plot.xaxis.visible = plot is self._panes[-1]
            plot.js_on_event(DoubleTap, everything)
        for plot, exact, coarse in titles:
            plot.title.text = exact if self.size == 1 else coarse.replace("#", f"{self.size:,}")
        if self.detailed:
            self._zoom(titles)
        link_crosshairs(*self._panes)
        return Column(
            self._readout(readings),
            *self._panes,
            sizing_mode="stretch_width",
            spacing=0,
            name=name,
        )

    def _label(self, plot: Any) -> None:
        from bokeh.models import CustomJSTicker, CustomJSTickFormatter

        clock = {"clock": self._clock, "step": self._step}
        ticker = CustomJSTicker(args={**clock, "plot": plot}, major_code=page_scripts.CLOCK_TICKS)
        axis = plot.xaxis[0]
        axis.ticker = ticker
        axis.formatter = CustomJSTickFormatter(args=clock, code=page_scripts.CLOCK_LABEL)
        plot.xgrid.ticker = ticker
        plot.xgrid.visible = True

    def _zoom(self, titles: Sequence[Any]) -> None:
        from bokeh.models import ColumnDataSource, CustomJS

        # One copy of what several tracks look at.
        names: dict[int, str] = {}
        for name, track in self.tracks.items():
            names.setdefault(id(track.values), name)
        columns = {name: self.tracks[name].values for name in names.values()}
        full = ColumnDataSource(columns, name="full")
        code = CustomJS(
            args={
                "full": full,
                "bars": self.source,
                "view": self.view,
                "most": self._most,
                "tracks": {n: [names[id(t.values)], t.how] for n, t in self.tracks.items()},
                "titles": [list(title) for title in titles],
            },
            code=page_scripts.DETAIL,
        )
        for edge in ("start", "end"):
            self.view.js_on_change(edge, code)

    def _readout(self, readings: Sequence[Reading]) -> Any:
        from bokeh.events import MouseLeave, MouseMove
        from bokeh.models import CustomJS, Div

        line = Div(
            text="",
            name="readout",
            margin=0,
            sizing_mode="stretch_width",
            stylesheets=[_READOUT_STYLE],
        )
        shown = [[r.column, r.name, r.decimals, r.unit] for r in readings]
        code = CustomJS(
            args={"bars": self.source, "line": line, "readings": shown}, code=page_scripts.READOUT
        )
        self.source.js_on_change("data", code)
        self._panes[0].js_on_change("inner_height", code)
        for plot in self._panes:
            plot.js_on_event(MouseMove, code)
            plot.js_on_event(MouseLeave, code)
        return line


def zero_line(plot: Any, *, at: float = 0.0) -> None:
    """Draw a hairline across, where gains and losses part."""
    from bokeh.models import Span

    plot.add_layout(role(Span(location=at, dimension="width", line_width=1), line_color="muted"))
