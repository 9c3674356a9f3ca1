"""Our JavaScript client as one file: the modules of the npm package, joined when asked for.

The modules import by one line each (`import { name } from "./module.js";`), and no two of them
declare the same name; tests/streaming/http/test_javascript.py runs what comes out.
"""

from __future__ import annotations

import re
from pathlib import Path

from toolkit._version import __version__

SOURCES = Path(__file__).parents[1] / "js" / "src"
_IMPORT = re.compile(r'^import \{[^}\n]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_REEXPORT = re.compile(r'^export \{ (\w+) \} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|function|const) )", re.MULTILINE)


def page_script() -> str:
    """Return what a page loads with a plain script tag; the classes become globals."""
    told = f"Object.assign(globalThis, {{ {', '.join(_public())} }});"
    return f'{_head()}(() => {{\n"use strict";\n{_body()}\n{told}\n}})();\n'


def page_module() -> str:
    """Return the same as one ES module."""
    return f"{_head()}{_body()}\nexport {{ {', '.join(_public())} }};\n"


def _head() -> str:
    return f"/* TradingBotWebSocketClient {__version__}, Apache-2.0 */\n"


def _public() -> dict[str, str]:
    return dict(_REEXPORT.findall(_read("index.js")))


def _body() -> str:
    ordered: list[str] = []

    def add(name: str) -> None:
        if name in ordered:
            return
        for needed in _IMPORT.findall(_read(name)):
            add(needed)
        ordered.append(name)

    for module in _public().values():
        add(module)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _read(name))).strip() for name in ordered)


def _read(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")
