"""Settings from environment and `.env`; secrets are masked in every print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from platformdirs import user_state_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from toolkit.errors import ConfigError
from toolkit.streaming.wire import DEFAULT_PORT


class Settings(BaseSettings):
    """What the environment says: `TOOLKIT_*`, and Alpaca's own `APCA_API_*` for the keys."""

    model_config = SettingsConfigDict(
        env_prefix="TOOLKIT_", env_file=".env", extra="ignore", populate_by_name=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    token: SecretStr | None = None
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    state_dir: Path = Field(default_factory=lambda: user_state_path("stochrsi-toolkit"))
    alpaca_key_id: SecretStr | None = Field(default=None, validation_alias="APCA_API_KEY_ID")
    alpaca_secret_key: SecretStr | None = Field(
        default=None, validation_alias="APCA_API_SECRET_KEY"
    )
    alpaca_trading_url: str = Field(
        default="https://paper-api.alpaca.markets", validation_alias="ALPACA_TRADING_URL"
    )

    @field_validator("allowed_origins", mode="before")
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
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"setting {name}: {first['msg']} (TOOLKIT_{name.upper()} or the argument {name})",
                field=name,
                allowed=first["msg"],
            ) from None

    @property
    def has_alpaca_keys(self) -> bool:
        """Whether both of Alpaca's keys are set."""
        return bool(self.alpaca_key_id and self.alpaca_secret_key)
