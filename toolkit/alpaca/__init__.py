"""Alpaca behind our own words: the only room that imports alpaca-py."""
