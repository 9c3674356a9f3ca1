"""Run, watch, tune and backtest the StochRSI + EMA bot on Alpaca from a notebook.

>>> import toolkit as tk
>>> live = tk.launch(symbols=["AAPL", "MSFT"])      # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolkit._version import __version__
from toolkit.core.parameters import Parameters
from toolkit.errors import (
    AuthError,
    BrokerError,
    ConfigError,
    DataError,
    NotConnected,
    OrderRejected,
    StoreError,
    ToolkitError,
    UnknownOrderState,
    WireError,
)

if TYPE_CHECKING:
    from toolkit.core.costs import Costs
    from toolkit.core.limits import RiskLimits
    from toolkit.session.app import create_app
    from toolkit.session.bars import bars
    from toolkit.session.checking import (
        backtest_signals,
        check_costs,
        check_data,
        check_lookahead,
        check_vectorbt,
        check_warmup,
    )
    from toolkit.session.launch import connect, launch
    from toolkit.session.parity import parity
    from toolkit.session.reporting import report
    from toolkit.session.session import Session
    from toolkit.session.study import backtest, runs, sweep
    from toolkit.session.validating import (
        bootstrap,
        cross_validate,
        hold_out,
        monte_carlo,
        validate,
        walk_forward,
    )
    from toolkit.streaming.settings import WebSocketConfig

# Imported when first used, so that `import toolkit` stays quick.
_LAZY = {
    "Costs": "toolkit.core.costs",
    "RiskLimits": "toolkit.core.limits",
    "Session": "toolkit.session.session",
    "WebSocketConfig": "toolkit.streaming.settings",
    "backtest": "toolkit.session.study",
    "backtest_signals": "toolkit.session.checking",
    "bars": "toolkit.session.bars",
    "bootstrap": "toolkit.session.validating",
    "check_costs": "toolkit.session.checking",
    "check_data": "toolkit.session.checking",
    "check_lookahead": "toolkit.session.checking",
    "check_vectorbt": "toolkit.session.checking",
    "check_warmup": "toolkit.session.checking",
    "connect": "toolkit.session.launch",
    "create_app": "toolkit.session.app",
    "cross_validate": "toolkit.session.validating",
    "hold_out": "toolkit.session.validating",
    "launch": "toolkit.session.launch",
    "monte_carlo": "toolkit.session.validating",
    "parity": "toolkit.session.parity",
    "report": "toolkit.session.reporting",
    "runs": "toolkit.session.study",
    "sweep": "toolkit.session.study",
    "validate": "toolkit.session.validating",
    "walk_forward": "toolkit.session.validating",
}

__all__ = [
    "AuthError",
    "BrokerError",
    "ConfigError",
    "Costs",
    "DataError",
    "NotConnected",
    "OrderRejected",
    "Parameters",
    "RiskLimits",
    "Session",
    "StoreError",
    "ToolkitError",
    "UnknownOrderState",
    "WebSocketConfig",
    "WireError",
    "__version__",
    "backtest",
    "backtest_signals",
    "bars",
    "bootstrap",
    "check_costs",
    "check_data",
    "check_lookahead",
    "check_vectorbt",
    "check_warmup",
    "connect",
    "create_app",
    "cross_validate",
    "hold_out",
    "launch",
    "monte_carlo",
    "parity",
    "report",
    "runs",
    "sweep",
    "validate",
    "walk_forward",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
