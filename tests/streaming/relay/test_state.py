"""The state that messages lead to is the one that the bot itself would tell."""

from __future__ import annotations

from typing import Any

import orjson

from tests.streaming.fakes import START, account, bar, evaluation, position, quote
from toolkit.bot.events import Event
from toolkit.session.build import build_bot
from toolkit.session.options import LaunchOptions
from toolkit.streaming.hub.sequencer import Sequencer
from toolkit.streaming.relay.port import Message, entry_from_list
from toolkit.streaming.relay.state import State, place
from toolkit.streaming.wire import Payload, payload

# Made anew from the clock or from the last publishing whenever they are asked for.
VOLATILE = {"health": {"timestamp"}, "performance": {"timestamp", "bars_per_second"}}
VOLATILE |= {"parameters": {"timestamp"}}


class Mirror:
    """Follows every event of a bot, through JSON as over the relay."""

    def __init__(self) -> None:
        self.state = State()
        self._sequencer = Sequencer(epoch="e1", clock=lambda: START)

    def __call__(self, event: Event) -> None:
        item = payload(event)
        slot, ends = place(item)
        number, frame = self.state.number + 1, self._sequencer.frame(item)
        message = Message(number=number, frame=frame, before=0, slot=slot, ends=ends)
        self.state.apply(entry_from_list(orjson.loads(orjson.dumps(message.to_list()))))


def told(items: list[Payload]) -> list[Any]:
    plain = orjson.loads(orjson.dumps([item.data for item in items]))
    return [
        {k: v for k, v in data.items() if k not in VOLATILE.get(data["kind"], ())} for data in plain
    ]


async def test_the_state_is_the_bots_own_snapshot_after_every_market_event():
    mirror = Mirror()
    options = LaunchOptions(symbols=("AAPL", "BTC/USD"), seed=1, speed="max")
    bot = build_bot(options, publish=mirror)
    bot.engine.set_parameters({"stoch_rsi.lower_band": 80, "ema.enabled": False})
    seen: set[str] = set()
    take = bot.trader.take

    async def compared(event: Any) -> None:
        await take(event)
        bot._publish_metrics()
        theirs = told([payload(e) for e in bot.snapshot()])
        assert in_order(told(mirror.state.payloads())) == in_order(theirs)
        seen.update(data["kind"] for data in theirs)
        seen.update(["forming"] * any(d["kind"] == "bar" and not d["final"] for d in theirs))
        if bot.ledger.bars == 20:
            await bot.stop()

    bot.trader.take = compared
    await bot.run()
    assert bot.ledger.round_trips()
    assert seen == {
        *("health", "parameters", "bar", "forming", "quote"),
        *("account", "position", "order", "performance"),
    }


def in_order(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda data: (data["kind"], data.get("symbol") or "", str(data)))


def test_a_state_survives_json():
    mirror = Mirror()
    for event in (evaluation(), quote(), bar(final=False), account(1), position()):
        mirror(event)
    again = State.from_dict(orjson.loads(orjson.dumps(mirror.state.to_dict())))
    assert again.to_dict() == mirror.state.to_dict()
    assert told(again.payloads()) == told(mirror.state.payloads())
