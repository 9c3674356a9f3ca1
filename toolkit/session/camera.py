"""Turns a page into a PNG with a Chromium that is installed on this machine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from toolkit.errors import ConfigError, ToolkitError
from toolkit.runtime import run_to_end

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
SCALE = 2
ROOM = 200  # pixels beyond the parts' own heights, for margins
TIMEOUT = 60.0
VIRTUAL_MS = 10_000
FLAGS = (
    "--headless",
    "--no-sandbox",  # Chromium refuses to start as root otherwise; it loads our own file only
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


def photograph(page: str, target: Path, width: int, height: int) -> None:
    """Write a PNG of a page (HTML) that is `width` pixels wide and `height` high at most.

    Raises ConfigError where there is no browser, ToolkitError where it fails.
    """
    browser = _browser()
    with tempfile.TemporaryDirectory(prefix="toolkit-picture-") as folder:
        source, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        source.write_text(page, encoding="utf-8")
        command = [
            browser,
            *FLAGS,
            f"--user-data-dir={Path(folder, 'profile')}",
            f"--force-device-scale-factor={SCALE}",
            f"--window-size={width},{height + ROOM}",
            f"--virtual-time-budget={VIRTUAL_MS}",
            f"--screenshot={shot}",
            source.as_uri(),
        ]
        code, said = run_to_end(command, timeout=TIMEOUT)
        if not shot.exists():
            raise ToolkitError(
                f"{browser} made no picture (exit code {code}); save the picture as .html instead",
                browser=browser,
                said=said[-2000:],
            )
        _crop(shot, target)


def _browser() -> str:
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise ConfigError(
        "a PNG is made by Chromium, Chrome or Edge, and none was found; install one (Debian:"
        " apt install chromium), or save the picture as .html",
        field="browser",
        allowed=list(BROWSERS),
    )


def _crop(shot: Path, target: Path) -> None:
    """Cut the empty rest of the page off below the picture."""
    from PIL import Image, ImageChops

    with Image.open(shot) as opened:
        picture = opened.convert("RGB")
    corner = picture.getpixel((picture.width - 1, picture.height - 1))
    ground = Image.new("RGB", picture.size, corner)
    inked = ImageChops.difference(picture, ground).getbbox()
    if inked is None:
        raise ToolkitError("the browser showed an empty page; save the picture as .html instead")
    bottom = min(picture.height, inked[3] + 12 * SCALE)
    picture.crop((0, 0, picture.width, bottom)).save(target, optimize=True)
