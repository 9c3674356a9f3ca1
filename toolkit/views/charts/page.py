"""Pictures as one HTML file that asks nothing of any network: Bokeh, data and style are in it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Literal

from toolkit.views.charts.theme import DARK, FONT, LIGHT

ThemeName = Literal["auto", "light", "dark"]

_BASE = """
*, *::before, *::after { box-sizing: border-box; }
body { margin: 0; background: var(--tk-surface); color: var(--tk-text); font: 15px/1.5 FONT; }
@media print { [data-tk-painted="dark"] [data-root-id] > * {
  color: INK; filter: invert(1) hue-rotate(180deg) brightness(1.1); print-color-adjust: exact; } }
""".replace("FONT", FONT).replace(
    "INK", DARK.text
)  # canvases cannot be repainted for paper in time


def page_html(
    body: str,
    pictures: Mapping[str, Any],
    *,
    title: str,
    theme: ThemeName = "auto",
    style: str = "",
) -> str:
    """Return a page; `{name}` of each picture in `body` (as `<!--name-->`) becomes the picture."""
    script, resources = "", ""
    if pictures:
        from bokeh.embed import components

        script, divs = components(dict(pictures))
        resources = _resources(pictures)
        for name, div in divs.items():
            body = body.replace(slot(name), div)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{_colours(theme)} {_BASE} {style}</style>"
        f"{resources}</head><body>{body}{script}</body></html>"
    )


def slot(name: str) -> str:
    """Return the mark that a picture of this name replaces."""
    return f"<!--{name}-->"


def _colours(theme: ThemeName) -> str:
    if theme == "dark":
        return f":root {{ color-scheme: dark; {DARK.css()} }}"
    light = f":root {{ color-scheme: light; {LIGHT.css()} }}"
    if theme == "light":
        return light
    dark = f":root {{ color-scheme: dark; {DARK.css()} }}"
    return f"{light} @media screen and (prefers-color-scheme: dark) {{ {dark} }}"


def _resources(pictures: Mapping[str, Any]) -> str:
    """Return BokehJS, with the parts that these pictures use."""
    from bokeh.models import Widget

    from toolkit.views.charts.bokeh_js import BokehJS

    models = [model for picture in pictures.values() for model in picture.references()]
    parts = ["bokeh"]
    if any(isinstance(model, Widget) for model in models):
        parts.append("bokeh-widgets")
    found: str = BokehJS(parts).render()
    return found
