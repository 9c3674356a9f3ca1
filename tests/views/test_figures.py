"""The chart's sources and figures: what is sent, where it is drawn, in which colours."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bokeh.document import Document
from bokeh.document.events import ColumnDataChangedEvent, ColumnsPatchedEvent, ColumnsStreamedEvent
from bokeh.models import Plot

from toolkit.core.parameters import Parameters
from toolkit.streaming.wire import format_time
from toolkit.views.charts.figures import ChartSources, chart_figure, set_bands
from toolkit.views.charts.theme import DARK, LIGHT, THEMES, apply_theme
from toolkit.views.feed import ChartData

OPEN = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def bar(minute: float, *, close: float = 100.0, final: bool = True, symbol: str = "AAPL") -> dict:
    values = {"ema": close - 0.1, "stoch_rsi_k": 40.0, "stoch_rsi_d": 30.0}
    return {
        "kind": "bar",
        "symbol": symbol,
        "timestamp": format_time(OPEN + timedelta(minutes=minute)),
        "open": 100.0,
        "high": max(100.0, close) + 0.2,
        "low": min(100.0, close) - 0.2,
        "close": close,
        "volume": 10.0,
        "final": final,
        "indicators": values if final else None,
    }


def fill(minute: float, side: str = "buy") -> dict:
    time = format_time(OPEN + timedelta(minutes=minute))
    return {"timestamp": time, "side": side, "price": 100.0, "quantity": 5.0, "reason": "stop_loss"}


def data(bars, *, fills=(), position=None, symbol: str = "AAPL") -> ChartData:
    return ChartData(
        symbol=symbol,
        bars=tuple(bars),
        fills=tuple(fills),
        position=position,
        state="connected",
        parameters=Parameters(),
    )


@pytest.fixture
def sent():
    """Put sources into a document; collect what would go to the browser."""

    def watch(sources):
        events = []
        document = Document()
        for source in (sources.bars, sources.fills, sources.breaks, sources.levels):
            document.add_root(source)
        document.on_change(events.append)
        return events

    return watch


def test_a_new_bar_is_streamed_alone(sent):
    bars = [bar(i) for i in range(5)]
    sources = ChartSources.from_data(data(bars))
    events = sent(sources)
    sources.update(data([*bars, bar(5, close=101.0)]))
    (event,) = events
    assert isinstance(event, ColumnsStreamedEvent)
    assert {name: len(column) for name, column in event.data.items()} == dict.fromkeys(
        sources.bars.data, 1
    )


def test_a_forming_bar_is_patched_in_the_columns_that_changed(sent):
    bars = [bar(i) for i in range(5)]
    sources = ChartSources.from_data(data([*bars, bar(5, final=False)]))
    events = sent(sources)
    sources.update(data([*bars, bar(5, close=100.1, final=False)]))
    (event,) = events
    assert isinstance(event, ColumnsPatchedEvent)
    assert event.patches == {"high": [(5, 100.3)], "close": [(5, 100.1)]}
    assert sources.bars.data["close"][5] == 100.1


def test_a_closed_bar_and_the_next_one_are_a_patch_and_a_row(sent):
    bars = [bar(i) for i in range(5)]
    sources = ChartSources.from_data(data([*bars, bar(5, final=False)]))
    events = sent(sources)
    sources.update(data([*bars, bar(5, close=99.0), bar(6, final=False)]))
    assert [type(e) for e in events] == [ColumnsPatchedEvent, ColumnsStreamedEvent]
    assert set(events[0].patches) == {"low", "close", "side", "ema", "k", "d"}


def test_nothing_new_sends_nothing(sent):
    shown = data([bar(0), bar(1, final=False)], fills=[fill(0)])
    sources = ChartSources.from_data(shown)
    events = sent(sources)
    sources.update(shown)
    sources.update(data([bar(0), bar(1, final=False)], fills=[fill(0)]))
    assert events == []


def test_bars_that_do_not_continue_replace_everything(sent):
    sources = ChartSources.from_data(data([bar(i) for i in (0, 1, 2)]))
    events = sent(sources)
    for shown in ([bar(0), bar(2), bar(3)], [bar(50)], [bar(0), bar(50)], []):
        events.clear()
        sources.update(data(shown))
        assert any(isinstance(e, ColumnDataChangedEvent) for e in events)
        assert len(sources.bars.data["x"]) == len(shown)


def test_another_symbol_replaces_everything():
    sources = ChartSources.from_data(data([bar(0)]))
    sources.update(data([bar(0, symbol="MSFT", close=7.0)], symbol="MSFT"))
    assert (sources.symbol, sources.bars.data["close"]) == ("MSFT", [7.0])


def test_any_course_of_a_feed_ends_where_a_fresh_chart_begins():
    chance = random.Random(3)
    bars, fills, minute = [bar(0)], [], 0
    sources = ChartSources.from_data(data(bars))
    for _ in range(400):
        step = chance.random()
        if step < 0.5 and not bars[-1]["final"]:
            close = round(chance.gauss(100, 1), 2)
            bars[-1] = bar(minute, close=close, final=chance.random() < 0.4)
        elif step < 0.95:
            bars[-1] = bar(minute, close=bars[-1]["close"])
            minute += chance.choice((1, 1, 1, 1, 20))
            bars = [*bars, bar(minute, final=chance.random() < 0.5)][-30:]
        elif step < 0.97:
            fills.append(fill(minute))
        else:
            bars = [replace_close(b, b["close"] + 0.5) for b in bars]
        sources.update(data(bars, fills=fills))
        fresh = ChartSources.from_data(data(bars, fills=fills))
        for name in ("bars", "fills", "breaks"):
            assert comparable(getattr(sources, name)) == comparable(getattr(fresh, name))
        first = sources.bars.data["x"][0]
        assert sources.bars.data["x"] == list(range(first, first + len(bars)))
        if sources.fills.data["x"]:
            offset = [x - first for x in sources.fills.data["x"]]
            assert offset == fresh.fills.data["x"]


def replace_close(old: dict, close: float) -> dict:
    return {**old, "close": close}


def comparable(source) -> dict:
    return {
        name: [None if isinstance(v, float) and math.isnan(v) else v for v in column]
        for name, column in source.data.items()
        if name != "x"
    }


def test_fills_stand_on_the_bar_that_holds_their_time():
    shown = data([bar(5), bar(6), bar(7)], fills=[fill(4.9), fill(5), fill(6.5, "sell")])
    sources = ChartSources.from_data(shown)
    assert sources.fills.data["x"] == [0, 1]
    assert sources.fills.data["side"] == ["buy", "sell"]
    assert sources.fills.data["reason"] == ["stop loss"] * 2


@pytest.mark.parametrize(
    ("symbol", "minutes", "marks"),
    [
        ("BTC/USD", (0, 1, 2, 435, 436), [(2.5, "gap", "7 h 12 min without data")]),
        ("AAPL", (0, 1, 2, 1441, 1442), [(2.5, "session", "")]),
        ("AAPL", (0, 1, 2, 33, 34), [(2.5, "gap", "30 min without data")]),
        ("BTC/USD", (0, 1, 2, 6, 7, 8), []),
    ],
)
def test_gaps_and_sessions_are_marked(symbol, minutes, marks):
    bars = [bar(minute, symbol=symbol) for minute in minutes]
    shown = ChartSources.from_data(data(bars, symbol=symbol)).breaks.data
    assert list(zip(shown["x"], shown["kind"], shown["label"], strict=True)) == marks


def test_corrected_bars_are_marked_and_say_whether_they_were_decided_on():
    bars = [bar(i) for i in range(4)]
    sources = ChartSources.from_data(data(bars))
    assert sources.corrections.data["x"] == []
    bars[1] |= {"revision": 1, "decided": True}
    bars[2] = {**bars[2], "revision": 2, "decided": False}
    sources.update(data(bars))
    marks = sources.corrections.data
    assert (marks["x"], marks["price"]) == ([1, 2], [bars[1]["high"], bars[2]["high"]])
    assert ["had decided" in label for label in marks["label"]] == [True, False]


def test_levels_follow_the_position():
    held = {"quantity": 5.0, "entry_price": 100.0, "stop": 99.8, "target": None}
    sources = ChartSources.from_data(data([bar(0)], position=held))
    assert sources.levels.data == {"price": [100.0, 99.8], "kind": ["entry", "stop"]}
    sources.update(data([bar(0)], position=None))
    assert sources.levels.data == {"price": [], "kind": []}


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_a_chart_is_valid_and_painted(theme):
    shown = data([bar(i) for i in range(300)], fills=[fill(3)])
    layout = chart_figure(ChartSources.from_data(shown), theme=theme)
    document = Document()
    document.add_root(layout)
    document.validate()
    assert document.to_json()
    candles = layout.select_one({"name": "candles"}).glyph.fill_color
    assert candles.transform.palette == [theme.up, theme.down]
    assert layout.select_one({"name": "ema"}).glyph.line_color == theme.ema


def test_an_empty_chart_can_be_drawn():
    document = Document()
    document.add_root(chart_figure(ChartSources.from_data(data([])), theme=LIGHT))
    document.validate()


def test_a_theme_can_be_changed_and_changed_back():
    layout = chart_figure(ChartSources.from_data(data([bar(0)])), theme=LIGHT)
    apply_theme(layout, DARK)
    assert layout.select_one({"name": "k"}).glyph.line_color == DARK.fast
    apply_theme(layout, LIGHT)
    assert layout.select_one({"name": "k"}).glyph.line_color == LIGHT.fast


def test_both_panes_share_one_view_that_shows_the_newest_bars():
    sources = ChartSources.from_data(data([bar(i) for i in range(300)]))
    layout = chart_figure(sources, theme=LIGHT, visible=100)
    views = {plot.x_range for plot in layout.select({"type": Plot})}
    (view,) = views
    assert (view.start, view.end) == (201.5, 302)


def test_bands_follow_the_parameters():
    layout = chart_figure(ChartSources.from_data(data([bar(0)])), theme=LIGHT)
    set_bands(layout, Parameters().replace({"stoch_rsi.lower_band": 20}))
    assert layout.select_one({"name": "lower_band"}).location == 20


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_words_are_legible_and_up_differs_from_down_in_lightness(theme):
    for words in (theme.text, theme.muted, theme.gain, theme.loss, theme.warning):
        assert contrast(words, theme.surface) >= 4.5
        assert contrast(words, theme.raised) >= 4.0
    for mark in (theme.up, theme.down, theme.ema, theme.fast, theme.slow, theme.buy, theme.sell):
        assert contrast(mark, theme.surface) >= 2.9
    assert contrast(theme.up, theme.down) >= 1.8


def test_themes_have_the_same_roles():
    assert replace(LIGHT, name="x").css().count("--tk-") == DARK.css().count("--tk-")
