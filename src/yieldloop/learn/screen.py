"""The walk on a terminal: source, frames, generators and who holds them, event loop, output; forward and back by keys.

What lives here: the screen, in Textual (``yieldloop[learn]``), for 80 × 24 characters and more. What may not: what a step is.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from yieldloop.learn.drawing import Drawing
from yieldloop.learn.words import say

__all__ = ["Stepper", "show"]


def show(walk: dict[str, Any]) -> None:
    """Step through *walk* until the reader quits."""
    Stepper(walk).run()


class AskForStep(ModalScreen[int | None]):
    """Asks for the number of a step."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)")]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """One line to write on."""
        box = Input(placeholder=self._question, type="integer")
        box.border_title = self._question
        yield box

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        self.dismiss(int(event.value) if event.value.lstrip("-").isdigit() else None)


class Stepper(App[None]):
    """The whole screen. `index` is the step that is shown, from 0."""

    CSS = """
    Static { text-wrap: nowrap; text-overflow: ellipsis; }
    #title { height: 1; padding: 0 1; background: $primary-darken-2; color: $text; text-style: bold; }
    #event { height: auto; max-height: 2; padding: 0 1; background: $surface; text-wrap: wrap; }
    #main { height: 1fr; }
    #source { width: 1fr; height: 100%; border: round $primary; }
    #side { width: 44%; max-width: 72; height: 100%; }
    #side Static, #output { border: round $foreground 40%; border-title-color: $foreground; padding: 0 1; }
    #frames { height: 2fr; }
    #generators { height: 3fr; text-wrap: wrap; }
    #loop { height: auto; max-height: 8; }
    #output { height: 5; }
    Stepper.tall #output { height: 9; }
    AskForStep { align: center middle; }
    AskForStep Input { width: 50; border: round $accent; }
    """
    ENABLE_COMMAND_PALETTE = False

    index = reactive(0)

    def __init__(self, walk: dict[str, Any]) -> None:
        super().__init__()
        self._walk = walk
        self._steps: list[dict[str, Any]] = walk["steps"]
        self._drawing = Drawing(walk)
        self._drawn = False  # the panes are there
        self._has_loop = any(step[part] for step in self._steps for part in ("ready", "timers", "fds"))
        for keys, action, key, shown in (
            ("right,n,space,l", "forward", "forward", "→"),
            ("left,p,h,backspace", "backward", "back", "←"),
            ("o,down", "over", "over", "o"),
            ("y", "next_yield", "next yield", "y"),
            ("Y,u", "last_yield", "last yield", "u"),
            ("g", "jump", "jump", "g"),
            ("home", "first", "first", ""),
            ("end", "last", "last", ""),
            ("q,escape", "quit", "quit", "q"),
        ):
            self.bind(keys, action, description=self._say(key), show=bool(shown), key_display=shown or None)

    def _say(self, key: str, **values: object) -> str:
        return say(self._walk["language"], key, **values)

    # --- the layout ---

    def compose(self) -> ComposeResult:
        """The panes."""
        yield Static(id="title")
        yield Static(id="event")
        with Horizontal(id="main"):
            yield Static(id="source")
            with Vertical(id="side"):
                for name in ("frames", "generators", "loop"):
                    yield self._pane(name)
        yield self._pane("output")
        yield Footer(show_command_palette=False)

    def _pane(self, name: str) -> Static:
        pane = Static(id=name)
        pane.border_title = self._say(name)
        return pane

    def on_mount(self) -> None:
        """Show the first step."""
        self.title = self._walk["title"]
        self._drawn = True
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Show what fits."""
        self.set_class(self.size.height > 36, "tall")
        self.call_after_refresh(self._draw)

    # --- the keys ---

    def validate_index(self, index: int) -> int:
        """Within the walk."""
        return max(0, min(index, len(self._steps) - 1))

    def watch_index(self) -> None:
        """Show the step."""
        if self._drawn:
            self._draw()

    def action_forward(self) -> None:
        """One step."""
        self.index += 1

    def action_backward(self) -> None:
        """One step back."""
        self.index -= 1

    def action_first(self) -> None:
        """To the beginning."""
        self.index = 0

    def action_last(self) -> None:
        """To the end."""
        self.index = len(self._steps) - 1

    def action_over(self) -> None:
        """To the next step that is in no frame above this one."""
        depth = len(self._steps[self.index]["stack"])
        self.index = next(
            (at for at in range(self.index + 1, len(self._steps)) if len(self._steps[at]["stack"]) <= depth), len(self._steps)
        )

    def action_next_yield(self) -> None:
        """To the next step that yields."""
        self.index = next((at for at in range(self.index + 1, len(self._steps)) if self._steps[at]["event"] == "yield"), self.index)

    def action_last_yield(self) -> None:
        """To the step before this one that yielded."""
        self.index = next((at for at in range(self.index - 1, -1, -1) if self._steps[at]["event"] == "yield"), self.index)

    def action_jump(self) -> None:
        """Ask for the number of a step and go there."""

        def go(number: int | None) -> None:
            if number is not None:
                self.index = number - 1

        self.push_screen(AskForStep(self._say("jump to", steps=len(self._steps))), go)

    # --- the drawing ---

    def _draw(self) -> None:
        step, drawing = self._steps[self.index], self._drawing
        number = self._say("step", step=self.index + 1, steps=len(self._steps))
        self._fill("title", Text.assemble(self._walk["title"], "  ", (number, "not bold")))
        self._fill("event", Text(step["text"], style="bold red" if step["event"] == "exception" else ""))
        self.query_one("#source").border_title = f"{self._say('source')} · {step['file']}"
        self._fill("source", drawing.source(step, *self._room_of("source")))
        self._fill("frames", drawing.frames(step))
        self._fill("generators", drawing.generators(step))
        self._fill("loop", drawing.loop(step))
        self._fill("output", drawing.output(self.index, self._room_of("output")[1]))
        self.query_one("#loop").display = self._has_loop

    def _room_of(self, name: str) -> tuple[int, int]:
        size = self.query_one(f"#{name}").content_size
        return size.width, max(1, size.height)

    def _fill(self, name: str, text: Text) -> None:
        self.query_one(f"#{name}", Static).update(text)
