"""`toolkit alerts test`: one message to every target, to see whether they are reached."""

from __future__ import annotations

from typing import Any

import typer
from rich.markup import escape

from toolkit.alerts.targets import SendFailed, Target, open_targets
from toolkit.cli import console
from toolkit.config import Settings
from toolkit.errors import ConfigError

app = typer.Typer(
    name="alerts",
    help="Messages about fills, gates and errors, to mail, Slack, Telegram, Discord and so on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
TITLE = "toolkit: test"
BODY = "This is a test. Alerts of the bot will look like this and come to this place."


@app.callback()
def alerts() -> None:
    """Messages about fills, gates and errors."""


@app.command()
def test(*, as_json: console.JsonOption = False) -> int:
    """Send one message to each target in TOOLKIT_ALERTS and say which took it."""
    urls = Settings.load().alert_urls
    if not urls:
        raise ConfigError(
            "no targets; set TOOLKIT_ALERTS to Apprise URLs, separated by commas or lines, such "
            "as mailto://user:password@example.com",
            field="alerts",
        )
    with console.screen.status("sending"):
        results = [_try(target) for target in open_targets(urls)]
    good = all(result["ok"] for result in results)
    if as_json:
        console.print_json({"ok": good, "targets": results})
    else:
        for result in results:
            mark = "[green]ok[/]" if result["ok"] else "[red]no[/]"
            console.paper.print(f"{mark} {escape(result['found'])}", soft_wrap=True)
    return console.OK if good else console.FAILED


def _try(target: Target) -> dict[str, Any]:
    try:
        target.send(title=TITLE, body=BODY)
    except SendFailed as error:
        return {"target": target.name, "ok": False, "found": error.message}
    return {"target": target.name, "ok": True, "found": f"{target.name} took it"}
