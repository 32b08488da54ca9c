"""What this process answers when it is asked from outside, in the watching thread.

What lives here: a question's name and the function that answers it. What may not: a question that changes anything, and the socket
(`watch.serving`). This module is imported when somebody asks first.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import yieldloop
from yieldloop.engine.recording import loop_number
from yieldloop.watch import watchdog


def answer(line: bytes, watcher: Any) -> bytes:
    """The whole answer to one question, head and body. What goes wrong is an answer too."""
    try:
        kind, body = "json", _answer(line, watcher)
        if isinstance(body, bytes):
            kind, data = "bytes", body
        else:
            data = json.dumps(body, default=repr).encode()
    except Exception as exc:
        kind, data = "error", f"{type(exc).__name__}: {exc}".encode(errors="replace")
    return f"{kind} {len(data)}\n".encode() + data


def _answer(line: bytes, watcher: Any) -> Any:
    try:
        question = json.loads(line)
    except ValueError:
        question = None
    if not isinstance(question, dict):
        raise ValueError(f'a question is a line like {{"ask": "hello"}}, not {line[:80]!r}')
    name = question.get("ask")
    if not isinstance(name, str) or name not in _ANSWERS:
        raise ValueError(f"there is no question {name!r}; there are {', '.join(_ANSWERS)}")
    return _ANSWERS[name](watcher, question)


def hello(watcher: Any, _: Any) -> dict[str, Any]:
    """Who the process is and what its loops do, cheaply."""
    limit = watchdog.table.limit_ns
    return {
        "pid": os.getpid(),
        "argv": list(sys.argv),
        "python": platform.python_version(),
        "yieldloop": yieldloop.__version__,
        "speed": "compiled" if yieldloop.compiled() else "interpreted",
        "now_ns": time.monotonic_ns(),
        "watchdog": None if limit is None else limit / 1e9,
        "blocks": watchdog.table.total,
        "loops": [loop_now(watched) for watched in list(watcher.loops.values())],
    }


def loop_now(watched: Any) -> dict[str, Any]:
    """What one running loop does and holds, as counts."""
    loop = watched.loop
    entry, since, iteration = loop._doing()
    return {
        "id": loop_number(watched.target),
        "name": type(watched.target).__name__,
        "thread": watched.thread_name,
        "doing": "waits" if entry is None else watchdog.label_of(entry),
        "since_ns": None if entry is None and watched.target is not loop else since,  # how long a foreign one waits is not known
        "iteration": iteration,
        "statistics": steadily(loop.statistics),
    }


def steadily(read: Callable[[], Any]) -> Any:
    """What *read* gives the first time that the loop's thread does not change it meanwhile."""
    for _ in range(100):
        try:
            return read()
        except RuntimeError:  # a dictionary changed its size
            continue
    return read()


def _snapshot(watcher: Any, _: Any) -> Any:
    return _taken(watcher).as_json()


def _tree(watcher: Any, _: Any) -> Any:
    return _taken(watcher).text()


def _taken(watcher: Any) -> Any:
    """A snapshot of our loops, and of those that are attached."""
    from yieldloop.watch import snapshot

    shot = snapshot.take()
    for watched in list(watcher.loops.values()):
        if watched.target is not watched.loop and watched.target is not None:
            shot.loops += snapshot.take(watched.target, watched.loop.thread).loops
    return shot


def _blocks(*_: Any) -> Any:
    return [block.as_json() for block in watchdog.blocks()]


def _metrics(*_: Any) -> str:
    from yieldloop.watch import metrics

    return metrics.text()


def _recording(_: Any, question: dict[str, Any]) -> bytes:
    """The whole recording; or, asked for so many ``seconds``, its end without blocks and snapshot."""
    from yieldloop import record
    from yieldloop.record import files, taking

    seconds = question.get("seconds")
    if seconds is not None and (not isinstance(seconds, int | float) or not 0 < seconds < 1e9):
        raise ValueError(f"'seconds' is a number above 0, not {seconds!r}")
    with tempfile.TemporaryDirectory(prefix="yieldloop-") as folder:  # 0700
        path = os.path.join(folder, "recording")
        if seconds is None:
            record.save(path)
        else:
            head, chunks = taking.take(time.monotonic_ns() - int(seconds * 1e9))
            files.write(path, head | {"more": {}}, chunks)
        with open(path, "rb") as file:
            return file.read()


_ANSWERS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "hello": hello,
    "snapshot": _snapshot,
    "tree": _tree,
    "blocks": _blocks,
    "metrics": _metrics,
    "recording": _recording,
}
