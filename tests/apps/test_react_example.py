"""The React example, built and looked at in a browser while prices come."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.apps.pages import Visit
from tests.client.network import wired
from tests.streaming.fakes import quote
from tests.streaming.serving import VIEW, serving

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = CHECKOUT / "apps" / "react"
TSC = CHECKOUT / "tests" / "js" / "node_modules" / "typescript" / "bin" / "tsc"


def node(*arguments: str | Path) -> None:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: the React example is not built")
    if not (EXAMPLE / "node_modules" / "react").is_dir() or not TSC.exists():
        pytest.skip("no apps/react/node_modules or tests/js/node_modules: `make js` installs them")
    done = subprocess.run(
        [found, *map(str, arguments)],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@asynccontextmanager
async def served_folder(folder: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.node
def test_its_types_are_right() -> None:
    node(TSC, "--project", EXAMPLE)


@pytest.mark.node
@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_prices_move_and_a_loss_is_told(tmp_path: Path, chromium: Any) -> None:
    node("build.mjs", f"--outdir={tmp_path}")
    async with served_folder(tmp_path) as origin, await chromium.new_page() as page:
        visit = Visit(page)
        settings = {"allowed_origins": (origin,)}
        async with serving(**settings) as served, wired(served.server.port) as wire:
            await page.goto(f"{origin}/index.html")
            await page.get_by_label("Server").fill(f"http://127.0.0.1:{wire.port}")
            await page.get_by_label("Token").fill(VIEW)
            await page.get_by_role("button", name="Connect").click()
            await page.get_by_role("status").get_by_text("connected", exact=True).wait_for()
            await page.get_by_text("target").wait_for()
            (client,) = served.server._stats.clients
            while "orders" not in served.hub.subscriptions(client):
                await page.evaluate("() => new Promise(requestAnimationFrame)")

            served.hub.publish(quote("AAPL", 100.0))
            served.hub.publish(quote("MSFT", 50.0))
            apple = page.get_by_role("row", name="AAPL")
            await apple.get_by_text("100.00").wait_for()
            served.hub.publish(quote("AAPL", 101.5))
            await apple.get_by_text("101.50 ▲").wait_for()
            served.hub.publish(quote("AAPL", 99.25))
            await apple.get_by_text("99.25 ▼").wait_for()
            assert await page.locator("tbody tr").count() == 2
            assert visit.problems == []

            async with serving(epoch="e2", **settings) as again:
                wire.target = again.server.port
                wire.cut()
                await page.get_by_role("alert").get_by_text("will not come (restart)").wait_for()
                await page.get_by_role("status").get_by_text("connected", exact=True).wait_for()
        assert visit.hosts == {"127.0.0.1"}


@pytest.mark.node
@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_token_is_told_and_left(tmp_path: Path, chromium: Any) -> None:
    node("build.mjs", f"--outdir={tmp_path}")
    async with (
        served_folder(tmp_path) as origin,
        await chromium.new_page() as page,
        serving(allowed_origins=(origin,)) as served,
    ):
        await page.goto(f"{origin}/index.html")
        await page.get_by_label("Server").fill(served.url)
        await page.get_by_label("Token").fill("nobody's")
        await page.get_by_role("button", name="Connect").click()
        await page.get_by_role("alert").get_by_text("token").wait_for()
        await page.get_by_role("status").get_by_text("disconnected").wait_for()
        await page.get_by_role("button", name="Leave").click()
        await page.get_by_label("Token").wait_for()
