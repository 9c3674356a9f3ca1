"""The one place that imports alpaca-py, and its HTTP and WebSocket libraries."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "websockets.legacy", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.common.rest import RESTClient
    from alpaca.data.enums import DataFeed
    from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
    from alpaca.data.live import CryptoDataStream, StockDataStream
    from alpaca.trading.client import TradingClient
    from alpaca.trading.stream import TradingStream

import requests
import urllib3
from websockets.exceptions import WebSocketException

__all__ = [
    "APIError",
    "CryptoDataStream",
    "CryptoHistoricalDataClient",
    "DataFeed",
    "RESTClient",
    "StockDataStream",
    "StockHistoricalDataClient",
    "TradingClient",
    "TradingStream",
    "WebSocketException",
    "requests",
    "urllib3",
]
