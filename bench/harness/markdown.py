"""The page for the docs, made from a results file and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import facts, ratios
from harness.impls import BARE, BASE, IMPLEMENTATIONS
from harness.spec import Workload
from harness.terminal import available

HEAD = """# Benchmarks

This page is made by `bench/run.py --docs` from one run; no figure in it is typed by hand.

"""

WHERE = """
### Where the time goes in those that are hard to reach

- **TCP by a Protocol**: one `recv` and one `send` a message, as in the C server; nearly all of it is the kernel's loopback.
  What a loop adds is the protocol's frame, a copied context, and the way from the descriptor to it. blazio has io_uring
  receive and send: a bare C server on io_uring gains little over one on epoll here, and nothing is gained by receiving ahead
  of the callbacks, by edge-triggered events, or by polling less often.
- **Streams**: the same kernel part; on top of it a step of the task, three awaits and a wake-up in the program's own
  interpreted code.
- **Unix sockets**: the kernel's part is half of TCP's, so that the same user time weighs double. And its peer is done with a
  batch before the next one leaves, so that it has to be woken, which is charged to whoever sends.
- **Pipes**: a pipe gets its pages for each write and gives them back at each read; a C program with both ends needs about
  what is asked of us. uvloop gives children socket pairs in their place, on which a child cannot open `/dev/stdin`.
- **`readexactly`**: what uvloop needs for large blocks differs several times over with the state of its heap, from run to
  run.
- **uvicorn, aiohttp**: nearly all of a request is the server's own Python and the kernel's network. What a loop can save is
  system calls, and is saved.
"""

METHOD = f"""
## How to read it

- A cell is the CPU time (user and system, every thread) that the process under test spends on one operation: the median
  over the rounds. Below it stands the speed against {BASE}: {BASE}'s cost divided by this one's *in the same round*, the
  median and in brackets the least and the greatest. Above 1 is faster than {BASE}.
- Every measurement is a fresh process, pinned to one core where there are two. The implementations take turns, and the
  order turns by one each round. Batches that find the number of operations are the warm-up and do not count.
- Aims are speeds in the same round as well. Those against a workload compare two rows of one implementation.
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
    lines += _aims(works, results)
    if absent:
        lines += ["## Not measured", "", *[f"- {name}: {why}" for name, why in absent.items()], ""]
    page.write_text("\n".join(lines).rstrip() + "\n" + WHERE + METHOD)


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


def _aims(works: list[Workload], results: Any) -> list[str]:
    """What was asked, and whether this run has reached it."""
    rows = []
    for work in works:
        for aim in work.asked:
            if aim.most is not None:
                value = ratios.cell(results[work.name], aim.of)
                if value is None or value.cost is None:
                    continue
                most = replace(value, cost=aim.most)
                asked, found = f"at most {ratios.words(most)}", ratios.words(value)
                reached = value.cost <= aim.most
            else:
                against = aim.against or aim.of
                base = results.get(aim.than or work.name, {}).get(against, [])
                speed = ratios.speed(base, results[work.name].get(aim.of, []))
                if speed is None:
                    continue
                what = f"`{aim.than}`" if aim.than else IMPLEMENTATIONS[against].title
                asked, found = f"{aim.least:.2f}× {what}", f"{speed[0]:.2f}× ({speed[1]:.2f}–{speed[2]:.2f})"
                reached = speed[0] >= aim.least
            words = "yes" if reached else "**no**"
            rows.append(f"| `{work.name}` | {IMPLEMENTATIONS[aim.of].title} | {asked} | {found} | {words} |")
    if not rows:
        return []
    return ["## Aims", "", "| workload | what | asked | measured | reached |", "|---|---|---:|---:|---|", *rows, ""]


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
