"""The trading engine: bars and order updates in, decisions and order requests out.

Synchronous and free of I/O. Live, replay and simulation differ only in who calls it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from toolkit.core import limits as limiting
from toolkit.core import risk
from toolkit.core.checks import check_bar
from toolkit.core.limits import OrderRate, Refusal, RiskLimits
from toolkit.core.order_ids import OrderIds
from toolkit.core.parameters import Parameters
from toolkit.core.portfolio import Portfolio
from toolkit.core.strategy import Strategy
from toolkit.core.types import (
    Bar,
    Evaluation,
    ExitPlan,
    Fill,
    Order,
    OrderRequest,
    OrderUpdate,
    Reason,
    RoundTrip,
    Side,
    Signal,
    SignalKind,
)
from toolkit.errors import DataError

MEMORY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one bar led to; `request` is None unless an order is to be sent.

    `limited` says which limit refused an entry.
    """

    evaluation: Evaluation
    signal: Signal | None = None
    request: OrderRequest | None = None
    limited: Refusal | None = None


@dataclass(slots=True)
class _SymbolState:
    strategy: Strategy
    memory: deque[Evaluation] = field(default_factory=lambda: deque(maxlen=MEMORY))
    pending: OrderRequest | None = None
    last_exit: datetime | None = None

    @property
    def last_bar(self) -> Bar | None:
        return self.memory[-1].bar if self.memory else None

    @property
    def exit_bar(self) -> datetime | None:
        """When the bar of the last exit opened: brokers tell the moment, rules count bars."""
        moment = self.last_exit
        if moment is None:
            return None
        times = (e.bar.timestamp for e in reversed(self.memory))
        return next((time for time in times if time <= moment), moment)


