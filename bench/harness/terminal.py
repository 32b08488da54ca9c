"""The table in the terminal. Only this file knows rich."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from harness import facts, ratios
from harness.impls import BASE, IMPLEMENTATIONS
from harness.spec import Workload


def show(console: Console, works: list[Workload], names: list[str], report: dict[str, Any]) -> None:
    """Print the whole report: the circumstances, the table, what did not run and why."""
    for line in facts.words(report["facts"]):
        console.print(line, style="dim", markup=False, highlight=False)
    running, absent = available(works, names, report["results"])
    table = Table(title=f"CPU time an operation; below it the speed against {BASE} in the same round: median (least–greatest)")
    table.add_column("workload", no_wrap=True)
    for name in running:
        table.add_column(name, justify="right")
    group = works[0].group if works else ""
    for work in works:
        if work.group != group:
            table.add_section()
            group = work.group
        aim = f"\n[dim]aim {work.target:g}×[/dim]" if work.target else ""
        table.add_row(work.name + aim, *[_cell(work, name, report["results"]) for name in running])
    console.print(table)
    for name, why in absent.items():
        console.print(f"skipped {name}: {why}", markup=False, highlight=False)


def available(works: list[Workload], names: list[str], results: Any) -> tuple[list[str], dict[str, str]]:
    """Split the implementations: those with any figure or error, and those that cannot run here, with the reason."""
    running, absent = [], {}
    for name in names:
        cells = [c for work in works if (c := ratios.cell(results[work.name], name))]
        if cells and all(c.unavailable for c in cells):
            absent[IMPLEMENTATIONS[name].title] = cells[0].problem or ""
        elif cells:
            running.append(name)
    return running, absent


def _cell(work: Workload, name: str, results: Any) -> str:
    value = ratios.cell(results[work.name], name)
    if value is None or (value.unavailable and name == "c"):
        return ""
    if value.problem:
        return f"[red]{_escape(value.problem[:60])}[/red]"
    style = _style(work, name, value)
    return f"{ratios.words(value)}\n[{style}]{ratios.ratio(value)}[/{style}]"


def _style(work: Workload, name: str, value: ratios.Cell) -> str:
    """Green and red only where an aim was set for this implementation."""
    if work.target is None or value.speed is None or name not in ("yieldloop", "yieldloop-loop"):
        return "dim"
    return "green" if value.speed >= work.target else "red"


def _escape(text: str) -> str:
    return text.replace("[", "\\[")
