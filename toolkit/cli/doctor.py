"""`toolkit doctor`: what works on this machine, and how to mend what does not."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from typing import Annotated, Any

import typer
from packaging.requirements import Requirement
from rich.markup import escape
from rich.table import Table

from toolkit.cli import console
from toolkit.config import Settings
from toolkit.errors import ToolkitError
from toolkit.session.registry import Registry

DISTRIBUTION = "stochrsi-toolkit"
EXTRAS = ("", "notebook", "apps", "backtest", "dask", "redis", "alerts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding; `mend` says what to do, empty when nothing is to be done.

    `facts` are more values for scripts.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)


def doctor(
    *,
    port: Annotated[int | None, typer.Option(help="Port to check; default 9765.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Check the live account.")] = False,
    as_json: console.JsonOption = False,
) -> int:
    """Check Python, packages, port, keys and browser, and say how to mend each."""
    settings = Settings.load(port=port)
    parts: list[Callable[[], list[Check]]] = [
        _python,
        _packages,
        lambda: _port(settings),
        lambda: _alpaca(settings, live=live),
        _browser,
        _node,
    ]
    checks: list[Check] = []
    with console.screen.status("looking"):
        for part in parts:
            checks += part()
    ok = all(check.ok or not check.needed for check in checks)
    if as_json:
        console.print_json({"ok": ok, **{c.name: _plain(c) for c in checks}})
    else:
        console.paper.print(_table(checks))
    return console.OK if ok else console.FAILED


def _plain(check: Check) -> dict[str, Any]:
    values = asdict(check)
    plain = {k: v for k, v in values.items() if k not in ("name", "facts")}
    return {**plain, **check.facts}


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, padding=(0, 1))
    for name in ("", "what", "found", "how to mend it"):
        table.add_column(name)
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]no[/]" if check.needed else "[yellow]--[/]"
        table.add_row(mark, *map(escape, (check.name, check.found, check.mend)))
    return table


def _python() -> list[Check]:
    current = sys.version_info[:2]
    good = (3, 11) <= current <= (3, 13)
    found = ".".join(str(part) for part in sys.version_info[:3])
    return [
        Check(name="python", ok=good, found=found, mend="" if good else "use Python 3.11 to 3.13")
    ]


def _packages() -> list[Check]:
    problems: dict[str, list[str]] = {extra: [] for extra in EXTRAS}
    for requirement in map(Requirement, requires(DISTRIBUTION) or []):
        extra = next((e for e in EXTRAS if _wanted(requirement, e)), None)
        if extra is not None and requirement.name != DISTRIBUTION:
            problems[extra] += _problem(requirement)
    return [_package_check(extra, found) for extra, found in problems.items()]


def _wanted(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _problem(requirement: Requirement) -> list[str]:
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return [f"{requirement.name} is missing"]
    fits = requirement.specifier.contains(installed, prereleases=True)
    return [] if fits else [f"{requirement.name} is {installed}, not {requirement.specifier}"]


def _package_check(extra: str, problems: list[str]) -> Check:
    target = f"{DISTRIBUTION}[{extra}]" if extra else DISTRIBUTION
    return Check(
        name=f"packages:{extra}" if extra else "packages",
        ok=not problems,
        found="; ".join(problems) or "complete",
        mend=f"pip install -c constraints.txt '{target}'" if problems else "",
        needed=not extra,
    )


def _port(settings: Settings) -> list[Check]:
    ours = [r for r in Registry(settings.state_dir).running() if r.port == settings.port]
    if ours:
        found = f"{settings.port}: your own server runs there"
        if ours[0].workers:
            found += f" with {ours[0].workers} workers"
        return [Check(name="port", ok=True, found=found)]
    try:
        with socket.create_server((settings.host, settings.port)):
            return [Check(name="port", ok=True, found=f"{settings.port} is free")]
    except OSError as error:
        return [
            Check(
                name="port",
                ok=False,
                found=f"{settings.port}: {error.strerror}",
                mend="choose another with --port or TOOLKIT_PORT",
            )
        ]


def _alpaca(settings: Settings, *, live: bool) -> list[Check]:
    if not settings.has_alpaca_keys:
        mend = "not needed for simulation; else set APCA_API_KEY_ID and APCA_API_SECRET_KEY"
        return [Check(name="alpaca", ok=False, found="no keys", mend=mend, needed=False)]
    from toolkit.session.checkup import check_alpaca

    try:
        alpaca = settings.alpaca(live=live)
        checkup = asyncio.run(check_alpaca(alpaca))
    except ToolkitError as error:
        mend = "check the keys (paper and live differ) and the network"
        return [Check(name="alpaca", ok=False, found=error.message, mend=mend, needed=False)]
    return [
        Check(
            name="alpaca",
            ok=not checkup.trouble,
            found=checkup.story,
            mend=checkup.trouble,
            needed=False,
            facts=checkup.facts,
        )
    ]


def _browser() -> list[Check]:
    names = ("chromium", "chromium-browser", "google-chrome", "firefox", "safari", "msedge")
    found = next((path for path in map(shutil.which, names) if path), None)
    mend = "" if found else "any browser will do to look at the dashboard; tests want chromium"
    return [Check(name="browser", ok=bool(found), found=found or "none", mend=mend, needed=False)]


def _node() -> list[Check]:
    bundle = files("toolkit.views").joinpath("static", "live_chart.js")
    built = bundle.is_file()
    node = shutil.which("node")
    mend = "" if built else "install Node 18 or later and `make install`; until then Bokeh draws"
    found = "built" if built else ("not built" if node else "not built, Node is missing")
    return [Check(name="live chart", ok=built, found=found, mend=mend, needed=False)]
