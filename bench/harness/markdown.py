"""The page for the docs, made from a results file and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import facts, ratios
from harness.impls import BARE, BASE, IMPLEMENTATIONS
from harness.spec import Workload
from harness.terminal import available

HEAD = """# Benchmarks

This page is made by `bench/run.py --docs` from one run; no figure in it is typed by hand.

"""

METHOD = f"""
## How to read it

- A cell is the CPU time (user and system, every thread) that the process under test spends on one operation: the median
  over the rounds. Below it stands the speed against {BASE}: {BASE}'s cost divided by this one's *in the same round*, the
  median and in brackets the least and the greatest. Above 1 is faster than {BASE}.
- Every measurement is a fresh process, pinned to one core where there are two. The implementations take turns, and the
  order turns by one each round. Batches that find the number of operations are the warm-up and do not count.
- Absolute figures move with the machine's hour. Compare within one table, not between two.
- For TCP the load is a C program in a process of its own on another core and does not count. Work that the kernel does in
  soft interrupts is charged to whoever runs at that moment; it is the same for all.
- `accuracy` is judged by `time.monotonic_ns`, not by the loop's clock; before arming each timer the program works for up
  to a millisecond, as programs do.
- Bytes are growth of the resident set over 200,000 objects. A parked task's bytes include the future it waits for and are
  without its coroutine, which is measured in the same process by suspending it without a loop.
- `wake_N` and `rearm_N`: the same act among N. Beyond 10⁵ tasks the processor's cache misses are in every figure.
"""


def write(page: Path, plot: str | None, works: list[Workload], names: list[str], report: dict[str, Any]) -> None:
    """Write the page. `plot` is the picture's address relative to it."""
    results = report["results"]
    running, absent = available(works, names, results)
    lines = [HEAD.rstrip(), ""]
    lines += [f"- {line}" for line in facts.words(report["facts"])]
    lines += [f"- {report['rounds']} rounds, {report['budget_s']:g} s of CPU a measurement", ""]
    if plot:
        lines += [f"![speed of each implementation against {BASE}]({plot})", ""]
    for group in dict.fromkeys(work.group for work in works):
        lines += _table([work for work in works if work.group == group], group, running, results)
    lines += _growth(works, running, results)
    if absent:
        lines += ["## Not measured", "", *[f"- {name}: {why}" for name, why in absent.items()], ""]
    page.write_text("\n".join(lines).rstrip() + "\n" + METHOD)


def _table(works: list[Workload], group: str, running: list[str], results: Any) -> list[str]:
    columns = [n for n in running if n != BARE or any(work.bare for work in works)]
    titles = [IMPLEMENTATIONS[n].title for n in columns]
    lines = [f"## {group[0].upper()}{group[1:]}", "", f"| workload | {' | '.join(titles)} |"]
    lines += ["|---|" + "---:|" * len(columns)]
    for work in works:
        aim = f"<br>aim: {work.target:g}×" if work.target else ""
        cells = [_cell(ratios.cell(results[work.name], n)) for n in columns]
        lines.append(f"| `{work.name}`: {work.op}{aim} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(value: ratios.Cell | None) -> str:
    if value is None or value.unavailable:
        return ""
    if value.problem:
        return value.problem.replace("|", "\\|")
    return f"{ratios.words(value)}<br>{ratios.ratio(value)}".removesuffix("<br>")


def _growth(works: list[Workload], running: list[str], results: Any) -> list[str]:
    """How flat each one is: the cost among the most others divided by the cost among the fewest."""
    families: dict[str, list[str]] = {}
    for work in works:
        if work.group == "flatness":
            families.setdefault(work.name.partition("_")[0], []).append(work.name)
    families = {kind: found for kind, found in families.items() if len(found) > 1}
    if not families:
        return []
    running = [name for name in running if name != BARE]
    lines = ["### Growth with N", "", f"| from → to | {' | '.join(running)} |", "|---|" + "---:|" * len(running)]
    for found in families.values():
        costs = [[ratios.cell(results[name], it) for name in (found[0], found[-1])] for it in running]
        grown = [f"{b.cost / a.cost:.1f}×" if a and b and a.cost and b.cost else "" for a, b in costs]
        lines.append(f"| `{found[0]}` → `{found[-1]}` | {' | '.join(grown)} |")
    return [*lines, ""]
