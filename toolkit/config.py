"""Settings from environment and `.env`; secrets are masked in every print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from platformdirs import user_state_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from toolkit.alerts.targets import split_urls
from toolkit.alpaca.settings import AlpacaSettings
from toolkit.core.limits import RiskLimits
from toolkit.errors import ConfigError
from toolkit.streaming.settings import Limits, ServerSettings, WebSocketConfig
from toolkit.streaming.wire import DEFAULT_PORT

# Names that users know from before; they carry no prefix.
ENVIRONMENT_NAMES = {
    "websocket_ping_timeout": "WEBSOCKET_PING_TIMEOUT",
    "websocket_ping_interval": "WEBSOCKET_PING_INTERVAL",
    "websocket_max_latency": "WEBSOCKET_MAX_LATENCY",
    "streaming_interval": "STREAMING_INTERVAL",
    "notification_throttle": "NOTIFICATION_THROTTLE",
    "max_connections": "MAX_CONNECTIONS",
    "alpaca_key_id": "APCA_API_KEY_ID",
    "alpaca_secret_key": "APCA_API_SECRET_KEY",
    "alpaca_trading_url": "ALPACA_TRADING_URL",
    "alpaca_data_url": "ALPACA_DATA_URL",
    "alpaca_trading_stream_url": "ALPACA_TRADING_STREAM_URL",
    "alpaca_stock_stream_url": "ALPACA_STOCK_STREAM_URL",
    "alpaca_crypto_stream_url": "ALPACA_CRYPTO_STREAM_URL",
}


def _named(name: str, default: Any, **limits: Any) -> Any:
    return Field(default, validation_alias=ENVIRONMENT_NAMES[name], **limits)


def _number(name: str, default: float | None, **limits: Any) -> Any:
    return _named(name, default, allow_inf_nan=False, **limits)


class Settings(BaseSettings):
    """What the environment says: `TOOLKIT_*`, and names that are older than we.

    Those are `WEBSOCKET_PING_TIMEOUT`, `WEBSOCKET_PING_INTERVAL`, `STREAMING_INTERVAL`,
    `NOTIFICATION_THROTTLE` (seconds), `WEBSOCKET_MAX_LATENCY` (milliseconds), `MAX_CONNECTIONS`,
    and Alpaca's own for keys and addresses. `feed` is of stocks: iex or sip. `allow_live` lets a
    bot trade real money without being asked. `max_...` are the limits of `RiskLimits`.
    """

    model_config = SettingsConfigDict(
        env_prefix="TOOLKIT_", env_file=".env", extra="ignore", populate_by_name=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    token: SecretStr | None = None
    redis: SecretStr | None = None
    secret_file: Path | None = None
    public_key_file: Path | None = None
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    state_dir: Path = Field(default_factory=lambda: user_state_path("stochrsi-toolkit"))
    bars_dir: Path | None = None
    websocket_ping_timeout: float | None = _number("websocket_ping_timeout", None, gt=0)
    websocket_ping_interval: float | None = _number("websocket_ping_interval", None, gt=0)
    websocket_max_latency: float | None = _number("websocket_max_latency", None, gt=0)
    streaming_interval: float = _number("streaming_interval", 0.0, ge=0, le=60)
    notification_throttle: float = _number("notification_throttle", 0.0, ge=0, le=60)
    max_connections: int | None = _named("max_connections", None, ge=1)
    alpaca_key_id: SecretStr | None = _named("alpaca_key_id", None)
    alpaca_secret_key: SecretStr | None = _named("alpaca_secret_key", None)
    alpaca_trading_url: str | None = _named("alpaca_trading_url", None)
    alpaca_data_url: str | None = _named("alpaca_data_url", None)
    alpaca_trading_stream_url: str | None = _named("alpaca_trading_stream_url", None)
    alpaca_stock_stream_url: str | None = _named("alpaca_stock_stream_url", None)
    alpaca_crypto_stream_url: str | None = _named("alpaca_crypto_stream_url", None)
    alerts: SecretStr | None = None
    alert_events: Annotated[tuple[str, ...], NoDecode] = ()
    feed: str = "iex"
    allow_live: bool = False
    max_position_value: float | None = None
    max_exposure: float | None = None
    max_orders_per_minute: int | None = None
    max_daily_loss: float | None = None
    max_daily_loss_percent: float | None = None
    max_drawdown_percent: float | None = None

    @field_validator("allowed_origins", "alert_events", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value
        )

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; arguments that are not None win. Raises ConfigError."""
        try:
            return cls(**{k: v for k, v in overrides.items() if v is not None})
        except ValidationError as error:
            raise _config_error(error) from None

    def server(self, *, websocket: WebSocketConfig | None = None) -> ServerSettings:
        """Return how to serve; `websocket` decides alone about what it covers, where given."""
        return ServerSettings(
            host=self.host,
            port=self.port,
            token=self.token.get_secret_value() if self.token else None,
            secret_file=self.signing_file,
            public_key_file=self.public_key_file,
            allowed_origins=self.allowed_origins,
            websocket=websocket or self._websocket(),
            limits=self._limits(),
            streaming_interval=self.streaming_interval,
            notification_throttle=self.notification_throttle,
        )

    def _websocket(self) -> WebSocketConfig:
        usual = WebSocketConfig()
        return replace(
            usual,
            ping_timeout=self.websocket_ping_timeout or usual.ping_timeout,
            ping_interval=self.websocket_ping_interval or usual.ping_interval,
            max_latency_ms=self.websocket_max_latency or usual.max_latency_ms,
        )

    def _limits(self) -> Limits:
        if self.max_connections is None:
            return Limits()
        return Limits(
            max_connections=self.max_connections,
            max_connections_per_address=self.max_connections,
        )

    @property
    def alert_urls(self) -> list[str]:
        """Where alerts go: Apprise URLs, which hold secrets."""
        return split_urls(self.alerts.get_secret_value()) if self.alerts else []

    @property
    def signing_file(self) -> Path:
        """What signs tokens and sessions: `secret_file`, else one in the state's folder."""
        return self.secret_file or self.state_dir / "secret"

    @property
    def bars_folder(self) -> Path:
        """Where fetched bars are kept: `bars_dir`, else in the state's folder."""
        return self.bars_dir or self.state_dir / "bars"

    @property
    def has_alpaca_keys(self) -> bool:
        """Whether both of Alpaca's keys are set."""
        return bool(self.alpaca_key_id and self.alpaca_secret_key)

    def alpaca(self, *, live: bool = False, feed: str | None = None) -> AlpacaSettings:
        """Return how to reach Alpaca; raises ConfigError for a wrong feed or address."""
        return AlpacaSettings(
            key_id=_revealed(self.alpaca_key_id),
            secret_key=_revealed(self.alpaca_secret_key),
            paper=not live,
            feed=feed or self.feed,
            trading_url=self.alpaca_trading_url,
            data_url=self.alpaca_data_url,
            trading_stream_url=self.alpaca_trading_stream_url,
            stock_stream_url=self.alpaca_stock_stream_url,
            crypto_stream_url=self.alpaca_crypto_stream_url,
        )

    @property
    def limits(self) -> Mapping[str, Any]:
        """The limits that are set, by their names in `RiskLimits`."""
        values = {name: getattr(self, name) for name in RiskLimits.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None}


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _config_error(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    names = {variable: name for name, variable in ENVIRONMENT_NAMES.items()}
    name = names.get(place, place)
    variable = ENVIRONMENT_NAMES.get(name, f"TOOLKIT_{name.upper()}")
    return ConfigError(
        f"setting {name}: {first['msg']} ({variable} or the argument {name})",
        field=name,
        allowed=first["msg"],
    )
