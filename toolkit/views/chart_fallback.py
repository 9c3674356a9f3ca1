"""The live chart without the built JavaScript: the dashboard's Bokeh figure in the notebook."""

from __future__ import annotations

from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets
from jupyter_bokeh.widgets import BokehModel

from toolkit.views.chart_sender import ChartSender
from toolkit.views.feed import ChartFeed
from toolkit.views.figures import chart_figure, set_bands
from toolkit.views.picture import load_bokeh
from toolkit.views.sources import ChartSources

INTERVAL = 1.0
SOURCES = ("bars", "fills", "breaks", "levels")


class Beacon(anywidget.AnyWidget):  # type: ignore[misc] # untyped vendor
    """Invisible; says every 5 seconds that somebody looks, which Bokeh's own view does not."""

    _esm = """
    function render({ model }) {
      const id = String(Math.random());
      let beats = 0;
      const beat = (newly) => {
        if (document.visibilityState !== "visible") return;
        model.set("alive", [id, beats++, newly]);
        model.save_changes();
      };
      const back = () => beat(true);
      const timer = setInterval(() => beat(false), 5000);
      document.addEventListener("visibilitychange", back);
      back();
      return () => {
        clearInterval(timer);
        document.removeEventListener("visibilitychange", back);
      };
    }
    export default { render };
    """
    alive = traitlets.List().tag(sync=True, echo_update=False)


class Figure(BokehModel):  # type: ignore[misc] # untyped vendor
    """A Bokeh figure that listens to nobody but us.

    The vendor's view sends back every change that it was sent, which would then be made twice;
    and it draws a page that is loaded again as it was first, not as it is.
    """

    def _sync_model(self, *_: Any) -> None:
        return

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the synced state, the figure as it is now."""
        if key is None and self.comm is not None:
            with self.hold_sync():
                self.render_bundle = self._model_to_traits(self._model)
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        return state

    def close(self) -> None:
        """Release everything; the vendor's own close fails the second time."""
        if self.comm is not None:
            super().close()


class BokehChart(widgets.VBox):  # type: ignore[misc] # untyped vendor
    """Candles, EMA, StochRSI and fills of one symbol, once a second; made by `live_chart`.

    Each time it sends all bars, so that no view stays behind that missed a message.
    """

    def __init__(self, feed: ChartFeed, *, height: int) -> None:
        load_bokeh()
        data = feed.snapshot()
        self._feed = feed
        self._sources = ChartSources.from_data(data)
        self._layout = chart_figure(self._sources, height=height, parameters=data.parameters)
        self._figure, self._beacon = Figure(self._layout), Beacon()
        super().__init__([self._figure, self._beacon])
        self._sender = ChartSender(
            feed,
            send_update=lambda _: self._refresh(),
            send_history=self._refresh,
            interval=INTERVAL,
        )
        self._beacon.observe(self._on_alive, "alive")
        feed.on_change(self._sender.on_change)

    def _on_alive(self, change: dict[str, Any]) -> None:
        _view, _beat, newly = change["new"]
        self._sender.on_alive(new_view=newly)

    def _refresh(self) -> None:
        data = self._feed.snapshot()
        fresh = ChartSources.from_data(data)
        for name in SOURCES:
            getattr(self._sources, name).data = dict(getattr(fresh, name).data)
        set_bands(self._layout, data.parameters)

    def stop(self) -> None:
        """Stop following and keep the last picture."""
        self._feed.close()

    def close(self) -> None:
        """Release everything; the chart disappears from the notebook."""
        self._feed.close()
        self._figure.close()
        self._beacon.close()
        super().close()
