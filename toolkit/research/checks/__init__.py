"""Checks for the ways in which a backtest lies."""
