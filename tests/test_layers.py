"""The house plan, proved over the AST: imports between the package's modules go only downwards, and never in a circle.

What lives here: the levels of docs/design.md as a table, and the tests that hold the source to it. A module in no level of the
table is an error too: whoever adds one says where it belongs.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
PACKAGE = "yieldloop"

LEVELS = {
    "errors": 0,
    "constants": 0,
    "ports": 0,
    "_speed": 0,
    "engine": 1,
    "pollers": 2,
    "wire": 3,
    "transports": 4,
    "loop": 5,
    "record": 5.5,
    "aio": 6,
    "subprocess": 6,
    "cli": 7,
    "learn": 7,
    "sim": 7,
    "watch": 7,
    "__main__": 7,
}
"""The level of each module or folder directly in the package. The package's own __init__ is the face: above all but level 7."""

FACE = 6.5


def level_of(module: str) -> float:
    """The level of a dotted module name; KeyError if the plan does not name it."""
    return FACE if module == PACKAGE else LEVELS[module.split(".")[1]]


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(name: str, inside_functions: bool) -> set[str]:
    """The package's modules that ``name`` imports. What only a type checker sees does not count: it never runs."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                found.add(submodule if submodule in modules() else base)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
                continue
            if isinstance(child, ast.stmt) and is_for_types_only(child):
                continue
            pending.append(child)
    return {module for module in found if module in modules()} - {name}


def test_every_module_has_its_level() -> None:
    homeless = [name for name in modules() if name != PACKAGE and name.split(".")[1] not in LEVELS]
    assert not homeless, f"{homeless} stand in no level of the plan; add them to LEVELS and to the table in docs/design.md"


@pytest.mark.parametrize("name", modules())
def test_imports_go_only_downwards(name: str) -> None:
    # Imports inside functions count: late is not the same as below.
    upwards = {other for other in imports_of(name, inside_functions=True) if level_of(other) > level_of(name)}
    assert not upwards, f"{name} (level {level_of(name)}) imports {sorted(upwards)}, which stand above it"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: imports_of(name, inside_functions=False) for name in modules()}
    finished: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        assert name not in trail, " → ".join([*trail[trail.index(name) :], name])
        if name not in finished:
            for other in sorted(graph[name]):
                visit(other, [*trail, name])
            finished.add(name)

    for name in sorted(graph):
        visit(name, [])


def statements(node: ast.AST, inside_functions: bool) -> Iterator[ast.AST]:
    """*node* and all below it that is run; functions' bodies only if asked for."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and is_for_types_only(child):
            continue
        if inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements(child, inside_functions)


LAZY = ("watch", "cli", "learn")
"""Here a function may import what an extra installs. Importing the module itself needs nothing."""
SCREENS = {f"{PACKAGE}.cli.top", f"{PACKAGE}.learn.drawing", f"{PACKAGE}.learn.screen"}
"""Screens on a terminal: made of an extra's classes, and imported by functions only."""


def test_the_core_imports_nothing_that_must_be_installed() -> None:
    import sys

    foreign = set()
    for name, path in modules().items():
        if name in SCREENS:
            continue
        assert not imports_of(name, inside_functions=False) & SCREENS
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in statements(tree, inside_functions=name.split(".")[1:2] not in [[level] for level in LAZY]):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            tops = {top.partition(".")[0] for top in names}
            foreign |= {(name, top) for top in tops - set(sys.stdlib_module_names) - {PACKAGE, "cython"}}
    assert not foreign


def test_the_engine_knows_nothing_of_files_and_sockets() -> None:
    for name in modules():
        if name.startswith(f"{PACKAGE}.engine"):
            tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            assert not imported & {"socket", "select", "selectors", "ssl"}, name
            assert not any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree)), f"{name} has an async def"
