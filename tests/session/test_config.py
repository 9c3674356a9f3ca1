"""What the environment sets, and what it says when that is wrong."""

from __future__ import annotations

import dataclasses

import pytest

import toolkit as tk
from toolkit.config import Settings
from toolkit.runtime import wait_until
from toolkit.session.options import LaunchOptions
from toolkit.streaming.settings import Limits, WebSocketConfig


def test_by_default_the_original_values_are_in_force() -> None:
    settings = Settings.load().server()
    assert settings.websocket == tk.WebSocketConfig() == WebSocketConfig()
    assert dataclasses.asdict(tk.WebSocketConfig()) == {
        "ping_timeout": 30,
        "ping_interval": 10,
        "compression": True,
        "binary": True,
        "max_http_buffer_size": 32768,
        "heartbeat_interval": 5,
        "reconnect_attempts": 10,
        "reconnect_delay": 0.5,
        "max_latency_ms": 50,
    }
    assert settings.limits == Limits()
    assert (settings.streaming_interval, settings.notification_throttle) == (0, 0)


def test_the_environment_sets_what_its_names_say(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "WEBSOCKET_PING_TIMEOUT": "12.5",
        "WEBSOCKET_PING_INTERVAL": "4",
        "WEBSOCKET_MAX_LATENCY": "75",
        "STREAMING_INTERVAL": "0.5",
        "NOTIFICATION_THROTTLE": "0.1",
        "MAX_CONNECTIONS": "50",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load().server()
    assert settings.websocket == WebSocketConfig(
        ping_timeout=12.5, ping_interval=4, max_latency_ms=75
    )
    assert settings.limits == Limits(max_connections=50, max_connections_per_address=50)
    assert (settings.streaming_interval, settings.notification_throttle) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBSOCKET_PING_TIMEOUT", "soon"),
        ("WEBSOCKET_PING_INTERVAL", "0"),
        ("WEBSOCKET_MAX_LATENCY", "-1"),
        ("STREAMING_INTERVAL", "nan"),
        ("NOTIFICATION_THROTTLE", "61"),
        ("MAX_CONNECTIONS", "1.5"),
        ("TOOLKIT_PORT", "70000"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(tk.ConfigError, match=name):
        Settings.load()


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSOCKET_PING_TIMEOUT", "12")
    chosen = WebSocketConfig(ping_interval=3)
    assert Settings.load().server(websocket=chosen).websocket == chosen


def test_launch_options_keep_it_on_the_way_into_another_process() -> None:
    chosen = LaunchOptions(websocket=WebSocketConfig(max_latency_ms=75, compression=False))
    assert LaunchOptions.from_dict(chosen.to_dict()) == chosen
    assert LaunchOptions.from_dict(LaunchOptions().to_dict()) == LaunchOptions()


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_what_launch_was_given_is_what_clients_are_told(isolation: str) -> None:
    told: list[dict[str, object]] = []
    with tk.launch(
        symbols=["AAPL"],
        port=0,
        isolation=isolation,
        websocket=tk.WebSocketConfig(heartbeat_interval=0.05, max_latency_ms=75),
        announce=lambda _text: None,
    ) as live:
        live.on("heartbeat", told.append)
        figures = live.set_notification_throttle(0.1)
        assert figures["notification_throttle"] == 0.1
        assert live.enable_websocket_notifications(False)["notifications"] is False
        assert live.set_streaming_interval(0.5)["streaming_interval"] == 0.5
        assert live.stop_streaming()["streaming"] is False
        assert live.start_streaming(0.25)["streaming_interval"] == 0.25
        with pytest.raises(tk.ConfigError, match="0 to 60"):
            live.set_streaming_interval(61)
        stats = live.get_streaming_stats()
        assert stats["controls"] == {
            "streaming": True,
            "streaming_interval": 0.25,
            "notifications": False,
            "notification_throttle": 0.1,
        }
        assert stats["connected_clients"] == 1
        assert wait_until(lambda: told, timeout=5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ping_timeout": "30"},
        {"ping_interval": float("inf")},
        {"heartbeat_interval": 0},
        {"reconnect_delay": -1},
        {"reconnect_attempts": 2.5},
        {"max_http_buffer_size": True},
        {"max_latency_ms": None},
        {"compression": 1},
        {"binary": "yes"},
    ],
)
def test_a_wrong_websocket_config_names_the_field(wrong: dict[str, object]) -> None:
    with pytest.raises(tk.ConfigError, match=next(iter(wrong))):
        tk.WebSocketConfig(**wrong)
