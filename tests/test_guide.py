"""The guide is executed: its chapters print what is written down, its texts quote what is there, in both languages.

What lives here: the rules of guide/writing.md as tests, over whatever chapters there are. What may not: an opinion on the prose.
The chapters run in processes of their own and need nothing compiled, so one leg is enough.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import yieldloop
from yieldloop.cli import main as cli

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "guide"
CHAPTERS = sorted(path.stem for path in GUIDE.glob("[0-9][0-9]_*.py"))
LANGUAGES = ("zh", "en")
TEXTS = [(language, chapter) for language in LANGUAGES for chapter in CHAPTERS]

pytestmark = pytest.mark.skipif(not yieldloop.compiled(), reason="one leg is enough: the guide needs nothing compiled")
in_each_text = pytest.mark.parametrize(("language", "chapter"), TEXTS, ids=lambda value: value)
in_each_chapter = pytest.mark.parametrize("chapter", CHAPTERS)


class Block(NamedTuple):
    line: int
    language: str
    source: str
    """The second word after the language: the file that the block is from, or empty."""
    text: str


def text_path(language: str, chapter: str) -> Path:
    return GUIDE / language / f"{chapter}.md"


@cache
def parse(path: Path) -> tuple[str, tuple[Block, ...]]:
    """A text's prose (code blocks cut out, so that their `#` lines are no headings) and its code blocks."""
    prose: list[str] = []
    blocks: list[Block] = []
    fence = ""
    begun, words, inside = 0, [""], [""]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = re.match(r" *(`{3,})(.*)$", line)
        if not fence and mark:
            fence, begun, words, inside = mark[1], number, mark[2].split(), []
        elif fence and line.strip() == fence:
            blocks.append(Block(begun, "".join(words[:1]), "".join(words[1:2]), "\n".join(inside)))
            fence = ""
        elif fence:
            inside.append(line)
        else:
            prose.append(line)
    assert not fence, f"{path}:{begun}: this code block has no end"
    return "\n".join(prose), tuple(blocks)


def run(chapter: str, *, hash_seed: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", GUIDE / f"{chapter}.py"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=env, timeout=60, cwd=ROOT)


@in_each_chapter
def test_the_chapter_prints_what_its_output_file_says(chapter: str) -> None:
    ran = run(chapter, hash_seed="0")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert ran.stdout == (GUIDE / "output" / f"{chapter}.txt").read_text(encoding="utf-8")


@in_each_chapter
def test_the_chapter_has_its_texts_and_its_exercises(chapter: str) -> None:
    files = [text_path(language, chapter) for language in LANGUAGES] + [GUIDE / "exercises" / f"{chapter}.py"]
    assert [str(path) for path in files if not path.exists()] == []


@in_each_chapter
def test_both_languages_have_the_same_sections_blocks_and_pictures(chapter: str) -> None:
    shapes = []
    for language in LANGUAGES:
        prose, blocks = parse(text_path(language, chapter))
        depths = [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)]
        pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose)
        shapes.append((depths, pictures, [(block.language, block.source) for block in blocks if block.source]))
    assert shapes[0] == shapes[1]


@in_each_text
def test_the_text_opens_with_what_one_will_be_able_to_do_and_a_picture(language: str, chapter: str) -> None:
    prose, _ = parse(text_path(language, chapter))
    assert re.match(rf"# {int(chapter[:2])}[.．] *\S", prose), "the first line is `# N. Title`"
    opening = "".join(re.split(r"^## ", prose, flags=re.MULTILINE)[:2])
    assert len(re.findall(r"^ *(?:[-*]|\d+\.) ", opening, re.MULTILINE)) >= 2, "a list of what the reader will be able to do"
    assert f"](../pictures/{chapter}" in opening, "the chapter's picture"


@in_each_text
def test_the_text_ends_with_exercises(language: str, chapter: str) -> None:
    prose, _ = parse(text_path(language, chapter))
    last = re.split(r"^## ", prose, flags=re.MULTILINE)[-1]
    assert re.match({"en": "(Exercises|Questions)", "zh": "(练习|习题|思考题)"}[language], last)
    assert f"exercises/{chapter}.py" in last


@in_each_text
def test_links_and_pictures_lead_somewhere(language: str, chapter: str) -> None:
    path = text_path(language, chapter)
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", parse(path)[0])
    assert [target for target in targets if not (path.parent / target).exists()] == []


@in_each_text
def test_blocks_are_what_they_say(language: str, chapter: str) -> None:
    path = text_path(language, chapter)
    for block in parse(path)[1]:
        where = f"{path.relative_to(ROOT)}:{block.line}"
        if block.source:
            quoted = find(block.source)
            assert quoted is not None, f"{where}: there is no {block.source!r} in guide/, guide/output/ or the project"
            missing = not_in(block.text, quoted.read_text(encoding="utf-8"))
            assert missing is None, f"{where}: {block.source} does not have these lines:\n{missing}"
        elif block.language == "python":
            try:
                ast.parse(block.text)
            except SyntaxError as error:
                pytest.fail(f"{where}: this is no Python ({error}); a piece of a file says which: ```python {chapter}.py")


