"""Compiled or interpreted: the one place that knows.

What lives here: the switch (``YIELDLOOP_PURE=1`` makes the package import its ``.py`` files though extensions lie beside them) and
the answer to "which of the two am I running?". What may not: a difference in behaviour between the two.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PACKAGE = __name__.rpartition(".")[0]


class _SourceOnly:
    """Finds this package's modules as source files and nothing else.

    A finder by its method alone: the abstract class of finders costs a seventh of `import asyncio` to import.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if not name.startswith(PACKAGE + ".") or path is None:
            return None
        loader = (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
        for folder in path:
            spec = importlib.machinery.FileFinder(folder, loader).find_spec(name)
            if spec is not None:
                return spec
        return None


def choose() -> None:
    """Act on ``YIELDLOOP_PURE``. Called once, before any other module of the package is imported."""
    if os.environ.get("YIELDLOOP_PURE") == "1" and not any(isinstance(f, _SourceOnly) for f in sys.meta_path):
        sys.meta_path.insert(0, _SourceOnly())


def modules() -> dict[str, bool]:
    """Each module of the package that is made to be compiled, and whether it is (those imported so far)."""
    endings = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    found = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not name.startswith(PACKAGE + ".") or not file:
            continue
        is_extension = file.endswith(endings)
        folder, _, last = file.rpartition(os.sep)
        stem = last.partition(".")[0]
        if is_extension or os.path.exists(os.path.join(folder, stem + ".pxd")):
            found[name] = is_extension
    return found


def compiled() -> bool:
    """True if every module that is made to be compiled is; False if none is.

    RuntimeError for a mixture, which is a broken build: remove the ``.so`` files and build again.
    """
    answer = set(modules().values())
    if len(answer) > 1:
        pure = ", ".join(name for name, is_compiled in modules().items() if not is_compiled)
        raise RuntimeError(f"half of yieldloop is compiled, but not {pure}: build again (`make build`) or set YIELDLOOP_PURE=1")
    return answer == {True}
