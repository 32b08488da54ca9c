"""One source, two speeds: what stands in two files about one thing must agree.

What lives here: three comparisons by text, of every pair in the package. What may not: running either (all the other
tests do).

- A ``.py`` and the ``.pxd`` beside it, which gives its attributes C types: drift between the two is mostly silent. An
  attribute missing in the ``.pxd`` is an AttributeError in one leg only, one missing in ``__slots__`` is one in the
  other leg, and one that ``__init__`` forgets is an error when interpreted and None or 0 when compiled.
- A ``.pyx`` and its ``.py``: two implementations under one interface.
- The ``.pxd`` of such a leaf: what it shows to Python, the interpreted class has as well.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import yieldloop

PACKAGE = Path(yieldloop.__path__[0])
SPECIAL = {"__weakref__", "__dict__"}
# Fields that the collector or the C half needs, and that no Python code reads or sets.
HOOKS = {"_collected"}


# --- reading .pxd and .pyx: as much of Cython's grammar as this package uses -----------------------------------------


@dataclass
class CClass:
    """What a ``cdef class`` of a ``.pxd`` or ``.pyx`` declares."""

    name: str
    base: str | None
    attributes: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)  # the attributes that are public or readonly
    methods: list[str] = field(default_factory=list)
    signatures: dict[str, list[str]] = field(default_factory=dict)  # of the methods that Python sees


CLASS = re.compile(r"^cdef class (\w+)(?:\((\w+)\))?\s*:")
ROUTINE = re.compile(r"^( {4}|)(def|cdef|cpdef) (?:[^=(\n]*?[ *])?(\w+)\(([^)]*)\)", re.MULTILINE)
ATTRIBUTE = re.compile(r"^    cdef (public |readonly |)([^(:]+)$")
LOCALS = re.compile(r"((?:^ *@cython\.locals\(.*\)\n)+) *c?p?def [^(\n]*?(\w+)\(", re.MULTILINE)
ALIAS = re.compile(r"^([a-z]\w*) = ")


def without_comments(text: str) -> str:
    """*text* without comments, strings' triple-quoted bodies (C code among them) and decorators."""
    text = re.sub(r'"""[\s\S]*?"""', '""', text)
    return "\n".join(re.sub(r"\s*#.*$", "", line) for line in text.splitlines())


def arguments(text: str) -> list[str]:
    """The argument names of a parameter list of Cython, ``self`` and types left out."""
    names = []
    for part in text.replace("\n", " ").split(","):
        declared = part.split("=")[0].replace("not None", "").strip()
        found = re.search(r"(\w+)$", declared)
        if found and found[1] != "self":
            names.append(found[1])
    return names


@cache
def cython_classes(path: Path) -> list[CClass]:
    """Every cdef class of *path* in order, duplicates included."""
    found: list[CClass] = []
    inside = None
    lines = without_comments(path.read_text()).splitlines()
    for number, line in enumerate(lines):
        start = CLASS.match(line)
        if start:
            inside = CClass(start[1], start[2])
            found.append(inside)
        elif line and not line.startswith(" "):
            inside = None
        elif inside is not None:
            read_member(inside, line, "\n".join(lines[number : number + 12]))
    return found


def read_member(inside: CClass, line: str, here: str) -> None:
    routine = ROUTINE.match(here)
    attribute = ATTRIBUTE.match(line)
    if routine and routine[1]:
        inside.methods.append(routine[3])
        if routine[2] != "cdef":
            inside.signatures[routine[3]] = arguments(routine[4])
    elif attribute and " = " not in line:
        for part in attribute[2].split(","):
            name = re.search(r"(\w+)\s*$", part)
            assert name, f"this test cannot read {line!r}: teach it"
            inside.attributes.append(name[1])
            if attribute[1]:
                inside.shown.append(name[1])


def cython_functions(path: Path) -> dict[str, list[str] | None]:
    """The module-level functions of *path* that Python sees, with their arguments (None: an alias of something else).
    """
    text = without_comments(path.read_text())
    found: dict[str, list[str] | None] = {}
    for routine in ROUTINE.finditer(text):
        if not routine[1] and routine[2] != "cdef":
            found[routine[3]] = arguments(routine[4])
    for line in text.splitlines():
        alias = ALIAS.match(line)
        if alias:
            found[alias[1]] = None
    return {name: args for name, args in found.items() if not name.startswith("_")}


C_FUNCTION = re.compile(r'^    (?:[\w *]+[ *])?(\w+) "\w+"\(', re.MULTILINE)


def c_functions(pxd: Path) -> list[str]:
    """The functions that *pxd* declares under a name of ours, with the C name beside it."""
    return C_FUNCTION.findall(without_comments(pxd.read_text().replace('"""', "\n")))


