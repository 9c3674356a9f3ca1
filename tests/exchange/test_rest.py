"""alpaca-py's REST clients against the exchange: every request that a bot makes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.enums import OrderClass, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)

from tests.exchange.serving import Served, served

START = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)


@pytest.fixture
def exchange() -> Iterator[Served]:
    with served() as exchange:
        exchange.advance(60)
        yield exchange


def buy(symbol: str = "AAPL", **fields) -> MarketOrderRequest:
    usual = {"qty": 10, "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY}
    if "notional" in fields:
        usual.pop("qty")
    return MarketOrderRequest(symbol=symbol, **{**usual, **fields})


def limit(price: float, **fields) -> LimitOrderRequest:
    usual = {"symbol": "AAPL", "qty": 10, "side": "buy", "time_in_force": "gtc"}
    return LimitOrderRequest(limit_price=price, **{**usual, **fields})


def refusal(call) -> APIError:
    with pytest.raises(APIError) as caught:
        call()
    return caught.value


def test_the_account_starts_with_its_cash(exchange):
    account = exchange.trading().get_account()
    assert (account.cash, account.equity, account.buying_power) == ("100000", "100000", "200000")
    assert account.status == "ACTIVE"
    assert account.daytrade_count == 0


def test_an_order_is_pending_when_taken_and_filled_when_asked_for_again(exchange):
    client = exchange.trading()
    taken = client.submit_order(buy(client_order_id="first"))
    assert (taken.status, taken.filled_qty, taken.client_order_id) == ("pending_new", "0", "first")
    order = client.get_order_by_client_id("first")
    assert order == client.get_order_by_id(taken.id)
    assert (order.status, order.filled_qty) == ("filled", "10")
    (fill,) = exchange.state()["fills"]
    assert (fill["qty"], fill["price"]) == (order.filled_qty, order.filled_avg_price)
    (position,) = client.get_all_positions()
    assert (position.symbol, position.qty, position.qty_available) == ("AAPL", "10", "10")
    assert position.avg_entry_price == order.filled_avg_price
    assert position == client.get_open_position("AAPL")


def test_a_repeated_client_order_id_is_refused_although_the_first_was_taken(exchange):
    client = exchange.trading()
    client.submit_order(buy(client_order_id="once"))
    error = refusal(lambda: client.submit_order(buy(client_order_id="once")))
    assert (error.status_code, error.code) == (422, 40010001)
    assert error.message == "client_order_id must be unique"
    assert len(exchange.state()["orders"]) == 1


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (limit(1.0), "limit"),
        (
            StopOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="gtc", stop_price=999),
            "stop",
        ),
        (
            StopLimitOrderRequest(
                symbol="BTC/USD",
                qty=0.1,
                side="buy",
                time_in_force="gtc",
                stop_price=90_000,
                limit_price=91_000,
            ),
            "stop_limit",
        ),
        (
            TrailingStopOrderRequest(
                symbol="AAPL", qty=1, side="buy", time_in_force="day", trail_percent=5
            ),
            "trailing_stop",
        ),
    ],
)
def test_every_type_of_order_rests_until_its_price_comes(exchange, request_, kind):
    client = exchange.trading()
    taken = client.submit_order(request_)
    order = client.get_order_by_id(taken.id)
    assert (order.type, order.status, order.filled_qty) == (kind, "new", "0")


def test_fractions_and_dollars(exchange):
    client = exchange.trading()
    client.submit_order(buy(qty=0.5))
    client.submit_order(buy("MSFT", notional=100.0))
    half, part = client.get_all_positions()
    assert half.qty == "0.5"
    assert float(part.cost_basis) == 100.0


def test_a_bracket_shows_its_legs_when_asked_for_nested(exchange):
    client = exchange.trading()
    price = 250.0
    exits = {
        "take_profit": TakeProfitRequest(limit_price=price + 100),
        "stop_loss": StopLossRequest(stop_price=price - 100),
    }
    taken = client.submit_order(buy(order_class=OrderClass.BRACKET, **exits))
    assert [leg.status for leg in taken.legs] == ["held", "held"]
    order = client.get_order_by_id(taken.id, GetOrderByIdRequest(nested=True))
    assert [(leg.type, leg.status) for leg in order.legs] == [("limit", "new"), ("stop", "held")]
    flat = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL))
    nested = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True))
    assert (len(flat), len(nested), len(nested[0].legs)) == (3, 1, 2)
    error = refusal(lambda: client.close_position("AAPL"))
    assert (error.status_code, error.code) == (403, 40310000)


def test_an_oco_protects_what_is_held(exchange):
    client = exchange.trading()
    client.submit_order(buy())
    taken = client.submit_order(
        limit(
            None,
            side="sell",
            order_class=OrderClass.OCO,
            take_profit=TakeProfitRequest(limit_price=400),
            stop_loss=StopLossRequest(stop_price=100, limit_price=99),
        )
    )
    order = client.get_order_by_id(taken.id, GetOrderByIdRequest(nested=True))
    assert (order.limit_price, order.status) == ("400", "new")
    assert (order.legs[0].type, order.legs[0].status) == ("stop_limit", "held")


def test_orders_are_listed_open_only_50_at_most_newest_first_unless_asked(exchange):
    client = exchange.trading()
    for number in range(60):
        client.submit_order(limit(1.0, qty=1, client_order_id=f"n{number}"))
        exchange.advance(0.001)
    client.cancel_order_by_id(client.get_order_by_client_id("n59").id)
    listed = client.get_orders()
    assert [order.client_order_id for order in listed] == [f"n{n}" for n in range(58, 8, -1)]
    first = client.get_orders(GetOrdersRequest(direction=Sort.ASC, limit=2, symbols=["AAPL"]))
    assert [order.client_order_id for order in first] == ["n0", "n1"]
    later = client.get_orders(
        GetOrdersRequest(after=first[-1].submitted_at, direction="asc", limit=1)
    )
    assert later[0].client_order_id == "n2"
    closed = client.get_orders(GetOrdersRequest(status="closed"))
    assert [order.status for order in closed] == ["canceled"]
    assert client.get_orders(GetOrdersRequest(symbols=["MSFT"])) == []
    assert client.get_orders(GetOrdersRequest(side="sell")) == []


def test_an_order_is_replaced_and_all_are_cancelled(exchange):
    client = exchange.trading()
    old = client.submit_order(limit(1.0))
    new = client.replace_order_by_id(old.id, ReplaceOrderRequest(limit_price=2.0, qty=5))
    assert new.replaces == old.id
    assert client.get_order_by_id(old.id).status == "replaced"
    (working,) = client.get_orders()
    assert (working.id, working.qty, working.limit_price) == (new.id, "5", "2")
    (answer,) = client.cancel_orders()
    assert (answer.id, answer.status) == (new.id, 200)
    assert client.get_orders() == []


def test_positions_are_closed_in_parts_and_all_together(exchange):
    client = exchange.trading()
    client.submit_order(buy())
    client.submit_order(buy("BTC/USD", qty=0.1, time_in_force="gtc"))
    client.submit_order(limit(1.0, symbol="MSFT"))
    client.close_position("AAPL", ClosePositionRequest(percentage="50"))
    client.close_position("AAPL", ClosePositionRequest(qty="2"))
    assert client.get_open_position("AAPL").qty == "3"
    coins = client.get_open_position("BTCUSD")
    assert (coins.qty, coins.asset_class) == ("0.09975", "crypto")
    closed = client.close_all_positions(cancel_orders=True)
    assert [(answer.symbol, answer.status) for answer in closed] == [("AAPL", 200), ("BTCUSD", 200)]
    exchange.advance(60)  # the quote of that moment had not enough of everything
    assert (client.get_all_positions(), client.get_orders()) == ([], [])
    error = refusal(lambda: client.get_open_position("AAPL"))
    assert (error.status_code, error.code) == (404, 40410000)


def test_refusals_carry_alpacas_codes(exchange):
    client = exchange.trading()
    for request_, status, words in (
        (buy(qty=10_000), 403, "insufficient buying power"),
        (buy("NOTRADE"), 422, "not tradable"),
        (buy("WHOLE", qty=0.5), 403, "not fractionable"),
        (buy("NOSUCH"), 422, "not found"),
        (limit(1.001), 422, "sub-penny"),
    ):
        error = refusal(lambda request_=request_: client.submit_order(request_))
        assert error.status_code == status
        assert words in error.message
    assert refusal(lambda: client.get_order_by_client_id("nobody")).status_code == 404


def test_activities_are_the_fills_page_by_page(exchange):
    client = exchange.trading()
    for _ in range(3):
        client.submit_order(buy(qty=1))
        exchange.advance(1)
    client.submit_order(buy("BTC/USD", qty=0.1, time_in_force="gtc"))
    newest = client.get("/account/activities/FILL", {"page_size": 2})
    assert [item["symbol"] for item in newest] == ["BTC/USD", "AAPL"]
    rest = client.get("/account/activities/FILL", {"page_size": 5, "page_token": newest[-1]["id"]})
    assert [item["symbol"] for item in rest] == ["AAPL", "AAPL"]
    (fee,) = client.get("/account/activities", {"activity_types": "CFEE"})
    assert (fee["symbol"], fee["qty"]) == ("BTCUSD", "-0.00025")
    ids = {fill["order_id"] for fill in exchange.state()["fills"]}
    assert {item["order_id"] for item in newest + rest} == ids


def test_assets_clock_and_calendar(exchange):
    client = exchange.trading()
    assert {asset.symbol for asset in client.get_all_assets()} == {
        "AAPL",
        "MSFT",
        "BTC/USD",
        "NOTRADE",
        "WHOLE",
    }
    (coin,) = client.get_all_assets(GetAssetsRequest(asset_class="crypto"))
    assert client.get_asset("BTCUSD") == client.get_asset("BTC/USD") == client.get_asset(coin.id)
    assert not client.get_asset("WHOLE").fractionable
    clock = client.get_clock()
    assert clock.timestamp == START + timedelta(seconds=60)
    assert (clock.is_open, clock.next_close) == (True, START + timedelta(hours=6))
    assert clock.next_open == START + timedelta(hours=23, minutes=30)
    days = client.get_calendar(GetCalendarRequest(start=date(2025, 11, 26), end=date(2025, 11, 29)))
    assert [(d.date.day, f"{d.close:%H:%M}") for d in days] == [(26, "16:00"), (28, "13:00")]


def test_configurations_can_be_changed(exchange):
    client = exchange.trading()
    config = client.get_account_configurations()
    config.suspend_trade = True
    assert client.set_account_configurations(config).suspend_trade
    assert refusal(lambda: client.submit_order(buy())).status_code == 403


def test_keys_are_checked_and_crypto_data_is_open_to_all(exchange):
    ask = StockLatestTradeRequest(symbol_or_symbols="AAPL")
    for fields in ({"api_key": "wrong"}, {"secret_key": "wrong"}):
        assert refusal(exchange.trading(**fields).get_account).status_code == 401
        client = exchange.stocks(**fields)
        assert refusal(lambda c=client: c.get_stock_latest_trade(ask)).status_code == 403
    trades = exchange.crypto().get_crypto_latest_trade(
        CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD")
    )
    assert trades["BTC/USD"].price > 0


def minute_bars(symbols="AAPL", **fields) -> StockBarsRequest:
    usual = {"timeframe": TimeFrame.Minute, "feed": DataFeed.IEX, "start": START}
    return StockBarsRequest(symbol_or_symbols=symbols, **{**usual, **fields})


def test_bars_are_those_of_the_simulated_market(exchange):
    from toolkit.market.simulated import simulate_bars

    exchange.advance(40 * 60)
    bars = exchange.stocks().get_stock_bars(minute_bars(["AAPL", "MSFT", "NOSUCH"]))
    wanted = simulate_bars(["AAPL", "MSFT"], 40)
    for symbol in ("AAPL", "MSFT"):
        frame = wanted[wanted["symbol"] == symbol]
        got = [(b.timestamp, b.open, b.high, b.low, b.close, b.volume) for b in bars[symbol]]
        columns = ["timestamp", "open", "high", "low", "close", "volume"]
        assert got == [tuple(row) for row in frame[columns].itertuples(index=False)]
        assert all(bar.low <= bar.vwap <= bar.high for bar in bars[symbol])
    assert "NOSUCH" not in bars.data


def test_pages_are_followed_and_a_limit_counts_over_all_symbols(exchange):
    exchange.advance(40 * 60)
    client = exchange.stocks()
    whole = client.get_stock_bars(minute_bars(["AAPL", "MSFT"]))
    ask = {"symbols": "AAPL,MSFT", "timeframe": "1Min", "feed": "iex", "limit": 7}
    ask["start"] = START.isoformat()
    found, token = [], None
    while True:
        page = client.get("/stocks/bars", {**ask, "page_token": token})
        found += [(s, bar["t"]) for s, bars in page["bars"].items() for bar in bars]
        token = page["next_page_token"]
        if token is None:
            break
    assert len(found) == len(whole["AAPL"]) + len(whole["MSFT"]) == len(set(found))
    cut = client.get_stock_bars(minute_bars(["AAPL", "MSFT"], limit=10))
    assert (len(cut["AAPL"]), "MSFT" in cut.data) == (10, False)


def test_longer_bars_end_with_a_partial_one(exchange):
    exchange.advance(12 * 60)
    client = exchange.stocks()
    minutes = client.get_stock_bars(minute_bars())["AAPL"]
    five = client.get_stock_bars(minute_bars(timeframe=TimeFrame(5, TimeFrameUnit.Minute)))["AAPL"]
    assert [bar.timestamp.minute for bar in five] == [0, 5, 10]
    assert five[-1].close == minutes[-1].close
    assert five[0].high == max(bar.high for bar in minutes[:5])
    assert five[0].volume == sum(bar.volume for bar in minutes[:5])
    (day,) = client.get_stock_bars(minute_bars(timeframe=TimeFrame.Day, start=date(2026, 1, 5)))[
        "AAPL"
    ]
    assert day.timestamp == datetime(2026, 1, 5, 5, tzinfo=UTC)


def test_the_basic_plan_shows_no_recent_sip_data(exchange):
    exchange.advance(40 * 60)
    client = exchange.stocks()
    now = START + timedelta(minutes=41)
    error = refusal(lambda: client.get_stock_bars(minute_bars(feed=DataFeed.SIP, end=now)))
    assert error.status_code == 403
    assert "recent SIP" in str(error)
    silent = client.get_stock_bars(minute_bars(feed=None))["AAPL"]
    assert silent[-1].timestamp == now - timedelta(minutes=15)
    iex = client.get_stock_bars(minute_bars(end=now - timedelta(minutes=15)))["AAPL"]
    assert {sip.volume / one.volume for sip, one in zip(silent, iex, strict=True)} == {25}


def test_crypto_bars_trades_and_snapshots(exchange):
    exchange.advance(5 * 60)
    client, one_minute = exchange.crypto(), START + timedelta(minutes=1)
    bars = client.get_crypto_bars(
        CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=TimeFrame.Minute, start=START)
    )["BTC/USD"]
    assert len(bars) == 5
    trades = client.get_crypto_trades(
        CryptoTradesRequest(symbol_or_symbols="BTC/USD", start=START, end=one_minute)
    )["BTC/USD"]
    assert (trades[0].price, trades[-1].price) == (bars[0].open, bars[0].close)
    latest = client.get_crypto_latest_bar(CryptoLatestBarRequest(symbol_or_symbols="BTC/USD"))
    assert latest["BTC/USD"] == bars[-1]
    quote = client.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))
    assert quote["BTC/USD"].bid_price < quote["BTC/USD"].ask_price
    shot = client.get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"]
    assert (shot.minute_bar, shot.latest_quote) == (bars[-1], quote["BTC/USD"])
    assert shot.daily_bar.high >= bars[-1].high


def test_stock_trades_quotes_latest_and_snapshots(exchange):
    client = exchange.stocks()
    end = START + timedelta(minutes=2)
    trades = client.get_stock_trades(
        StockTradesRequest(symbol_or_symbols="AAPL", start=START, end=end, feed="iex")
    )["AAPL"]
    quotes = client.get_stock_quotes(
        StockQuotesRequest(symbol_or_symbols="AAPL", start=START, end=end, feed="iex")
    )["AAPL"]
    last = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert (len(trades), trades[-1]) == (len(quotes), last)
    quote = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))
    assert quote["AAPL"] == quotes[-1]
    bar = client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="AAPL"))["AAPL"]
    shot = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["AAPL", "MSFT"]))
    assert (shot["AAPL"].latest_trade, shot["AAPL"].minute_bar) == (last, bar)
    assert shot["MSFT"].previous_daily_bar.timestamp == datetime(2026, 1, 2, 5, tzinfo=UTC)


def test_wrong_questions_about_data_are_answered_400(exchange):
    client = exchange.stocks()
    for path, params in (
        ("/stocks/bars", {"symbols": "AAPL", "timeframe": "7Fortnights"}),
        ("/stocks/bars", {"symbols": "BTC/USD", "timeframe": "1Min"}),
        ("/stocks/bars", {"timeframe": "1Min"}),
        ("/stocks/bars", {"symbols": "AAPL", "timeframe": "1Min", "feed": "cable"}),
        ("/stocks/bars", {"symbols": "AAPL", "timeframe": "1Min", "page_token": "!"}),
        ("/stocks/bars", {"symbols": "AAPL", "timeframe": "1Min", "adjustment": "vague"}),
    ):
        assert (
            refusal(lambda p=path, q=params: client.get(p, {"feed": "iex", **q})).status_code == 400
        )
    adjusted = minute_bars(adjustment=Adjustment.ALL)
    assert client.get_stock_bars(adjusted) == client.get_stock_bars(minute_bars())


def test_the_rate_limit_counts_and_says_what_is_left():
    with served(rate_limit=3) as exchange:
        client = exchange.trading()
        client._retry = 0
        session, left = client._session, []
        session.hooks["response"].append(
            lambda r, *_, **__: left.append(r.headers["X-RateLimit-Remaining"])
        )
        for _ in range(3):
            client.get_clock()
        error = refusal(client.get_clock)
        assert (error.status_code, left) == (429, ["2", "1", "0", "0"])
