"""What ``yieldloop learn`` does with its words: list the chapters, or record a walk and show it where the reader wants it.

What lives here: the choice among terminal, plain text and browser. What may not: how each of them shows a walk.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yieldloop.learn.chapters import chapters, find, walk_through
from yieldloop.learn.printing import lines
from yieldloop.learn.walk import MOST_STEPS, LearnError
from yieldloop.learn.words import LANGUAGES, language_of_the_user, say

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Carry out the command; returns the exit status."""
    language = options.lang or language_of_the_user()
    try:
        if options.what is None:
            _list(language)
            return 0
        chapter = find(options.what, language)
        in_browser = options.web or options.output is not None
        languages = (language, *(other for other in LANGUAGES if other != language)) if in_browser else (language,)
        with _notice(say(language, "recording", name=chapter.path.name)):
            walks = walk_through(chapter, languages, tuple(options.into), options.steps or MOST_STEPS)
        if in_browser:
            _open_page(walks, options.output and Path(options.output))
        elif options.print or not sys.stdout.isatty():
            print(*lines(walks[0]), sep="\n")
        else:
            _open_screen(walks[0])
    except LearnError as error:
        print(f"yieldloop learn: {error}", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def _notice(text: str) -> Iterator[None]:
    """Show *text* for as long as it takes, on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def _list(language: str) -> None:
    print(say(language, "chapters"))
    for chapter in chapters(language):
        print(f"{chapter.number:4}  {chapter.title}")
    print(say(language, "how"))


def _open_page(walks: list[dict[str, Any]], output: Path | None) -> None:
    """Write the page with the walk in each language, the reader's first, and open it unless its place is given."""
    from yieldloop.learn.web import page

    path = output
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="yieldloop-learn-")) / "walk.html"
    path.write_text(page(walks), encoding="utf-8")
    print(say(walks[0]["language"], "page written", path=path))
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
