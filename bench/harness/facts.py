"""Where and with what a run was made. Written into each result, so that no figure stands without its circumstances."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import impls

ROOT = Path(__file__).resolve().parent.parent.parent


def collect(argv: list[str]) -> dict[str, Any]:
    """Python, kernel, cores, versions, commit, date and the command that makes this run again."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", "bench/run.py", *argv]),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "build": platform.python_compiler(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "src")),
        "versions": {it.factory: impls.version(it) for it in impls.IMPLEMENTATIONS.values() if it.factory}
        | {name: _version(name) for name in ("aiohttp", "uvicorn", "httptools", "Cython")},
    }


def still_true(before: dict[str, Any]) -> dict[str, Any]:
    """The facts after the run. A source tree that moved meanwhile makes figures of two programs: say so."""
    moved = _git("rev-parse", "--short", "HEAD") != before["commit"]
    return {**before, "changed": before["changed"] or moved or bool(_git("status", "--porcelain", "-uno", "--", "src"))}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _git(*args: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def words(facts: dict[str, Any]) -> list[str]:
    """The facts as lines for people."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)
    commit = f"{facts['commit']}{' with changes in src/' if facts['changed'] else ''}"
    load = facts.get("load")
    busy = "" if load is None else f", load {load:.1f} before the run"
    return [
        f"{facts['date']}, commit {commit}",
        f"{facts['python']} ({facts['build']}), {facts['kernel']}, {facts['cores']} cores ({facts['cpu']}){busy}",
        versions or f"no peers installed beside {Path(sys.executable).name}",
        f"`{facts['command']}`",
    ]
