"""One measurement in one fresh process: `python child.py WORKLOAD IMPLEMENTATION BUDGET_S CORE`.

Started by `harness/rounds.py`; by hand it is the shortest way to put one workload under a profiler. The last line of
standard output is the result as JSON: figures, or {"error": …}, or {"unavailable": …}.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from harness import impls, meter, spec


def main(name: str, implementation: str, budget_s: float, core: int) -> None:
    """Measure and print. Errors are results too: the run goes on with the next cell."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    import workloads

    work = workloads.load(name)
    it = impls.IMPLEMENTATIONS[implementation]
    gauge = meter.Meter(budget_s, wall_s=work.timeout_s / 3)
    try:
        measure(work, it, gauge)
    except impls.Unavailable as why:
        answer({"unavailable": str(why)})
    except Exception as error:
        answer({"error": impls._first_line(error)})
        if os.environ.get("BENCH_TRACEBACK"):
            raise


def measure(work: spec.Workload, it: impls.Implementation, gauge: meter.Meter) -> None:
    """Run the body on the implementation, and print the figures once the loop has closed without an error."""
    if it.name == impls.BARE:
        if work.bare is None:
            raise impls.Unavailable("no C program for this workload")
        work.bare(gauge)
        return answer(gauge.result())
    if work.plain:
        work.body(it, gauge)
        return answer(gauge.result())
    aio, factory = impls.load(it)

    async def body() -> None:
        await work.body(aio, gauge)
        if work.abandon:
            answer(gauge.result())
            os._exit(0)

    with aio.Runner(loop_factory=factory) as runner:
        runner.run(body())
    answer(gauge.result())


def answer(result: dict[str, Any]) -> None:
    """The result line. Flushed at once: the process may be left by `os._exit`."""
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else -1)
