"""The dashboard of a real server: through its proxy, by the app file, and by `panel serve`."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.apps.processes import Server
from tests.conftest import make_private

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

APP = Path(__file__).parents[2] / "apps" / "dashboard.py"
LINK = r"http://127\.0\.0\.1:\d+/\?token=\S+"
ADDRESS = r"http://(127\.0\.0\.1|localhost):\d+"


@pytest.fixture(scope="module")
def bot(tmp_path_factory):
    """A simulated bot behind its server and its dashboard; gives its link."""
    # Not stocks: the night of a stock beside crypto lasts longer at this speed than a test waits.
    symbols = ["-s", "BTC/USD", "-s", "ETH/USD"]
    with pytest.MonkeyPatch.context() as patch:
        make_private(tmp_path_factory.mktemp("bot"), patch)
        server = Server(["-m", "toolkit", "serve", "--port", "0", "--speed", "600x", *symbols])
    try:
        yield server.wait_for(LINK)
    finally:
        server.stop()


@pytest.fixture
def environment(bot):
    """What an app needs to know of the bot."""
    url, token = re.fullmatch(r"(.+)/\?token=(.+)", bot).groups()
    return {"TOOLKIT_URL": url, "TOOLKIT_TOKEN": token, "TOOLKIT_DASHBOARD_PORT": "0"}


def moves(page) -> None:
    page.wait_until_candles_moved(page.last_bar())
    page.wait_until_candles_moved(page.last_bar())
    assert page.errors == []
    assert page.hosts <= {"127.0.0.1", "localhost"}
    assert "Running" in page.text()


def test_the_link_of_the_server_opens_the_dashboard(bot, visit):
    page = visit(bot)
    # Until the dashboard's process is up, a page says so and looks again.
    page.errors = [error for error in page.errors if "502" not in error]
    moves(page)
    assert "token" not in page.page.url
    page.page.get_by_role("button", name="Pause entries").click()
    page.page.get_by_role("button", name="Resume entries").click(timeout=10_000)
    page.page.get_by_role("button", name="Pause entries").wait_for(timeout=10_000)


def test_the_app_serves_by_itself_and_ends_when_asked(environment, start, visit):
    app = start(str(APP), environment=environment)
    link = app.wait_for(rf"{ADDRESS}/link\?key=\S+")
    for door in ("/", "/link", "/link?key=wrong"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(link.partition("/link")[0] + door)
    moves(visit(link))
    assert app.stop() == 0
    assert not any("Traceback" in line for line in app.said)


def test_panel_serves_the_app_file(environment, start, visit):
    app = start("-m", "panel", "serve", str(APP), "--port", "0", environment=environment)
    address = app.wait_for(rf"{ADDRESS}/dashboard")
    moves(visit(address))


def test_a_wrong_token_is_said_in_one_line(environment, start):
    app = start(str(APP), environment={**environment, "TOOLKIT_TOKEN": "wrong"})
    app.wait_for("token")
    assert app.wait() == 2
    assert not any("Traceback" in line for line in app.said)
