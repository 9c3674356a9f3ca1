"""The live chart without the built JavaScript: the dashboard's Bokeh figure in the notebook."""

from __future__ import annotations

import math
from typing import Any

from jupyter_bokeh.widgets import BokehModel

from toolkit.views.chart_sender import ChartSender
from toolkit.views.feed import ChartFeed
from toolkit.views.figures import chart_figure
from toolkit.views.sources import ChartSources

INTERVAL = 0.5


class BokehChart(BokehModel):  # type: ignore[misc] # untyped vendor
    """Candles, EMA, StochRSI and fills of one symbol, twice a second; made by `live_chart`."""

    def __init__(self, feed: ChartFeed, *, height: int) -> None:
        data = feed.snapshot()
        self._feed = feed
        self._sources = ChartSources.from_data(data)
        super().__init__(chart_figure(self._sources, height=height, parameters=data.parameters))
        # Bokeh's view gives no sign of life, so it is always taken to be there.
        sender = ChartSender(
            feed,
            send_update=self._refresh,
            send_history=self._refresh,
            interval=INTERVAL,
            patience=math.inf,
        )
        feed.on_change(sender.on_change)

    def _refresh(self, _message: Any = None) -> None:
        self._sources.update(self._feed.snapshot())

    def stop(self) -> None:
        """Stop following and keep the last picture."""
        self._feed.close()

    def close(self) -> None:
        """Release everything; the chart disappears from the notebook."""
        self._feed.close()
        if self.comm is not None:  # the vendor's own close fails the second time
            super().close()
