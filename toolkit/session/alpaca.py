"""Composition of a bot that trades at Alpaca."""

from __future__ import annotations

from toolkit.bot.bot import Bot
from toolkit.bot.events import Publish
from toolkit.config import Settings
from toolkit.core.limits import RiskLimits
from toolkit.errors import ConfigError
from toolkit.session.options import LaunchOptions


def build_alpaca_bot(
    options: LaunchOptions, settings: Settings, *, publish: Publish, limits: RiskLimits | None
) -> Bot:
    """Compose the bot that these options describe; raises ConfigError, BrokerError."""
    raise ConfigError("trading at Alpaca is not wired yet; use market='simulated'")
