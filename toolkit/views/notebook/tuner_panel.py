"""The form of all parameters, in a notebook."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

from toolkit.core.parameters import Parameters
from toolkit.errors import ToolkitError
from toolkit.streaming.wire import parse_time
from toolkit.views.book import Data
from toolkit.views.feed import Client
from toolkit.views.notebook.draft import Draft
from toolkit.views.notebook.tuner_controls import GROUPS, Control, SwitchControl, make_control
from toolkit.views.notebook.tuner_style import STYLE

HISTORY = 5


class TunerPanel(widgets.VBox):  # type: ignore[misc] # untyped vendor
    """Controls for every parameter of a running bot; made by `tuner`.

    What is in force is what the bot confirmed, whoever asked for it. Thread-safe: edits replace
    one immutable draft.
    """

    def __init__(
        self,
        client: Client,
        *,
        tried: Callable[[Parameters, Callable[[str], None]], None] | None = None,
    ) -> None:
        self._client = client
        self._tried = tried
        self._draft = Draft(in_force=client.parameters)
        self._lock = threading.RLock()
        self._confirmations: tuple[str, ...] = ()
        self._controls = {f.name: make_control(f, self._edited) for f in Parameters.fields()}
        self._apply = widgets.Button(description="Apply", button_style="primary", disabled=True)
        self._reset = widgets.Button(description="Reset", disabled=True)
        self._message, self._log = widgets.HTML(), widgets.HTML()
        self._outcome = widgets.HTML()
        self._message.add_class("tk-message")
        self._outcome.add_class("tk-log")
        self._log.add_class("tk-log")
        super().__init__(self._parts())
        self.add_class("tk-tuner")
        self._show_all()
        self._apply.on_click(lambda _: self._on_apply())
        self._reset.on_click(lambda _: self._change(Draft.reset))
        self._remove = self._subscribe()

    @property
    def pending(self) -> Mapping[str, Any]:
        """Edits that were not applied yet, by full name."""
        return self._draft.pending

    def close(self) -> None:
        """Release everything; the form disappears from the notebook."""
        self._remove()
        for widget in self._all_widgets(self):
            if widget is not self:
                widget.close()
        super().close()

    def stop(self) -> None:
        """Stop following the bot and keep the form as it is, out of use."""
        self._remove()
        for control in self._controls.values():
            control.input.disabled = True
            if not isinstance(control, SwitchControl):
                control.slider.disabled = True
        self._apply.disabled = self._reset.disabled = True
        self._say("The session was stopped.")

    def _subscribe(self) -> Callable[[], None]:
        remove = self._client.on("stream_parameters", self._on_parameters)
        try:
            self._client.subscribe(["parameters"])
        except BaseException:
            remove()
            raise
        return remove

    def _parts(self) -> list[Any]:
        cards = widgets.Box([self._card(group) for group in GROUPS])
        cards.add_class("tk-cards")
        buttons = widgets.HBox([self._apply, self._reset, self._message])
        buttons.add_class("tk-buttons")
        return [widgets.HTML(f"<style>{STYLE}</style>"), cards, buttons, self._outcome, self._log]

    def _card(self, group: str) -> Any:
        mine = [c for name, c in self._controls.items() if name.startswith(f"{group}.")]
        rows = [c.row for c in mine]
        if mine[0].info.short != "enabled":
            rows.insert(0, widgets.HTML(f"<b>{GROUPS[group]}</b>"))
        rows[0].add_class("tk-title")
        card = widgets.VBox(rows)
        card.add_class("tk-card")
        return card

    def _edited(self, name: str, value: Any) -> None:
        with self._lock:
            self._draft = draft = self._draft.edit(name, value)
            self._mark(self._controls[name])
            self._show_buttons(draft)
        if self._tried and draft.pending and not draft.problem:
            self._tried(draft.in_force.replace(draft.pending), self._show_outcome)

    def _change(self, change: Callable[[Draft], Draft]) -> None:
        with self._lock:
            self._draft = change(self._draft)
            self._show_all()

    def _on_apply(self) -> None:
        changes = dict(self._draft.pending)
        self._apply.disabled = True
        self._say("Waiting for the bot")
        refusal = ""
        try:
            answer = self._client.set_parameters(changes)
            self._change(lambda draft: draft.confirm(Parameters.from_dict(answer["parameters"])))
        except ToolkitError as error:
            refusal = f"Not applied: {error.message}"
        finally:
            self._show_buttons(self._draft)
        if refusal:
            self._say(refusal, wrong=True)

    def _on_parameters(self, message: Data) -> None:
        data = message["data"]
        confirmed = Parameters.from_dict(data["parameters"])
        self._change(lambda draft: draft.confirm(confirmed))
        if data["new"]:
            with self._lock:
                self._confirmations = (_confirmation(data), *self._confirmations)[:HISTORY]
                self._log.value = "".join(f"<div>{line}</div>" for line in self._confirmations)

    def _show_all(self) -> None:
        draft = self._draft
        for name, control in self._controls.items():
            if name not in draft.invalid:
                control.show(draft.value(name), in_force=draft.in_force[name])
        self._show_buttons(draft)

    def _mark(self, control: Control) -> None:
        name, draft = control.info.name, self._draft
        control.mark(
            in_force=draft.in_force[name],
            changed=name in draft.pending,
            wrong=name in draft.invalid,
        )

    def _show_buttons(self, draft: Draft) -> None:
        problem, count = draft.problem, len(draft.pending)
        self._apply.disabled = bool(problem) or not count
        self._reset.disabled = not (count or draft.invalid)
        waiting = f"{count} change{'s' if count > 1 else ''} not applied" if count else ""
        self._say(problem or waiting, wrong=bool(problem))

    def _show_outcome(self, text: str) -> None:
        self._outcome.value = html.escape(text)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        tone = " class='tk-problem' role='alert'" if wrong else ""
        self._message.value = f"<span{tone}>{html.escape(text)}</span>" if text else ""

    def _all_widgets(self, widget: Any) -> list[Any]:
        below = [w for child in getattr(widget, "children", ()) for w in self._all_widgets(child)]
        return [widget, *below]


def _confirmation(data: Data) -> str:
    time = parse_time(data["timestamp"]).strftime("%H:%M:%S UTC")
    changes = ", ".join(
        f"{name} {_plain(data['old'].get(name))} → {_plain(value)}"
        for name, value in data["new"].items()
    )
    who, what = html.escape(str(data["who"])), html.escape(changes)
    return f"<time>{time}</time> <b>{what}</b> confirmed by the bot, asked for by {who}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
