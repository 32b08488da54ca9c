"""Which of a host's addresses, and which of the errors.

What lives here: the order in which addresses are tried (RFC 8305, happy eyeballs), the race between them, and what to raise if all
failed. What may not: sockets.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any


def interleave_families(infos: list[Any], first: int) -> list[Any]:
    """*infos* with the address families in turn, after *first* - 1 extra ones of the family that comes first."""
    families: dict[int, list[Any]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    lists = list(families.values())
    ordered = lists[0][: first - 1]
    del lists[0][: first - 1]
    for turn in itertools.zip_longest(*lists):
        ordered += [info for info in turn if info is not None]
    return ordered


async def race(loop: Any, attempts: list[Callable[[], Awaitable[Any]]], delay: float) -> Any:
    """What the first attempt to succeed gives; None if all fail (by returning None). The others are cancelled and closed.

    The next attempt begins *delay* seconds after the last one, or as soon as one has failed.
    """
    running: set[Any] = set()
    waiting = list(attempts)
    winner = None
    try:
        while winner is None and (running or waiting):
            if waiting:
                running.add(loop.create_task(waiting.pop(0)()))
            done, running = await asyncio.wait(
                running, timeout=delay if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                winner = _first(winner, task.result())
        return winner
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    finally:
        for task in running:
            task.cancel()
        if running:
            for result in await asyncio.gather(*running, return_exceptions=True):
                if result is not None and not isinstance(result, BaseException):
                    result.close()


def _first(winner: Any, sock: Any) -> Any:
    if winner is not None and sock is not None:
        sock.close()  # both came in at once
        return winner
    return sock if winner is None else winner


def one_error(errors: list[BaseException], all_errors: bool) -> BaseException:
    """The exception that stands for all the *errors* of one connect."""
    if all_errors:
        return BaseExceptionGroup("create_connection failed", errors)
    if not errors:
        return TimeoutError("create_connection failed")
    if all(str(error) == str(errors[0]) for error in errors):
        return errors[0]
    return OSError(f"Multiple exceptions: {', '.join(str(error) for error in errors)}")
