"""Alpaca's streams behind the ports `OrderStream` and `DataStream`."""

from __future__ import annotations

from toolkit.alpaca.data_stream import AlpacaDataStream
from toolkit.alpaca.frames import Channel
from toolkit.alpaca.order_stream import AlpacaOrderStream

__all__ = ["AlpacaDataStream", "AlpacaOrderStream", "Channel"]
