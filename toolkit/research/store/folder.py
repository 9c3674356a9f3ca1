"""Where research keeps what it has done."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_state_path


def research_folder(path: Path | str | None = None) -> Path:
    """Return `path`, else `research` below `TOOLKIT_STATE_DIR` or the user's own state folder."""
    if path is not None:
        return Path(path)
    state = os.environ.get("TOOLKIT_STATE_DIR")
    return (Path(state) if state else user_state_path("stochrsi-toolkit")) / "research"
