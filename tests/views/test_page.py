"""A picture in a real browser: light and dark, detail on zoom, files that need no network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.embed.bundle import bundle_for_objs_and_resources
from bokeh.resources import Resources
from PIL import Image

from tests.apps.pages import Visit
from tests.notebooks.conftest import CHROMIUM, FLAGS
from toolkit.errors import ConfigError, ToolkitError
from toolkit.session import camera
from toolkit.views.charts.bokeh_js import BokehJS
from toolkit.views.charts.money import money_figure
from toolkit.views.charts.picture import Picture
from toolkit.views.charts.theme import DARK, LIGHT, follow_theme

BARS = 3000


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture made beside a dashboard, whose tables bring files to any page of Bokeh's."""
    import panel.models.tabulator  # noqa: F401

    index = pd.date_range("2026-01-05 14:30", periods=BARS, freq="1min", tz="UTC")
    steps = np.random.default_rng(3).normal(0, 1, BARS)
    layout = money_figure(pd.Series(10_000 + np.cumsum(steps), index=index))
    follow_theme(layout)
    return Picture(layout).save(tmp_path_factory.mktemp("picture") / "equity.html")


@pytest.fixture(scope="module")
def chromium() -> Any:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: pictures are not looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


MODEL = "Bokeh.documents[0].get_model_by_name"


TITLE = "window.Bokeh?.documents?.[0]?.roots()[0].children[1].title"


def painted(page: Any, colour: str) -> None:
    page.wait_for_function(f"{TITLE}?.text_color == '{colour}'")


@pytest.mark.browser
def test_it_follows_the_page_and_brings_detail(chromium: Any, saved: Path) -> None:
    page = chromium.new_page(color_scheme="dark")
    visit = Visit(page)
    page.goto(saved.as_uri())
    painted(page, DARK.text)
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    painted(page, LIGHT.text)
    assert page.evaluate(f"{MODEL}('bars').data.x.length") == 1000
    page.evaluate(f"{MODEL}('view').setv({{start: 100, end: 200}})")
    page.wait_for_function(f"{MODEL}('bars').data.x[1] - {MODEL}('bars').data.x[0] == 1")
    equal = (
        "Array.from(a.equity.slice(100, 110)).every((v, i) => b.equity[b.x.indexOf(100 + i)] == v)"
    )
    assert page.evaluate(
        f"(() => {{ const a = {MODEL}('full').data, b = {MODEL}('bars').data; return {equal} }})()"
    )
    assert visit.problems == []
    assert visit.hosts <= {None, ""}
    page.close()


def test_a_notebook_is_asked_for_no_file_of_another_library(saved: Path) -> None:
    del saved
    theirs = bundle_for_objs_and_resources(None, Resources(mode="inline"))
    assert theirs.js_files
    ours = bundle_for_objs_and_resources(None, BokehJS())
    assert (ours.js_files, ours.css_files) == ([], [])
    assert any("BEGIN bokeh-widgets" in script for script in ours.js_raw)


@pytest.mark.browser
def test_a_png_has_the_picture_and_no_empty_rest(saved: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    target = tmp_path / "equity.png"
    camera.photograph(saved.read_text(), target, 600, 900)
    with Image.open(target) as png:
        assert png.width == 1200
        assert 500 < png.height < 1600


def test_a_machine_without_a_browser_says_what_to_do(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ConfigError, match="apt install chromium"):
        camera.photograph("<p>", tmp_path / "x.png", 100, 100)


def test_a_browser_that_fails_is_no_silent_success(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: shutil.os.path.realpath("/bin/false"))
    with pytest.raises(ToolkitError, match="made no picture"):
        camera.photograph("<p>", tmp_path / "x.png", 100, 100)


def test_other_formats_are_refused(saved: Path) -> None:
    del saved
    index = pd.date_range("2026-01-05", periods=9, freq="1min", tz="UTC")
    picture = Picture(money_figure(pd.Series(1.0, index=index)))
    with pytest.raises(ConfigError, match=r"allowed: \.html, \.png"):
        picture.save("x.gif")
