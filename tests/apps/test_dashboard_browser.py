"""The dashboard in a real browser: it moves, obeys, fits, and asks nobody but us."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolkit.runtime import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
ADDRESS = r"http://127\.0\.0\.1:\d+"


@pytest.fixture
def lively(start):
    server = start(str(HERE / "serve_lively.py"), "--role", "view")
    return server, server.wait_for(ADDRESS)


def quiet(visit) -> None:
    assert visit.errors == []
    assert visit.hosts == {"127.0.0.1"}


def chart_pixels(visit) -> bytes:
    return visit.page.locator(".chart").screenshot()


class TestOnePage:
    """What one page shows to one who may trade: to open one takes seconds."""

    def test_candles_move_and_nothing_leaves_the_machine(self, desk):
        seen, pixels = desk.last_bar(), chart_pixels(desk)
        desk.wait_until_candles_moved(seen)
        assert wait_until(lambda: chart_pixels(desk) != pixels, timeout=10)
        bars = desk.last_bar()
        lengths = desk.page.evaluate(
            "() => Object.values(Bokeh.documents[0].get_model_by_name('bars').data)"
            ".map((column) => column.length)"
        )
        assert len(set(lengths)) == 1  # one more bar may have come since
        assert lengths[0] >= bars["count"]
        words = desk.text()
        for part in ("Running", "Connected", "heartbeat", "Equity", "StochRSI", "14, 14, 3, 3"):
            assert part in words
        quiet(desk)

    def test_pause_resume_and_flatten(self, desk):
        button = desk.page.get_by_role
        button("button", name="Flatten").click(timeout=60_000)
        button("button", name=re.compile(r"Close \d position")).click()
        button("button", name="Pause entries").click()
        button("button", name="Resume entries").wait_for(timeout=10_000)
        assert "Entries paused" in desk.text()
        button("button", name="Resume entries").click()
        button("button", name="Pause entries").wait_for(timeout=10_000)
        quiet(desk)

    def test_the_kill_switch_says_who_and_why_until_a_person_lifts_it(self, desk):
        button, gates = desk.page.get_by_role, desk.page.locator(".gates")
        button("button", name="Halt", exact=True).click(timeout=60_000)
        desk.page.get_by_placeholder("Why").fill("a drill")
        button("button", name="Stop entries").click()
        gates.get_by_text("halted by anna: a drill").wait_for(timeout=10_000)
        button("button", name="Lift halt").click()
        button("button", name="Take entries again").click()
        gates.wait_for(state="detached", timeout=10_000)
        assert "entries open" in desk.text()
        quiet(desk)

    def test_everything_essential_fits_a_desk_and_a_phone(self, desk, shared_address, visit):
        size = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        assert desk.page.evaluate(size) == [1440, 900]
        phone = visit(shared_address, viewport={"width": 420, "height": 900})
        assert phone.page.evaluate(size)[0] == 420
        box = phone.page.locator(".chart").bounding_box()
        assert box["y"] < 200
        assert box["width"] > 390

    def test_a_lost_server_is_said_and_its_return_reloads_the_page(self, desk, shared):
        shared.stop()
        desk.page.get_by_role("alert").wait_for(timeout=20_000)
        shared.start()
        desk.page.wait_for_function("() => !('lost' in document.documentElement.dataset)")
        desk.page.wait_for_function("() => window.Bokeh?.documents.length > 0", timeout=30_000)


def test_sessions_are_apart_obey_their_role_and_a_closed_one_stops(lively, visit):
    server, address = lively
    first, second = visit(address), visit(address)
    server.wait_for(re.escape("followed {'AAPL': 2}"))
    second.page.select_option("select", "BTC/USD")
    server.wait_for(re.escape("followed {'AAPL': 1, 'BTC/USD': 1}"))
    second.page.wait_for_function(
        "() => Bokeh.documents[0].get_model_by_name('bars').data.close[0] > 10000"
    )
    assert first.last_bar()["close"] < 1000
    for page in (first, second):
        page.wait_until_candles_moved(page.last_bar())
        assert page.page.get_by_role("button", name="Pause entries").count() == 0
        quiet(page)
    second.page.context.close()
    server.wait_for(r"followed {'AAPL': 1}$")
    first.wait_until_candles_moved(first.last_bar())
    first.page.context.close()
    server.wait_for(r"followed {}")
    assert server.stop() == 0
    assert server.said[-1] == "handlers left 0"


def test_a_proxy_may_lower_the_role(shared_address, visit):
    page = visit(shared_address, extra_http_headers={"X-Toolkit-Role": "tune"})
    page.wait_until_candles_moved(page.last_bar())
    assert page.page.get_by_role("button", name="Pause entries").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_viewers_and_can_be_switched(shared_address, visit, scheme):
    page = visit(shared_address, color_scheme=scheme)
    other = {"light": "Dark", "dark": "Light"}[scheme]
    theme = "() => document.documentElement.dataset.theme"
    ema = "() => Bokeh.documents[0].get_model_by_name('ema').glyph.line_color.value"
    assert page.page.evaluate(theme) == scheme
    expected = {"light": "#7052c8", "dark": "#b39dff"}
    page.page.wait_for_function(f"(colour) => ({ema})() == colour", arg=expected[scheme])
    page.page.get_by_role("button", name=other).click()
    page.page.wait_for_function(f"(colour) => ({ema})() == colour", arg=expected[other.lower()])
    page.page.reload()
    page.page.wait_for_function(f"(theme) => ({theme})() == theme", arg=other.lower())
    quiet(page)
