"""BokehJS from the package, and nothing else: no file that only a server of Panel has."""

from __future__ import annotations

from bokeh.resources import Resources


class BokehJS(Resources):  # type: ignore[misc]  # Bokeh is untyped to us
    """Scripts that are written into the page.

    Models of other libraries (a table of Panel) register files with Bokeh for every page that is
    made in their process; a page that is a file would look for them in vain.
    """

    def __init__(self, components: list[str] | None = None) -> None:
        super().__init__(mode="inline", components=components)

    @property
    def js_files(self) -> list[str]:
        return []

    @property
    def css_files(self) -> list[str]:
        return []

    def clone(self, *, components: list[str] | None = None) -> BokehJS:
        return BokehJS(components=components or list(self.components))
