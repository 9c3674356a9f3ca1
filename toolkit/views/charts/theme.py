"""One palette, light and dark, for every figure and page.

Up is a light teal and down a deep orange-red: they differ in hue and in lightness, so they stay
apart for colour-blind readers and on a grey print.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

_PAINT = "paint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours by the role they play; every value is a CSS hex colour."""

    name: str
    page: str
    surface: str
    raised: str
    text: str
    muted: str
    line: str
    grid: str
    accent: str
    up: str
    down: str
    buy: str
    sell: str
    gain: str
    loss: str
    ema: str
    fast: str
    slow: str
    warning: str
    sequential: tuple[str, ...]

    def css(self) -> str:
        """Return the colours as CSS custom properties (`--tk-up: #...;`)."""
        colours = {k: v for k, v in asdict(self).items() if isinstance(v, str) and k != "name"}
        return " ".join(f"--tk-{role}: {colour};" for role, colour in colours.items())


LIGHT = Theme(
    name="light",
    page="#f3f5f7",
    surface="#ffffff",
    raised="#f6f8fa",
    text="#151a21",
    muted="#5b6675",
    line="#dfe4ea",
    grid="#eef1f4",
    accent="#2460c8",
    up="#2fa596",
    down="#b8401f",
    buy="#0a5f55",
    sell="#6f210c",
    gain="#0b7468",
    loss="#b23614",
    ema="#7052c8",
    fast="#2460c8",
    slow="#b07800",
    warning="#8f5a00",
    sequential=("#f2efe2", "#cfdcc4", "#93c2b4", "#559fa8", "#2f7595", "#234a75", "#16213f"),
)

DARK = Theme(
    name="dark",
    page="#0c1015",
    surface="#12171e",
    raised="#19202a",
    text="#e4e9ef",
    muted="#93a0b0",
    line="#252e3a",
    grid="#1b232d",
    accent="#6ea3ff",
    up="#62cdbb",
    down="#d9582f",
    buy="#b8fff1",
    sell="#ffb394",
    gain="#62cdbb",
    loss="#f2794e",
    ema="#b39dff",
    fast="#6ea3ff",
    slow="#e6b450",
    warning="#e6b450",
    sequential=("#16213f", "#234a75", "#2f7595", "#559fa8", "#93c2b4", "#cfdcc4", "#f2efe2"),
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def role(model: Any, **colours: str | list[str]) -> Any:
    """Say which role of the theme each colour property of a Bokeh model plays.

    `role(glyph, line_color="ema")`, or a list of roles for a palette; `apply_theme` paints it
    then. Returns the model.
    """
    model.tags = [*model.tags, {_PAINT: colours}]
    return model


def apply_theme(root: Any, theme: Theme) -> None:
    """Paint a Bokeh figure or layout, and everything in it, in the theme's colours."""
    from bokeh.models import Axis, Grid, Plot, Title

    # The page behind the canvases, not each canvas: nothing is left over at their edges.
    root.styles = {**root.styles, "background-color": theme.surface}
    chrome = ((Plot, _paint_plot), (Axis, _paint_axis), (Grid, _paint_grid), (Title, _paint_title))
    for model in root.references():
        for kind, paint in chrome:
            if isinstance(model, kind):
                paint(model, theme)
        for tag in model.tags:
            if isinstance(tag, dict) and _PAINT in tag:
                for attribute, played in tag[_PAINT].items():
                    setattr(model, attribute, _colour(theme, played))


def _colour(theme: Theme, played: str | list[str]) -> Any:
    if isinstance(played, str):
        return getattr(theme, played)
    return [getattr(theme, name) for name in played]


def _paint_plot(plot: Any, _theme: Theme) -> None:
    plot.update(
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )


def _paint_axis(axis: Any, theme: Theme) -> None:
    axis.update(
        axis_line_color=theme.line,
        major_tick_line_color=None,
        minor_tick_line_color=None,
        major_label_text_color=theme.muted,
        major_label_text_font=FONT,
        major_label_text_font_size="11px",
        axis_label_text_color=theme.muted,
        axis_label_text_font=FONT,
        axis_label_text_font_size="11px",
        axis_label_text_font_style="normal",
    )


def _paint_grid(grid: Any, theme: Theme) -> None:
    grid.grid_line_color = theme.grid


def _paint_title(title: Any, theme: Theme) -> None:
    title.update(
        text_color=theme.text,
        text_font=FONT,
        text_font_size="12px",
        text_font_style="normal",
    )
