from __future__ import annotations

import socket

import pytest

from toolkit.errors import ToolkitError
from toolkit.loadtest.channel import Helper, Line


def test_a_helper_that_does_not_start_says_why():
    with pytest.raises(ToolkitError, match=r"No module named toolkit\.nonsense"):
        Helper("toolkit.nonsense", name="helper", environment={})


def test_lines_arrive_whole_and_the_end_is_told():
    here, there = socket.socketpair()
    line, other = Line(here), Line(there)
    other.send({"a": "x" * 100_000})
    other.send({"b": None})
    assert line.receive(5.0) == {"a": "x" * 100_000}
    assert line.receive(5.0) == {"b": None}
    assert line.receive(0.01) is None
    other.close()
    with pytest.raises(EOFError):
        line.receive(5.0)
    line.close()
