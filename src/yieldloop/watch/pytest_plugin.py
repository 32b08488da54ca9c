"""A pytest plugin: a test that hangs says who waits for whom.

    pytest -p yieldloop.watch.pytest_plugin --yieldloop-dump=20

What lives here: the option, and the clock around each test. Without the option (or the setting ``yieldloop_dump``) a test is given
nine tenths of its time-out by pytest-timeout, if it has one; so the snapshot is there before the test is ended. What may not: an
import of pytest, which would make it a dependency: pytest finds hooks by their names.
"""

from __future__ import annotations

import os
from typing import Any

from yieldloop.watch.hanging import dump_on_timeout

SHARE = 0.9  # of a test's time-out

_running: list[dump_on_timeout] = []
_out: int | None = None  # standard error, as it was before tests' output is caught


def pytest_addoption(parser: Any) -> None:
    text = "write a snapshot of all yieldloop loops when a test has run for so many seconds (0: never)"
    parser.addoption("--yieldloop-dump", type=float, metavar="SECONDS", help=text)
    parser.addini("yieldloop_dump", text)


def pytest_configure(config: Any) -> None:
    global _out
    if _out is None:
        _out = os.dup(2)


def pytest_unconfigure(config: Any) -> None:
    global _out
    if _out is not None:
        os.close(_out)
        _out = None


def pytest_runtest_protocol(item: Any, nextitem: Any) -> None:
    seconds = _patience(item)
    if seconds > 0:
        clock = dump_on_timeout(seconds, _out, f"\n{item.nodeid} is still running")
        clock.start()
        _running.append(clock)


def pytest_runtest_logfinish(nodeid: str, location: Any) -> None:
    while _running:
        _running.pop().cancel()


def _patience(item: Any) -> float:
    """How long *item* may run before it has to say what it waits for, in seconds; 0: for ever."""
    asked = item.config.getoption("--yieldloop-dump")
    if asked is None:
        asked = item.config.getini("yieldloop_dump") or None
    if asked is not None:
        return float(asked)
    marker = item.get_closest_marker("timeout")
    limit: Any = None
    if marker is not None:
        limit = marker.kwargs.get("timeout", marker.args[0] if marker.args else None)
    if limit is None:
        limit = item.config.getoption("timeout", None)
    if limit is None and "timeout" in getattr(item.config, "inicfg", {}):
        limit = item.config.getini("timeout")
    try:
        return SHARE * float(limit or 0)
    except (TypeError, ValueError):
        return 0.0
