"""The chart's JavaScript by itself, and the hook that builds it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

CHECKOUT = Path(__file__).parents[2]
SOURCES = CHECKOUT / "toolkit" / "views" / "js" / "src"


@pytest.mark.node
def test_store_and_formats():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the chart's JavaScript is not tested")
    done = subprocess.run(
        [node, "--test", Path(__file__).with_name("store.test.mjs")],
        env={**os.environ, "SOURCES": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


class HookInterface:
    """Hatchling's base class as far as our hook uses it; hatchling is there only in builds."""

    def __class_getitem__(cls, _kind):
        return cls


@pytest.fixture
def hook(monkeypatch):
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = HookInterface
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("hatch_build", CHECKOUT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path, hook):
    """A folder with sources that are older than what was built from them."""
    for name in ("package.json", "src/view.js"):
        path = tmp_path / hook.SOURCES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (1000, 1000))
    for path in hook.BUILT:
        built = tmp_path / path
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_text("")
        os.utime(built, (2000, 2000))
    return tmp_path


def test_what_is_up_to_date_is_not_built_again(hook, checkout):
    assert not hook.needs_build(checkout)


def test_what_is_missing_or_older_than_a_source_is_built(hook, checkout):
    os.utime(checkout / hook.SOURCES / "src/view.js", (3000, 3000))
    assert hook.needs_build(checkout)
    os.utime(checkout / hook.SOURCES / "src/view.js", (1000, 1000))
    (checkout / hook.BUILT[0]).unlink()
    assert hook.needs_build(checkout)


def run_hook(hook, checkout):
    said = []
    made = object.__new__(hook.JavaScriptHook)
    made.root, made.app = str(checkout), SimpleNamespace(display_warning=said.append)
    made.initialize("standard", {})
    return said


def test_without_node_the_installation_goes_on_and_says_so(hook, checkout, monkeypatch):
    (checkout / hook.BUILT[0]).unlink()
    monkeypatch.setenv("PATH", "")
    (said,) = run_hook(hook, checkout)
    assert "Node.js or npm is not on PATH" in said
    assert "drawn by Bokeh" in said


def test_when_npm_fails_the_installation_goes_on_and_says_why(hook, checkout, monkeypatch):
    (checkout / hook.BUILT[0]).unlink()
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("npm", "node"):
        (tools / name).write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    (said,) = run_hook(hook, checkout)
    assert "npm ci failed: no network" in said
