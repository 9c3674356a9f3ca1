"""The dashboard's page: its template, the light and dark switch, and what a lost link does."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from toolkit.views.charts.theme import DARK, FONT, LIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping

# The switch shows the theme that a click leads to; the choice is kept in a cookie for a year.
_SWITCH = """
const dark = switch_.active
document.documentElement.dataset.theme = dark ? "dark" : "light"
document.cookie = `tk_theme=${dark ? "dark" : "light"}; path=/; max-age=31536000; samesite=strict`
switch_.label = dark ? "Light" : "Dark"
"""
_READY = """
const dark = document.documentElement.dataset.theme == "dark"
if (switch_.active != dark) switch_.active = dark
"""
_LOST = """
document.documentElement.dataset.lost = ""
const back = async () => {  // one question at a time: a busy server is not asked again and again
  const answer = await fetch(location.href, {cache: "no-store"}).catch(() => null)
  if (answer?.ok) location.reload()
  else setTimeout(back, 3000)
}
setTimeout(back, 3000)
"""

CONTROL_STYLE = """
:host { font-family: var(--tk-font); }
:host .bk-btn.bk-btn-default, :host select.bk-input {
  font: 13px var(--tk-font); height: 30px; min-height: 30px; padding: 0 12px; border-radius: 4px;
  border: 1px solid var(--tk-line) !important; box-shadow: none; color: var(--tk-text) !important;
  background-color: var(--tk-surface) !important; }
:host select.bk-input { font-size: 15px; font-weight: 600; padding-right: 28px;
  background-image: linear-gradient(45deg, transparent 50%, var(--tk-muted) 50%),
    linear-gradient(135deg, var(--tk-muted) 50%, transparent 50%);
  background-position: calc(100% - 17px) 50%, calc(100% - 12px) 50%;
  background-size: 5px 5px; background-repeat: no-repeat; }
:host select.bk-input option { color: var(--tk-text); background: var(--tk-surface); }
:host .bk-btn.bk-btn-default:hover { background-color: var(--tk-raised) !important;
  border-color: var(--tk-muted) !important; }
:host input.bk-input { font: 13px var(--tk-font); height: 30px; padding: 0 8px; border-radius: 4px;
  color: var(--tk-text); background-color: var(--tk-surface); border: 1px solid var(--tk-line); }
:host input.bk-input::placeholder { color: var(--tk-muted); }
:host .bk-btn:focus-visible, :host select.bk-input:focus-visible,
:host input.bk-input:focus-visible {
  outline: 2px solid var(--tk-accent); outline-offset: 1px; }
:host .bk-btn[disabled] { opacity: 0.5; }
"""


DANGER_STYLE = """
:host .bk-btn.bk-btn-default { color: var(--tk-surface) !important;
  background-color: var(--tk-loss) !important; border-color: var(--tk-loss) !important; }
:host .bk-btn.bk-btn-default:hover { color: var(--tk-loss) !important;
  background-color: var(--tk-surface) !important; }
"""


def button(label: str, *, width: int, danger: bool = False) -> Any:
    """Return a button in the page's style; `danger` is for what cannot be taken back."""
    import panel as pn

    return pn.widgets.Button(
        label=label,
        width=width,
        height=30,
        margin=(0, 8, 0, 0),
        stylesheets=[CONTROL_STYLE, *([DANGER_STYLE] * danger)],
    )


def theme_switch(*, dark: bool) -> Any:
    """Return a Bokeh toggle that switches the page between light and dark in the browser.

    Its `active` (dark) reaches Python, where the figures are to be painted.
    """
    from bokeh.models import CustomJS, Toggle

    switch = Toggle(label="Light" if dark else "Dark", active=dark, name="theme")
    switch.stylesheets = [CONTROL_STYLE]
    switch.update(width=62, margin=0)
    switch.js_on_change("active", CustomJS(args={"switch_": switch}, code=_SWITCH))
    return switch


def page(*, title: str, switch: Any, parts: Mapping[str, Any]) -> Any:
    """Return the Panel template with `parts` in their places; see static/dashboard.html."""
    import panel as pn
    from bokeh.models import CustomJS

    markup = files("toolkit.views").joinpath("static/dashboard.html").read_text(encoding="utf-8")
    template = pn.Template(markup)
    for name, part in parts.items():
        template.add_panel(name, part)
    template.add_panel("theme", pn.pane.Bokeh(switch, margin=0))
    for name, value in (("light", LIGHT.css()), ("dark", DARK.css()), ("font", FONT)):
        template.add_variable(name, value)
    document = pn.state.curdoc
    if document is not None:
        document.title = title
        document.js_on_event("document_ready", CustomJS(args={"switch_": switch}, code=_READY))
        document.js_on_event("connection_lost", CustomJS(code=_LOST))
    return template
