"""The rounds: implementations in turn, each measurement in a fresh process, the order turned by one every round.

A machine drifts (frequency, neighbours, caches) over minutes; what stands next to each other in time can be compared,
so ratios are taken within one round and only then summed up.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.impls import BARE, Implementation
from harness.spec import Workload

CHILD = Path(__file__).resolve().parent.parent / "child.py"
SOURCE = CHILD.parent.parent / "src"


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    works: list[Workload]
    impls: list[Implementation]
    rounds: int
    budget_s: float


Result = dict[str, Any]
#: workload -> implementation -> one result a round
Results = dict[str, dict[str, list[Result]]]


def run(plan: Plan, tell: Callable[[str], None]) -> Results:
    """Measure the whole plan. `tell` gets a line before each measurement. Never raises for a failing cell."""
    results: Results = {work.name: {it.name: [] for it in plan.impls} for work in plan.works}
    count, total = 0, plan.rounds * sum(1 for _ in cells(plan, 0))
    for turn in range(plan.rounds):
        for work, it in cells(plan, turn):
            count += 1
            tell(f"{count}/{total}  round {turn + 1}  {work.name}  {it.name}")
            before = results[work.name][it.name]
            if before and "ns" not in before[-1] and ("unavailable" in before[-1] or "timeout" in before[-1]):
                before.append(before[-1])  # the answer will not change, and a time-out costs a minute
                continue
            before.append(measure(work, it, plan.budget_s))
    return results


def cells(plan: Plan, turn: int) -> Iterator[tuple[Workload, Implementation]]:
    """The measurements of one round in their order."""
    shift = turn % len(plan.impls)
    for work in plan.works:
        for it in plan.impls[shift:] + plan.impls[:shift]:
            if it.name != BARE or work.bare is not None:
                yield work, it


def measure(work: Workload, it: Implementation, budget_s: float) -> Result:
    """One fresh process. Its result, or {"error": …} with the first line of what went wrong."""
    missing = [name for name in work.needs if importlib.util.find_spec(name) is None]
    if missing:
        return {"unavailable": f"not installed: {', '.join(missing)}"}
    process = subprocess.Popen(
        [sys.executable, str(CHILD), work.name, it.name, str(budget_s), str(core())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(it),
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=work.timeout_s)
    except subprocess.TimeoutExpired:
        return {"error": f"no result within {work.timeout_s:.0f} s", "timeout": True}
    finally:
        # The session holds the load client too; a server that died must not leave it behind.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {"error": died(process.returncode, err)}


def environment(it: Implementation) -> dict[str, str]:
    """The child's environment: this tree's yieldloop first, and no setting that would slow one implementation only."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "YIELDLOOP_PURE")}
    path = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    return {**clean, "PYTHONPATH": os.pathsep.join(filter(None, path)), "PYTHONHASHSEED": "0", **it.environ}


def core() -> int:
    """The core for the process under test, -1 where there is only one or the system does not pin."""
    if not hasattr(os, "sched_getaffinity"):
        return -1
    mine = sorted(os.sched_getaffinity(0))
    return mine[0] if len(mine) > 1 else -1


def died(code: int, err: str) -> str:
    """One line on a child that gave no result."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = [line for line in err.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {code} without a word"
