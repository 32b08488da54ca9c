"""What ``yieldloop learn`` does with its words: list the chapters, or record a walk and show it where the reader wants it.

What lives here: the choice among terminal, plain text and browser. What may not: how each of them shows a walk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from yieldloop.learn.chapters import GUIDE, chapters, find
from yieldloop.learn.printing import lines
from yieldloop.learn.walk import MOST_STEPS, LearnError, record
from yieldloop.learn.words import language_of_the_user, say

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    language = options.lang or language_of_the_user()
    try:
        if options.what is None:
            _list(language)
            return 0
        chapter = find(options.what, language)
        into = [str(GUIDE.resolve())] if chapter.number else []  # later chapters build on the files of earlier ones
        title = f"{chapter.number}. {chapter.title}" if chapter.number else chapter.title
        walk = record(chapter.path, title=title, language=language, into=(*into, *options.into), steps=options.steps or MOST_STEPS)
        if options.web or options.output is not None:
            _open_page(walk, options.output and Path(options.output), language)
        elif options.print or not sys.stdout.isatty():
            print(*lines(walk), sep="\n")
        else:
            _open_screen(walk)
    except LearnError as error:
        print(f"yieldloop learn: {error}", file=sys.stderr)
        return 2
    return 0


def _list(language: str) -> None:
    print(say(language, "chapters"))
    for chapter in chapters(language):
        print(f"{chapter.number:4}  {chapter.title}")
    print(say(language, "how"))


def _open_page(walk: dict[str, Any], output: Path | None, language: str) -> None:
    from yieldloop.watch.page import render

    path = output
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="yieldloop-learn-")) / "walk.html"
    path.write_text(render({"kind": "walks", "title": walk["title"], "walks": [walk]}), encoding="utf-8")
    print(say(language, "page written", path=path))
    if output is None:
        webbrowser.open(path.resolve().as_uri())


def _open_screen(walk: dict[str, Any]) -> None:
    try:
        from yieldloop.learn.screen import show
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise LearnError(
            "the terminal screen needs Textual: pip install 'yieldloop[learn]'; or --print for plain text, --web for the browser"
        ) from None
    show(walk)
