"""Runs a program in this process so that it cannot tell it from ``python PROGRAM``.

What ``python`` sets up is set up here: a fresh ``__main__`` (so that classes pickle and ``multiprocessing`` finds the
file), ``sys.argv``, ``sys.path[0]``. Modules, directories and zip files go through ``runpy``'s own entry, the very function
that the interpreter calls for them. What ends a program is left to the interpreter: exceptions, ``SystemExit`` and
``KeyboardInterrupt`` (death by SIGINT) travel up to it, and our frames are taken out of the traceback at the last moment.

What ``python`` would refuse before the first line runs (no such file, not readable, does not parse) is handed to
``python``: nothing has run yet, and nobody knows its words for it better.

Rule for the editor: between `_enter` and the program there may be no frame that a traceback would show.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import pkgutil
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

__all__ = ["run_module", "run_path"]


def run_path(path: str, arguments: Sequence[str]) -> None:
    """Run the file, directory or zip file ``path`` as ``python path arguments...`` does.

    Raises what the program raises. Does not return when ``python`` would refuse the file: the process becomes that
    ``python``, which says why and exits with its status.
    """
    sys.argv[:] = [path, *arguments]
    place = os.path.join(os.getcwd(), path) if path else os.getcwd()  # not abspath(): python leaves "./" and ".." standing
    if pkgutil.get_importer(place) is not None:
        # A directory or a zip file is itself the first place to import from, even under -P.
        _replace_script_path(place, always=True)
        _fresh_main()
        _guarded(_runpy(), "__main__", False)
        return
    code = _code_of(place, [path, *arguments])
    _replace_script_path(os.path.dirname(os.path.realpath(place)))
    main = _fresh_main()
    main.__dict__.update(__file__=place, __loader__=_loader_of(place))
    if sys.version_info < (3, 15):
        main.__dict__["__cached__"] = None
    _guarded(exec, code, main.__dict__)


def run_module(name: str, arguments: Sequence[str]) -> None:
    """Run the module or package ``name`` as ``python -m name arguments...`` does. Raises what it raises."""
    sys.argv[:] = ["-m", *arguments]  # what a package's __init__ sees while the module is looked for
    _replace_script_path(os.getcwd())
    _fresh_main()
    _guarded(_runpy(), name)


def _runpy() -> Callable[..., object]:
    # Private by name, but it is what the interpreter's own main() calls for -m, with this signature since Python 2.6; a
    # program's tracebacks start with its frames.
    entry: Callable[..., object] = runpy._run_module_as_main  # type: ignore[attr-defined]
    return entry


# --- what python sets up ----------------------------------------------------------------------------------------------

_own_main: list[ModuleType] = []
"""The ``__main__`` that we were started as: its frame is still running, so its names must stay."""


def _fresh_main() -> ModuleType:
    """Put a new ``__main__`` in place of ours, with the names that the interpreter gives to it."""
    _own_main.append(sys.modules["__main__"])
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins)
    if sys.version_info < (3, 14):
        main.__dict__.update(__annotations__={})
    sys.modules["__main__"] = main
    return main


def _replace_script_path(entry: str, always: bool = False) -> None:
    """Put ``entry`` where the interpreter put our own script's directory.

    Under ``-P``, ``-I`` and ``PYTHONSAFEPATH`` there is no such place, and only an ``always`` entry is added.
    """
    if not sys.flags.safe_path:
        sys.path[0:1] = [entry]
    elif always:
        sys.path.insert(0, entry)


def _loader_of(place: str) -> Any:
    compiled = place.endswith(".pyc")
    kind = importlib.machinery.SourcelessFileLoader if compiled else importlib.machinery.SourceFileLoader
    return kind("__main__", place)


def _code_of(place: str, command: list[str]) -> CodeType:
    """The program's code. Hands over to ``python`` if there is none to be had."""
    try:
        with open(place, "rb") as file:
            if place.endswith(".pyc"):
                code: CodeType | None = pkgutil.read_code(file)
                if code is None:
                    _let_python_refuse(command)
                return code
            source = file.read()
        return compile(source, place, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        _let_python_refuse(command)


def _let_python_refuse(command: list[str]) -> NoReturn:
    """Become ``python PROGRAM ARGS``, with this interpreter's own options, to let it say what is wrong with the program."""
    sys.stdout.flush()
    sys.stderr.flush()
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    called = sys.orig_argv[0] if sys.orig_argv else sys.executable
    os.execv(sys.executable, [called, *options, *command])


# --- what ends a program ----------------------------------------------------------------------------------------------


def _guarded(function: Callable[..., object], *arguments: Any) -> None:
    """Call into the program; an exception on its way up will be shown without our frames."""
    try:
        _enter(function, arguments)
    except BaseException:
        # Every frame that an exception passes is added to its traceback, ours too, and re-raising adds them again. So
        # they go when it is shown. The hook of this moment, the program's own perhaps, does the showing.
        sys.excepthook = _showing_by(sys.excepthook)
        raise


def _enter(function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """The border: frames up to this one are ours, frames after it are the program's."""
    function(*arguments)


def _showing_by(hook: Callable[..., object]) -> Callable[..., object]:
    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> object:
        trace = _after_border(trace)
        error.__traceback__ = trace
        sys.last_traceback = trace
        sys.excepthook = hook
        return hook(kind, error, trace)

    return show


def _after_border(trace: TracebackType | None) -> TracebackType | None:
    step = trace
    while step is not None:
        if step.tb_frame.f_code is _enter.__code__:
            return step.tb_next
        step = step.tb_next
    return trace
