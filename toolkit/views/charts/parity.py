"""A session beside its backtest: what each cause cost, and every pair of trades that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.views.charts.drawing import chart, hover, legend_above
from toolkit.views.charts.frames import require_columns
from toolkit.views.charts.reduction import candle_tracks, milliseconds
from toolkit.views.charts.runs import candles_of
from toolkit.views.charts.theme import FONT, LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import Reading, Timeline

if TYPE_CHECKING:
    import pandas as pd

_PAIRS = ("symbol", "side", "live_time", "live_price", "backtest_time", "backtest_price", "cause")


def causes_figure(causes: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return what each cause cost in dollars; to the right the session earned less.

    `causes` as `ParityReport.causes`, in its order: the unexplained on top. Raises ConfigError
    where columns are missing.
    """
    from bokeh.models import ColumnDataSource, FactorRange, NumeralTickFormatter, Span

    require_columns("causes", causes, ("cause", "count", "cost"))
    names = [str(cause) for cause in causes["cause"]] or ["no difference"]
    total = float(causes["cost"].sum())
    plot = chart(
        name="causes",
        title=_cost(total) if len(causes) else "No trade differs from the backtest",
        height=96 + 30 * len(names),
        y_range=FactorRange(factors=list(reversed(names))),
        min_border_left=130,
    )
    plot.ygrid.visible = False
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    plot.xaxis.axis_label = "dollars"
    data: dict[str, list[Any]] = {
        "cause": [str(cause) for cause in causes["cause"]],
        "cost": causes["cost"].astype(float).tolist(),
        "count": causes["count"].tolist(),
        "said": [
            f" {c:+,.2f} $ in {n:,} trade{'s' * (n != 1)} "
            for c, n in zip(causes["cost"].astype(float), causes["count"], strict=True)
        ],
        "kind": [
            "unexplained" if str(cause) == "unexplained" else "dear" if cost > 0 else "cheap"
            for cause, cost in zip(causes["cause"], causes["cost"], strict=True)
        ],
    }
    drawn = []
    for kind, colour in (("dear", "loss"), ("cheap", "gain"), ("unexplained", "warning")):
        rows = [i for i, value in enumerate(data["kind"]) if value == kind]
        source = ColumnDataSource({name: [v[i] for i in rows] for name, v in data.items()})
        bars = plot.hbar(y="cause", right="cost", height=0.6, source=source, name=kind)
        bars.glyph.line_color = None
        drawn.append(role(bars.glyph, fill_color=colour) and bars)
        for less in (True, False):
            _say(plot, source.data, less=less)
    plot.add_layout(role(Span(location=0, dimension="height"), line_color="muted"))
    plot.x_range.range_padding = 0.5
    if not len(causes):
        plot.x_range.start, plot.x_range.end = -1.0, 1.0
    hover(plot, drawn, [("@cause", "@cost{+0,0.00} $"), ("trades", "@count{0,0}")])
    apply_theme(plot, theme)
    return plot


def pairs_figure(
    pairs: pd.DataFrame,
    *,
    symbol: str | None = None,
    bars: pd.DataFrame | None = None,
    theme: Theme = LIGHT,
) -> Any:
    """Return every differing leg of one symbol: live filled, backtest hollow, a line between them.

    `pairs` as `ParityReport.frame`; `symbol` is by default the one with most differences; with
    `bars` of that symbol candles are drawn beneath. Raises ConfigError where there is nothing.
    """
    from bokeh.models import ColumnDataSource

    require_columns("pairs", pairs, _PAIRS)
    if pairs.empty:
        raise ConfigError("no trade differs: there is no pair to draw", field="pairs")
    name = symbol or str(pairs["symbol"].value_counts().index[0])
    rows = pairs[pairs["symbol"] == name]
    if rows.empty:
        known = sorted(set(map(str, pairs["symbol"])))
        raise ConfigError(f"no trade of {name} differs", field="symbol", value=name, allowed=known)
    timeline = _timeline(rows, bars)
    count = f"{len(rows):,} difference{'s' * (len(rows) != 1)}"
    plot = timeline.pane(
        "pairs", title=f"{name}   {count}: live filled, backtest hollow", height=380
    )
    readings = []
    if bars is not None:
        candles_of(plot, timeline.source)
        readings = [Reading(column=n, name=n[0].upper()) for n in ("open", "high", "low", "close")]
    _draw(plot, ColumnDataSource(_columns(rows, timeline.tracks["time"].values)))
    layout = timeline.layout(name="pairs", readings=readings)
    apply_theme(layout, theme)
    return layout


