"""A Bokeh layout that shows itself in a notebook, in Panel, and saves itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigError
from toolkit.views.charts.page import ThemeName, page_html, slot

Camera = Callable[[str, Path, int, int], None]
"""Called with a page (HTML), the PNG to write, and the page's width and height in pixels."""

FORMATS = (".html", ".png")
_MARGIN = "body { padding: 12px; }"


def load_bokeh() -> None:
    """Bring Bokeh's JavaScript into the notebook, from the package and not from the network.

    Once for each kernel; displays something (invisible) in the cell that runs.
    """
    from bokeh.io import output_notebook
    from bokeh.io.state import curstate

    from toolkit.views.charts.bokeh_js import BokehJS

    if not curstate().notebook:
        output_notebook(BokehJS(), hide_banner=True)


class Picture:
    """What `plot()` returns; `layout` is the Bokeh layout in it.

    In a notebook and on a page it follows light and dark unless `theme` is one of them.
    """

    def __init__(
        self,
        layout: Any,
        *,
        title: str = "",
        theme: ThemeName = "auto",
        camera: Camera | None = None,
    ) -> None:
        self.layout = layout
        self.title = title or str(layout.name or type(layout).__name__)
        self._theme = theme
        self._camera = camera

    def save(self, path: str | Path, *, width: int = 1200) -> Path:
        """Write one HTML file that needs nothing else, or a PNG of `width` pixels at twice that.

        PNG needs Chromium, Chrome or Edge on this machine; `auto` is light there. Raises
        ConfigError.
        """
        target = Path(path)
        if target.suffix.lower() not in FORMATS:
            raise ConfigError(
                f"cannot save a picture as {target.name!r}; allowed: {', '.join(FORMATS)}",
                field="path",
                value=str(path),
                allowed=list(FORMATS),
            )
        if target.suffix.lower() == ".png":
            self._photograph(target, width)
        else:
            target.write_text(self._page(self._theme), encoding="utf-8")
        return target

    def _photograph(self, target: Path, width: int) -> None:
        if self._camera is None:
            raise ConfigError(
                "this picture has no camera; use tk.backtest(...).plot() or save HTML",
                field="camera",
                allowed="a Camera",
            )
        theme: ThemeName = "dark" if self._theme == "dark" else "light"
        self._camera(self._page(theme), target, width, height_of(self.layout))

    def _page(self, theme: ThemeName) -> str:
        name = "picture"
        return page_html(
            slot(name), {name: self.layout}, title=self.title, theme=theme, style=_MARGIN
        )

    def _ipython_display_(self) -> None:
        from bokeh.io import show

        load_bokeh()
        show(self.layout)

    def __panel__(self) -> Any:
        from panel.pane import Bokeh

        return Bokeh(self.layout, sizing_mode="stretch_width")

    def __repr__(self) -> str:
        return f"<Picture {self.title}>"


def height_of(layout: Any) -> int:
    """Return how high a layout is at most, in pixels, all its parts below each other."""
    parts = [child[0] if isinstance(child, tuple) else child for child in _children(layout)]
    if parts:
        return sum(height_of(part) for part in parts)
    return int(layout.height or 600)


def _children(layout: Any) -> list[Any]:
    return list(getattr(layout, "children", []))
