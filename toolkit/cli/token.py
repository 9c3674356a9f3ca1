"""`toolkit token`: make, list, revoke and rotate signed tokens. None is ever shown twice."""

from __future__ import annotations

import re
import sys
import time
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from toolkit.cli import console
from toolkit.config import Settings
from toolkit.errors import ConfigError
from toolkit.streaming.access.keys import KeyRing, rotate
from toolkit.streaming.access.revocation import (
    SESSION_SECONDS,
    Issued,
    Revocations,
    issued_file,
    revoked_file,
)
from toolkit.streaming.access.tokens import MAX_NAME, Claims, Use, new_claims, shown, sign
from toolkit.streaming.wire import DEFAULT_PORT, Role

app = typer.Typer(
    name="token",
    help="Make, list, revoke and rotate signed tokens.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
LONGEST = 3650 * UNITS["d"]
DURATIONS = "a number with s, m, h, d or w, such as 12h or 30d, up to 3650d"

NameOption = Annotated[str, typer.Option(help="Whom it is for; signs that person's changes.")]
RoleOption = Annotated[str, typer.Option(help="view, tune, trade or admin.")]


@app.command()
def new(
    *,
    role: RoleOption,
    name: NameOption,
    expires: Annotated[str, typer.Option(help="How long it is good for: 12h, 30d.")] = "30d",
    as_json: console.JsonOption = False,
) -> int:
    """Print a new token, once."""
    claims, token = _issue(role=role, name=name, expires=expires, use=Use.ACCESS)
    _hand_over(claims, {"token": token}, as_json=as_json)
    return console.OK


@app.command()
def link(
    *,
    role: RoleOption,
    name: NameOption,
    url: Annotated[str, typer.Option(help="Where the server is seen.")] = (
        f"http://127.0.0.1:{DEFAULT_PORT}"
    ),
    expires: Annotated[str, typer.Option(help="How long it may wait to be opened.")] = "5m",
    as_json: console.JsonOption = False,
) -> int:
    """Print a link that signs one browser in, once."""
    claims, token = _issue(role=role, name=name, expires=expires, use=Use.LOGIN)
    _hand_over(claims, {"link": f"{url.rstrip('/')}/?token={token}"}, as_json=as_json)
    return console.OK


@app.command("list")
def list_tokens(*, as_json: console.JsonOption = False) -> int:
    """Show what was given out: name, role, expiry and state; never the token."""
    keys = KeyRing(Settings.load().signing_file).ids
    rows = _issued().table(_revoked(), keys=keys)
    if as_json:
        console.print_json({"tokens": rows})
        return console.OK
    if not rows:
        console.screen.print("no tokens yet; make one with: toolkit token new --role --name")
        return console.OK
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    columns = ("name", "role", "use", "expires", "state", "jti")
    for column in columns:
        table.add_column(column, no_wrap=column != "name")
    for row in rows:
        table.add_row(*(escape(str(row[column])) for column in columns))
    console.paper.print(table)
    return console.OK


@app.command()
def revoke(
    jti: Annotated[str, typer.Argument(help="The token's jti, as `toolkit token list` shows it.")],
    *,
    as_json: console.JsonOption = False,
) -> int:
    """Refuse a token from now on, and end the sessions that it opened."""
    known = _issued().entries().get(jti)
    # One signed elsewhere is not in our list; it is refused for as long as any token may last.
    expires = known["expires"] + SESSION_SECONDS if known else time.time() + LONGEST
    fresh = _revoked().revoke(jti, expires)
    if as_json:
        console.print_json({"jti": jti, "revoked": True, "known": bool(known), "before": not fresh})
        return console.OK
    who = f"{known['name']} ({known['role']})" if known else "not in the list of this machine"
    console.screen.print(f"revoked: {escape(jti)}, {escape(who)}" + ("" if fresh else ", again"))
    return console.OK


@app.command("rotate")
def rotate_secret(
    *,
    keep: Annotated[int, typer.Option(min=0, help="How many older secrets still verify.")] = 1,
    as_json: console.JsonOption = False,
) -> int:
    """Sign with a new secret; with --keep 0 every token and session so far ends."""
    path = Settings.load().signing_file
    count = rotate(path, keep=keep)
    if as_json:
        console.print_json({"secrets": count})
    else:
        console.screen.print(
            f"new tokens are signed with a new secret; {count - 1} older still verify"
        )
    return console.OK


def _issue(*, role: str, name: str, expires: str, use: Use) -> tuple[Claims, str]:
    roles = {role.name.lower(): role for role in Role}
    if role not in roles:
        raise ConfigError(
            f"--role is {role!r}; allowed: {', '.join(roles)}", field="role", allowed=list(roles)
        )
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME or name in roles:
        raise ConfigError(
            f"--name is {name!r}; allowed: 1 to {MAX_NAME} printable characters, no role's name",
            field="name",
        )
    signing = KeyRing(Settings.load().signing_file).signing
    claims = new_claims(
        name=name, role=roles[role], now=time.time(), seconds=_seconds(expires), use=use
    )
    _issued().add(claims, key=signing.id)
    return claims, sign(claims, signing)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip().lower())
    seconds = int(match[1]) * UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= LONGEST:
        raise ConfigError(
            f"--expires is {text!r}; allowed: {DURATIONS}", field="expires", allowed=DURATIONS
        )
    return seconds


def _hand_over(claims: Claims, secret: dict[str, str], *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "jti": claims.jti,
        "name": claims.name,
        "role": claims.role.name.lower(),
        "expires": shown(claims.expires),
    }
    if as_json:
        console.print_json({**secret, **facts})
        return
    (text,) = secret.values()
    console.screen.print(
        f"for {escape(claims.name)}, role {facts['role']}, until {facts['expires']}; "
        f"revoke it with: toolkit token revoke {escape(claims.jti)}"
    )
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _issued() -> Issued:
    return Issued(issued_file(Settings.load().signing_file), clock=time.time)


def _revoked() -> Revocations:
    return Revocations(revoked_file(Settings.load().signing_file), clock=time.time)
