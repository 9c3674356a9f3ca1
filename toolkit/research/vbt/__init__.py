"""vectorbt: the only room that imports it."""
