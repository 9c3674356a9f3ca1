"""Pictures of the bias checks: where costs end the edge, what is wrong with the data, warm-up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import chart, hover, legend_above
from toolkit.views.charts.frames import compact, require_columns, require_rows, words
from toolkit.views.charts.reduction import milliseconds
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import zero_line

if TYPE_CHECKING:
    import pandas as pd


def costs_figure(
    points: pd.DataFrame,
    *,
    fee_bps: float,
    slippage_bps: float,
    fee_break_even: float,
    slippage_break_even: float,
    theme: Theme = LIGHT,
) -> Any:
    """Return the profit in dollars over the fee, and over the slippage, the other one as given.

    `points` as `CostsCheck.frame`; break-evens in basis points, infinite where there is none.
    Raises ConfigError where columns are missing or there is no point.
    """
    from bokeh.models import Column

    require_columns("points", points, ("fee_bps", "slippage_bps", "profit", "trades"))
    require_rows("points", points)
    parts = []
    for name, other, given, here, end in (
        ("fee_bps", "slippage_bps", slippage_bps, fee_bps, fee_break_even),
        ("slippage_bps", "fee_bps", fee_bps, slippage_bps, slippage_break_even),
    ):
        rows = points[(points[other] - given).abs() < 1e-9].sort_values(name)
        if not rows.empty:
            parts.append(_curve(rows, name, here=here, end=end))
    layout = Column(*parts, sizing_mode="stretch_width", spacing=0, name="costs")
    apply_theme(layout, theme)
    return layout


def findings_figure(findings: pd.DataFrame, *, theme: Theme = LIGHT) -> Any:
    """Return when each kind of fault was found; `findings` as `DataCheck.frame`.

    Raises ConfigError where columns are missing.
    """
    from bokeh.models import CDSView, ColumnDataSource, FactorRange, GroupFilter, NoOverlap

    require_columns("findings", findings, ("kind", "severity", "timestamp", "symbol", "message"))
    known = findings[findings["timestamp"].notna()]
    kinds = [str(kind) for kind in known["kind"].value_counts().index]
    count = len(findings)
    title = "No faults were found" if not count else f"{count:,} finding{'s' * (count != 1)}"
    plot = chart(
        name="findings",
        title=title,
        height=90 + 30 * max(len(kinds), 1),
        y_range=FactorRange(factors=list(reversed(kinds)) or [""]),
        x_axis_type="datetime",
        min_border_left=130,
    )
    plot.xaxis.major_label_policy = NoOverlap()
    data = {name: known[name].astype(str).tolist() for name in ("kind", "severity", "symbol")}
    data |= {n: known[n].astype(str).tolist() for n in ("message", "advice", "row") if n in known}
    data["time"] = milliseconds(known["timestamp"]).tolist() if len(known) else []
    source, drawn = ColumnDataSource(data), {}
    looks = (("error", "loss", "x"), ("warning", "warning", "diamond"), ("note", "muted", "circle"))
    for severity, colour, marker in looks:
        if severity not in data["severity"]:
            continue
        marks = plot.scatter(
            "time",
            "kind",
            source=source,
            view=CDSView(filter=GroupFilter(column_name="severity", group=severity)),
            marker=marker,
            size=10,
            line_width=2,
            fill_alpha=0.6,
            name=severity,
        )
        drawn[severity] = role(marks.glyph, fill_color=colour, line_color=colour) and marks
    tooltips = [
        ("@severity", "@kind, @symbol"),
        ("when", "@time{%F %T} UTC, row @row"),
        ("what", "@message"),
        ("mend", "@advice"),
    ]
    hover(plot, list(drawn.values()), tooltips, times=("time",))
    if drawn:
        legend_above(plot, drawn)
    apply_theme(plot, theme)
    return plot


def warmup_figure(settled: pd.DataFrame, *, loaded: int, theme: Theme = LIGHT) -> Any:
    """Return how many bars each set needs until its signals agree, beside what the bot loads.

    `settled` as `WarmupCheck.frame`; a set that never settled has no bar, and its name says so.
    Raises ConfigError where columns are missing or nothing was tried.
    """
    from bokeh.models import ColumnDataSource, FactorRange, Span

    require_columns("settled", settled, ("symbol", "signals", "enough"))
    require_rows("settled", settled)
    rows = settled.head(60)
    names = [_set_name(row, i) for i, (_, row) in enumerate(rows.iterrows())]
    plot = chart(
        name="warmup",
        title=f"Bars until signals agree with those of a long history; the bot loads {loaded:,}",
        height=96 + 26 * len(names),
        x_range=(0.0, 1.06 * max(loaded, *(b for b in rows["signals"] if math.isfinite(b)), 1.0)),
        y_range=FactorRange(factors=list(reversed(names))),
        min_border_left=190,
    )
    plot.ygrid.visible = False
    plot.xaxis.axis_label = "bars"
    drawn = []
    for enough, colour in ((True, "accent"), (False, "loss")):
        kept = [i for i, value in enumerate(rows["enough"]) if bool(value) is enough]
        data: dict[str, Any] = {"set": [names[i] for i in kept]}
        data["bars"] = [float(rows["signals"].iloc[i]) for i in kept]
        if not kept:
            continue
        bars = plot.hbar(y="set", right="bars", height=0.6, source=ColumnDataSource(data))
        bars.glyph.line_color = None
        drawn.append(role(bars.glyph, fill_color=colour) and bars)
    limit = Span(location=loaded, dimension="height", line_dash="dashed", line_width=1.5)
    plot.add_layout(role(limit, line_color="text"))
    hover(plot, drawn, [("@set", "@bars{0,0} bars")])
    apply_theme(plot, theme)
    return plot


def _curve(rows: pd.DataFrame, name: str, *, here: float, end: float) -> Any:
    from bokeh.models import ColumnDataSource, NumeralTickFormatter, Span

    dies = f"the edge dies at {end:.2f} bps" if math.isfinite(end) else "the edge outlives all"
    dies = "there is no edge" if end == 0.0 else dies
    what = words(name.removesuffix("_bps"))
    plot = chart(name=name, title=f"Profit over {what}: {dies}", height=230)
    plot.xaxis.axis_label, plot.yaxis.axis_label = f"{what}, bps of each fill", "dollars"
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    zero_line(plot)
    columns = {c: rows[c].astype(float).tolist() for c in (name, "profit", "trades")}
    source = ColumnDataSource(columns)
    way = plot.line(name, "profit", source=source, line_width=2)
    dots = plot.scatter(name, "profit", source=source, size=8)
    role(way.glyph, line_color="accent")
    role(dots.glyph, fill_color="accent", line_color="surface")
    given = Span(location=here, dimension="height", line_dash="dotted")
    plot.add_layout(role(given, line_color="muted"))
    if math.isfinite(end) and end > 0.0:
        edge = Span(location=end, dimension="height", line_dash="dashed", line_width=1.5)
        plot.add_layout(role(edge, line_color="loss"))
    tooltips = [
        (what, f"@{name}{{0.00}} bps"),
        ("profit", "@profit{+0,0.00} $"),
        ("trades", "@trades{0,0}"),
    ]
    hover(plot, [dots], tooltips)
    return plot


def _set_name(row: pd.Series[Any], number: int) -> str:
    swept = ", ".join(f"{words(str(n))} {compact(row[n])}" for n in row.index if "." in str(n))
    never = "" if math.isfinite(float(row["signals"])) else " (never)"
    return f"{number + 1}. {row['symbol']} {swept}".strip() + never
