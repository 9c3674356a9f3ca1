"""`toolkit loadtest`: how much our server delivers, beside a stock one, on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from toolkit.cli import console
from toolkit.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.loadtest.scenario import Scenario
    from toolkit.loadtest.trial import Sample, Trial


def loadtest(
    *,
    scenario: Annotated[
        str, typer.Option(help="A, B, C or D (docs/performance.md says what they are).")
    ] = "B",
    clients: Annotated[int | None, typer.Option(help="Your own scenario: clients.")] = None,
    symbols: Annotated[int | None, typer.Option(help="Your own: symbols.")] = None,
    per_client: Annotated[int | None, typer.Option(help="Your own: symbols of a client.")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Published a second; without it the highest is searched.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long a rate must be held.")] = 20.0,
    minutes: Annotated[float | None, typer.Option(help="The same in minutes.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Our own clients: stream_batch.")] = False,
    slow: Annotated[int, typer.Option(help="Clients that read little.")] = 0,
    churn: Annotated[int, typer.Option(help="Clients that come and go.")] = 0,
    sleepy: Annotated[int, typer.Option(help="Clients that stop reading.")] = 0,
    hostile: Annotated[int, typer.Option(help="Clients that send garbage and floods.")] = 0,
    idle: Annotated[int, typer.Option(help="Idle clients for the memory of a connection.")] = 1_000,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    as_json: console.JsonOption = False,
) -> int:
    """Measure the streaming server and a stock python-socketio server in the same run.

    Returns 0, or 1 when our server lost, doubled or disordered a message or held no rate.
    """
    if os.name != "posix":
        raise ConfigError("the load test needs Linux or macOS", field="system")
    from toolkit.loadtest.offenders import Crowd
    from toolkit.loadtest.run import Plan, run

    plan = Plan(
        scenario=_scenario(scenario, clients, symbols, per_client, rate),
        seconds=minutes * 60.0 if minutes is not None else seconds,
        batch=own,
        idle=idle,
        crowd=Crowd(slow=slow, churn=churn, sleepy=sleepy, hostile=hostile),
    )
    with Screen() as shown:
        result = run(plan, shown)
    if html is not None:
        from toolkit.loadtest.page import page

        html.write_text(page(result), encoding="utf-8")
        console.screen.print(f"wrote {escape(str(html))}")
    if as_json:
        console.print_json(result.to_dict())
    else:
        from toolkit.loadtest.table import table

        console.paper.print(table(result))
    return console.OK if result.flawless else console.FAILED


def _scenario(
    name: str,
    clients: int | None,
    symbols: int | None,
    per_client: int | None,
    rate: float | None,
) -> Scenario:
    from dataclasses import replace

    from toolkit.loadtest.scenario import SCENARIOS

    known = SCENARIOS.get(name.upper())
    if known is None:
        allowed = ", ".join(SCENARIOS)
        raise ConfigError(
            f"scenario is {name}; allowed: {allowed}", field="scenario", allowed=allowed
        )
    own: dict[str, Any] = {"clients": clients, "symbols": symbols, "per_client": per_client}
    own = {key: value for key, value in own.items() if value is not None}
    if "symbols" in own and per_client is None:
        own["per_client"] = min(known.per_client, own["symbols"])
    if own:
        known = replace(known, **own, name="own", rate=None, fixed_rate=None)
    return known if rate is None else replace(known, rate=rate)


class Screen:
    """A progress bar on stderr, and a line for each trial."""

    def __init__(self) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console.screen,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, note="")

    def stage(self, what: str, *, seconds: float | None = None) -> None:
        """Something begins."""
        self._bar.update(
            self._task, description=escape(what), total=seconds, completed=0, note="", refresh=True
        )

    def sample(self, sample: Sample) -> None:
        """Show how it goes."""
        p99 = "" if sample.p99_ms is None else f"p99 {sample.p99_ms:.1f} ms"
        note = f"{sample.deliveries_per_s:,.0f}/s {p99}"
        self._bar.update(self._task, completed=sample.seconds, note=note)

    def done(self, trial: Trial) -> None:
        """Say how it ended."""
        verdict = "[green]held[/]" if trial.held else f"[yellow]not held: {trial.problem}[/]"
        p99 = "" if trial.p99_ms is None else f", p99 {trial.p99_ms:.1f} ms"
        what = self._bar.tasks[0].description
        self._bar.console.print(f"{what}, {trial.seconds:g} s{p99}: {verdict}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
