"""The soak in small: five seconds of everything at once, and all counters back where they were.

``make soak`` is the long one. What is kept from it as a bug's own test stands with what it was about.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(300)
def test_five_seconds_of_everything_leave_nothing() -> None:
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.08", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "soak: flat; seed 1" in done.stdout.splitlines()[-1]
