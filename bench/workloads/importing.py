"""What importing costs: many fresh interpreters, the CPU time of the import statement alone, their median."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from harness.impls import Implementation, Unavailable
from harness.spec import Aim, workload

PROCESSES = 15

PROGRAM = "import time; began = time.process_time_ns(); import {}; print(time.process_time_ns() - began)"

#: The imports that are timed may write bytecode files as an installed package has them: without, every run of a source tree would
#: compile its .py files anew, while the standard library's are ready.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


@workload("import", "memory", "CPU of `import` in a fresh interpreter, median of 15", aims=(Aim(1 / 1.3, "asyncio"),), plain=True)
def importing(it: Implementation, meter):
    program = PROGRAM.format(it.factory or it.module)
    spent = []
    for _ in range(PROCESSES + 1):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, env=ENVIRONMENT, check=False
        )
        if done.returncode:
            raise Unavailable(done.stderr.strip().splitlines()[-1])
        spent.append(int(done.stdout))
    # The first one may have written .pyc files or read the disk.
    meter.record(ns=statistics.median(spent[1:]))
