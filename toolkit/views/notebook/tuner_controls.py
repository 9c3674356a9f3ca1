"""The controls of one parameter: a slider and a number, or a checkbox."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from toolkit.core.parameters import FieldInfo, Value

Edited = Callable[[str, Any], None]
SLIDER_SPAN = 10
GROUPS = {
    "stoch_rsi": "StochRSI",
    "ema": "EMA",
    "stochastic": "Stochastic",
    "rules": "Rules",
    "risk": "Risk",
}


class SwitchControl:
    """A parameter that is on or off; a group's `enabled` carries the group's name."""

    def __init__(self, info: FieldInfo, edited: Edited) -> None:
        self.info = info
        title = GROUPS[info.group] if info.short == "enabled" else _words(info)
        self.input = widgets.Checkbox(description=title, indent=False, tooltip=_hint(info))
        self._was = widgets.HTML()
        self.row = widgets.Box([self.input, self._was])
        self.row.add_class("tk-row").add_class("tk-row-switch").add_class(row_class(info.name))
        self.input.observe(lambda change: edited(info.name, change["new"]), "value")

    def show(self, value: Value, *, in_force: Value) -> None:
        """Show a value, and how it differs from the one in force."""
        self.input.value = bool(value)
        self.mark(in_force=in_force, changed=value != in_force, wrong=False)

    def mark(self, *, in_force: Value, changed: bool, wrong: bool) -> None:
        """Highlight an edit."""
        _mark(self.row, changed=changed, wrong=wrong)
        self._was.value = f"was {'on' if in_force else 'off'}" if changed else ""


class NumberControl:
    """A number with all of its bounds, beside a slider over the usual part of them."""

    def __init__(self, info: FieldInfo, edited: Edited) -> None:
        self.info, self._edited = info, edited
        whole = info.kind is int
        label = f"<label title='{html.escape(_hint(info), quote=True)}'>{_words(info)}</label>"
        self._top = info.kind(min(info.maximum, SLIDER_SPAN * info.default or info.maximum))
        self.slider = (widgets.IntSlider if whole else widgets.FloatSlider)(
            min=info.kind(info.minimum),
            max=self._top,
            step=info.kind(info.step),
            continuous_update=False,
            readout=False,
            tooltip=_hint(info),
        )
        self.input = (widgets.IntText if whole else widgets.FloatText)(
            step=info.step, continuous_update=False, tooltip=_hint(info)
        )
        self._note = widgets.HTML()
        self.row = widgets.Box([widgets.HTML(label), self.slider, self.input, self._note])
        self.row.add_class("tk-row").add_class(row_class(info.name))
        self.slider.observe(self._on_slider, "value")
        self.input.observe(self._on_input, "value")

    def show(self, value: Value, *, in_force: Value) -> None:
        """Show a value, and how it differs from the one in force."""
        self.input.value = value
        self.mark(in_force=in_force, changed=value != in_force, wrong=False)

    def mark(self, *, in_force: Value, changed: bool, wrong: bool) -> None:
        """Highlight an edit, or a value that is not allowed."""
        _mark(self.row, changed=changed, wrong=wrong)
        edited = changed or wrong
        self._note.value = f"was {in_force:g}" if edited else html.escape(self.info.unit)

    def _on_slider(self, change: dict[str, Any]) -> None:
        if change["new"] != self._on_scale(self.input.value):
            self.input.value = self.info.kind(round(change["new"], 10))

    def _on_input(self, change: dict[str, Any]) -> None:
        self.slider.value = self._on_scale(change["new"])
        self._edited(self.info.name, change["new"])

    def _on_scale(self, value: Any) -> Any:
        return min(max(value, self.slider.min), self.slider.max)


Control = SwitchControl | NumberControl


def make_control(info: FieldInfo, edited: Edited) -> Control:
    """Return the control for a parameter; `edited(name, value)` is called after each edit."""
    return SwitchControl(info, edited) if info.kind is bool else NumberControl(info, edited)


def row_class(name: str) -> str:
    """Return the CSS class of a parameter's row."""
    return "tk-row-" + name.replace(".", "-").replace("_", "-")


def _mark(row: Any, *, changed: bool, wrong: bool) -> None:
    for name, wanted in (("tk-changed", changed and not wrong), ("tk-wrong", wrong)):
        if wanted:
            row.add_class(name)
        else:
            row.remove_class(name)


def _words(info: FieldInfo) -> str:
    if info.short in ("k", "d"):
        return f"%{info.short.upper()} smoothing"
    words = info.short.replace("trade_capital_percent", "trade_capital").split("_")
    return " ".join(word.upper() if word in ("atr", "rsi", "ema") else word for word in words)


def _hint(info: FieldInfo) -> str:
    if info.kind is bool:
        return f"{info.name}: {info.about}"
    bounds = f"{info.minimum:g} to {info.maximum:g} {info.unit}".strip()
    return f"{info.name}: {info.about} ({bounds})"
