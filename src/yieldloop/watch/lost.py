"""What was lost, or leaks: counted by the place where it was made.

What lives here: reading the counts. What may not: making them.
"""

from __future__ import annotations

from typing import Any

__all__ = ("report",)


def report(loop: Any, tasks: list[Any], views: list[Any]) -> dict[str, Any]:
    """What a snapshot says of it."""
    return {}
