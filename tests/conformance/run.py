"""The command of the conformance run: CPython's own asyncio tests against yieldloop.

    python tests/conformance/run.py [--way loop|module|both] [--files tasks,futures] [--pure]

What lives here: the arguments, the plan (which files, in which ways), the processes that run them, the exit code.
What may not: what a test's outcome means (`verdict.py`), how yieldloop is put under the tests (`ways.py`, `facade.py`),
the running of tests itself (`child.py`). Nothing here imports yieldloop or asyncio: the parent must outlive both.

Rule for the editor: no outcome may vanish. A test that hangs, crashes its process or disappears is a failure with a name.
"""

import argparse
import concurrent.futures
import json
import os
import sys

import control
import verdict
from process import run_file

HERE = os.path.dirname(os.path.abspath(__file__))

# The behaviour files of test.test_asyncio. Those that a Python lacks are named in the report.
FILES = (
    "test_tasks", "test_futures", "test_futures2", "test_locks", "test_queues", "test_taskgroups", "test_timeouts",
    "test_waitfor", "test_runners", "test_context", "test_pep492", "test_threads", "test_eager_task_factory",
    "test_free_threading", "test_events", "test_streams", "test_server", "test_sock_lowlevel", "test_buffered_proto",
    "test_transports", "test_protocols", "test_subprocess", "test_ssl", "test_sslproto", "test_base_events",
    "test_unix_events", "test_sendfile",
)


def parse(argv):
    """Return the parsed arguments; argparse itself explains a wrong one and exits with 2."""
    parser = argparse.ArgumentParser(description="Run CPython's own asyncio tests against yieldloop.")
    parser.add_argument("--way", choices=("loop", "module", "both"), default="both",
                        help="loop: stock asyncio module on our loops; module: our module in asyncio's place")
    parser.add_argument("--files", help="comma separated, e.g. test_tasks,locks (default: all behaviour files)")
    parser.add_argument("--match", help="only tests whose id contains this text")
    parser.add_argument("--pure", action="store_true", help="the interpreted yieldloop (YIELDLOOP_PURE=1)")
    parser.add_argument("--poller", choices=("select", "poll", "epoll", "kqueue"),
                        help="the poller of every loop that names none (YIELDLOOP_POLLER)")
    parser.add_argument("--plug", choices=("yieldloop", "stock"), default="yieldloop",
                        help="stock: the harness checks itself, with the standard library in yieldloop's place")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds without progress that make a hang")
    parser.add_argument("--jobs", type=int, default=2, help="files run at the same time")
    parser.add_argument("--no-retry", action="store_true",
                        help="do not repeat a failed test alone (a repeat that passes is reported as unsteady)")
    parser.add_argument("--fresh-control", action="store_true", help="run stock asyncio again, ignoring the cache")
    parser.add_argument("--json", help="write every outcome and traceback to this file")
    parser.add_argument("-v", "--verbose", action="store_true", help="whole tracebacks")
    return parser.parse_args(argv)


def chosen_files(text):
    """Return the file names asked for, in the order of FILES; SystemExit for a name that is not there."""
    if not text:
        return list(FILES)
    names = ["test_" + name.strip().removeprefix("test_") for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in FILES]
    if wrong:
        raise SystemExit(f"no such behaviour file: {wrong!r}; choose from {', '.join(FILES)}")
    return [name for name in FILES if name in names]


def retry_failures(results, wanted, options):
    """Repeat alone, once, each test of `wanted` that did not pass; mark those that pass then as 'unsteady'."""
    failed = [test for test in wanted if results.get(test, {}).get("outcome") not in ("pass", "skip")]
    if options.no_retry or not failed or len(failed) > 40:  # more than that is no noise of the machine
        return
    again = run_file(options, only=failed)
    for test in failed:
        if again.get(test, {}).get("outcome") == "pass":
            results[test] = {"outcome": "unsteady", "text": results.get(test, {}).get("text", "")}


def run_one(options, baseline, internals):
    """Run one file in one way and return its `verdict.Row`."""
    demanded = [test for test, outcome in baseline.items() if outcome == "pass"]
    if options.match:
        demanded = [test for test in demanded if options.match in test]
    wanted = [test for test in demanded if internals.meets_us(test, options.way)]
    results = run_file(options, only=wanted) if wanted else {}
    retry_failures(results, [test for test in wanted if not internals.reason(test, options.way)], options)
    return verdict.judge(options.file, options.way, demanded, results, internals)


def main(argv=None):
    options = parse(argv)
    os.environ.pop("PYTHONASYNCIODEBUG", None)
    if control.tests_folder() is None:
        print(f"{sys.executable} has no package test.test_asyncio; install the interpreter's test suite\n"
              f"(Debian: libpythonX.Y-testsuite) or name another interpreter: make conformance PYTHON=...")
        return 2
    files = chosen_files(options.files)
    present = [name for name in files if control.has_file(name)]
    ways = ("loop", "module") if options.way == "both" else (options.way,)
    internals = verdict.Internals.load(HERE)
    if options.plug == "stock":
        internals.entries = []  # its reasons are about yieldloop: stock asyncio passes its own tests
    print(verdict.headline(options), flush=True)
    for name in files:
        if name not in present:
            print(f"{name}: absent in Python {sys.version.split()[0]}")
    baselines = control.baselines(present, options)
    rows = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        pending = []
        for way in ways:
            for name in present:
                job = argparse.Namespace(**{**vars(options), "way": way, "file": name})
                pending.append(pool.submit(run_one, job, baselines[name], internals))
        for future in concurrent.futures.as_completed(pending):
            row = future.result()
            rows.append(row)
            print(row.line(), flush=True)
    rows.sort(key=lambda row: (row.way, files.index(row.file)))
    if options.json:
        with open(options.json, "w") as out:
            json.dump([row.as_dict() for row in rows], out, indent=1)
    return verdict.report(rows, internals, options)


if __name__ == "__main__":
    sys.exit(main())
