"""The panes of the terminal screen, each as a text with colours.

What lives here: what is drawn for a step, in Rich's texts. What may not: keys, layout (`screen`).
"""

from __future__ import annotations

from typing import Any

from rich.syntax import Syntax
from rich.text import Text

from yieldloop.learn.words import say

__all__ = ["Drawing"]

MARGIN = 6  # characters left of the source: a mark and the number
STATES = {"created": "○", "running": "▶", "suspended": "‖", "closed": "×"}
RANKS = {"running": 0, "suspended": 1, "created": 1, "closed": 2}
COLOURS = ("cyan", "magenta", "yellow", "green", "bright_blue", "bright_red")
"""Each generator has one, by its place among all: in the margin, on the stack and in the list it is the same."""


class Drawing:
    """Draws the steps of one walk."""

    def __init__(self, walk: dict[str, Any]) -> None:
        self._walk = walk
        self._steps: list[dict[str, Any]] = walk["steps"]
        self._highlighted: dict[str, list[Text]] = {}
        self._colours: dict[str, str] = {}
        for step in self._steps:
            for generator in step["generators"]:
                self._colours.setdefault(generator["id"], COLOURS[len(self._colours) % len(COLOURS)])

    def _say(self, key: str, **values: object) -> str:
        return say(self._walk["language"], key, **values)

    def _lines(self, file: str) -> list[Text]:
        if file not in self._highlighted:
            code = "\n".join(self._walk["sources"].get(file, []))
            self._highlighted[file] = list(Syntax(code, "python", theme="ansi_dark").highlight(code).split("\n", allow_blank=True))
        return self._highlighted[file]

    def source(self, step: dict[str, Any], width: int, height: int) -> Text:
        """The lines around the current one; in the margin, the place at which each generator stands."""
        lines = self._lines(step["file"])
        first = max(0, min(step["line"] - 1 - height // 2, len(lines) - height))
        on_stack = {frame["line"] for frame in step["stack"][:-1] if frame["file"] == step["file"]}
        standing = {
            generator["line"]: generator
            for generator in step["generators"]
            if generator["state"] == "suspended" and generator["file"] == step["file"]
        }
        drawn = Text()
        for number, line in enumerate(lines[first : first + height], first + 1):
            mark, style = " ", "dim"
            if number == step["line"] and step["stack"]:
                mark, style = "▶", "bold"
            elif number in standing:
                mark, style = STATES["suspended"], self._colours[standing[number]["id"]]
            elif number in on_stack:
                mark, style = "│", "bold"
            drawn.append(f"{mark}{number:4} ", style)
            body = line.copy()
            if number == step["line"] and step["stack"]:
                body.pad_right(max(0, width - MARGIN - body.cell_len))
                body.stylize("on grey23")
            drawn.append_text(body)
            drawn.append("\n")
        return drawn

    def frames(self, step: dict[str, Any]) -> Text:
        """The stack, newest frame first, each with its variables."""
        drawn = Text()
        for place, frame in enumerate(reversed(step["stack"])):
            style = self._colours.get(frame["id"], "")
            drawn.append(frame["name"], f"bold {style}" if place == 0 else style)
            drawn.append(f" :{frame['line']} " if frame["line"] else " ", "dim")
            drawn.append(" ".join(f"{name}={value}" for name, value in frame["locals"]) + "\n", "" if place == 0 else "dim")
        return drawn or Text(self._say("nothing"), "dim")

    def generators(self, step: dict[str, Any]) -> Text:
        """Each generator, its state, what it delegates to, and who holds it. Those that run come first: room may be short."""
        drawn = Text()
        for generator in sorted(step["generators"], key=lambda generator: RANKS[generator["state"]]):
            closed = generator["state"] == "closed"
            style = "dim" if closed else self._colours[generator["id"]]
            drawn.append(f"{STATES[generator['state']]} {generator['name']}", f"bold {style}")
            drawn.append(f" {self._say(generator['state'])}", "dim")
            drawn.append(f" :{generator['line']}\n" if generator["line"] and not closed else "\n", "dim")
            if generator["waits"]:
                drawn.append("  ↳ ", "dim").append(f"{generator['waits']}\n", self._colours.get(generator["waits"], ""))
            for holder in generator["holders"] if not closed else []:
                drawn.append(f"  ← {holder}\n", "")
        return drawn or Text(self._say("nothing"), "dim")

    def loop(self, step: dict[str, Any]) -> Text:
        """What an event loop has before it."""
        drawn = Text()
        for part in ("ready", "timers", "fds"):
            if part == "ready" or step[part]:
                drawn.append(f"{self._say(part)} ", "dim")
                drawn.append(f"{' | '.join(step[part]) or self._say('nothing')}\n")
        drawn.right_crop(1)
        return drawn

    def output(self, index: int, height: int) -> Text:
        """The last lines that were printed up to the step at *index*; what it brought itself is bright."""
        old = "".join(step["output"] for step in self._steps[:index])
        drawn = Text().append(old, "dim").append(self._steps[index]["output"], "bold")
        lines = drawn.split("\n")
        while lines and not lines[-1].plain:
            lines.pop()
        return Text("\n").join(lines[-max(1, height) :])