def imported_names(path: Path) -> list[str]:
    nodes = [node for node in python_tree(path).body if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    return [alias.name for node in nodes for alias in node.names if alias.name.islower()]


# --- reading .py -----------------------------------------------------------------------------------------------------


@cache
def python_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under an ``if`` or ``try`` included."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "handlers", "finalbody"):
            if isinstance(statement, ast.If | ast.Try):
                yield from top_level(getattr(statement, part, []))


def python_classes(path: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in top_level(python_tree(path).body) if isinstance(node, ast.ClassDef)}


def python_functions(path: Path) -> dict[str, list[str] | None]:
    found: dict[str, list[str] | None] = {}
    for node in top_level(python_tree(path).body):
        if isinstance(node, ast.FunctionDef):
            found[node.name] = [argument.arg for argument in node.args.args]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.islower():
            found[node.targets[0].id] = None
    return {name: args for name, args in found.items() if not name.startswith("_")}


def slots(node: ast.ClassDef) -> list[str] | None:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__slots__" for target in statement.targets
        ):
            value = ast.literal_eval(statement.value)
            return [value] if isinstance(value, str) else list(value)
    return None


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


@cache
def class_index() -> dict[str, ast.ClassDef]:
    """Every class of the package that is compiled, by name: bases are looked up here."""
    found: dict[str, ast.ClassDef] = {}
    for pxd in PACKAGE.rglob("*.pxd"):
        found.update(python_classes(pxd.with_suffix(".py")))
    return found


def line_of(node: ast.ClassDef) -> list[ast.ClassDef]:
    """*node* and its bases, as far as they are in the package."""
    found = [node]
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else ""
        if name in class_index() and name != node.name:
            found += line_of(class_index()[name])
    return found


def find_method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((methods(owner)[name] for owner in line_of(node) if name in methods(owner)), None)


def constructed(node: ast.ClassDef) -> list[ast.ClassDef]:
    """*node*, or if it is abstract (without a constructor) the classes below it that have one."""
    if find_method(node, "__init__") is not None:
        return [node]
    below = [other for other in class_index().values() if node in line_of(other) and find_method(other, "__init__")]
    assert below or not slots(node), f"{node.name} has attributes, and nobody has a constructor that sets them"
    return below


def set_by_constructor(node: ast.ClassDef) -> set[str]:
    """The attributes that ``__init__`` of *node* sets, itself or by the methods that it calls."""
    found: set[str] = set()
    seen: set[int] = set()
    todo = [find_method(node, "__init__")]
    while todo:
        method = todo.pop()
        if method is None or id(method) in seen:
            continue
        seen.add(id(method))
        for item in ast.walk(method):
            if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store) and is_self(item.value):
                found.add(item.attr)
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute):
                todo += called(node, item.func)
    return found


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def called(node: ast.ClassDef, func: ast.Attribute) -> list[ast.FunctionDef | None]:
    """The methods that ``self.m()``, ``Base.m(self)`` or ``super().m()`` may mean."""
    owner = func.value
    if is_self(owner):
        return [find_method(node, func.attr)]
    if isinstance(owner, ast.Name) and owner.id in class_index():
        return [find_method(class_index()[owner.id], func.attr)]
    if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super":
        return [methods(base).get(func.attr) for base in line_of(node)[1:]]
    return []


# --- the pairs -------------------------------------------------------------------------------------------------------


def files(suffix: str) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in sorted(PACKAGE.rglob(f"*{suffix}"))]


def typed_pairs() -> list[Any]:
    """The ``.pxd`` files that type a plain ``.py``."""
    return [param for param in files(".pxd") if not param.values[0].with_suffix(".pyx").exists()]


def declared(pxd: Path) -> list[tuple[CClass, ast.ClassDef]]:
    written = python_classes(pxd.with_suffix(".py"))
    found = []
    for c_class in cython_classes(pxd):
        assert c_class.name in written, f"{pxd.name} declares {c_class.name}, which {pxd.stem}.py does not have"
        found.append((c_class, written[c_class.name]))
    return found