def find(source: str) -> Path | None:
    places = (GUIDE / source, GUIDE / "output" / source, ROOT / source)
    return next((place for place in places if place.is_file()), None)


def not_in(quotation: str, text: str) -> str | None:
    """The first piece of a quotation that the text does not have at or after the piece before it; None if it has them all.

    Pieces are parted by a line `…` or `# …`; a piece may be indented less than in the file.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    place = 0
    for piece in re.split(r"^ *(?:# )?…\n?", quotation, flags=re.MULTILINE):
        wanted = [line.rstrip() for line in piece.strip("\n").splitlines()]
        if not any(wanted):
            continue
        at = next((at for at in range(place, len(lines) - len(wanted) + 1) if same(lines[at : at + len(wanted)], wanted)), None)
        if at is None:
            return piece
        place = at + len(wanted)
    return None


def same(lines: list[str], wanted: list[str]) -> bool:
    """Equal, or equal once a common indentation is added to what is wanted."""
    first = next(index for index, line in enumerate(wanted) if line)
    indentation = lines[first][: len(lines[first]) - len(wanted[first])]
    return not indentation.strip() and lines == [indentation + line if line else "" for line in wanted]


@in_each_text
def test_the_commands_exist(language: str, chapter: str) -> None:
    path = text_path(language, chapter)
    prose, blocks = parse(path)
    typed = [line for block in blocks if block.language in ("sh", "bash", "shell", "console") for line in block.text.splitlines()]
    spoken = re.findall(r"`((?:yieldloop|make|python3?) [^`]+)`", prose)
    wrong = {command: reason for command in typed + spoken if (reason := what_is_wrong_with(command))}
    assert not wrong, f"{path.relative_to(ROOT)}: {wrong}"


def what_is_wrong_with(command: str) -> str:
    """Why a command cannot be typed in the project's folder; empty if it can, as far as looking tells."""
    words = shlex.split(command.removeprefix("$ "), comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if words[:1] == ["make"]:
        tasks = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return next((f"no task {word!r}" for word in words[1:] if "=" not in word and word not in tasks), "")
    if re.fullmatch(r"(?:.*/)?python3?", "".join(words[:1])):
        words.pop(0)
        if words[:1] == ["-m"]:
            words.pop(0)
            if words[:1] != ["yieldloop"]:
                return "" if words and importlib.util.find_spec(words[0]) else f"no module {words[:1]}"
        else:
            return next((f"no file {word!r}" for word in words if word.endswith(".py") and not (ROOT / word).exists()), "")
    if words[:1] == ["yieldloop"]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                if words[1:2] != ["run"]:
                    cli._parser().parse_args(words[1:])
            except SystemExit as end:
                return said.getvalue() if end.code else ""
    return ""


def test_the_readme_lists_the_chapters_in_both_languages() -> None:
    readme = (GUIDE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w\w/\d\w+)\.md\)", readme) == [f"{language}/{chapter}" for language, chapter in TEXTS]


def drawn(picture: Path) -> list[str]:
    """What is written in a picture."""
    return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text(encoding="utf-8")))


@pytest.mark.parametrize("chapter", ["02_frames", "03_generator_frames"])
def test_a_run_of_the_reader_draws_the_picture_that_the_text_shows(chapter: str, tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"
    subprocess.run([sys.executable, GUIDE / f"{chapter}.py", picture], check=True, capture_output=True, timeout=60, cwd=ROOT)
    assert drawn(picture) == drawn(GUIDE / "pictures" / f"{chapter}.svg")


def test_the_two_glossaries_have_the_same_terms() -> None:
    rows = {
        language: re.findall(r"^\| (.+?) \| (.+?) \|", (GUIDE / language / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
        for language in LANGUAGES
    }
    assert rows["en"][1:] == [(english, chinese) for chinese, english in rows["zh"][1:]]


def solutions() -> list[tuple[str, str]]:
    found = []
    for path in sorted((GUIDE / "exercises").glob("[0-9][0-9]_*.py")):
        names = [node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
        found += [(path.stem, name) for name in names if name.startswith("test_")]
    return found


@cache
def load(exercise: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exercise_{exercise}", GUIDE / "exercises" / f"{exercise}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@in_each_chapter
def test_the_chapter_has_two_exercises_or_more(chapter: str) -> None:
    assert len([name for exercise, name in solutions() if exercise == chapter]) >= 2


@pytest.mark.parametrize(("exercise", "name"), solutions())
def test_the_solution_of_the_exercise_is_right(exercise: str, name: str) -> None:
    getattr(load(exercise), name)()
