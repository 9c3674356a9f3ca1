"""Builds the JavaScript of the notebook chart while the package is built or installed.

The JavaScript is a better chart, not a condition: where Node is missing or npm fails, the
installation goes on without it and says so.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("toolkit/views/js")
BUILT = (Path("toolkit/views/static/live_chart.js"),)
COMMANDS = (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build"))
TIMEOUT = 300
WITHOUT = "live charts are drawn by Bokeh instead; install Node.js 18 or newer and install again"


class JavaScriptHook(BuildHookInterface[Any]):
    """Runs `npm ci` and `npm run build` where what they make is missing or out of date."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is needed; never fails the installation."""
        root = Path(self.root)
        if not needs_build(root):
            return
        problem = build(root / SOURCES)
        if problem:
            self.app.display_warning(f"JavaScript not built ({problem}): {WITHOUT}")


def needs_build(root: Path) -> bool:
    """Tell whether a built file is missing or older than a source."""
    sources = [root / SOURCES / name for name in ("package.json", "package-lock.json", "build.js")]
    sources += (root / SOURCES / "src").glob("*.js")
    present = [path.stat().st_mtime for path in sources if path.exists()]
    if not present:
        return False
    built = [root / path for path in BUILT]
    return any(not path.exists() or path.stat().st_mtime < max(present) for path in built)


def build(folder: Path) -> str:
    """Run npm in `folder`; returns what went wrong, empty when nothing did."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "Node.js or npm is not on PATH"
    for command in COMMANDS:
        try:
            done = subprocess.run(
                [npm, *command],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm {command[0]}: {error}"
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            return f"npm {command[0]} failed: {' '.join(lines[-3:])}"
    return ""
