"""The project as a whole: layers, public names, import time, and files that must agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import toolkit

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("notebook", "apps", "backtest", "dask", "redis", "alerts")
CONDA_NAMES = {
    "dask-core": "dask",
    "jupyter_bokeh": "jupyter-bokeh",
    "msgpack-python": "msgpack",
    "redis-py": "redis",
}


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return result.stdout


def test_rooms_import_downwards_only():
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [str(lint), "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stdout


def test_public_names_are_these():
    assert toolkit.__all__ == sorted(toolkit.__all__)
    assert all(getattr(toolkit, name) for name in toolkit.__all__)
    with pytest.raises(AttributeError):
        toolkit.nonsense  # noqa: B018


def test_import_loads_no_heavy_package():
    code = "import sys, toolkit; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = set(run_python(code).split())
    heavy = {"vectorbt", "panel", "bokeh", "IPython", "ipywidgets", "jupyterlab", "numba", "pandas"}
    assert not loaded & heavy


def test_server_and_client_load_no_notebook_package():
    code = (
        "import sys, toolkit.session.service, toolkit.session.launch, toolkit.client.sync;"
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    loaded = set(run_python(code).split())
    assert not loaded & {"vectorbt", "panel", "bokeh", "IPython", "ipywidgets", "jupyterlab"}


def test_constraints_pin_every_requirement_exactly():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    by_name = {pin.name.lower(): pin for pin in pins}
    for requirement in requirements(*EXTRAS, "dev"):
        pinned = next(iter(by_name[requirement.name.lower()].specifier)).version
        assert requirement.specifier.contains(pinned), requirement


def requirements(*extras: str) -> list[Requirement]:
    project = PYPROJECT["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    found = [Requirement(line) for line in lines]
    return [r for r in found if r.name != project["name"]]


def test_conda_environment_is_the_same_set():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    specs = [m[1] for line in lines if (m := re.match(r"\s+- ([a-z].*?[<>=].*)$", line))]
    conda = {}
    for spec in specs:
        requirement = Requirement(spec)
        conda[CONDA_NAMES.get(requirement.name, requirement.name)] = requirement.specifier
    extra = {"python", "nodejs"}
    wanted = {r.name.lower(): r.specifier for r in requirements(*EXTRAS)}
    assert {n: s for n, s in conda.items() if n not in extra} == wanted
    assert str(conda["python"]) == str(
        Requirement("x" + PYPROJECT["project"]["requires-python"]).specifier
    )


def test_no_file_holds_an_index_address_or_a_path_of_a_machine():
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: its list of files is not known")
    names = subprocess.run(
        [git, "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    # Spelt with brackets so that this file is held to it too.
    bad = re.compile(
        r"(?<![\w.])/(?:work|root|home/\w+)/|index[-]url|registry[.]npmjs|pypi[.]org/simple"
    )
    found = []
    for name in names:
        path = ROOT / name
        if not path.is_file() or path.stat().st_size > 2_000_000:
            continue
        text = path.read_bytes().decode("utf-8", "ignore")
        found += [f"{name}: {m[0]}" for m in bad.finditer(text)]
    assert not found
