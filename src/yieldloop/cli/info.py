"""What this install is: for bug reports, and for whoever wants to know if the fast half is there.

What lives here: questions and their printed answers. What may not: a decision that the loop acts upon.
"""

from __future__ import annotations

import importlib
import pkgutil
import platform
import sys

import yieldloop
from yieldloop import _speed

__all__ = ["pollers", "report", "version"]


def version() -> str:
    return yieldloop.__version__


def pollers() -> list[str]:
    """The pollers that this system has, the default first."""
    from yieldloop.pollers import available

    return list(available())


def module_speeds() -> dict[str, bool]:
    """Every module that is made to be compiled, and whether it is; imports them all, so that none is left out."""
    for found in pkgutil.walk_packages(yieldloop.__path__, "yieldloop."):
        if not found.name.startswith("yieldloop.cli") and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    return _speed.modules()


def report() -> str:
    """The lines that ``yieldloop info`` prints."""
    loop = yieldloop.new_event_loop()
    try:
        chosen = repr(loop)
    finally:
        loop.close()
    speeds = module_speeds()
    fast = sum(speeds.values())
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    lines = [
        f"yieldloop  {version()}",
        f"python     {platform.python_implementation()} {platform.python_version()}"
        f"{'' if gil else ' (free-threaded)'}, {sys.executable}",
        f"platform   {platform.platform()}",
        f"pollers    {', '.join(pollers())}",
        f"new loop   {chosen}",
        f"modules    {fast} compiled, {len(speeds) - fast} interpreted",
    ]
    width = max(map(len, speeds), default=0)
    lines += [f"  {name:<{width}}  {'compiled' if is_fast else 'interpreted'}" for name, is_fast in speeds.items()]
    return "\n".join(lines)
