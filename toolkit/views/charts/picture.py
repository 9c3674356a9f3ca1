"""A Bokeh layout that shows itself in a notebook."""

from __future__ import annotations

from typing import Any


def load_bokeh() -> None:
    """Bring Bokeh's JavaScript into the notebook, from the package and not from the network.

    Once for each kernel; displays something (invisible) in the cell that runs.
    """
    from bokeh.io import output_notebook
    from bokeh.io.state import curstate
    from bokeh.resources import INLINE

    if not curstate().notebook:
        output_notebook(INLINE, hide_banner=True)


class Picture:
    """What `run.plot()` and `table.heatmap()` return; `layout` is the Bokeh layout in it."""

    def __init__(self, layout: Any) -> None:
        self.layout = layout

    def _ipython_display_(self) -> None:
        from bokeh.io import show

        load_bokeh()
        show(self.layout)

    def __repr__(self) -> str:
        return f"<Picture {self.layout.name or type(self.layout).__name__}>"
