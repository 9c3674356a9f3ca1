"""A live session beside its backtest."""
