"""The documents against the source: what they point at is there, what they tell one to type exists.

What lives here: checks of README, CONTRIBUTING and docs/tour.md. What may not: an opinion on their prose.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
POINTERS = sorted(set(re.findall(r"`([\w/]+\.py)::([\w.]+)`", TOUR)))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "tour.md"]


@cache
def names_in(path: Path) -> set[str]:
    """Functions and classes of a file, and methods as Class.method."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
            found.update(f"{node.name}.{method.name}" for method in inner)
    return found


@pytest.mark.parametrize(("file", "name"), POINTERS)
def test_the_tour_points_at_what_is_there(file: str, name: str) -> None:
    assert name in names_in(ROOT / "src" / "yieldloop" / file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tasks_that_are_named_exist(page: Path) -> None:
    tasks = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for words in re.findall(r"`make ([a-z ]+)", page.read_text(encoding="utf-8")) for word in words.split()}
    assert named <= tasks
