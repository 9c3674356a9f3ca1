"""check data: every planted fault is found at its row, and clean data stays unmarked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import tries
from tests.research.checks.markets import always, scaled, sessions, with_value
from toolkit.errors import DataError
from toolkit.market.simulated import simulate_bars
from toolkit.market.tables import normalise
from toolkit.research.checks.data import DataCheck, check_data
from toolkit.research.checks.findings import Severity

CLEAN = sessions()
HALF_DAY = datetime(2025, 11, 24, tzinfo=UTC)  # Thanksgiving week: a holiday and a half day
HOUR = timedelta(hours=1)
SUMMER_TIME = datetime(2026, 3, 4, tzinfo=UTC)  # clocks change on 8 March


def checked(bars: Any, **options: Any) -> DataCheck:
    return check_data(bars, progress=False, **options)


def only(found: DataCheck) -> tuple[str, int]:
    """The kind and row of the one finding."""
    assert len(found.findings) == 1, found.frame.to_string()
    assert not found.ok
    return found.findings[0].kind, found.findings[0].row


@pytest.mark.parametrize(
    "bars",
    [
        CLEAN,
        sessions(start=HALF_DAY),
        sessions(start=SUMMER_TIME),
        always(),
        simulate_bars(["BTC/USD", "DOGE/USD"], 1500, 3),
        pd.concat([sessions(), sessions(symbol="MSFT", seed=4)], ignore_index=True),
        pd.concat([sessions(), always()]).sort_values("timestamp", ignore_index=True),
    ],
    ids=["stock", "half_day", "summer_time", "crypto", "simulated", "two_stocks", "both_kinds"],
)
def test_clean_bars_have_no_faults(bars: pd.DataFrame) -> None:
    found = checked(bars)
    assert found.findings == ()
    assert found.ok and found.sentence.startswith(f"no faults in {len(bars):,} rows of")


@pytest.mark.parametrize("seed", range(8))
def test_other_clean_markets_have_no_faults_either(seed: int) -> None:
    assert checked(sessions(days=3, seed=seed)).findings == ()
    assert checked(always(count=1000, seed=seed)).findings == ()


def test_five_minute_hourly_and_daily_bars_have_no_faults() -> None:
    for seconds in (300, 3600):
        times = CLEAN["timestamp"].dt.floor(f"{seconds}s").drop_duplicates()
        assert checked(CLEAN.iloc[: len(times)].assign(timestamp=times.to_numpy())).ok
    days = pd.bdate_range("2026-02-02", periods=9, tz="UTC")
    for stamped in (days, days + timedelta(hours=5), days + timedelta(hours=21)):
        assert checked(CLEAN.iloc[:9].assign(timestamp=stamped)).findings == ()


def test_bars_before_and_after_the_session_are_no_fault() -> None:
    early = CLEAN.iloc[:200].assign(timestamp=CLEAN["timestamp"][:200] - timedelta(hours=4))
    assert checked(pd.concat([early, CLEAN], ignore_index=True)).ok


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lambda bars: bars.drop(index=[100, 101]), ("gap", 100)),
        (lambda bars: bars.drop(index=range(350, 400)), ("gap", 350)),
        (lambda bars: bars.drop(index=range(390, 780)), ("gap", 390)),
        (lambda bars: with_value(bars, 70, close=np.nan), ("not_a_number", 70)),
        (lambda bars: with_value(bars, 70, high="n/a"), ("not_a_number", 70)),
        (lambda bars: with_value(bars, 70, low=0.0), ("not_positive", 70)),
        (lambda bars: with_value(bars, 70, open=-5.0), ("not_positive", 70)),
        (lambda bars: with_value(bars, 70, volume=-1.0), ("negative", 70)),
        (lambda bars: with_value(bars, 70, high=bars["low"][70] - 1), ("high_below_low", 70)),
        (lambda bars: with_value(bars, 70, close=bars["high"][70] + 0.1), ("out_of_range", 70)),
        (lambda bars: with_value(bars, 70, symbol=None), ("no_symbol", 70)),
        (lambda bars: with_value(bars, 70, timestamp=None), ("no_time", 70)),
        (lambda bars: with_value(bars, 70, high=bars["high"][70] * 1.05), ("bad_tick", 70)),
        (lambda bars: scaled(bars, slice(70, 71), 1.05), ("spike", 70)),
        (lambda bars: scaled(bars, slice(70, 73), 0.9), ("spike", 70)),
        (lambda bars: scaled(bars, slice(390, None), 0.5), ("split", 390)),
        (lambda bars: scaled(bars, slice(390, None), 2 / 3), ("split", 390)),
        (lambda bars: scaled(bars, slice(780, None), 10.0), ("split", 780)),
        (lambda bars: scaled(bars, slice(390, None), 0.44), ("jump", 390)),
        (lambda bars: scaled(bars, slice(500, None), 1.3), ("jump", 500)),
        (lambda bars: with_value(bars, 70, volume=0.0), ("zero_volume", 70)),
    ],
)
def test_a_planted_fault_is_found_at_its_row_and_nothing_else(
    plant: Callable[[pd.DataFrame], pd.DataFrame], expected: tuple[str, int]
) -> None:
    bars = plant(CLEAN).reset_index(drop=True)
    kind, row = expected
    nameless = kind in ("no_symbol", "no_time")  # such a row is missing where it belongs
    found = [f for f in checked(bars).findings if not (nameless and f.kind == "gap")]
    assert [(f.kind, f.row) for f in found] == [(kind, row)]
    assert found[0].advice and found[0].message
    if not nameless:
        assert found[0].symbol == "AAPL"
        assert found[0].timestamp == bars["timestamp"][row]


def test_a_gap_counts_the_bars_of_sessions_only() -> None:
    over_the_weekend = CLEAN.drop(index=range(5 * 390 - 10, 5 * 390))
    longer = sessions(days=6).drop(index=range(5 * 390 - 10, 5 * 390 + 5))
    assert checked(over_the_weekend).ok  # the file ends earlier, nothing is missing inside
    (gap,) = checked(longer).findings
    assert (gap.kind, gap.count) == ("gap", 15)
    assert "15 bars are missing since 2026-01-09 20:49" in gap.message


def test_a_copied_bar_and_a_contradicting_one_are_told_apart() -> None:
    copied = pd.concat([CLEAN[:50], CLEAN[49:50], CLEAN[50:]], ignore_index=True)
    assert only(checked(copied)) == ("duplicate", 50)
    assert "again" in checked(copied).findings[0].message
    other = with_value(copied, 50, close=copied["open"][50], volume=9.0)
    assert only(checked(other)) == ("duplicate", 50)
    assert "another bar" in checked(other).findings[0].message


def test_rows_out_of_order_are_found_once_each_way_round() -> None:
    swapped = CLEAN.copy()
    swapped.iloc[[60, 61]] = swapped.iloc[[61, 60]].to_numpy()
    assert only(checked(swapped)) == ("out_of_order", 61)
    backwards = checked(CLEAN[::-1].reset_index(drop=True))
    assert only(backwards) == ("out_of_order", 1)
    assert backwards.findings[0].count == len(CLEAN) - 1


def test_a_repeated_bar_and_a_price_that_stands_still_are_found() -> None:
    names = ["open", "high", "low", "close", "volume"]
    repeated = CLEAN.copy()
    repeated.loc[100:103, names] = CLEAN.loc[99, names].to_numpy()
    assert only(checked(repeated)) == ("repeated", 100)
    still = CLEAN.copy()
    still.loc[100:120, names[:4]] = CLEAN.loc[99, "close"]
    assert ("still", 100) in [(f.kind, f.row) for f in checked(still).findings]


def test_bars_filled_in_without_a_trade_are_found() -> None:
    bars = CLEAN.copy()
    bars.loc[200:204, ["open", "high", "low", "close"]] = bars.loc[199, "close"]
    bars.loc[200:204, "volume"] = 0.0
    found = [f for f in checked(bars).findings if f.kind == "filled"]
    assert [(f.row, f.count) for f in found] == [(200, 5)]


def test_no_volume_at_all_is_a_note_only() -> None:
    found = checked(CLEAN.assign(volume=0.0))
    assert found.ok and [f.kind for f in found.findings] == ["no_volume"]
    assert found.findings[0].severity is Severity.NOTE


@pytest.mark.parametrize("hours", [-5, -4, 1, 6])
def test_times_off_by_whole_hours_are_a_wrong_time_zone(hours: int) -> None:
    found = checked(CLEAN.assign(timestamp=CLEAN["timestamp"] + timedelta(hours=hours)))
    if abs(hours) == 1:
        assert {f.kind for f in found.findings} == {"time_zone"}
    else:
        assert only(found) == ("time_zone", 0)
    assert f"moved by {-hours:+d} h" in found.frame["message"].iloc[0] or hours == -5


def test_new_york_times_read_as_utc_are_recognised_through_the_change_of_clocks() -> None:
    bars = sessions(start=SUMMER_TIME, days=6)
    local = bars["timestamp"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    found = checked(bars.assign(timestamp=local))
    assert only(found) == ("time_zone", 0)
    assert "New York's clock" in found.findings[0].message
    assert "tz_localize('America/New_York')" in found.findings[0].advice


def test_summer_time_forgotten_for_some_days_is_found_on_these_days() -> None:
    bars = sessions(start=SUMMER_TIME, days=6)
    shifted = bars["timestamp"].where(bars["timestamp"] < "2026-03-08", bars["timestamp"] + HOUR)
    (finding,) = checked(bars.assign(timestamp=shifted)).findings
    assert (finding.kind, finding.row) == ("time_zone", 3 * 390)
    assert "3 days" in finding.message and "moved by -1 h" in finding.message


def test_bars_on_a_weekend_a_holiday_and_at_night_are_found() -> None:
    for moment in ("2026-01-10 15:00", "2026-01-19 15:00", "2026-01-13 07:00"):
        bars = pd.concat([sessions(days=12), CLEAN[:1]], ignore_index=True)
        bars.loc[len(bars) - 1, "timestamp"] = pd.Timestamp(moment, tz="UTC")
        bars = bars.sort_values("timestamp", ignore_index=True)
        row = int((bars["timestamp"] == pd.Timestamp(moment, tz="UTC")).argmax())
        found = [f for f in checked(bars).findings if f.kind != "spike"]
        assert ("closed_market", row) in [(f.kind, f.row) for f in found], moment


def test_a_daily_bar_on_a_sunday_is_found() -> None:
    days = list(pd.bdate_range("2026-02-02", periods=9, tz="UTC"))
    days[5] = pd.Timestamp("2026-02-08", tz="UTC")
    found = checked(CLEAN.iloc[:9].assign(timestamp=days))
    assert ("closed_market", 5) in [(f.kind, f.row) for f in found.findings]


def test_a_time_beside_the_grid_is_found() -> None:
    bars = with_value(CLEAN, 33, timestamp=CLEAN["timestamp"][33] + timedelta(seconds=7))
    assert ("off_grid", 33) in [(f.kind, f.row) for f in checked(bars).findings]


def test_mixed_feeds_are_found_where_the_second_begins() -> None:
    bars = CLEAN.assign(feed="sip")
    bars.loc[500:, "feed"] = "iex"
    assert only(checked(bars)) == ("mixed_feed", 500)
    assert checked(CLEAN.assign(feed="sip")).ok


def test_a_split_of_bars_said_to_be_adjusted_says_so() -> None:
    bars = scaled(CLEAN, slice(390, None), 0.25).assign(adjustment="split")
    (finding,) = checked(bars).findings
    assert "4:1" in finding.message and "though adjustment is split" in finding.message


def test_a_reverse_split_has_its_ratio_the_other_way_round() -> None:
    (finding,) = checked(scaled(CLEAN, slice(390, None), 10.0)).findings
    assert "split 1:10" in finding.message


def test_crypto_misses_every_minute_and_has_no_splits() -> None:
    bars = always()
    assert only(checked(bars.drop(index=[900]).reset_index(drop=True))) == ("gap", 900)
    assert only(checked(scaled(bars, slice(1000, None), 0.5))) == ("jump", 1000)


def test_quotes_that_cross_are_found_and_bars_are_built_of_sound_ones() -> None:
    bars = always(count=600)
    quotes = pd.DataFrame(
        {
            "timestamp": bars["timestamp"],
            "symbol": "BTC/USD",
            "bid": bars["close"] - 0.01,
            "bid_size": 1.0,
            "ask": bars["close"] + 0.01,
            "ask_size": 1.0,
        }
    )
    assert checked(quotes).ok
    crossed = quotes.copy()
    crossed.loc[7, "ask"] = crossed.loc[7, "bid"] - 1.0
    assert only(checked(crossed)) == ("crossed", 7)
    holed = quotes.drop(index=range(300, 320)).reset_index(drop=True)
    assert only(checked(holed)) == ("gap", 300)


def test_a_file_without_symbols_takes_the_one_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    CLEAN.drop(columns="symbol").to_csv(path, index=False)
    assert checked(path, symbol="AAPL").ok
    assert checked(path).findings[0].kind == "no_symbol"
    assert checked(path).findings[0].count == len(CLEAN)


def test_data_without_a_single_sound_row_is_told_all_the_same() -> None:
    found = checked(CLEAN.assign(high=1.0))
    assert set(found.counts) == {"high_below_low"}
    assert found.findings[0].count == len(CLEAN)
    assert checked(CLEAN.assign(timestamp=None)).counts == {"no_time": 1}
    assert checked(CLEAN[:1]).ok


def test_what_is_no_market_data_is_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        checked(CLEAN[:0])
    with pytest.raises(DataError, match="open"):
        checked(pd.DataFrame({"timestamp": CLEAN["timestamp"], "symbol": "AAPL"}))
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        checked("nowhere.csv")


def test_the_shared_recordings_have_what_is_truly_in_them(shared_data: Path) -> None:
    found = {path.name: checked(path) for path in sorted(shared_data.glob("*.parquet"))}
    crypto = found["bars_1min_crypto_2018.parquet"]
    assert crypto.counts == {"gap": 8}
    missing = crypto.frame.groupby("symbol")["count"].sum().to_dict()
    bars = normalise(pd.read_parquet(shared_data / "bars_1min_crypto_2018.parquet")).frame
    for symbol, own in bars.groupby("symbol"):
        minutes = (own["timestamp"].max() - own["timestamp"].min()) / timedelta(minutes=1) + 1
        assert missing[symbol] == minutes - len(own)
    assert found["bars_1min_spx_2019.parquet"].counts == {"no_volume": 1}
    assert set(found["quotes_1min_crypto_2018.parquet"].counts) == {"gap"}


def test_the_result_is_a_table_a_sentence_and_json() -> None:
    found = checked(with_value(CLEAN, 70, low=0.0))
    assert found.frame[["row", "kind", "severity"]].to_numpy().tolist() == [
        [70, "not_positive", "error"]
    ]
    assert "a backtest refuses 1 of them" in found.sentence
    (row,) = found.to_json()["rows"]
    assert row["timestamp"] == "2026-01-05T15:40:00Z" and row["count"] == 1
    assert "low is zero or negative" in found._repr_html_()


FAULTS: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    "not_a_number": lambda bars, row: with_value(bars, row, close=np.inf),
    "not_positive": lambda bars, row: with_value(bars, row, low=-1.0),
    "high_below_low": lambda bars, row: with_value(bars, row, high=1.0),
    "out_of_order": lambda bars, row: bars.reindex(
        [*range(row - 1), row, row - 1, *range(row + 1, len(bars))]
    ).reset_index(drop=True),
    "duplicate": lambda bars, row: pd.concat(
        [bars[:row], bars[row - 1 : row], bars[row:]], ignore_index=True
    ),
}


@settings(max_examples=tries(15), deadline=None)
@given(kind=st.sampled_from(sorted(FAULTS)), row=st.integers(1, len(CLEAN) - 2))
def test_whatever_a_backtest_refuses_is_an_error_here(kind: str, row: int) -> None:
    bars = FAULTS[kind](CLEAN, row)
    with pytest.raises(DataError):
        normalise(bars)
    errors = [f for f in checked(bars).findings if f.severity is Severity.ERROR]
    assert [(f.kind, f.row) for f in errors] == [(kind, row)]
