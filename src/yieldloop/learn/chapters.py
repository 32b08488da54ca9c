"""The guide's chapters: where they are, what they are called, and which one a reader means.

What lives here: finding files of the guide, which lies in the package (in a checkout as a link to the folder beside ``src``).
What may not: how a run is recorded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from yieldloop.learn.walk import MOST_STEPS, LearnError, record_all

__all__ = ["Chapter", "chapters", "find", "walk_through"]

GUIDE = Path(__file__).resolve().parents[1] / "guide"


class Chapter(NamedTuple):
    """One file of the guide."""

    number: int
    path: Path
    title: str


def chapters(language: str) -> list[Chapter]:
    """All chapters in order, their titles in *language*. LearnError if the guide is not there."""
    paths = sorted(GUIDE.resolve().glob("[0-9][0-9]_*.py"))
    if not paths:
        raise LearnError(
            f"this install has no guide: {GUIDE} is missing or empty; install yieldloop again, or step through your own FILE.py"
        )
    return [Chapter(int(path.stem[:2]), path, _title(path, language)) for path in paths]


def _title(path: Path, language: str) -> str:
    """The heading of the chapter's text; before there is one, the first line of its program."""
    try:
        heading = re.match(r"# *\d+[.．] *(.+)", (path.parent / language / f"{path.stem}.md").read_text(encoding="utf-8"))
    except FileNotFoundError:
        heading = None
    return heading[1].strip().replace("`", "") if heading is not None else path.stem[3:].replace("_", " ")


def find(word: str, language: str) -> Chapter:
    """The chapter that a reader means by a number or a name, or a file of the reader's own, whose number is 0.

    LearnError, naming what there is, if *word* is none of them.
    """
    known = [] if word.endswith(".py") and Path(word).is_file() else chapters(language)
    for chapter in known:
        if word in (str(chapter.number), chapter.path.stem, chapter.path.name, chapter.path.stem[3:], chapter.path.stem[:2]):
            return chapter
    path = Path(word)
    if path.is_file():
        path = path.resolve()
        return next((chapter for chapter in chapters(language) if chapter.path == path), Chapter(0, path, path.name))
    if word.endswith(".py"):
        raise LearnError(f"there is no file {word!r}")
    last = known[-1].number
    raise LearnError(
        f"{word!r} is no chapter and no file; the chapters are {known[0].number} to {last}, `yieldloop learn` lists them"
    )


def walk_through(
    chapter: Chapter, languages: tuple[str, ...], into: tuple[str, ...] = (), steps: int = MOST_STEPS
) -> list[dict[str, Any]]:
    """Record the walk of *chapter* in each of *languages*; for the rest see `record_all`. Later chapters build on the files of
    earlier ones, so a chapter is walked through with the other files of the guide.
    """
    walks = record_all(
        chapter.path, languages=languages, into=(*([str(chapter.path.parent)] if chapter.number else []), *into), steps=steps
    )
    for walk in walks if chapter.number else ():
        walk["title"] = f"{chapter.number}. {_title(chapter.path, walk['language'])}"
    return walks
