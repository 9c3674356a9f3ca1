"""On what the figures were taken."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("python-socketio", "python-engineio", "uvicorn", "websockets", "uvloop", "orjson")


def machine() -> dict[str, Any]:
    """Return processor, cores, memory (GB), system and the versions that matter."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "toolkit": version("stochrsi-toolkit"),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
