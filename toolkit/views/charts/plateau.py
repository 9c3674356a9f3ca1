"""How flat the neighbourhood of a chosen set is: every neighbour's figure over its distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.views.charts.drawing import chart, hover, legend_above
from toolkit.views.charts.frames import compact, require_columns, require_rows, words
from toolkit.views.charts.theme import LIGHT, Theme, apply_theme, role
from toolkit.views.charts.timeline import zero_line

if TYPE_CHECKING:
    import pandas as pd

_NOT_FIGURES = ("distance", "share")


def plateau_figure(
    neighbours: pd.DataFrame, *, metric: str = "", note: str = "", theme: Theme = LIGHT
) -> Any:
    """Return each neighbour's figure over its distance in steps; the chosen set is at 0.

    `neighbours` as `Plateau.frame`; `metric` is by default its last column that is neither a
    parameter nor `distance` nor `share`. Raises ConfigError where columns are missing.
    """
    from bokeh.models import ColumnDataSource, FixedTicker

    require_columns("neighbours", neighbours, ("distance",))
    require_rows("neighbours", neighbours)
    swept = [str(name) for name in neighbours.columns if "." in str(name)]
    chosen = metric or [n for n in neighbours.columns if n not in (*swept, *_NOT_FIGURES)][-1]
    require_columns("neighbours", neighbours, (chosen,))
    distances = neighbours["distance"].astype(float)
    data = {
        "x": (distances + _spread(distances)).tolist(),
        "y": neighbours[chosen].astype(float).tolist(),
        "distance": distances.tolist(),
        "set": [
            ", ".join(f"{words(name)} {compact(row[name])}" for name in swept)
            for _, row in neighbours.iterrows()
        ],
    }
    best = data["y"][int(distances.to_numpy().argmin())]
    plot = chart(name="plateau", title=note or f"{words(chosen)} of the neighbours", height=300)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "steps from the chosen set", words(chosen)
    plot.xaxis.ticker = FixedTicker(ticks=sorted(set(data["distance"])))
    plot.xgrid.visible = False
    zero_line(plot)
    dots = plot.scatter("x", "y", source=ColumnDataSource(data), size=8, fill_alpha=0.6)
    role(dots.glyph, fill_color="accent", line_color="surface")
    top = plot.scatter([0], [best], size=14, marker="star")
    role(top.glyph, fill_color="gain", line_color="surface")
    medians = neighbours.groupby(distances)[chosen].median()
    middle = plot.line(medians.index.tolist(), medians.tolist(), line_width=2, line_dash="dashed")
    role(middle.glyph, line_color="text")
    tooltips = [(words(chosen), "@y{0,0.000}"), ("set", "@set"), ("steps", "@distance")]
    hover(plot, [dots], tooltips)
    legend_above(plot, {"chosen set": top, "a neighbour": dots, "median of its distance": middle})
    apply_theme(plot, theme)
    return plot


def _spread(distances: pd.Series[float]) -> Any:
    """Return small shifts to the sides, so that sets of one distance stand beside each other."""
    places = distances.groupby(distances).cumcount()
    counts = distances.groupby(distances).transform("size")
    return 0.5 * ((places + 0.5) / counts - 0.5)
