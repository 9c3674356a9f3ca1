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


@pytest.fixture
def opened(lab, page):
    """Run the cells of a new notebook and wait for its chart."""

    def open_with(name, *cells):
        page.open(lab.write(name, LAUNCH, CHART, *cells))
        page.run_all()
        page.tab.wait_for_selector(PRICE)
        return page

    yield open_with
    assert page.complaints == []


def test_the_chart_goes_on_after_its_cell_and_while_another_one_runs(opened):
    page = opened("moving.ipynb", "time.sleep(8)")
    page.tab.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=busy]")
    page.wait_for_change(PRICE, count=3)
    assert page.text(".tk-state") == "Live"
    assert page.text("#jp-main-dock-panel .jp-Notebook").count("[*]") == 1


def test_a_page_that_is_loaded_again_goes_on_where_the_bot_is(opened):
    page = opened("again.ipynb")
    page.run("docmanager:save")
    page.tab.reload()
    page.tab.wait_for_selector(PRICE)
    page.wait_for_change(PRICE, count=3)
    assert page.text(".tk-state") == "Live"
    assert "EMA 9" in page.text(LEGEND)


def test_a_slider_and_apply_change_the_bot(opened):
    page = opened("tuning.ipynb", TUNER)
    handle = page.tab.locator(".tk-row-ema-ema-period .noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    page.tab.wait_for_selector(".tk-row-ema-ema-period.tk-changed")
    page.tab.get_by_role("button", name="Apply").click()
    page.tab.wait_for_selector(".tk-log >> text=ema.ema_period 9 → 10")
    page.tab.wait_for_selector(f"{LEGEND} >> text=EMA 10")
    assert page.tab.locator(".tk-changed").count() == 0


def test_the_chart_follows_the_theme_and_fits_a_phone(opened):
    page = opened("looks.ipynb")
    assert page.tab.locator(".tk-chart").get_attribute("data-theme") == "light"
    page.run("apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.tab.wait_for_selector(".tk-chart[data-theme=dark]")
    page.tab.set_viewport_size({"width": 360, "height": 800})
    fits = "e => e.clientWidth < 330 && e.querySelector('canvas').getBoundingClientRect().width > 0"
    page.tab.wait_for_function(f"({fits})(document.querySelector('.tk-chart'))")
    assert page.tab.locator(".tk-head").evaluate("e => e.scrollWidth <= e.clientWidth")


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
