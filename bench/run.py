"""The benchmark command: `python bench/run.py [--setup] [--quick] [--only …] [--impl …] [--rounds N] [--json FILE]`.

Lives here: the arguments, and the order measure → keep → show. How a thing is measured is in `harness/`, what is
measured in `workloads/`. Exit code 0 also when cells failed: a peer's error is a result. 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from harness import facts, impls, load, rounds, spec

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "latest.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"
ROUNDS, QUICK_ROUNDS, QUICK_SHARE = 5, 2, 0.25


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse and check the arguments; names that do not exist are answered with those that do."""
    parser = argparse.ArgumentParser(prog="bench/run.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two rounds, a quarter of the time, without the largest N")
    parser.add_argument("--setup", action="store_true", help="install the harness's needs and the peers; measure nothing")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these workloads (see --list)")
    parser.add_argument("--impl", nargs="+", metavar="NAME", help="these implementations (uvloop is always measured)")
    parser.add_argument("--rounds", type=int, help=f"rounds (default {ROUNDS}, quick {QUICK_ROUNDS})")
    parser.add_argument("--with-web", action="store_true", help="also uvicorn and aiohttp")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="write the results here")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="measure nothing, show this results file")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and its SVG from the results")
    parser.add_argument("--list", action="store_true", help="list workloads and implementations")
    given = parser.parse_args(argv)
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: at least one round is needed")
    return given


def refuse(why: str) -> NoReturn:
    """End with the words on standard error and exit code 2."""
    print(f"bench/run.py: {why}", file=sys.stderr)
    raise SystemExit(2)


def choose(names: list[str] | None, known: dict[str, Any], what: str) -> list[str]:
    """The asked names in the order of the tables. Exits with the known ones when one does not exist."""
    wrong = [name for name in names or () if name not in known]
    if wrong:
        refuse(f"no {what} is called {wrong[0]!r}; there are: {', '.join(known)}")
    return [name for name in known if names is None or name in names]


def plan(given: argparse.Namespace, works: dict[str, spec.Workload]) -> rounds.Plan:
    """What to measure by these arguments. The base is always in: every ratio is taken to it."""
    chosen = [works[name] for name in choose(given.only, works, "workload")]
    if given.only is None:
        chosen = [w for w in chosen if (given.with_web or w.group != "web") and (w.quick or not given.quick or w.group == "web")]
    names = choose(given.impl, impls.IMPLEMENTATIONS, "implementation")
    if given.impl is None:
        names = [name for name in names if not impls.IMPLEMENTATIONS[name].on_demand]
    if impls.BASE not in names:
        names.insert(0, impls.BASE)
    budget = spec.BUDGET_S * (QUICK_SHARE if given.quick else 1.0)
    turns = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    return rounds.Plan(chosen, [impls.IMPLEMENTATIONS[n] for n in names], turns, budget)


def measure(given: argparse.Namespace, argv: list[str], works: dict[str, spec.Workload]) -> dict[str, Any]:
    """Run the plan and keep its results in the file of `--json`."""
    from rich.console import Console

    asked = plan(given, works)
    found = facts.collect(argv)
    for program in ("load_client", "echo_epoll"):
        load.compile_c(program)
    with Console(stderr=True).status("starting") as status:
        results = rounds.run(asked, lambda line: status.update(line))
    report = {
        "facts": facts.still_true(found),
        "rounds": asked.rounds,
        "budget_s": asked.budget_s,
        "implementations": [it.name for it in asked.impls],
        "results": results,
    }
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(report, indent=1) + "\n")
    return report


def setup(with_web: bool) -> None:
    """Install into this virtual environment; a peer that has no wheel for this Python is named and left out."""
    if sys.prefix == sys.base_prefix:
        refuse("--setup installs packages and wants a virtual environment; make one with python -m venv")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True, timeout=600)
    for package in (*impls.PEERS, *(impls.WEB if with_web else ())):
        try:
            done = subprocess.run([*pip, package], capture_output=True, text=True, timeout=300, check=False)
            failed = done.returncode and (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        except subprocess.TimeoutExpired:
            failed = "pip took more than five minutes"
        if failed:
            print(f"skipped {package}: {failed}")


def main(argv: list[str]) -> None:
    """Measure or read, then show, then write the page if asked."""
    given = arguments(argv)
    import workloads

    works = workloads.load_all()
    if given.list:
        print("\n".join(f"{w.name:18}{w.op}" for w in works.values()))
        print("\n".join(f"{it.name:18}{it.title}" for it in impls.IMPLEMENTATIONS.values()))
        return
    if given.setup:
        return setup(given.with_web)
    try:
        from rich.console import Console
    except ImportError:
        refuse("rich is missing; run `python bench/run.py --setup`, or `python -m pip install -r bench/requirements.txt`")
    report = json.loads(given.source.read_text()) if given.source else measure(given, argv, works)
    shown = [work for name, work in works.items() if name in report["results"]]
    from harness import terminal

    console = Console() if sys.stdout.isatty() else Console(width=200)
    terminal.show(console, shown, report["implementations"], report)
    if given.docs:
        from harness import markdown, plot

        plot.write(PAGE.with_suffix(".svg"), shown, report["implementations"], report)
        markdown.write(PAGE, PAGE.with_suffix(".svg").name, shown, report["implementations"], report)
        console.print(f"wrote {PAGE.relative_to(HERE.parent)} and its picture")


if __name__ == "__main__":
    main(sys.argv[1:])
