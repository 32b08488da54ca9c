"""Puts our loop where ``asyncio`` looks for one, for programs that do not know of us.

After ``install()`` these give a loop of ours: ``asyncio.run``, ``asyncio.Runner`` without a ``loop_factory``,
``asyncio.new_event_loop``, ``asyncio.EventLoop``, and the implicit ``asyncio.get_event_loop`` of Python 3.11 to 3.13. All
but one of them ask the event loop policy, so the policy is the place. Policies are deprecated from Python 3.14 on: its
public functions warn there and the module's own, underscored ones are used, as ``asyncio`` itself does.

With a limit for the shutdown, ``asyncio.run`` and ``asyncio.Runner`` are ours as well: the standard library's know none.

A program that names a loop class (``loop_factory=asyncio.SelectorEventLoop``) or sets a policy of its own gets what it
names: that is a decision, and not ours to overrule.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from yieldloop import EventLoop, Runner
from yieldloop.aio import runners

__all__ = ["install", "installed"]


def _policy_functions() -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """The getter and the setter of the policy that do not warn on the running Python."""
    events: Any = asyncio.events
    get = getattr(events, "_get_event_loop_policy", None) or events.get_event_loop_policy
    put = getattr(events, "_set_event_loop_policy", None) or events.set_event_loop_policy
    return get, put


def _policy_giving(factory: Callable[[], asyncio.AbstractEventLoop], model: Any) -> Any:
    """A policy like ``model`` (its child watchers and its per-thread loops included) whose new loops are ``factory``'s."""

    class YieldloopPolicy(type(model)):  # type: ignore[misc]
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return factory()

    return YieldloopPolicy()


def install(
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None, shutdown_timeout: float | None = None
) -> Callable[[], None]:
    """Make ``asyncio`` create its loops by ``factory`` (default: `yieldloop.EventLoop`); returns the undo.

    ``shutdown_timeout`` (s) is what every `Runner` gets that is given none of its own; None leaves the standard library's in place.
    Loops that exist already are not touched. The undo puts back what was there; calling it twice does no harm.
    """
    new_loop: Callable[[], asyncio.AbstractEventLoop] = EventLoop if factory is None else factory
    module: Any = asyncio
    get_policy, set_policy = _policy_functions()
    policy_before = get_policy()
    set_policy(_policy_giving(new_loop, policy_before))
    # 3.13 and later: "the most efficient loop of this platform", which programs pass as loop_factory to ask for the default.
    class_before = getattr(module, "EventLoop", None)
    if class_before is not None:
        module.EventLoop = new_loop
    undo_runner = None if shutdown_timeout is None else _install_runner(shutdown_timeout)

    def undo() -> None:
        if undo_runner is not None:
            undo_runner()
        set_policy(policy_before)
        if class_before is not None:
            module.EventLoop = class_before

    return undo


def _install_runner(shutdown_timeout: float) -> Callable[[], None]:
    """Put our `Runner`, with that limit by default, where ``asyncio.run`` and programs look for one; returns the undo."""
    module: Any = asyncio.runners
    before, limit_before = module.Runner, runners.default_shutdown_timeout
    runners.default_shutdown_timeout = shutdown_timeout
    module.Runner = Runner
    asyncio.Runner = Runner  # type: ignore[misc]

    def undo() -> None:
        runners.default_shutdown_timeout = limit_before
        module.Runner = before
        asyncio.Runner = before  # type: ignore[misc]

    return undo


@contextlib.contextmanager
def installed(factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> Iterator[None]:
    """`install` for the length of a ``with`` block."""
    undo = install(factory)
    try:
        yield
    finally:
        undo()
