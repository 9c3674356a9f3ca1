"""The kill switch from outside: through the running server, or by the file that it reads."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

from toolkit.bot.halt import HaltOrder, HaltSwitch
from toolkit.config import Settings
from toolkit.errors import AuthError, ConfigError, NotConnected, ToolkitError
from toolkit.session.launch import connect
from toolkit.session.registry import Registry, ServerRecord, halt_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """What was done to one bot: over its server, or in the file only (`url` empty)."""

    name: str
    url: str
    story: str


def halt(
    settings: Settings, *, flatten: bool, reason: str, name: str | None = None
) -> list[Halted]:
    """Halt the bots of this machine, or those of one name; raises ConfigError.

    A server that does not answer, and a bot that does not run, find the file.
    """
    order = HaltOrder(who=_who(), reason=reason, flatten=flatten)
    done = []
    for record in _records(settings, name):
        try:
            with connect(record.url, token=record.token) as session:
                result = session.halt(flatten=flatten, reason=reason)
        except (NotConnected, AuthError):
            done.append(_by_file(settings, _name(record), order))
        else:
            story = f"{len(result['cancelled'])} entries taken back"
            if flatten:
                story += f", {len(result['orders'])} positions are being closed"
                story += f", {len(result['refused'])} refused" if result["refused"] else ""
            done.append(Halted(name=_name(record), url=record.url, story=story))
    return done or [_by_file(settings, name or "stochrsi", order)]


def resume(settings: Settings, *, name: str | None = None) -> list[Halted]:
    """Lift the halt of the bots of this machine, or of one name; raises ConfigError."""
    done = []
    for record in _records(settings, name):
        try:
            with connect(record.url, token=record.token) as session:
                status = session.lift_halt()
        except (NotConnected, AuthError):
            continue
        others = "; ".join(gate["reason"] for gate in status["gates"])
        story = f"lifted, but: {others}" if others else "lifted"
        done.append(Halted(name=_name(record), url=record.url, story=story))
    if done:
        return done
    chosen = name or "stochrsi"
    path = halt_file(settings.state_dir, chosen)
    try:
        found = HaltSwitch(path).lift()
    except OSError as error:
        raise ConfigError(f"{path} cannot be removed: {error}", field="halt") from None
    story = "no server answers; the halt file is removed" if found else "nothing was halted"
    return [Halted(name=chosen, url="", story=story)]


def _records(settings: Settings, name: str | None) -> list[ServerRecord]:
    running = Registry(settings.state_dir).running()
    return [record for record in running if name in (None, _name(record))]


def _name(record: ServerRecord) -> str:
    return str(record.options.get("name", "stochrsi"))


def _by_file(settings: Settings, name: str, order: HaltOrder) -> Halted:
    path = halt_file(settings.state_dir, name)
    try:
        HaltSwitch(path).throw(order)
    except OSError as error:
        raise ToolkitError(f"NOT halted: {path} cannot be written: {error}") from None
    return Halted(name=name, url="", story=f"no server answers; {path} halts the bot")


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "the command line"
