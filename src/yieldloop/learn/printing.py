"""A walk as plain text: for pipes, for terminals that can do no more, for reading in a diff.

What lives here: one paragraph for each step, with what changed since the step before. What may not: colours, keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yieldloop.learn.words import say

__all__ = ["lines"]

MANY = 16  # frames that are named in one line
_PARTS = ("ready", "timers", "fds")


def lines(walk: dict[str, Any]) -> Iterator[str]:
    """The lines of the text."""
    language, steps = walk["language"], walk["steps"]
    yield walk["title"]
    before: dict[str, Any] = {"generators": [], "ready": [], "timers": [], "fds": [], "stack": []}
    for number, step in enumerate(steps, 1):
        yield ""
        yield f"── {say(language, 'step', step=number, steps=len(steps))} · {step['text']}"
        source = walk["sources"].get(step["file"], [])
        if step["stack"] and 0 < step["line"] <= len(source):
            yield f"   {step['file']}:{step['line']}  {source[step['line'] - 1].rstrip()}"
            yield f"   {say(language, 'frames')}: {' › '.join(_few([frame['name'] for frame in step['stack']]))}"
            variables = ", ".join(f"{name} = {text}" for name, text in step["stack"][-1]["locals"])
            if variables and step["stack"][-1]["kind"] != "module":
                yield f"   {variables}"
        known = {generator["id"]: generator for generator in before["generators"]}
        for generator in step["generators"]:
            if known.get(generator["id"]) != generator:
                yield f"   {describe(generator, language)}"
        for part in _PARTS:
            if step[part] != before[part]:
                yield f"   {say(language, part)}: {' | '.join(step[part]) or say(language, 'nothing')}"
        yield from (f"   > {line}" for line in step["output"].splitlines())
        before = step


def _few(names: list[str]) -> list[str]:
    """A deep stack's both ends."""
    return names if len(names) <= MANY else [*names[:3], f"… {len(names) - MANY} …", *names[3 - MANY :]]


def describe(generator: dict[str, Any], language: str) -> str:
    """A generator on one line."""
    text = f"{generator['name']}: {say(language, generator['state'])}"
    if generator["line"] and generator["state"] != "closed":
        text += f" :{generator['line']}"
    if generator["waits"]:
        text += f", {say(language, 'waits in')} {generator['waits']}"
    return f"{text}; {say(language, 'held by')} {', '.join(generator['holders']) or say(language, 'nobody')}"
