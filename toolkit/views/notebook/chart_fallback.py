"""The live chart without the built JavaScript: the dashboard's Bokeh figure in the notebook.

Not with `jupyter_bokeh`: its view applies each change twice and is lost for good when it opens
between two parts of one change. Here each message holds everything.
"""

from __future__ import annotations

import math
from typing import Any

import anywidget
import traitlets

from toolkit.views.charts.figures import chart_figure
from toolkit.views.charts.picture import load_bokeh
from toolkit.views.charts.sources import ChartSources
from toolkit.views.feed import ChartFeed
from toolkit.views.notebook.chart_sender import ChartSender

INTERVAL = 1.0
SOURCES = ("bars", "fills", "breaks", "levels", "corrections")
BANDS = ("lower_band", "upper_band")

# Plain JavaScript that needs no build; Bokeh itself came with `load_bokeh`.
SCRIPT = """
async function bokeh() {
  for (let i = 0; i < 200 && !window.Bokeh?.embed; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return window.Bokeh;
}

function show(page, note, { columns, bands, gates }) {
  note.textContent = gates.length ? `No entries: ${gates.join("; ")}` : "";
  for (const [name, data] of Object.entries(columns)) {
    const known = Object.entries(data).map(([key, list]) => [key, list.map((v) => v ?? NaN)]);
    page.get_model_by_name(name).data = Object.fromEntries(known);
  }
  for (const [name, location] of Object.entries(bands)) {
    page.get_model_by_name(name).location = location;
  }
}

async function render({ model, el }) {
  const Bokeh = await bokeh();
  if (!Bokeh) {
    el.textContent = "Bokeh is not in this page: run the cell again.";
    return () => {};
  }
  const note = document.createElement("div");
  note.setAttribute("role", "status");
  note.style.font = "12px sans-serif";
  el.append(note);
  const views = await Bokeh.embed.embed_item(model.get("figure"), el);
  const page = views.roots[0].model.document;
  const id = String(Math.random());
  let beats = 0;
  const beat = (newly) => {
    if (document.visibilityState !== "visible") return;
    model.set("alive", [id, beats++, newly]);
    model.save_changes();
  };
  const back = () => beat(true);
  const update = () => show(page, note, model.get("history"));
  const timer = setInterval(() => beat(false), 5000);
  model.on("change:history", update);
  document.addEventListener("visibilitychange", back);
  update();
  back();
  return () => {
    clearInterval(timer);
    model.off("change:history", update);
    document.removeEventListener("visibilitychange", back);
    views.clear();
    note.remove();
  };
}

export default { render };
"""


class BokehChart(anywidget.AnyWidget):  # type: ignore[misc] # untyped vendor
    """Candles, EMA, StochRSI and fills of one symbol, once a second; made by `live_chart`."""

    figure = traitlets.Dict().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)
    alive = traitlets.List().tag(sync=True, echo_update=False)

    def __init__(self, feed: ChartFeed, *, height: int) -> None:
        from bokeh.embed import json_item

        load_bokeh()
        self._feed = feed
        data = feed.snapshot()
        sources = ChartSources.from_data(data)
        layout = chart_figure(sources, height=height, parameters=data.parameters)
        self._sender = ChartSender(
            feed,
            send_update=lambda _: self.send_state("history"),
            send_history=lambda: self.send_state("history"),
            interval=INTERVAL,
        )
        super().__init__(_esm=SCRIPT, figure=json_item(layout))
        self.observe(self._on_alive, "alive")
        feed.on_change(self._sender.on_change)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the synced state; `history` is always what the feed knows now."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if key is None or "history" in (key if isinstance(key, (set, list, tuple)) else [key]):
            state["history"] = self._history()
        return state

    def _history(self) -> dict[str, Any]:
        data = self._feed.snapshot()
        sources = ChartSources.from_data(data)
        columns = {
            name: {column: _plain(values) for column, values in getattr(sources, name).data.items()}
            for name in SOURCES
        }
        bands = {name: getattr(data.parameters.stoch_rsi, name) for name in BANDS}
        gates = [line.sentence for line in data.gates]
        return {"columns": columns, "bands": bands, "gates": gates}

    def _on_alive(self, change: dict[str, Any]) -> None:
        _view, _beat, newly = change["new"]
        self._sender.on_alive(new_view=newly)

    def stop(self) -> None:
        """Stop following and keep the last picture."""
        self._feed.close()

    def close(self) -> None:
        """Release everything; the chart disappears from the notebook."""
        self._feed.close()
        super().close()


def _plain(values: list[Any]) -> list[Any]:
    """Values as JSON has them: NaN becomes null."""
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values]
