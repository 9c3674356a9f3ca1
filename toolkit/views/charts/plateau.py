"""How flat the neighbourhood of a chosen set is: every neighbour's figure over its distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import chart, hover, legend_above
from toolkit.views.charts.frames import compact, require_columns, require_rows, words
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import zero_line

if TYPE_CHECKING:
    import pandas as pd


def plateau_figure(
    neighbours: pd.DataFrame, *, figure: str = "metric", theme: Theme = LIGHT
) -> Any:
    """Return each neighbour's figure over its distance in steps; the chosen set is at 0.

    `neighbours` as `Plateau.frame`: parameters, distance, metric (named `figure` here), kept.
    Raises ConfigError where columns are missing or there is no set.
    """
    from bokeh.models import CDSView, ColumnDataSource, FixedTicker, GroupFilter

    require_columns("neighbours", neighbours, ("distance", "metric", "kept"))
    require_rows("neighbours", neighbours)
    what = words(figure)
    data = _columns(neighbours)
    others = neighbours[neighbours["distance"] > 0]
    share = f"{100.0 * others['kept'].mean():.0f} %" if len(others) else "none"
    title = f"{share} of {len(others):,} neighbours nearly keep the {what} of the chosen set"
    plot = chart(name="plateau", title=title, height=300)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "steps from the chosen set", what
    plot.xaxis.ticker = FixedTicker(ticks=sorted({round(d) for d in data["distance"]}))
    plot.xgrid.visible = False
    zero_line(plot)
    source, drawn = ColumnDataSource(data), {}
    looks = (
        ("chosen", "text", "star", 14),
        ("kept", "gain", "circle", 8),
        ("worse", "loss", "x", 8),
    )
    for kind, colour, marker, size in looks:
        if kind not in data["kind"]:
            continue
        dots = plot.scatter(
            "x",
            "y",
            source=source,
            view=CDSView(filter=GroupFilter(column_name="kind", group=kind)),
            marker=marker,
            size=size,
            fill_alpha=0.7,
            line_width=1.5,
            name=kind,
        )
        label = {"chosen": "chosen set", "kept": "nearly as good", "worse": "worse"}[kind]
        drawn[label] = role(dots.glyph, fill_color=colour, line_color=colour) and dots
    hover(
        plot, list(drawn.values()), [(what, "@y{0,0.000}"), ("set", "@set"), ("steps", "@distance")]
    )
    legend_above(plot, drawn)
    apply_theme(plot, theme)
    return plot


def _columns(neighbours: pd.DataFrame) -> dict[str, list[Any]]:
    swept = [str(name) for name in neighbours.columns if "." in str(name)]
    distances = neighbours["distance"].astype(float)
    kinds = ["kept" if kept else "worse" for kept in neighbours["kept"]]
    return {
        "x": (distances + _spread(distances)).tolist(),
        "y": neighbours["metric"].astype(float).tolist(),
        "distance": distances.tolist(),
        "kind": [
            "chosen" if distance == 0 else kind
            for distance, kind in zip(distances, kinds, strict=True)
        ],
        "set": [
            ", ".join(f"{words(name)} {compact(row[name])}" for name in swept)
            for _, row in neighbours.iterrows()
        ],
    }


def _spread(distances: pd.Series[float]) -> Any:
    """Return small shifts to the sides, so that sets of one distance stand beside each other."""
    places = distances.groupby(distances).cumcount()
    counts = distances.groupby(distances).transform("size")
    return 0.5 * ((places + 0.5) / counts - 0.5)
