"""Parameters being edited: what is in force, what waits to be applied, what is not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.core.parameters import Parameters, Value
from toolkit.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Immutable: each edit returns a new draft, so that threads may share one.

    `pending` and `invalid` are keyed by full names; `invalid` says in words what is allowed.
    """

    in_force: Parameters
    pending: Mapping[str, Value] = field(default_factory=dict)
    invalid: Mapping[str, str] = field(default_factory=dict)

    def edit(self, name: str, value: Any) -> Draft:
        """Return the draft with one value set; the value in force is no edit."""
        pending = {n: v for n, v in self.pending.items() if n != name}
        invalid = {n: m for n, m in self.invalid.items() if n != name}
        try:
            checked = Parameters.info(name).check(value)
        except ConfigError as error:
            invalid[name] = error.message
        else:
            if checked != self.in_force[name]:
                pending[name] = checked
        return replace(self, pending=pending, invalid=invalid)

    def confirm(self, parameters: Parameters) -> Draft:
        """Return the draft over newly confirmed parameters; what then equals them is no edit."""
        pending = {n: v for n, v in self.pending.items() if v != parameters[n]}
        return replace(self, in_force=parameters, pending=pending)

    def reset(self) -> Draft:
        """Return the draft without any edit."""
        return Draft(in_force=self.in_force)

    def value(self, name: str) -> Value:
        """What a control shows for `name`."""
        return self.pending.get(name, self.in_force[name])

    @property
    def problem(self) -> str:
        """Why the draft cannot be applied, in words; empty when it can."""
        if self.invalid:
            return next(iter(self.invalid.values()))
        try:
            self.in_force.replace(self.pending)
        except ConfigError as error:
            return error.message
        return ""
