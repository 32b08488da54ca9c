"""The walk document: a run of a file, step by step, as the terminal screen, the plain text and the web page show it.

What lives here: the shape of the document, and how one is recorded, in a process of its own. What may not: looking into that
process (`tracer`, `sight`).

A walk is JSON: ``{"format": 1, "title", "language": "zh"|"en", "sources": {file: [line, …]}, "steps": [step, …]}``. A step is

- ``event``: ``call``, ``line``, ``yield``, ``return``, ``exception``, ``limit`` or ``end``; ``text``: the same in words
- ``file`` and ``line`` (from 1) where it happens: a ``line`` is about to run, a frame that yields or returns is about to leave
- ``stack``: the frames, outermost first: ``name``, ``file``, ``line``, ``kind`` (``module``, ``function``, ``generator``,
  ``coroutine``, ``async generator``; ``other`` stands for frames of other code), ``id`` (the generator's, else the name) and
  ``locals``, pairs of texts
- ``generators``: those that are alive, oldest first: ``id``, ``name``, ``state`` (``created``, ``running``, ``suspended``,
  ``closed``), ``file``, ``line``, ``waits`` (what it delegates to, or empty) and ``holders``: who refers to it, in words
- ``ready``, ``timers``, ``fds``: what an event loop has before it, as texts
- ``output``: what was printed since the step before

The same file gives the same document each time, as far as its own run is the same: objects are numbered, not addressed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["MOST_STEPS", "SECONDS", "LearnError", "pack", "record", "record_all"]

MOST_STEPS = 8000
"""Steps after which a walk stops: as many as a patient reader takes. Recording them takes about a millisecond each."""
SECONDS = 60
"""How long the file may run: a server would run forever."""


_PACKED = ("stack", "generators")


def pack(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Steps as they travel: ``{"parts": [part, …], "steps": [step, …]}``, where each frame and generator of a step is the number of
    a part. From step to step most of them are the same.
    """
    numbers: dict[str, int] = {}
    packed = []
    for step in steps:
        places = {
            name: [numbers.setdefault(json.dumps(part, ensure_ascii=False), len(numbers)) for part in step[name]]
            for name in _PACKED
        }
        packed.append({**step, **places})
    return {"parts": [json.loads(part) for part in numbers], "steps": packed}


def _unpack(packed: dict[str, Any]) -> list[dict[str, Any]]:
    parts = packed["parts"]
    return [{**step, **{name: [parts[number] for number in step[name]] for name in _PACKED}} for step in packed["steps"]]


class LearnError(Exception):
    """A walk that cannot be recorded; the text says why and what to do."""


def record(path: Path, *, language: str = "en", **how: Any) -> dict[str, Any]:
    """The walk of *path* in one *language*; see `record_all`."""
    return record_all(path, languages=(language,), **how)[0]


def record_all(
    path: Path,
    *,
    languages: tuple[str, ...],
    into: tuple[str, ...] = (),
    steps: int = MOST_STEPS,
    seconds: float = SECONDS,
) -> list[dict[str, Any]]:
    """Run *path* once, in a process of its own, and return its walk in each of *languages*.

    *into* names modules, files or folders that are walked through too; *steps* and *seconds* are where the walk ends at the latest.
    An error in the file is no error here: it ends the walk, and its traceback is part of the output. LearnError if there is no file
    or it cannot be run at all.
    """
    if not path.is_file():
        raise LearnError(f"there is no file {str(path)!r}; `yieldloop learn` lists the chapters")
    command = [sys.executable, "-m", "yieldloop.learn.tracer", str(path), f"--steps={steps}", f"--seconds={seconds}"]
    command += [*(f"--language={language}" for language in languages), *(f"--into={name}" for name in into)]
    # Interpreted, so that `into` can show yieldloop's own lines; the same order of sets of strings each time.
    env = os.environ | {"YIELDLOOP_PURE": "1", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=env)
    try:
        recorded = json.loads(ran.stdout)
    except ValueError:
        said = ran.stderr.decode(errors="replace").strip() or f"exit status {ran.returncode}"
        raise LearnError(f"{path} could not be walked through: its process ended before it was recorded ({said})") from None
    about = {"format": 1, "title": path.name, "sources": recorded["sources"]}
    return [{**about, "language": language, "steps": _unpack(recorded["steps"][language])} for language in languages]
