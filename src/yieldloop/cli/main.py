"""Reads the command line and hands on.

What lives here: the grammar of ``yieldloop`` and nothing of what its commands do. The rest of the line after PROGRAM belongs to
the program, unread: it is cut off by `split_command` before any option is parsed, because no option of ours may steal one
of its own (``argparse`` alone would).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from yieldloop.cli import asking, pages

__all__ = ["main", "split_command"]

_VALUED = ("--poller", "--record", "--shutdown-timeout")
"""Options of ``run`` that take the next word."""


def split_command(words: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Cut the words after ``run`` in three: our options, whether a module is meant, and the program with its arguments.

    The program is empty when none is named.
    """
    own: list[str] = []
    rest = list(words)
    while rest:
        word = rest[0]
        if word == "--":
            rest.pop(0)
            break
        if word == "-m" or not word.startswith("-") or word == "-" or word.startswith("-m"):
            break
        own.append(rest.pop(0))
        if word in _VALUED and rest:
            own.append(rest.pop(0))
    if rest and rest[0].startswith("-m"):
        name = rest.pop(0)[2:]
        return own, True, [name, *rest] if name else rest
    return own, False, rest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="yieldloop",
        description="An asyncio event loop in Python, interpreted or compiled.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run an unmodified asyncio program on yieldloop",
        usage="yieldloop run [--poller NAME] [--debug] [--record FILE] [--shutdown-timeout S] [--] PROGRAM.py|-m MODULE [ARGS...]",
        description=(
            "Runs PROGRAM (a file, a directory or a zip file) or MODULE as python would; asyncio.run, asyncio.Runner and "
            "asyncio.new_event_loop inside it give a yieldloop loop. A loop class or a policy that the program itself "
            "names is respected, and so are processes that it starts by other means than fork."
        ),
    )
    run.add_argument("--poller", metavar="NAME", help="how to wait for events: epoll, poll, select or kqueue")
    run.add_argument("--debug", action="store_true", help="asyncio's debug mode, as PYTHONASYNCIODEBUG=1 sets it")
    run.add_argument(
        "--record", metavar="FILE", help="at the exit, write what the loops did last to FILE ({pid} in it: the process's number)"
    )
    run.add_argument(
        "--shutdown-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="end asyncio.run() after so long when tasks, threads or generators do not end, and report which (default: wait)",
    )
    _add_learn(commands)
    pages.add_commands(commands)
    commands.add_parser("info", help="tell what this install is: Python, compiled modules, poller, platform")
    asking.add_commands(commands)
    return parser


def _add_learn(commands: Any) -> None:
    parser = commands.add_parser("learn", help="the guide: list its chapters, step through one or through a file of yours")
    parser.add_argument("what", nargs="?", metavar="CHAPTER|FILE.py", help="a chapter's number or name, or your own file")
    parser.add_argument("--lang", choices=("zh", "en"), help="Chinese or English (default: the locale's)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--web", action="store_true", help="open the walk in the browser")
    how.add_argument("--print", action="store_true", help="print the walk as plain text, which is also what a pipe gets")
    parser.add_argument("--output", metavar="FILE.html", help="write the page for the browser there and open nothing")
    parser.add_argument("--into", action="append", default=[], metavar="NAME", help="step into this module, file or folder too")
    parser.add_argument("--steps", type=int, metavar="N", help="end the walk after N steps (default: 8000)")


def _seconds(text: str) -> float:
    number = float(text)
    if not number >= 0:
        raise ValueError(f"{text!r} is no length of time")
    return number


def _run(words: Sequence[str], parser: argparse.ArgumentParser) -> int:
    own, is_module, program = split_command(words)
    options = parser.parse_args(["run", *own])
    if not program:
        missing = "a MODULE after -m" if is_module else "a PROGRAM.py or -m MODULE"
        parser.error(f"run needs {missing}; usage: yieldloop run [--] PROGRAM.py|-m MODULE [ARGS...]")
    if program[0] == "-":
        parser.error("run cannot read a program from standard input ('-'); save it to a file and name that")
    # By the environment, so that the processes which the program starts make the same choice.
    if options.poller is not None:
        _choose_poller(options.poller, parser)
    if options.debug:
        os.environ["PYTHONASYNCIODEBUG"] = "1"

    if options.record is not None:
        from yieldloop import record

        record.save_on("exit", options.record)

    from yieldloop.cli import program as runner
    from yieldloop.cli.install import install

    install(shutdown_timeout=options.shutdown_timeout)
    name, *arguments = program
    if is_module:
        runner.run_module(name, arguments)
    else:
        runner.run_path(name, arguments)
    return 0


def _choose_poller(name: str, parser: argparse.ArgumentParser) -> None:
    from yieldloop.cli.info import pollers

    if name not in pollers():
        parser.error(f"--poller {name!r} is not available on this system; it has {', '.join(pollers())}")
    os.environ["YIELDLOOP_POLLER"] = name


def _ask(options: argparse.Namespace) -> int:
    from yieldloop.watch.outside import OutsideError

    try:
        return int(options.call(options))
    except (OutsideError, OSError) as exc:
        print(f"yieldloop {options.command}: {exc}", file=sys.stderr)
        return 1


def main(words: Sequence[str] | None = None) -> int:
    """The command line's entry: returns the exit status, or raises what the program that it ran raised."""
    words = sys.argv[1:] if words is None else words
    parser = _parser()
    if words and words[0] == "run" and not {"-h", "--help"} & set(split_command(words[1:])[0]):
        return _run(words[1:], parser)
    options = parser.parse_args(words)
    if options.version:
        from yieldloop.cli.info import version

        print(f"yieldloop {version()}")
        return 0
    if options.command == "learn":
        from yieldloop.learn.command import run as learn

        return learn(options)
    if options.command == "info":
        from yieldloop.cli.info import report

        print(report())
        return 0
    if hasattr(options, "call"):
        return _ask(options)
    parser.print_help()
    return 2
