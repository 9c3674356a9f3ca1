"""The live widgets in a real JupyterLab, looked at with a real browser."""

from __future__ import annotations

import pytest

from toolkit.views.notebook.live_chart import BUNDLE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not BUNDLE.exists(), reason="the chart's JavaScript was not built: Node is missing"
    ),
]

FALLBACK = """
import warnings
from pathlib import Path
from toolkit.views.notebook.live_chart import live_chart
warnings.simplefilter("ignore")
chart = live_chart(live.client, "AAPL", bundle=Path("missing.js"))
chart"""
LAUNCH = 'import time\nimport toolkit as tk\nlive = tk.launch(symbols=["AAPL", "MSFT"])'
CHART = 'live.chart("AAPL", height=460)'
TUNER = "live.tuner()"
PRICE = ".tk-price:not(:empty)"
LEGEND = ".tk-legend"
INDICATOR = ".jp-Notebook-ExecutionIndicator"
FITS = "e => e.clientWidth < 330 && e.querySelector('canvas').getBoundingClientRect().width > 0"


@pytest.fixture(scope="class")
def opened(lab, page):
    """A notebook whose cells have been started, with a chart: to open one takes seconds."""
    page.open(lab.write("live.ipynb", LAUNCH, CHART, TUNER, "time.sleep(5)"))
    page.run_all()
    page.tab.wait_for_selector(PRICE)
    return page


class TestOneNotebook:
    """What its readers do with it, one after the other."""

    def test_the_chart_goes_on_after_its_cell_and_while_another_one_runs(self, opened):
        page = opened
        page.tab.wait_for_selector(f"{INDICATOR}[data-status=busy]")
        page.wait_for_change(PRICE, count=3)
        assert page.text(".tk-state") == "Live"
        assert page.text("#jp-main-dock-panel .jp-Notebook").count("[*]") == 1
        assert page.complaints == []

    def test_a_page_that_is_loaded_again_goes_on_where_the_bot_is(self, opened):
        page = opened
        page.tab.wait_for_selector(f"{INDICATOR}[data-status=idle]")
        page.run("docmanager:save")
        page.tab.reload()
        page.tab.wait_for_selector(PRICE)
        page.wait_for_change(PRICE, count=3)
        assert page.text(".tk-state") == "Live"
        assert "EMA 9" in page.text(LEGEND)
        assert page.complaints == []

    def test_a_slider_and_apply_change_the_bot(self, opened):
        page = opened
        handle = page.tab.locator(".tk-row-ema-ema-period .noUi-handle")
        handle.focus()
        handle.press("ArrowRight")
        page.tab.wait_for_selector(".tk-row-ema-ema-period.tk-changed")
        page.tab.get_by_role("button", name="Apply").click()
        page.tab.wait_for_selector(".tk-log >> text=ema.ema_period 9 → 10")
        page.tab.wait_for_selector(f"{LEGEND} >> text=EMA 10")
        assert page.tab.locator(".tk-changed").count() == 0
        assert page.complaints == []

    def test_the_chart_follows_the_theme_and_fits_a_phone(self, opened):
        page = opened
        assert page.tab.locator(".tk-chart").get_attribute("data-theme") == "light"
        page.run("apputils:change-theme", {"theme": "JupyterLab Dark"})
        page.tab.wait_for_selector(".tk-chart[data-theme=dark]")
        page.tab.set_viewport_size({"width": 360, "height": 800})
        page.tab.wait_for_function(f"({FITS})(document.querySelector('.tk-chart'))")
        assert page.tab.locator(".tk-head").evaluate("e => e.scrollWidth <= e.clientWidth")
        assert page.complaints == []


def test_without_the_bundle_a_bokeh_chart_moves_and_comes_back(lab, page):
    page.open(lab.write("fallback.ipynb", LAUNCH, FALLBACK))
    page.run_all()
    legend = ".bk-clearfix:has(.when)"
    page.tab.wait_for_selector(legend)
    page.wait_for_change(legend, count=2)
    page.run("docmanager:save")
    page.tab.reload()
    page.tab.wait_for_selector(legend)
    page.wait_for_change(legend, count=2)
    assert page.complaints == []
