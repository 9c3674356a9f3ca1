"""Costs: Alpaca's by default, bounded, by kind of asset; what each fill pays of them."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.broker import fees as broker_fees
from toolkit.core import execution
from toolkit.core.costs import CRYPTO_TIERS, Charges, Costs, Owed
from toolkit.core.hours import day_of
from toolkit.core.inputs import costs_from, parameters_from
from toolkit.core.layout import CHARGES, charges_of
from toolkit.errors import ConfigError
from toolkit.exchange import account

ROOT = Path(__file__).parents[2]
FREE = Costs.paper().of("AAPL")


def test_stocks_are_free_of_commission_and_crypto_pays_the_taker_fee() -> None:
    assert (Costs().fee_bps("AAPL"), Costs().fee_bps("BTC/USD")) == (0.0, 25.0)


def test_only_stocks_pay_the_regulators_and_a_paper_account_pays_them_nothing() -> None:
    names = ("sec_fee_per_million", "taf_per_share", "cat_per_share")
    assert all(getattr(Costs().of("AAPL"), name) > 0 for name in names)
    assert not any(getattr(Costs().of("BTC/USD"), name) for name in names)
    assert not any(getattr(Costs.paper().of("AAPL"), name) for name in names)


@pytest.mark.parametrize("value", [-0.1, 1000.1, math.nan, math.inf, "1", None, True])
@pytest.mark.parametrize("name", ["stock_fee_bps", "crypto_fee_bps", "slippage_bps", "impact_bps"])
def test_a_wrong_cost_names_the_field_and_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*; allowed: 0 to 1000") as caught:
        Costs(**{name: value})
    assert caught.value.data["field"] == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("taf_per_share", 1.1),
        ("max_volume_percent", 101),
        ("quoted_spread", 1),
        ("targets_rest", "yes"),
        ("symbol_spread_bps", {"AAPL": -1}),
        ("symbol_spread_bps", 3),
    ],
)
def test_every_field_has_its_own_bounds(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Costs(**{name: value})


def test_costs_survive_json_and_unknown_names_are_refused() -> None:
    costs = Costs(slippage_bps=1, symbol_spread_bps={"MSFT": 2, "AAPL": 0.5}, targets_rest=True)
    read = Costs.from_dict(orjson.loads(orjson.dumps(costs.to_dict())))
    assert read == costs
    assert hash(read) == hash(costs)
    with pytest.raises(ConfigError, match="slipage"):
        Costs.from_dict({"slipage_bps": 1})


def test_costs_may_be_named_in_a_mapping_and_nothing_else() -> None:
    assert costs_from({"slippage_bps": 2}) == Costs(slippage_bps=2)
    assert costs_from(None) == Costs()
    with pytest.raises(ConfigError, match=r"costs is 3; allowed: tk\.Costs"):
        costs_from(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="parameters is 'fast'; allowed: names and values"):
        parameters_from("fast")  # type: ignore[arg-type]


def test_costs_of_three_fields_as_earlier_versions_kept_them_are_read() -> None:
    old: dict[str, Any] = {"stock_fee_bps": 1.0, "crypto_fee_bps": 25.0, "slippage_bps": 2.0}
    assert Costs.from_dict(old) == Costs(**old)


@pytest.mark.parametrize(
    ("volume", "maker", "taker"),
    [(0, 15, 25), (99_999.99, 15, 25), (100_000, 12, 22), (3e6, 8, 18), (1e9, 0, 10)],
)
def test_the_fees_of_crypto_follow_the_volume_of_thirty_days(
    volume: float, maker: float, taker: float
) -> None:
    costs = Costs.crypto(volume=volume, targets_rest=True)
    charges = costs.of("BTC/USD")
    assert (charges.target_fee_bps, charges.fee_bps) == (maker, taker)


def test_targets_of_crypto_pay_the_taker_unless_they_rest() -> None:
    assert Costs().of("BTC/USD").target_fee_bps == 25.0
    assert Costs(targets_rest=True).of("BTC/USD").target_fee_bps == 15.0
    assert Costs(targets_rest=True).of("AAPL").target_fee_bps == 0.0


def test_broker_and_exchange_reckon_with_the_same_rate() -> None:
    rate = Decimal(str(CRYPTO_TIERS[0].taker_bps)) / 10_000
    assert broker_fees.CRYPTO_FEE == account.CRYPTO_FEE == rate == Decimal("0.0025")


def test_the_kernel_gets_every_charge_under_its_name() -> None:
    costs = Costs(symbol_spread_bps={"AAPL": 3.0}, quoted_spread=True)
    records = charges_of(costs, ["AAPL", "BTC/USD"])
    assert CHARGES.names == Charges._fields
    for record, symbol in zip(records, ["AAPL", "BTC/USD"], strict=True):
        assert tuple(record.tolist()) == tuple(costs.of(symbol))


def test_the_page_of_costs_has_every_rate_with_its_default_date_and_source() -> None:
    page = (ROOT / "docs/research/costs.md").read_text()
    for field in dataclasses.fields(Costs):
        assert f"`{field.name}" in page
        if source := field.metadata.get("source"):
            (row,) = (line for line in page.splitlines() if line.startswith(f"| `{field.name}`"))
            since = source.partition(",")[0]
            assert f"| {field.default:.6f}".rstrip("0").rstrip(".") in row
            assert since in row


# ---------------------------------------------------------------- slippage


def slip(
    costs: Costs, *, quantity: float = 100.0, volume: float = 0.0, spread: float = math.nan
) -> float:
    return execution.slippage(costs.of("AAPL"), 50.0, quantity, volume, spread)


def test_half_of_the_spread_is_paid_the_bars_own_where_it_is_asked_for() -> None:
    assert slip(Costs(spread_bps=3.0)) == 1.5
    assert slip(Costs(spread_bps=3.0, symbol_spread_bps={"AAPL": 8.0})) == 4.0
    assert slip(Costs(spread_bps=3.0), spread=0.01) == 1.5
    assert slip(Costs(spread_bps=3.0, quoted_spread=True), spread=0.01) == pytest.approx(1.0)
    assert slip(Costs(spread_bps=3.0, quoted_spread=True)) == 1.5


def test_impact_grows_with_the_square_root_of_the_share_of_volume() -> None:
    costs = Costs(impact_bps=20.0, max_impact_bps=15.0)
    assert slip(costs, volume=10_000.0) == pytest.approx(2.0)
    assert slip(costs, volume=2_500.0) == pytest.approx(4.0)
    assert slip(costs, volume=1.0) == 15.0
    assert slip(costs, volume=0.0) == 15.0
    assert slip(Costs(max_impact_bps=15.0), volume=0.0) == 0.0


@settings(deadline=None)
@given(
    fixed=st.floats(0, 1000),
    spread=st.floats(0, 1e6),
    impact=st.floats(0, 1000),
    volume=st.floats(0, 1e9),
)
def test_slippage_never_takes_more_than_half_of_the_price(
    fixed: float, spread: float, impact: float, volume: float
) -> None:
    costs = Costs(slippage_bps=fixed, impact_bps=impact, quoted_spread=True)
    assert 0.0 <= slip(costs, volume=volume, spread=spread) <= 5000.0


def test_an_entry_takes_its_share_of_the_volume_where_one_is_known() -> None:
    charges = Costs(max_volume_percent=10.0).of("AAPL")
    assert execution.share_of_volume(charges, 5.0, 100.0) == 5.0
    assert execution.share_of_volume(charges, 50.0, 100.0) == 10.0
    assert execution.share_of_volume(charges, 50.0, 0.0) == 50.0
    assert execution.share_of_volume(Costs().of("AAPL"), 50.0, 100.0) == 50.0


# ---------------------------------------------------------------- the regulators


def test_a_sale_pays_three_fees_each_rounded_up_to_the_cent() -> None:
    charges, owed = Costs().of("AAPL"), Owed()
    paid = execution.sale_levy(charges, owed, 1, 200.0, 100.0)
    # 20,000 $ at 20.60 a million: 0.412; 100 shares: 0.0195 and 0.0003
    assert paid == 420_000 + 20_000 + 10_000


def test_a_day_is_rounded_once_and_the_next_day_begins_anew() -> None:
    charges, owed = Costs().of("AAPL"), Owed()
    fills = [execution.sale_levy(charges, owed, 1, 200.0, 1.0) for _ in range(10)]
    # 2,000 $: 0.0412; 10 shares: 0.00195 and 0.00003
    assert sum(fills) == 50_000 + 10_000 + 10_000
    assert execution.sale_levy(charges, owed, 2, 200.0, 1.0) == 30_000


def test_the_trading_activity_fee_is_capped_for_each_fill() -> None:
    charges = Costs(sec_fee_per_million=0.0, cat_per_share=0.0).of("AAPL")
    assert execution.sale_levy(charges, Owed(), 1, 1.0, 1e6) == 9_790_000
    assert execution.sale_levy(charges, Owed(), 1, 1.0, 10_000.0) == 1_950_000


def test_a_purchase_pays_the_audit_trail_only() -> None:
    assert execution.purchase_levy(Costs().of("AAPL"), Owed(), 1, 10_000.0) == 30_000
    assert execution.purchase_levy(FREE, Owed(), 1, 10_000.0) == 0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.01, 5000), st.floats(1e-9, 1e5), st.integers(0, 2)),
        max_size=30,
    )
)
def test_fills_of_a_day_pay_together_what_the_day_owes_and_none_is_paid_back(fills: Any) -> None:
    charges, owed = Costs().of("AAPL"), Owed()
    for day in range(3):
        paid, exact = 0, {"sec": 0, "taf": 0, "cat": 0}
        for sold, price, quantity, _ in (f for f in fills if f[3] == day):
            exact["cat"] += math.floor(quantity * 0.000003 * 1e9 + 0.5)
            if not sold:
                levy = execution.purchase_levy(charges, owed, day, quantity)
            else:
                levy = execution.sale_levy(charges, owed, day, price, quantity)
                exact["sec"] += math.floor(price * quantity * 20.6 / 1e6 * 1e9 + 0.5)
                exact["taf"] += math.floor(min(quantity * 0.000195, 9.79) * 1e9 + 0.5)
            assert levy >= 0
            paid += levy
        assert paid == sum(math.ceil(amount / 10**7) for amount in exact.values()) * 10_000


@settings(deadline=None)
@given(quantity=st.floats(1e-9, 1e12))
def test_what_is_set_aside_covers_the_levy_of_a_purchase(quantity: float) -> None:
    charges = Costs().of("AAPL")
    levy = execution.purchase_levy(charges, Owed(), 1, quantity)
    assert levy / 1e6 <= execution.set_aside(charges, quantity) + 1e-9 * quantity


def test_fees_are_summed_up_by_the_date_in_new_york() -> None:
    evening, night = datetime(2026, 1, 6, 0, 59, tzinfo=UTC), datetime(2026, 1, 6, 5, tzinfo=UTC)
    assert day_of(night) == day_of(evening) + 1 == np.datetime64("2026-01-06", "D").astype(int)
