"""What loops did before now, in a file: `save` writes it, `load` reads it.

What lives here: when a recording is written. What may not: how loops are recorded (``engine._record``), what a file looks like
(`files`), what records mean (`decode`).

Every loop keeps the last it did (``YIELDLOOP_RECORD``: ``ring``, ``full`` or ``off``; see `mode`). It is written when somebody
calls `save`, and by itself, if ``YIELDLOOP_RECORD_FILE`` names a file or `save_on` was called: at the exit of the process, or on
what ``YIELDLOOP_RECORD_ON`` lists instead, for example ``exit,stall,dead,USR2``. In a file's name ``{pid}`` stands for the process.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from yieldloop.engine import recording
from yieldloop.engine.recording import mode

if TYPE_CHECKING:
    from yieldloop.record.document import Recording

__all__ = ["OCCASIONS", "RecordingError", "happened", "load", "mode", "obey_environment", "save", "save_on"]

OCCASIONS = ("exit", "stall", "dead")  # besides signals
PAUSE = 10.0  # s between two recordings that stalls ask for
logger = logging.getLogger("asyncio")


class RecordingError(Exception):
    """A file is no recording, or not a whole one."""


def save(path: str | os.PathLike[str]) -> str:
    """Write what all loops of this process did lately to the file *path*; returns the path, ``{pid}`` filled in.

    From any thread, while loops run or are stuck. The file appears whole or not at all: whatever happens meanwhile, *path* is
    what it was before or the new recording. OSError if it cannot be written.
    """
    from yieldloop.record import files, taking

    path = os.fspath(path).replace("{pid}", str(os.getpid()))
    head, chunks = taking.take()  # first, before time passes
    head["more"] = _more()
    files.write(path, head, chunks)
    return path


def _more() -> dict[str, Any]:
    """What else belongs into a recording, from above: blocks, and a snapshot of the moment."""
    found: dict[str, Any] = {}
    sources = importlib.import_module(recording.sources).SOURCES if recording.sources is not None else {}
    for name, ask in sources.items():
        try:
            found[name] = ask()
        except Exception:
            logger.exception("A recording is saved without %s: asking for it raised", name)
    return found


def load(path: str | os.PathLike[str]) -> Recording:
    """The recording in the file *path*. RecordingError if that is none or is damaged; OSError if it cannot be read."""
    from yieldloop.record.document import Recording

    return Recording.load(path)


# --- by itself -------------------------------------------------------------------------------------------------------------

_asked: dict[str, tuple[str, int]] = {}  # occasion -> the file, and the process that was asked
_last_stall = -PAUSE


def save_on(occasion: str, path: str | os.PathLike[str]) -> None:
    """Write a recording to *path* on *occasion*; asked again, to another file.

    ``exit``: when the interpreter exits. ``stall``: when something blocks a loop (at most every 10 s). ``dead``: when nothing can
    wake a loop's tasks any more, or its shutdown does not end. Else it is the name of a signal that the program does not use, such
    as ``USR2``; to be called in the main thread then. On ``stall`` and on signals a thread of its own writes. A forked child writes
    only if *path* has a ``{pid}``. ValueError for what is none of these.
    """
    if occasion == "exit" and "exit" not in _asked:
        atexit.register(happened, "exit")
    elif occasion not in OCCASIONS:
        occasion = _handle_signal(occasion)
    _asked[occasion] = (os.fspath(path), os.getpid())


def _handle_signal(name: str) -> str:
    number = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
    if not isinstance(number, signal.Signals):
        raise ValueError(f"a recording cannot be saved on {name!r}: name {', '.join(OCCASIONS)} or a signal, such as USR2")
    if signal.getsignal(number) not in (signal.SIG_DFL, _on_signal):
        raise ValueError(f"a recording cannot be saved on {number.name}, which the program handles: name another one, such as USR2")
    signal.signal(number, _on_signal)
    return number.name


def _on_signal(number: int, frame: Any) -> None:
    happened(signal.Signals(number).name)


def happened(occasion: str) -> None:
    """*occasion* is there: write a recording if one was asked for. Never raises; errors are logged."""
    global _last_stall
    path, pid = _asked.get(occasion, ("", 0))
    if not path or (pid != os.getpid() and "{pid}" not in path):
        return
    if occasion in ("exit", "dead"):
        _save_for(occasion, path)
        return
    if occasion == "stall":
        if time.monotonic() < _last_stall + PAUSE:
            return
        _last_stall = time.monotonic()
    try:  # who waits for us is stuck, or in a hurry; the interpreter's exit waits for this thread
        threading.Thread(target=_save_for, args=(occasion, path), name="yieldloop-recording").start()
    except RuntimeError as exc:  # no more threads, or the interpreter ends
        logger.error("No recording was written to %r on %s: %r", path, occasion, exc)


def _save_for(occasion: str, path: str) -> None:
    try:
        written = save(path)
    except Exception as exc:
        logger.error("No recording was written to %r on %s: %r", path, occasion, exc)
    else:
        logger.info("A recording was written to %s on %s; `yieldloop open` shows it", written, occasion)


def obey_environment() -> None:
    """Do what ``YIELDLOOP_RECORD_FILE`` and ``YIELDLOOP_RECORD_ON`` say. Called once, at the import of the package."""
    path = os.environ.get("YIELDLOOP_RECORD_FILE")
    if path:
        for occasion in (os.environ.get("YIELDLOOP_RECORD_ON") or "exit").split(","):
            save_on(occasion.strip(), path)
