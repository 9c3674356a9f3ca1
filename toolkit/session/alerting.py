"""Composition of alerts from the settings."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.alerts.alerts import Alerts
from toolkit.alerts.rules import Rules
from toolkit.alerts.targets import open_targets
from toolkit.bot.bot import utc_now
from toolkit.bot.events import Problem
from toolkit.config import Settings
from toolkit.session.options import LaunchOptions


def build_alerts(
    options: LaunchOptions, settings: Settings, *, problem: Callable[[Problem], None]
) -> Alerts:
    """Return the alerts that TOOLKIT_ALERTS asks for; raises ConfigError, which shows no secret.

    Of a replay nothing is told: it is over. A target that fails is published as a `problem`.
    """
    rules = Rules.named(settings.alert_events)
    urls = settings.alert_urls if options.recording is None else []

    def report(text: str) -> None:
        problem(Problem(timestamp=utc_now(), code="alert_failed", message=text))

    targets = open_targets(urls) if urls else []
    return Alerts(targets, rules=rules, report=report, name=options.name)