class Engine:
    """One strategy over several symbols with shared capital.

    `limits` bind entries; None binds nothing, as in a backtest. Exits always go.
    """

    def __init__(
        self,
        *,
        symbols: Sequence[str],
        parameters: Parameters,
        capital: float = 10_000.0,
        name: str = "stochrsi",
        limits: RiskLimits | None = None,
    ) -> None:
        self._ids = OrderIds(name)
        self._symbols = tuple(symbols)
        self.limits = limits
        self._rate = OrderRate()
        self._parameters = parameters
        self._states = {s: _SymbolState(Strategy(parameters)) for s in symbols}
        self.portfolio = Portfolio(capital)

    @property
    def parameters(self) -> Parameters:
        """The parameters now in force."""
        return self._parameters

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that this engine trades."""
        return self._symbols

    def memory(self, symbol: str) -> Sequence[Evaluation]:
        """The last evaluations of a symbol, oldest first; raises DataError."""
        return tuple(self._state(symbol).memory)

    def prices(self) -> dict[str, float]:
        """The last close of each symbol that has had a bar."""
        return {s: st.last_bar.close for s, st in self._states.items() if st.last_bar}

    def warm_up(self, bar: Bar) -> Evaluation:
        """Feed a bar of history: indicators move, nothing is decided; raises DataError."""
        self.check(bar)
        state = self._state(bar.symbol)
        evaluation = state.strategy.on_bar(bar)
        state.memory.append(evaluation)
        return evaluation

    def check(self, bar: Bar) -> None:
        """Raise DataError unless the bar is sound, of a known symbol and later than the last."""
        last = self._state(bar.symbol).last_bar
        check_bar(bar, after=last.timestamp if last else None)

    def on_bar(self, bar: Bar, *, refusal: str = "", leave: bool = False) -> Decision:
        """Take the next final bar and decide; raises DataError and stays as it was.

        `refusal` says why no entry may be made at this bar; exits are decided all the same.
        `leave` closes the position, whatever the strategy says.
        """
        state = self._state(bar.symbol)
        before = state.memory[-1] if state.memory else None
        evaluation = self.warm_up(bar)
        if state.pending is not None:
            return Decision(evaluation=evaluation)
        if self.portfolio.quantity(bar.symbol):
            return self._held(evaluation, leave=leave)
        rising = evaluation.entry and not (before and before.entry)
        return self._flat(state, evaluation, rising, refusal)

    def _held(self, evaluation: Evaluation, *, leave: bool) -> Decision:
        if not (leave or evaluation.exit):
            return Decision(evaluation=evaluation)
        bar, why = evaluation.bar, "the session ends" if leave else "opposite signal"
        reason = Reason.FLATTEN if leave else Reason.SIGNAL
        request = self._sell(bar.symbol, reason, bar.timestamp)
        signal = _signal(evaluation, SignalKind.FLAT, why, "")
        return Decision(evaluation=evaluation, signal=signal, request=request)

    def _flat(
        self, state: _SymbolState, evaluation: Evaluation, rising: bool, refusal: str
    ) -> Decision:
        if not evaluation.entry:
            return Decision(evaluation=evaluation)
        bar, rules = evaluation.bar, self._parameters.risk
        capital, atr = self.portfolio.capital, evaluation.indicators.atr
        quantity = risk.size(rules, bar, atr=atr, capital=capital)
        exposure = risk.Exposure(slots_used=self._slots_used(), last_exit=state.exit_bar)
        refused = refusal or risk.refusal(rules, bar, exposure)
        refused = refused or ("" if quantity > 0 else "the capital buys nothing at this price")
        limited = None if refused else self._limited(bar, float(quantity) * bar.close)
        refused = limited.reason if limited else refused
        why = "all enabled conditions agree"
        signal = _signal(evaluation, SignalKind.LONG, why, refused)
        if refused:
            said = signal if rising else None
            return Decision(evaluation=evaluation, signal=said, limited=limited)
        request = self._buy(bar, quantity, risk.exit_plan(rules, atr=atr))
        state.pending = request
        return Decision(evaluation=evaluation, signal=signal, request=request)

    def _limited(self, bar: Bar, value: float) -> Refusal | None:
        if self.limits is None:
            return None
        return limiting.refusal(
            self.limits,
            value=value,
            held=float(self.portfolio.quantity(bar.symbol)) * bar.close,
            exposure=self.exposure(),
            recent=self._rate.count(bar.timestamp),
        )

    def exposure(self) -> float:
        """What positions and waiting entries are worth at the last prices, in dollars."""
        prices = self.prices()
        held = sum(
            float(h.quantity) * prices.get(symbol, h.entry_price)
            for symbol, h in self.portfolio.holdings.items()
        )
        waiting = (state.pending for state in self._states.values())
        return held + sum(
            float(r.quantity - self.portfolio.quantity(r.symbol)) * prices.get(r.symbol, 0.0)
            for r in waiting
            if r is not None and r.side is Side.BUY
        )

    def _buy(self, bar: Bar, quantity: Decimal, plan: ExitPlan) -> OrderRequest:
        self._rate.add(bar.timestamp)
        return OrderRequest(
            client_order_id=self._ids.make(bar.symbol, bar.timestamp, Side.BUY),
            symbol=bar.symbol,
            side=Side.BUY,
            quantity=quantity,
            reason=Reason.ENTRY,
            timestamp=bar.timestamp,
            exits=plan,
        )

    def _sell(self, symbol: str, reason: Reason, timestamp: datetime) -> OrderRequest:
        request = OrderRequest(
            client_order_id=self._ids.make(symbol, timestamp, Side.SELL),
            symbol=symbol,
            side=Side.SELL,
            quantity=self.portfolio.quantity(symbol),
            reason=reason,
            timestamp=timestamp,
        )
        self._states[symbol].pending = request
        return request

    def flatten(
        self, symbols: Sequence[str] | None = None, *, now: datetime | None = None
    ) -> list[OrderRequest]:
        """Return orders that close what is held and has no exit pending.

        `now` dates them where a symbol has had no bar; without it such a symbol is left out.
        """
        chosen = tuple(self._states) if symbols is None else symbols
        states = {symbol: self._state(symbol) for symbol in chosen}
        orders = []
        for symbol, state in states.items():
            moment = state.last_bar.timestamp if state.last_bar else now
            leaving = state.pending is not None and state.pending.side is Side.SELL
            if moment and not leaving and self.portfolio.quantity(symbol):
                orders.append(self._sell(symbol, Reason.FLATTEN, moment))
        return orders

    def on_update(self, update: OrderUpdate) -> RoundTrip | None:
        """Book what a broker reports, in any order; returns the round trip that it completes.

        A symbol that an earlier run has traded is booked as well.
        """
        if update.symbol not in self._states:
            self._states[update.symbol] = _SymbolState(Strategy(self._parameters))
        state = self._states[update.symbol]
        if isinstance(update, Fill):
            trip = self.portfolio.on_fill(update)
        else:
            trip = None
            _follow(state, update)
        if trip:
            state.last_exit = trip.exit_time
        return trip

    def refused(self, request: OrderRequest) -> None:
        """Forget a request that never became an order."""
        state = self._state(request.symbol)
        if state.pending is request:
            state.pending = None

    def set_parameters(self, changes: Mapping[str, Any]) -> tuple[Parameters, Parameters]:
        """Put changed values in force; returns (old, new), raises ConfigError and changes nothing.

        Indicators are rebuilt from the bars in memory. Open positions keep the exits that they
        were opened with.
        """
        old, new = self._parameters, self._parameters.replace(changes)
        self._parameters = new
        if any(not name.startswith("risk.") for name in old.difference(new)):
            for state in self._states.values():
                strategy = Strategy(new)
                evaluations = [strategy.on_bar(e.bar) for e in state.memory]
                state.strategy = strategy
                state.memory = deque(evaluations, maxlen=MEMORY)
        return old, new

    def _slots_used(self) -> int:
        pending = {
            symbol
            for symbol, state in self._states.items()
            if state.pending and state.pending.side is Side.BUY
        }
        return len(pending | self.portfolio.holdings.keys())

    def _state(self, symbol: str) -> _SymbolState:
        if symbol not in self._states:
            known = ", ".join(self._states)
            raise DataError(
                f"{symbol!r} is not traded here; known symbols: {known}",
                field="symbol",
                value=symbol,
                allowed=list(self._states),
            )
        return self._states[symbol]

    def remember(self, client_order_id: str) -> None:
        """Use this id no more: an earlier run of the bot has."""
        self._ids.remember(client_order_id)

    def adopt(self, request: OrderRequest) -> None:
        """Wait for an order that an earlier run of the bot has sent."""
        if request.symbol not in self._states:
            self._states[request.symbol] = _SymbolState(Strategy(self._parameters))
        self._states[request.symbol].pending = request


def _follow(state: _SymbolState, order: Order) -> None:
    pending = state.pending
    same = pending is not None and pending.client_order_id == order.client_order_id
    if same and not order.status.is_open:
        state.pending = None


def _signal(evaluation: Evaluation, kind: SignalKind, reason: str, refusal: str) -> Signal:
    return Signal(
        symbol=evaluation.bar.symbol,
        timestamp=evaluation.bar.timestamp,
        kind=kind,
        price=evaluation.bar.close,
        reason=reason,
        refusal=refusal,
        indicators=evaluation.indicators,
        feed=evaluation.bar.feed,
        adjustment=evaluation.bar.adjustment,
        revision=evaluation.bar.revision,
    )
