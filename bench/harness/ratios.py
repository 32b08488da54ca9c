"""From measurements to figures: cost, speed against the base, spread. Pure arithmetic, no printing."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from harness.impls import BASE


@dataclass(frozen=True)
class Cell:
    """One workload on one implementation.

    cost: median over the rounds, in nanoseconds of CPU an operation, or bytes, or nanoseconds of lateness.
    speed, low, high: the base's cost divided by this one's, both of the same round: median, least, greatest. Above 1
    is better than the base. problem: why there are no figures (first line of the error), else None.
    """

    cost: float | None = None
    speed: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    unit: str = "ns"
    note: str = ""
    problem: str | None = None
    unavailable: bool = False


def cell(results: dict[str, list[dict[str, Any]]], name: str) -> Cell | None:
    """The cell of implementation `name` in one workload's results; None where it was not asked."""
    rounds = results.get(name, [])
    if not rounds:
        return None
    key = next((k for k in ("ns", "bytes", "late_us") if any(k in r for r in rounds)), None)
    if key is None:
        text = rounds[-1].get("unavailable") or rounds[-1].get("error", "no result")
        return Cell(problem=text, unavailable="unavailable" in rounds[-1])
    costs = [r[key] for r in rounds if key in r]
    failed = len(rounds) - len(costs)
    why = next((r.get("error") or r.get("unavailable") for r in rounds if key not in r), None)
    note = f"failed in {failed} of {len(rounds)} rounds: {why}" if failed else ""
    if key == "late_us":
        return Cell(statistics.median(costs), rounds=len(costs), unit="late_us", note=_lateness(rounds))
    speeds = _speeds(results.get(BASE, []), rounds, key)
    if not speeds:
        return Cell(statistics.median(costs), rounds=len(costs), unit=key, note=note)
    return Cell(statistics.median(costs), statistics.median(speeds), min(speeds), max(speeds), len(costs), key, note)


def speed(base: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> tuple[float, float, float] | None:
    """How many times as fast as *base*, round by round: median, least, greatest; None if there is nothing to compare."""
    speeds = _speeds(base, rounds, "ns") or _speeds(base, rounds, "bytes")
    return (statistics.median(speeds), min(speeds), max(speeds)) if speeds else None


def _speeds(base: list[dict[str, Any]], rounds: list[dict[str, Any]], key: str) -> list[float]:
    return [b[key] / r[key] for b, r in zip(base, rounds, strict=False) if key in b and r.get(key)]


def _lateness(rounds: list[dict[str, Any]]) -> str:
    """How many fired early, and the earliest, over all rounds: these are what a median hides."""
    good = [r for r in rounds if "late_us" in r]
    share = statistics.mean(r["early_share"] for r in good)
    if not share:
        return "never early"
    return f"{share:.0%} early, by up to {-min(r['earliest_us'] for r in good) / 1e3:.2f} ms"


def words(value: Cell) -> str:
    """The cost in words for a table: "0.46 µs", "478 bytes", "131 µs late"."""
    if value.cost is None:
        return "–"
    if value.unit == "bytes":
        return f"{value.cost:.0f} bytes"
    if value.unit == "late_us":
        return f"{value.cost:.0f} µs late"
    if value.cost >= 1e6:
        return f"{value.cost / 1e6:.1f} ms"
    micro = value.cost / 1e3
    return f"{micro:.1f} µs" if micro >= 10 else f"{micro:.2f} µs" if micro >= 1 else f"{micro:.3f} µs"


def ratio(value: Cell) -> str:
    """The speed in words: "3.02× (2.91–3.10)"; the note instead where no ratio makes sense."""
    if value.speed is None:
        return value.note
    spread = f" ({value.low:.2f}–{value.high:.2f})" if value.rounds > 1 else ""
    return f"{value.speed:.2f}×{spread}" + (f", {value.note}" if value.note else "")
