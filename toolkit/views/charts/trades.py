"""The trades of a run: what they returned and why they ended, how far they went either way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import ConfigError
from toolkit.views.charts.drawing import chart, hover, legend_above, whole_numbers
from toolkit.views.charts.frames import require_columns
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import zero_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from toolkit.core.parameters import Parameters

BINS = 48
ROLES = {
    "take_profit": "up",
    "trailing_stop": "slow",
    "stop_loss": "down",
    "signal": "accent",
    "flatten": "ema",
}


def distribution_figure(trades: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return a histogram of `return_percent` by `exit_reason`; no bar holds gains and losses both.

    Raises ConfigError where columns are missing or there is no trade.
    """
    from bokeh.models import ColumnDataSource

    require_columns("trades", trades, ("return_percent", "exit_reason"))
    _require_trades(trades)
    returns = trades["return_percent"].to_numpy(dtype=float)
    edges = _edges(returns)
    plot = chart(name="distribution", title=_summary(returns), height=300)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "return of a trade, %", "trades"
    whole_numbers(plot.yaxis)
    below, drawn = [0] * (len(edges) - 1), {}
    reasons = [str(reason) for reason in trades["exit_reason"]]
    for reason in sorted(set(reasons), key=_rank):
        values = returns[[other == reason for other in reasons]]
        data = _stack(values, edges, below, reason)
        below = data["top"]
        bars = plot.quad(
            left="left",
            right="right",
            bottom="bottom",
            top="top",
            source=ColumnDataSource(data),
            line_width=0.5,
            name=reason,
        )
        role(bars.glyph, fill_color=ROLES.get(reason, "muted"), line_color="surface")
        drawn[f"{reason.replace('_', ' ')} {len(values):,} ({values.mean():+.3f} %)"] = bars
    hover(
        plot,
        list(drawn.values()),
        [("return", "@left{+0.000} to @right{+0.000} %"), ("@reason", "@count trades")],
    )
    legend_above(plot, drawn)
    _mark(plot, float(returns.mean()))
    plot.y_range.start = 0
    apply_theme(plot, theme)
    return plot


def excursions_figure(
    excursions: pd.DataFrame, *, parameters: Parameters | None = None, theme: Theme = LIGHT
) -> Any:
    """Return each trade's furthest way against us and for us, over what it returned, in percent.

    `excursions` as `run.excursions`; stop loss and take profit of `parameters` are dashed lines.
    Raises ConfigError where columns are missing or there is no trade.
    """
    from bokeh.models import Column, ColumnDataSource

    needed = ("mae_percent", "mfe_percent", "return_percent", "exit_reason", "pnl")
    require_columns("excursions", excursions, needed)
    _require_trades(excursions)
    source = ColumnDataSource(_points(excursions), name="excursions")
    stop, target = _levels(parameters)
    parts = [
        _scatter(source, "mae_percent", "furthest against us, % of the entry (MAE)", -stop),
        _scatter(source, "mfe_percent", "furthest for us, % of the entry (MFE)", target),
    ]
    layout = Column(*parts, sizing_mode="stretch_width", spacing=0, name="excursions")
    apply_theme(layout, theme)
    return layout


def _points(excursions: pd.DataFrame) -> dict[str, Any]:
    from toolkit.views.charts.reduction import milliseconds

    names = ("mae_percent", "mfe_percent", "return_percent", "pnl", "bars_held")
    data: dict[str, Any] = {n: excursions[n].tolist() for n in names if n in excursions}
    data["reason"] = [str(r).replace("_", " ") for r in excursions["exit_reason"]]
    data["result"] = ["won" if pnl > 0 else "lost" for pnl in excursions["pnl"]]
    data["entry_time"] = milliseconds(excursions["entry_time"]).tolist()
    data["symbol"] = excursions["symbol"].tolist()
    return data


def _scatter(source: Any, column: str, label: str, level: float) -> Any:
    from bokeh.models import CDSView, GroupFilter, Span

    plot = chart(name=column, title="", height=260)
    plot.title.visible = False
    plot.xaxis.axis_label, plot.yaxis.axis_label = label, "return, %"
    zero_line(plot)
    drawn = {}
    for result, colour, marker in (("won", "gain", "circle"), ("lost", "loss", "x")):
        points = plot.scatter(
            column,
            "return_percent",
            source=source,
            view=CDSView(filter=GroupFilter(column_name="result", group=result)),
            marker=marker,
            size=7,
            fill_alpha=0.5,
            line_alpha=0.8,
            name=result,
        )
        drawn[result] = role(points.glyph, fill_color=colour, line_color=colour) and points
    if level:
        mark = Span(location=level, dimension="height", line_dash="dashed")
        plot.add_layout(role(mark, line_color="muted"))
    tooltips = [
        ("", "@symbol, bought @entry_time{%F %T} UTC"),
        ("against, for us", "@mae_percent{+0.000} %, @mfe_percent{+0.000} %"),
        ("result", "@pnl{+0,0.00} $ (@return_percent{+0.000} %), @reason"),
        ("held", "@bars_held bars"),
    ]
    hover(plot, list(drawn.values()), tooltips, times=["entry_time"])
    legend_above(plot, drawn)
    return plot


def _edges(returns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return edges of equal bins, one of them at zero."""
    import numpy as np

    low, high = min(float(returns.min()), 0.0), max(float(returns.max()), 0.0)
    width = (high - low) / BINS or 1.0
    first, last = int(np.floor(low / width - 1e-9)), int(np.ceil(high / width + 1e-9))
    return np.arange(first, last + 1) * width


def _stack(
    values: np.ndarray[Any, Any], edges: np.ndarray[Any, Any], below: list[int], reason: str
) -> dict[str, Any]:
    import numpy as np

    counts = np.histogram(values, edges)[0].tolist()
    return {
        "left": edges[:-1].tolist(),
        "right": edges[1:].tolist(),
        "bottom": below,
        "top": [b + c for b, c in zip(below, counts, strict=True)],
        "count": counts,
        "reason": [reason.replace("_", " ")] * len(counts),
    }


def _mark(plot: Any, mean: float) -> None:
    from bokeh.models import Span

    zero_line = Span(location=0, dimension="height", line_width=1)
    plot.add_layout(role(zero_line, line_color="muted"))
    average = Span(location=mean, dimension="height", line_dash="dashed", line_width=1.5)
    plot.add_layout(role(average, line_color="text"))


def _summary(returns: np.ndarray[Any, Any]) -> str:
    import numpy as np

    count = len(returns)
    return (
        f"{count:,} trade{'s' * (count != 1)}: mean {returns.mean():+.3f} % (dashed),"
        f" median {np.median(returns):+.3f} %, {100.0 * (returns > 0).mean():.0f} % won"
    )


def _rank(reason: str) -> int:
    known: Sequence[str] = list(ROLES)
    return known.index(reason) if reason in known else len(known)


def _levels(parameters: Parameters | None) -> tuple[float, float]:
    if parameters is None:
        return 0.0, 0.0
    risk = parameters.risk
    return (0.0 if risk.atr_stop else risk.stop_loss), risk.take_profit


def _require_trades(trades: pd.DataFrame) -> None:
    if trades.empty:
        raise ConfigError(
            "there is no trade to draw; the run's note says why: run.note",
            field="trades",
            allowed="one at least",
        )
