"""One palette, light and dark, for every figure and page.

Up is a light teal and down a deep orange-red: they differ in hue and in lightness, so they stay
apart for colour-blind readers and on a grey print.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from toolkit.views.charts import page_scripts

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

_PAINT = "paint"
# BokehJS leaves half of a canvas's first row and column uncleared before it paints again: what it
# painted before shines through there, unless the ground's colour covers it.
_EDGES = """
:host::before, :host::after { content: ""; position: absolute; left: 0; top: 0; z-index: 1;
  background: var(--tk-ground); pointer-events: none; }
:host::before { width: 1px; height: 100%; }
:host::after { width: 100%; height: 1px; }
"""
_PLOT = {
    "background_fill_color": None,
    "border_fill_color": None,
    "outline_line_color": None,
    "stylesheets": [_EDGES],
}
_AXIS = {
    "major_tick_line_color": None,
    "minor_tick_line_color": None,
    "major_label_text_font": FONT,
    "major_label_text_font_size": "11px",
    "axis_label_text_font": FONT,
    "axis_label_text_font_size": "11px",
    "axis_label_text_font_style": "normal",
}
_TITLE = {"text_font": FONT, "text_font_size": "12px", "text_font_style": "normal"}
_LEGEND = {
    "background_fill_color": None,
    "inactive_fill_alpha": 0.6,
    "border_line_color": None,
    "label_text_font": FONT,
    "label_text_font_size": "11px",
}
_AXIS_ROLES = {
    "axis_line_color": "line",
    "major_label_text_color": "muted",
    "axis_label_text_color": "muted",
}
_GRID_ROLES = {"grid_line_color": "grid"}
_TITLE_ROLES = {"text_color": "text"}
_LEGEND_ROLES = {"label_text_color": "muted", "inactive_fill_color": "surface"}


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
    diverging: tuple[str, ...]

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
    diverging=("#8a2a0e", "#c35a34", "#e8a88b", "#f3f1ec", "#9ccfc7", "#3c9a8c", "#07564c"),
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
    diverging=("#ffb394", "#e5693b", "#8a3d24", "#222a34", "#1f625a", "#3fa898", "#b8fff1"),
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def role(model: Any, **colours: str | list[str]) -> Any:
    """Say which role of the theme each colour property of a Bokeh model plays.

    `role(glyph, line_color="ema")`, or a list of roles for a palette, or `sequential` and
    `diverging` for a gradient; `apply_theme` paints it then. Returns the model.
    """
    model.tags = [*model.tags, {_PAINT: colours}]
    return model


def apply_theme(root: Any, theme: Theme) -> None:
    """Paint a Bokeh figure or layout, and everything in it, in the theme's colours."""
    # The page behind the canvases, not each canvas: nothing is left over at their edges.
    ground = {"background-color": theme.surface, "--tk-ground": theme.surface}
    root.styles = {**root.styles, **ground}
    for model, attribute, played in _paints(root):
        setattr(model, attribute, colour_of(theme, played))


def follow_theme(root: Any) -> None:
    """Paint a figure or layout light, and let it follow the page that it is shown on.

    The page's theme is JupyterLab's, VS Code's, or what its background says.
    """
    from bokeh.models import CustomJS, Plot

    apply_theme(root, LIGHT)
    paints = _paints(root)
    played = sorted({"surface", *(name for *_, roles in paints for name in _names(roles))})
    plots = list(root.select({"type": Plot}))
    args = {
        "root": root,
        "plots": plots,
        "paints": [[m, a, roles, _is_spec(m, a)] for m, a, roles in paints],
        "themes": {t.name: {name: colour_of(t, name) for name in played} for t in (LIGHT, DARK)},
    }
    code = CustomJS(args=args, code=page_scripts.FOLLOW_THEME)
    for plot in plots:
        plot.js_on_change("inner_height", code)


def colour_of(theme: Theme, played: str | list[str]) -> Any:
    """Return the colour of a role, the colours of a list of roles, or a gradient of 128 steps."""
    if not isinstance(played, str):
        return [getattr(theme, name) for name in played]
    value = getattr(theme, played)
    return value if isinstance(value, str) else gradient(value)


def gradient(stops: tuple[str, ...], steps: int = 128) -> list[str]:
    """Return `steps` colours from the first stop to the last."""
    colours = [tuple(int(stop[i : i + 2], 16) for i in (1, 3, 5)) for stop in stops]
    shades = []
    for step in range(steps):
        place = step / (steps - 1) * (len(colours) - 1)
        left = min(int(place), len(colours) - 2)
        part = place - left
        mixed = [
            round(a + (b - a) * part) for a, b in zip(colours[left], colours[left + 1], strict=True)
        ]
        shades.append("#" + "".join(f"{channel:02x}" for channel in mixed))
    return shades


def _names(played: str | list[str]) -> list[str]:
    return [played] if isinstance(played, str) else played


def _is_spec(model: Any, attribute: str) -> bool:
    """Say whether a property may be a column as well, which BokehJS wants to be told."""
    from bokeh.core.properties import ColorSpec

    return isinstance(model.lookup(attribute).property, ColorSpec)


def _paints(root: Any) -> list[tuple[Any, str, str | list[str]]]:
    """List every (model, colour property, role) below `root`, and style what has no colour."""
    from bokeh.models import Axis, Grid, Legend, Plot, Title

    styles: tuple[tuple[Any, dict[str, Any]], ...] = (
        (Plot, _PLOT),
        (Axis, _AXIS),
        (Grid, {}),
        (Title, _TITLE),
        (Legend, _LEGEND),
    )
    chrome = (
        (Axis, _AXIS_ROLES),
        (Grid, _GRID_ROLES),
        (Title, _TITLE_ROLES),
        (Legend, _LEGEND_ROLES),
    )
    found: list[tuple[Any, str, str | list[str]]] = []
    for model in root.references():
        for kind, style in styles:
            if isinstance(model, kind):
                model.update(**style)
        for kind, roles in chrome:
            if isinstance(model, kind):
                found += [(model, attribute, played) for attribute, played in roles.items()]
        for tag in model.tags:
            if isinstance(tag, dict) and _PAINT in tag:
                found += [(model, attribute, played) for attribute, played in tag[_PAINT].items()]
    return found