def _cost(total: float) -> str:
    return f"What differs cost {total:+,.2f} $ in all; above 0 the session earned less"


def _say(plot: Any, data: dict[str, list[Any]], *, less: bool) -> None:
    rows = [i for i, cost in enumerate(data["cost"]) if (cost < 0) == less]
    chosen = {n: [data[n][i] for i in rows] for n in ("cause", "cost", "said")}
    text = plot.text(
        "cost",
        "cause",
        text="said",
        source=chosen,
        text_align="right" if less else "left",
        text_baseline="middle",
        text_font={"value": FONT},
        text_font_size="11px",
    )
    role(text.glyph, text_color="text")


def _timeline(rows: pd.DataFrame, bars: pd.DataFrame | None) -> Timeline:
    import numpy as np

    if bars is not None:
        tracks = candle_tracks(bars)
        return Timeline(tracks.pop("time").values, tracks)
    legs = [milliseconds(rows[n].dropna()) for n in ("live_time", "backtest_time")]
    return Timeline(np.unique(np.concatenate(legs)), {})


def _columns(rows: pd.DataFrame, times: Any) -> dict[str, list[Any]]:
    import numpy as np

    columns: dict[str, list[Any]] = {}
    for side in ("live", "backtest"):
        known = rows[f"{side}_time"].notna().to_numpy()
        moments = np.full(len(rows), np.nan)
        moments[known] = milliseconds(rows[f"{side}_time"][known])
        bar = np.searchsorted(times, moments, side="right") - 1.0
        columns[f"{side}_x"] = np.where(known, bar, np.nan).tolist()
        columns[f"{side}_time"] = moments.tolist()
        columns[f"{side}_price"] = rows[f"{side}_price"].astype(float).tolist()
        quantities = rows.get(f"{side}_quantity")
        columns[f"{side}_quantity"] = (
            [np.nan] * len(rows) if quantities is None else quantities.astype(float).tolist()
        )
    for name in ("side", "cause", "cost", "detail"):
        columns[name] = rows[name].tolist() if name in rows else [""] * len(rows)
    return columns


def _draw(plot: Any, source: Any) -> None:
    from bokeh.models import CDSView, GroupFilter, NumeralTickFormatter

    ways = plot.segment(
        "live_x", "live_price", "backtest_x", "backtest_price", source=source, line_width=2
    )
    role(ways.glyph, line_color="warning")
    drawn = {}
    for side, marker, colour in (("buy", "triangle", "buy"), ("sell", "inverted_triangle", "sell")):
        view = CDSView(filter=GroupFilter(column_name="side", group=side))
        for who, filled in (("live", True), ("backtest", False)):
            marks = plot.scatter(
                f"{who}_x",
                f"{who}_price",
                source=source,
                view=view,
                marker=marker,
                size=12,
                fill_alpha=0.9 if filled else 0.0,
                line_width=1.5,
                name=f"{who}_{side}",
            )
            role(marks.glyph, fill_color=colour, line_color=colour)
            drawn[f"{side}, {who}"] = marks
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.00[00]")
    tooltips = [
        ("@side", "@cause, cost @cost{+0,0.00} $"),
        ("live", "@live_quantity{0,0.[0000]} at @live_price{0,0.00[00]} $, @live_time{%F %T} UTC"),
        (
            "backtest",
            "@backtest_quantity{0,0.[0000]} at @backtest_price{0,0.00[00]} $,"
            " @backtest_time{%F %T} UTC",
        ),
        ("", "@detail"),
    ]
    hover(plot, list(drawn.values()), tooltips, times=("live_time", "backtest_time"))
    legend_above(plot, drawn)