def pure_twin(path: Path) -> ModuleType:
    """The ``.py`` of a leaf, executed whatever leg this is, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"pure_twin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pxd", files(".pxd"))
def test_every_pxd_stands_beside_a_py(pxd):
    assert pxd.with_suffix(".py").exists()


@pytest.mark.parametrize("pyx", files(".pyx"))
def test_every_leaf_has_its_three_files(pyx):
    assert pyx.with_suffix(".py").exists() and pyx.with_suffix(".pxd").exists()


@pytest.mark.parametrize("pxd", typed_pairs())
def test_slots_are_the_declared_attributes(pxd):
    for c_class, written in declared(pxd):
        named = slots(written)
        assert named is not None, f"{c_class.name} has no __slots__ (write () if it adds no attribute)"
        assert sorted(named) == sorted(set(c_class.attributes)), f"{c_class.name}: __slots__ and {pxd.name} differ"


@pytest.mark.parametrize("pxd", typed_pairs())
def test_every_declared_attribute_is_set_by_the_constructor(pxd):
    for c_class, written in declared(pxd):
        for made in constructed(written):
            missing = set(c_class.attributes) - SPECIAL - HOOKS - set_by_constructor(made)
            assert not missing, f"{made.name}.__init__ leaves unset: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("pxd", typed_pairs())
def test_types_of_local_variables_stand_on_the_function_that_has_them(pxd):
    known: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(pxd.with_suffix(".py").read_text())):
        if isinstance(node, ast.FunctionDef):
            names = {argument.arg for argument in node.args.args} | {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            known.setdefault(node.name, set()).update(names)
    for types, function in LOCALS.findall(pxd.read_text()):
        typed = set(re.findall(r"(\w+)=", types))
        assert typed <= known[function], f"{function}() has no variable {', '.join(sorted(typed - known[function]))}"


@pytest.mark.parametrize("pxd", typed_pairs())
def test_no_declared_attribute_has_a_default_in_the_class(pxd):
    for c_class, written in declared(pxd):
        names = {
            target.id
            for item in written.body
            if isinstance(item, ast.Assign | ast.AnnAssign)
            for target in (item.targets if isinstance(item, ast.Assign) else [item.target])
            if isinstance(target, ast.Name)
        }
        assert not names & set(c_class.attributes), f"{c_class.name} gives a declared attribute a class-level value"


@pytest.mark.parametrize("pxd", typed_pairs())
def test_every_declared_method_is_written(pxd):
    for c_class, written in declared(pxd):
        missing = set(c_class.methods) - set(methods(written))
        assert not missing, f"{pxd.name} declares methods that {c_class.name} does not have: {missing}"


@pytest.mark.parametrize("pxd", files(".pxd"))
def test_nothing_is_declared_twice(pxd):
    def twice(names: list[str]) -> set[str]:
        return {name for name in names if names.count(name) > 1}

    classes = cython_classes(pxd)
    assert not twice([c_class.name for c_class in classes])
    everywhere = {c.name: c for path in PACKAGE.rglob("*.pxd") for c in cython_classes(path)}
    for c_class in classes:
        assert not twice(c_class.attributes + c_class.methods), c_class.name
        base = everywhere.get(c_class.base or "")
        while base is not None:
            again = set(c_class.attributes) & set(base.attributes) - SPECIAL - HOOKS
            assert not again, f"{c_class.name} declares again what {base.name} has: {again}"
            base = everywhere.get(base.base or "")


@pytest.mark.parametrize("pyx", files(".pyx"))
def test_twins_have_the_same_functions(pyx):
    compiled, pure = cython_functions(pyx), python_functions(pyx.with_suffix(".py"))
    if pyx.stem == "_inline":  # its functions stand in the .pxd alone, and no Python code can see them
        compiled = dict.fromkeys(c_functions(pyx.with_suffix(".pxd")))
        pure |= dict.fromkeys(imported_names(pyx.with_suffix(".py")))
    assert sorted(compiled) == sorted(pure)
    for name, args in compiled.items():
        if args is not None and pure[name] is not None:
            assert args == pure[name], f"{name} takes other arguments in {pyx.name}"


@pytest.mark.parametrize("pyx", files(".pyx"))
def test_twins_have_the_same_classes_and_methods(pyx):
    path = pyx.with_suffix(".py")
    module = pure_twin(path)
    pure = python_classes(path)
    compiled = {c_class.name: c_class for c_class in cython_classes(pyx)}
    public = {name for name in pure if not name.startswith("_")}
    assert public == {name for name in compiled if not name.startswith("_")}
    inline = {c_class.name: c_class.methods + c_class.shown for c_class in cython_classes(pyx.with_suffix(".pxd"))}
    for name in public:
        c_class = compiled[name]
        c_class.methods += [method for method in inline[name] if method not in c_class.methods]
        written = {method for method in methods(pure[name]) if not method.startswith("_")}
        assert written <= set(c_class.methods), f"{name} in {pyx.name} lacks {written - set(c_class.methods)}"
        for method, args in c_class.signatures.items():
            if method.startswith("_") and not (method.startswith("__") and method not in ("__cinit__", "__dealloc__")):
                continue
            assert hasattr(getattr(module, name), method), f"{name} in {path.name} lacks {method}"
            mine = methods(pure[name]).get(method)
            if mine is not None and not method.startswith("__"):
                assert args == [a.arg for a in mine.args.args if a.arg != "self"], f"{name}.{method}: other arguments"


@pytest.mark.parametrize("pyx", files(".pyx"))
def test_what_a_leaf_shows_its_twin_has(pyx):
    module = pure_twin(pyx.with_suffix(".py"))
    for c_class in cython_classes(pyx.with_suffix(".pxd")):
        for name in c_class.shown:
            assert hasattr(getattr(module, c_class.name), name), f"the interpreted {c_class.name} has no slot {name!r}"
