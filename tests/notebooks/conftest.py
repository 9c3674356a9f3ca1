"""A real JupyterLab and a real browser, private to the test and without network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}


def wait_for(condition: Callable[[], Any], *, timeout: float, what: str) -> Any:
    """Wait until a condition holds and return its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} s for {what}")
        time.sleep(0.05)
    return value


@dataclass(frozen=True)
class Lab:
    """A JupyterLab over one folder."""

    url: str
    token: str
    folder: Path
    settings: Path

    def write(self, name: str, *cells: str) -> str:
        """Write a notebook and return its address."""
        import nbformat  # which takes two seconds that each worker would pay

        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(c) for c in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(book, self.folder / name)
        return f"{self.url}doc/tree/{name}?reset&token={self.token}"

    def set_theme(self, name: str) -> None:
        """Use `JupyterLab Light` or `JupyterLab Dark` from the next page on."""
        write_setting(self.settings, "apputils-extension/themes", {"theme": name})


def write_setting(folder: Path, plugin: str, values: dict[str, Any]) -> None:
    path = folder / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def private_environment(base: Path) -> dict[str, str]:
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "TOOLKIT_STATE_DIR": "state",
    }
    private = {name: str(base / folder) for name, folder in folders.items()}
    return {**os.environ, **private, "TOOLKIT_PORT": "0"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    base = tmp_path_factory.mktemp("lab")
    folder, settings, runtime = base / "books", base / "settings", base / "runtime"
    folder.mkdir()
    for plugin, values in SETTINGS.items():
        write_setting(settings, plugin, values)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    options = [
        "--ServerApp.port=0",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
    ]
    with (base / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options], stdout=log, stderr=log, env=private_environment(base)
        )
        try:
            found = wait_for(
                lambda: [*runtime.glob("jpserver-*.json")], timeout=60, what="JupyterLab"
            )
            server = wait_for(lambda: read_json(found[0]), timeout=10, what="its address")
            yield Lab(server["url"], server["token"], folder, settings)
        finally:
            process.terminate()
            process.wait(20)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None


@dataclass(frozen=True)
class Page:
    """One tab of the browser on a notebook, and what its console complained of."""

    tab: Any
    complaints: list[str]

    def open(self, url: str) -> None:
        """Open a notebook and wait until its kernel is ready."""
        self.tab.goto(url)
        self.tab.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext")
        self.tab.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")

    def run_all(self) -> None:
        """Start to run all cells."""
        self.tab.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")

    def run(self, command: str, arguments: dict[str, Any] | None = None) -> None:
        """Carry out a command of JupyterLab."""
        script = "([name, args]) => jupyterapp.commands.execute(name, args).then(() => null)"
        self.tab.evaluate(script, [command, arguments or {}])

    def text(self, selector: str) -> str:
        """Return what stands at the first match."""
        return str(self.tab.locator(selector).first.inner_text())

    def wait_for_change(self, selector: str, *, count: int = 1) -> None:
        """Wait until the text at `selector` has changed `count` times."""
        for _ in range(count):
            before = self.text(selector)
            wait_for(lambda b=before: self.text(selector) != b, timeout=20, what=selector)


@pytest.fixture(scope="class")
def page(browser: Any) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.set_default_timeout(60_000)
    page = Page(tab, [])
    tab.on("console", lambda m: m.type == "error" and page.complaints.append(m.text))
    tab.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    tab.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the notebook is not looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
