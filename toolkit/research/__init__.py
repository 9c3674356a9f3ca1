"""Backtest, sweep and the statistics of overfitting; vectorbt only here, and only when asked."""
