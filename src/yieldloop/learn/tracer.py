"""Runs a Python file and writes down each of its steps: a walk document, on standard output, made from this one run.

What lives here: the process in which the file runs (``python -m yieldloop.learn.tracer``), and the hook that the interpreter calls
at each line, call, yield, return and exception (`sys.settrace`, which every supported Python has). What may not: showing anything.

A step is recorded *before* its line runs, so what a line printed and changed is seen at the step after it. Definitions and imports
at the top of a module are no steps. Other threads run, and are not recorded: the order among threads differs from run to run.
"""

from __future__ import annotations

import argparse
import ast
import dis
import gc
import inspect
import io
import json
import os
import sys
import threading
import tokenize
import traceback
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from yieldloop.learn.frames import RESUMABLE, frame_of, hide_snapshot, locals_of, stands_at_its_beginning
from yieldloop.learn.names import Names, function_name
from yieldloop.learn.sight import Sight
from yieldloop.learn.walk import pack
from yieldloop.learn.words import LANGUAGES, Phrase, render

_RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST"})
_INTERNAL = frozenset({"SEND", "FOR_ITER", "END_SEND", "YIELD_VALUE"})
"""Instructions that take a StopIteration for themselves: the end of a delegation or of a ``for``, no error of the program's."""
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def _lines_of_definitions(source: str) -> frozenset[int]:
    lines: set[int] = set()
    try:
        body = ast.parse(source).body
    except SyntaxError:  # told when the file is run
        return frozenset()
    for node in body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, _DEFINITIONS) or docstring:
            first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
            lines.update(range(first, (node.end_lineno or first) + 1))
    return frozenset(lines)


class _Output(io.TextIOWrapper):
    """Takes the place of the program's standard output and error, bytes that it writes to their buffer included."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", errors="backslashreplace", write_through=True)

    def take(self) -> str:
        """What was written since the last time."""
        written = self._bytes.getvalue()
        self._bytes.seek(0)
        self._bytes.truncate()
        return written.decode("utf-8", "replace")


def _text_of(path: Path) -> str:
    """A source file's text, in the encoding that it declares."""
    with path.open("rb") as file:
        try:
            encoding, _ = tokenize.detect_encoding(file.readline)
        except SyntaxError:  # told when the file is run
            encoding = "utf-8"
    return path.read_text(encoding=encoding, errors="replace")


