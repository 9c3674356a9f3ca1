"""Bokeh figures and their theme: live candles, runs, heatmaps."""
