"""A Bokeh layout that shows itself in a notebook."""

from __future__ import annotations

from typing import Any


class Picture:
    """What `run.plot()` and `table.heatmap()` return; `layout` is the Bokeh layout in it."""

    def __init__(self, layout: Any) -> None:
        self.layout = layout

    def _ipython_display_(self) -> None:
        from bokeh.io import output_notebook, show
        from bokeh.io.state import curstate
        from bokeh.resources import INLINE

        if not curstate().notebook:
            output_notebook(INLINE, hide_banner=True)
        show(self.layout)

    def __repr__(self) -> str:
        return f"<Picture {self.layout.name or type(self.layout).__name__}>"
