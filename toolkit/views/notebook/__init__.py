"""Widgets for JupyterLab: the live chart and the tuner."""
