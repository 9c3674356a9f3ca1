"""The test client page in a real browser, against a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.apps import pages
from tests.client.network import wired
from tests.streaming.fakes import START, health, position, quote
from tests.streaming.serving import TRADE, VIEW, Served, serving
from toolkit.bot.events import BotState
from toolkit.core.gates import Gate, Gates

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


class Visit(pages.Visit):
    async def open(self, served: Served, *, token: str) -> None:
        await self.page.goto(f"{served.url}/?token={token}")
        await self.page.goto(f"{served.url}/websocket_test_client.html")
        await self.page.get_by_role("status").get_by_text("connected", exact=True).wait_for()
        await self.page.locator("#active li").first.wait_for()

    def rows(self, text: str = "") -> Any:
        return self.page.locator(".line:visible").filter(has_text=text)

    async def texts(self) -> list[str]:
        found: list[str] = await self.rows().locator(".what").all_text_contents()
        return found

    async def says(self, selector: str, text: str | re.Pattern[str]) -> None:
        await self.page.locator(selector).filter(has_text=text).wait_for()


@pytest.fixture
def visiting(chromium: Any) -> Callable[..., AbstractAsyncContextManager[Visit]]:
    @asynccontextmanager
    async def visit(**context: Any) -> AsyncIterator[Visit]:
        usual = {"viewport": {"width": 1440, "height": 900}}
        page = await chromium.new_page(**{**usual, **context})
        try:
            yield Visit(page)
        finally:
            await page.close()

    return visit


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110 - the server has nothing else to wait for
            await asyncio.sleep(0.01)


async def test_it_moves_with_the_data_and_can_be_held(visiting: Any) -> None:
    async with serving() as served, visiting() as visit:
        page = visit.page
        await visit.open(served, token=VIEW)
        served.hub.publish(quote("AAPL", 123.45))
        served.hub.publish(position("MSFT"))
        await visit.rows("bid 123.44").wait_for()
        assert await visit.rows().count() == 2
        await visit.says("#total", re.compile(r"^2 in all"))
        await visit.says("#statistics", "market_data")
        # Once the server's clock is known, what comes is measured and drawn.
        drawn = "() => /p50 [\\d.]+/.test(document.getElementById('chart').ariaLabel)"
        async with asyncio.timeout(15):
            while not await page.evaluate(drawn):
                served.hub.publish(position("MSFT"))
                await page.evaluate("() => new Promise(requestAnimationFrame)")

        await page.get_by_role("button", name="Pause").click()
        served.hub.publish(quote("AAPL", 200.0))
        await page.get_by_role("button", name=re.compile(r"^\d+ newer$")).wait_for()
        assert await visit.rows("bid 199.99").count() == 0
        await page.get_by_role("button", name="Go on").click()
        await visit.rows("bid 199.99").wait_for()

        await page.get_by_role("button", name="Clear").click()
        await page.get_by_text("Nothing yet").wait_for()
        assert await visit.rows().count() == 0
        assert visit.problems == []
        assert visit.hosts == {"127.0.0.1"}


async def test_messages_are_found_and_opened_by_keyboard_alone(visiting: Any) -> None:
    async with serving() as served, visiting() as visit:
        page = visit.page
        await visit.open(served, token=VIEW)
        for price in (10.0, 20.0, 30.0):
            served.hub.publish(quote("AAPL", price))
            served.hub.publish(quote("MSFT", price + 1))
        await visit.says("#shown", "last 6")
        await page.keyboard.press("/")
        await page.keyboard.type("msft")
        await visit.says("#shown", "3 of 6")
        assert await visit.texts() == [
            "quote  bid 30.99  ask 31.01",
            "quote  bid 20.99  ask 21.01",
            "quote  bid 10.99  ask 11.01",
        ]
        await page.locator("#list").focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await visit.says("#detail", '"bid": 20.99')
        assert await page.locator(".line[aria-selected=true] .what").inner_text() == (
            "quote bid 20.99 ask 21.01"
        )
        await page.keyboard.press("End")
        await visit.says("#detail", '"bid": 10.99')
        await page.get_by_label("Stream", exact=True).select_option("orders")
        await page.get_by_text("No message passes the filter").wait_for()
        assert visit.problems == []


async def test_what_is_subscribed_to_can_be_chosen(visiting: Any) -> None:
    async with serving() as served, visiting() as visit:
        page = visit.page
        await visit.open(served, token=VIEW)
        (client,) = served.server._stats.clients
        for name in await page.locator("#active b").all_text_contents():
            await page.get_by_role("button", name=f"Unsubscribe from {name}").click()
            await page.locator("#active b", has_text=name).wait_for(state="detached")
        assert served.hub.subscriptions(client) == []

        await page.get_by_label("MSFT", exact=True).check(force=True)
        await page.get_by_label("positions", exact=True).check(force=True)
        await page.get_by_role("button", name="Subscribe", exact=True).click()
        await visit.says("#active", "positions")
        assert sorted(served.hub.subscriptions(client)) == ["market_data", "positions"]
        for symbol in ("AAPL", "MSFT"):
            served.hub.publish(quote(symbol, 5.0))
        await visit.rows("MSFT").wait_for()
        assert await visit.rows("AAPL").count() == 0

        for name in ("market_data", "positions"):
            await page.get_by_label(name, exact=True).uncheck(force=True)
        await page.get_by_role("button", name="Subscribe", exact=True).click()
        await page.get_by_role("alert").get_by_text("choose a stream first").wait_for()
        assert visit.problems == []


async def test_commands_are_offered_by_role_and_asked_for_twice(visiting: Any) -> None:
    async with serving() as served, visiting() as visit:
        page = visit.page
        await visit.open(served, token=VIEW)
        offered = page.get_by_role("combobox", name="Command", exact=True).locator("option")
        assert all(name.startswith("get_") for name in await offered.all_text_contents())
        await page.get_by_role("button", name="Send").click()
        await visit.says("#command-result", '"state": "running"')

        await page.get_by_label(re.compile("^Token")).fill(TRADE)
        await page.get_by_role("button", name="Connect", exact=True).click()
        await visit.says("#facts", "trade")
        await page.get_by_role("combobox", name="Command", exact=True).select_option("flatten")
        await page.get_by_role("button", name="Send").click()
        assert [name for name, _, _ in served.bot.calls] == ["get_status"]
        await page.get_by_role("button", name="Really?").click()
        await until(lambda: len(served.bot.calls) == 2)
        assert served.bot.calls[1] == ("flatten", {}, "test client (trade)")
        await page.get_by_label("Arguments").fill("{")
        await page.get_by_role("combobox", name="Command", exact=True).select_option(
            "set_parameters"
        )
        await page.get_by_label("Arguments").fill("{")
        await page.get_by_role("button", name="Send").click()
        await page.get_by_role("button", name="Really?").click()
        await visit.says("#command-result", "Not JSON")
        assert visit.problems == []


async def test_closed_gates_are_said_and_go_by_themselves(visiting: Any) -> None:
    async with serving() as served, visiting() as visit:
        page = visit.page
        await visit.open(served, token=TRADE)
        gates = Gates()
        gates.close(Gate.FEED, "the feed is mute", now=START)
        gates.close(Gate.MARKET, "the market of AAPL is closed", now=START, symbol="AAPL")
        paused = {"state": BotState.PAUSED, "broker": "alpaca:live", "gates": gates.closed}
        served.hub.publish(replace(health(), **paused))
        await visit.says("#gates li", "the feed is mute")
        await visit.says("#facts", re.compile("alpaca:live.*closed: feed"))
        await visit.says("#log", "no entries: AAPL, the market of AAPL is closed")
        served.hub.publish(health())
        await page.locator("#gates").wait_for(state="hidden")
        await visit.says("#log", "opened: feed")
        assert visit.problems == []


async def test_a_restarted_server_is_found_again_and_the_loss_is_told(visiting: Any) -> None:
    async with serving() as served, wired(served.server.port) as wire, visiting() as visit:
        page = visit.page
        await page.goto(f"http://127.0.0.1:{wire.port}/websocket_test_client.html")
        await page.get_by_role("alert").get_by_text("no token").wait_for()
        await page.get_by_label(re.compile("^Token")).fill(VIEW)
        await page.get_by_role("button", name="Connect", exact=True).click()
        await page.locator("#active li").first.wait_for()
        served.hub.publish(position("AAPL"))
        await visit.rows("position").wait_for()
        async with serving(epoch="e2") as again:
            wire.target = again.server.port
            wire.cut()
            await visit.says("#log", "gap in positions 2–?")
            await visit.says("#facts", "e2")
            await visit.rows("messages 2 to ? will not come: restart").first.wait_for()
            again.hub.publish(position("MSFT"))
            await visit.rows("MSFT").wait_for()
            assert await page.locator("#gaps").inner_text() != "0"
            await page.get_by_role("button", name="Disconnect").click()
            await visit.says("#state", "disconnected")


async def test_a_flood_keeps_the_page_small_and_nothing_is_missing(visiting: Any) -> None:
    async with serving() as served, visiting() as visit:
        await visit.open(served, token=VIEW)
        for number in range(1, 7_001):
            served.hub.publish(position("AAPL" if number % 2 else "MSFT"))
            if number % 200 == 0:
                await asyncio.sleep(0)  # so that it leaves while it is made
        await visit.says("#total", re.compile(r"^7,000 in all"))
        await visit.says("#shown", "last 5,000")
        assert await visit.page.locator(".line").count() < 60
        assert await visit.page.locator("#gaps").inner_text() == "0"
        newest = await visit.rows().first.locator(".seq").inner_text()
        assert newest == "7000"
        assert visit.problems == []


async def test_it_fits_small_and_large_screens_in_light_and_dark(visiting: Any) -> None:
    async with serving() as served, visiting(color_scheme="dark") as visit:
        page = visit.page
        await visit.open(served, token=VIEW)
        served.hub.publish(quote("AAPL", 5.0))
        await visit.rows("AAPL").wait_for()
        back = "() => getComputedStyle(document.body).backgroundColor"
        colours = [await page.evaluate(back)]
        for width in (420, 1440):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("() => document.documentElement.scrollWidth") == width
            await page.get_by_role("button", name="Switch between light and dark").click()
            await page.reload()
            colours.append(await page.evaluate(back))
        assert colours[0] == colours[2] != colours[1]
        assert visit.problems == []
