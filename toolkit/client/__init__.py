"""Clients of the streaming server: `StreamClient` for asyncio, `Client` for everything else."""

from toolkit.client.async_client import StreamClient
from toolkit.client.link import Clocks
from toolkit.client.messages import Gap, Message
from toolkit.client.sync import Client
from toolkit.client.trading_bot import TradingBotWebSocketClient

__all__ = ["Client", "Clocks", "Gap", "Message", "StreamClient", "TradingBotWebSocketClient"]