class Tracer:
    """Records the steps of one run."""

    def __init__(self, path: Path, languages: list[str], into: list[str], limit: int, seconds: float) -> None:
        self._path = path
        self._folder = path.parent
        self._languages = languages
        self._into = into
        self._limit = limit
        self._seconds = seconds
        self._names = Names()
        self._sight = Sight(self._names, lambda code: self._label(code.co_filename))
        self._output = _Output()
        self._files: dict[str, str | None] = {}  # a code's file: what the document calls it; None if it is not followed
        self._sources: dict[str, list[str]] = {}
        self._definitions: dict[str, frozenset[int]] = {}
        self._steps: list[dict[str, Any]] = []
        self._spaces: dict[int, Mapping[str, Any]] = {}
        self._raised: int = 0  # the identity of the frame in which an exception is on its way
        self._error = ""  # the text of the exception that is on its way
        self._over = threading.Lock()
        self._document_out = -1

    # --- which files ---

    def _label(self, file: str) -> str | None:
        try:
            return self._files[file]
        except KeyError:
            label = self._files[file] = self._find_label(file)
            if label is not None:
                text = _text_of(Path(file))
                self._sources[label] = text.splitlines()
                self._definitions[label] = _lines_of_definitions(text)
            return label

    def _find_label(self, file: str) -> str | None:
        """How the document names a file that is followed. Its own, and those that are named by ``--into``."""
        if not file.endswith(".py") or not os.path.exists(file):
            return None
        path = Path(file).resolve()
        if path == self._path:
            return path.name
        for folder in (self._folder, *map(Path, sys.path)):
            try:
                relative = path.relative_to(folder.resolve())
            except ValueError:
                continue
            module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            for name in self._into:
                if module == name or module.startswith(f"{name}.") or Path(name).resolve() in (path, path.parent):
                    return relative.as_posix()
        return None

    # --- the hook ---

    def on_call(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        label = self._label(code.co_filename)
        is_module = code.co_name == "<module>"
        if label is None or not (is_module or code.co_flags & inspect.CO_OPTIMIZED):  # the body of a class is a definition too
            return None
        if is_module and frame.f_globals.get("__name__") != "__main__":
            return None
        self._spaces.setdefault(id(frame.f_globals), frame.f_globals)
        if not is_module:
            self._step(frame, "call", _how_it_begins(frame))
            hide_snapshot(frame)
        return self.on_event

    def on_event(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self._on_line(frame)
        elif event == "return":
            self._on_return(frame, arg)
        elif event == "exception":
            self._on_exception(frame, arg)
        hide_snapshot(frame)
        return self.on_event

    def _on_line(self, frame: types.FrameType) -> None:
        self._raised, self._error = 0, ""
        label = self._label(frame.f_code.co_filename) or ""
        if frame.f_code.co_name == "<module>" and frame.f_lineno in self._definitions[label]:
            return
        self._step(frame, "line", "line", line=frame.f_lineno)

    def _on_return(self, frame: types.FrameType, value: Any) -> None:
        opcode = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if self._raised == id(frame):
            self._raised = 0
            if opcode not in _RETURNS:
                if frame.f_code.co_name != "<module>":
                    self._step(frame, "exception", "unwind", error=self._error)
                return
        if frame.f_code.co_name == "<module>":
            return
        resumable = frame.f_code.co_flags & RESUMABLE
        stops = bool(resumable) and opcode not in _RETURNS
        key = "return" if not resumable else "end of generator" if not stops else "yield"
        if stops and not frame.f_code.co_flags & inspect.CO_GENERATOR:
            key = "suspend"
        text = self._names.value(value)
        if stops and frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR and type(value).__name__ == "async_generator_wrapped_value":
            key, text = "yield", self._names.value(gc.get_referents(value)[0]) if gc.get_referents(value) else text
        self._step(frame, "yield" if stops else "return", key, value=text)

    def _on_exception(self, frame: types.FrameType, arg: Any) -> None:
        opcode = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        kind, error, _ = arg
        if issubclass(kind, StopIteration | StopAsyncIteration) and opcode in _INTERNAL and self._raised != id(frame):
            return
        text = self._names.value(error) if isinstance(error, BaseException) else kind.__name__
        known = text == self._error  # it comes up from a frame below, where it was told
        self._error = text
        self._raised = id(frame)
        if not known:
            self._step(frame, "exception", "exception", error=text)

    # --- a step ---

    def _step(self, frame: types.FrameType, event: str, key: str, **values: object) -> None:
        try:
            self._record(frame, event, key, values)
        except Exception:  # a mistake of ours must not look like one of the program's
            os.write(2, traceback.format_exc().encode())
            os._exit(70)

    def _record(self, frame: types.FrameType, event: str, key: str, values: dict[str, object]) -> None:
        if len(self._steps) >= self._limit:
            self.finish("limit", "limit", count=self._limit, more=self._limit * 4)
        frames = self._stack(frame)
        followed = [f for f in frames if isinstance(f, types.FrameType)]
        self._sight.notice_new(followed)
        look = self._sight.look(followed, frame, self._spaces.values())
        owners = {id(owned): generator for generator in self._sight.generators() if (owned := frame_of(generator)) is not None}
        stack = [self._entry(f, frame, owners) for f in frames]
        name = stack[-1]["name"]
        self._steps.append(
            {
                "event": event,
                "text": Phrase(key, {"name": name, **values}),
                "file": stack[-1]["file"],
                "line": frame.f_lineno,
                "stack": stack,
                "generators": look.describe(),
                "ready": look.ready(),
                "timers": look.timers(),
                "fds": look.fds(),
                "output": self._names.without_addresses(self._output.take()),
            }
        )
        self._sight.let_go()

    def _stack(self, frame: types.FrameType) -> list[types.FrameType | list[str]]:
        """The frames from the file's first one on, outermost first; for a row of other code's, the names of its packages."""
        found: list[types.FrameType | list[str]] = []
        above: types.FrameType | None = frame
        others: list[str] = []
        while above is not None:
            if self._label(above.f_code.co_filename) is not None:
                if others:
                    found.append(others)
                found.append(above)
                others = []
            else:
                others.append(str(above.f_globals.get("__name__", "?")).partition(".")[0])
            above = above.f_back
        return found[::-1]

    def _entry(self, frame: types.FrameType | list[str], traced: types.FrameType, owners: dict[int, Any]) -> dict[str, Any]:
        if isinstance(frame, list):
            others = Phrase("other frames", {"count": len(frame), "names": ", ".join(sorted(set(frame)))})
            return {"name": others, "file": "", "line": 0, "kind": "other", "id": "", "locals": []}
        code = frame.f_code
        generator = owners.get(id(frame))
        name = function_name(code) if generator is None else self._names.of(generator)
        if code.co_flags & inspect.CO_OPTIMIZED:
            kind = _kind(code)
            shown = [[key, self._names.value(value)] for key, value in locals_of(frame, frame is traced).items() if key != ".0"]
        else:
            kind = "module"
            shown = [[key, self._names.value(value)] for key, value in list(frame.f_globals.items()) if _is_data(key, value)]
        return {
            "name": name,
            "file": self._label(code.co_filename),
            "line": frame.f_lineno,
            "kind": kind,
            "id": name,
            "locals": shown,
        }

    # --- the run ---

    def run(self) -> NoReturn:
        """Run the file to its end, or to a limit, write the document and end the process."""
        main = types.ModuleType("__main__")
        main.__file__ = str(self._path)
        self._spaces[id(main.__dict__)] = main.__dict__
        sys.modules["__main__"] = main
        sys.argv = [str(self._path)]
        sys.path[0] = str(self._folder)
        self._document_out = os.dup(1)
        sys.stdout = sys.stderr = self._output
        alarm = threading.Timer(self._seconds, self._time_is_up)
        alarm.daemon = True
        alarm.start()
        os.register_at_fork(after_in_child=self._leave_child_alone)
        gc.collect()
        gc.disable()
        try:
            self._label(str(self._path))
            code = compile(self._path.read_bytes(), self._path, "exec", dont_inherit=True)
            gc.freeze()
            sys.settrace(self.on_call)
            exec(code, main.__dict__)
        except SystemExit as end:
            sys.settrace(None)
            key, words = ("exit", {"value": self._names.value(end)}) if end.code else ("end", {})
        except BaseException as error:
            sys.settrace(None)
            self._output.write(self._traceback(error))
            key, words = "failed", {"error": self._names.value(error)}
        else:
            sys.settrace(None)
            key, words = "end", {}
        self.finish("end", key, **words)

    def _traceback(self, error: BaseException) -> str:
        """The traceback as the file's own run shows it: without the frames of this module, and without the folder's name."""
        tb = error.__traceback__
        while tb is not None and tb.tb_frame.f_code.co_filename == __file__:
            tb = tb.tb_next
        text = "".join(traceback.format_exception(type(error), error, tb))
        return text.replace(f"{self._folder}{os.sep}", "")

    def _leave_child_alone(self) -> None:
        """A child that the program forks runs on, and is no part of the walk."""
        sys.settrace(None)
        self._document_out = -1

    def _time_is_up(self) -> None:
        self.finish("end", "timeout", count=f"{self._seconds:g}")

    def finish(self, event: str, key: str, **values: object) -> NoReturn:
        """Add the last step, write the document and end the process at once: what the program would still do is not its walk."""
        if self._document_out < 0:
            os._exit(0)
        if not self._over.acquire(blocking=False):
            threading.Event().wait()  # the other thread is about to end the process
        steps = list(self._steps)
        last: dict[str, Any] = steps[-1] if steps else {"file": self._path.name, "line": 1, "ready": [], "timers": [], "fds": []}
        end = {**last, "event": event, "text": Phrase(key, values), "stack": [], "generators": [], "output": ""}
        if threading.current_thread() is threading.main_thread() and event == "end":
            self._sight.notice_new([])
            look = self._sight.look([], None, self._spaces.values())
            end |= {"generators": look.describe(), "ready": look.ready(), "timers": look.timers(), "fds": look.fds()}
        elif steps:
            end |= {"stack": last["stack"], "generators": last["generators"]}
        end["output"] = self._names.without_addresses(self._output.take())
        steps.append(end)
        document = {"sources": self._sources, "steps": {language: pack(render(steps, language)) for language in self._languages}}
        with open(self._document_out, "w", encoding="utf-8") as out:
            json.dump(document, out, ensure_ascii=False)
        os._exit(0)


def _how_it_begins(frame: types.FrameType) -> str:
    """The key of the sentence for a frame that goes on the stack."""
    code = frame.f_code
    if not code.co_flags & RESUMABLE:
        return "call"
    return "start" if stands_at_its_beginning(frame) else "resume"


def _is_data(name: str, value: Any) -> bool:
    """A variable of a module that is no definition and no import."""
    return not name.startswith("__") and not isinstance(value, types.ModuleType | types.FunctionType | type)


def _kind(code: types.CodeType) -> str:
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        return "async generator"
    if code.co_flags & inspect.CO_COROUTINE:
        return "coroutine"
    return "generator" if code.co_flags & inspect.CO_GENERATOR else "function"


def main(words: list[str]) -> NoReturn:
    """The entry of the process that `yieldloop.learn.walk` starts."""
    parser = argparse.ArgumentParser(prog="python -m yieldloop.learn.tracer")
    parser.add_argument("file", type=Path)
    parser.add_argument("--language", choices=LANGUAGES, action="append", required=True)
    parser.add_argument("--into", action="append", default=[])
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args(words)

    from yieldloop.cli.install import install

    install()
    Tracer(options.file.resolve(), options.language, options.into, options.steps, options.seconds).run()


if __name__ == "__main__":
    main(sys.argv[1:])
