"""Run mirror.py on stock asyncio, on yieldloop interpreted and on yieldloop compiled, and print the three side by side.

This is what `make run` does. Each leg is a process of its own and hands its figures over in a file; before they are shown, each is
checked to have run on the loop and at the speed that its column claims. Arguments go to mirror.py. The exit status is 0 only
if every leg mirrored every file without a difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yieldloop
from mirror import table

PROGRAM = str(Path(__file__).with_name("mirror.py"))
ON_YIELDLOOP = ("-m", "yieldloop", "run", "--")


class Leg(NamedTuple):
    label: str
    launcher: tuple[str, ...]  # the words between the interpreter and mirror.py
    pure: str  # the value of YIELDLOOP_PURE
    package: str  # where the loop's class must come from
    compiled: bool


LEGS = [
    Leg("stock asyncio", (), "", "asyncio", False),
    Leg("yieldloop interpreted", ON_YIELDLOOP, "1", "yieldloop", False),
    Leg("yieldloop compiled", ON_YIELDLOOP, "", "yieldloop", True),
]


RECORDING = Path(__file__).resolve().parents[1] / "build" / "mirror.recording"


def run_leg(leg: Leg, arguments: list[str], folder: str, record: bool) -> tuple[int, dict[str, Any] | None]:
    """Run mirror.py once; returns its exit status and its figures (None if it left none). *record*: into the file RECORDING."""
    hand_over = Path(folder, leg.label.replace(" ", "-") + ".json")
    env = {name: value for name, value in os.environ.items() if name != "YIELDLOOP_PURE"}
    if leg.pure:
        env["YIELDLOOP_PURE"] = leg.pure
    launcher = [*leg.launcher[:-1], "--record", str(RECORDING), *leg.launcher[-1:]] if record else leg.launcher
    command = [sys.executable, *launcher, PROGRAM, *arguments, "--label", leg.label, "--report", str(hand_over)]
    status = subprocess.run(command, env=env).returncode
    if not hand_over.exists():
        return status or 1, None
    return status, json.loads(hand_over.read_text(encoding="utf-8"))


def is_as_claimed(leg: Leg, report: dict[str, Any]) -> bool:
    package = report["loop"].partition(".")[0]
    if package == leg.package and report["compiled"] is leg.compiled:
        return True
    speed = "compiled" if report["compiled"] else "interpreted"
    print(f"{leg.label}: ran on {report['loop']}, {speed}, which is not what this column is for", file=sys.stderr)
    return False


def main(arguments: list[str]) -> int:
    legs = LEGS if yieldloop.compiled() else LEGS[:2]
    reports = []
    failed = []
    RECORDING.parent.mkdir(exist_ok=True)
    RECORDING.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for leg in legs:
            print(f"==> {leg.label}", file=sys.stderr, flush=True)
            status, report = run_leg(leg, arguments, folder, record=leg is legs[-1])
            if report is not None:
                reports.append(report)
            if status or report is None or not is_as_claimed(leg, report):
                failed.append(leg.label)
    if reports:
        print(f"\n{reports[0]['root']} mirrored over loopback HTTP, Python {reports[0]['python']}\n")
        print(table(reports))
    if len(legs) < len(LEGS):
        print("\nyieldloop is not compiled here, so there is no third column (`make build` says why).")
    if RECORDING.exists():
        shown, python = (os.path.relpath(path) for path in (RECORDING, sys.executable))
        print(f"\nWhat the loop of the last column did is in {shown}; see it with:\n    {python} -m yieldloop open {shown}")
    if failed:
        print(f"\nFAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
