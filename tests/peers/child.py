"""Runs one peer's own tests with pytest in this process, on the loop of one way, and records each test's start and end.

    child.py WAY RECORD STACKS LEAVE pytest-arguments...

What lives here: putting yieldloop under the tests (by the conformance run's `ways`, and under uvloop's names too), the record.
What may not: timeouts and verdicts (the parent's). Rule for the editor: the way is installed before pytest or a test is imported,
because those bind names of asyncio when they are imported.
"""

import asyncio
import faulthandler
import json
import os
import signal
import sys

CONFORMANCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "conformance")


class Recorder:
    """A pytest plugin: JSON lines of each test's start and end, and only the tests that are not to be left out."""

    def __init__(self, path, leave):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.pid = os.getpid()
        self.leave = leave
        self.outcome, self.text, self.seconds = "pass", "", 0.0

    def put(self, **event):
        if os.getpid() == self.pid:  # a test's forked child is not the record's author
            os.write(self.fd, (json.dumps(event) + "\n").encode())

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.nodeid not in self.leave]

    def pytest_runtest_logstart(self, nodeid, location):
        self.outcome, self.text, self.seconds = "pass", "", 0.0
        self.put(event="start", id=nodeid)

    def pytest_runtest_logreport(self, report):
        self.seconds += report.duration
        if report.failed:
            self.outcome, self.text = "fail", self.text + report.longreprtext
        elif report.skipped and self.outcome == "pass":
            self.outcome, self.text = "skip", str(report.longrepr)

    def pytest_runtest_logfinish(self, nodeid, location):
        self.put(event="stop", id=nodeid, outcome=self.outcome, text=self.text, seconds=round(self.seconds, 3))

    def pytest_collectreport(self, report):
        if report.failed:
            self.put(event="stop", id=report.nodeid, outcome="fail", text=report.longreprtext, seconds=0.0)


def stand_for_uvloop():
    """Make uvloop's public names ours: its own tests, and whoever asks for it by name, then get our loop."""
    import yieldloop
    try:
        import uvloop
    except ImportError:
        return

    class Policy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = yieldloop.EventLoop

    def run(main, *, loop_factory=yieldloop.new_event_loop, **options):
        return yieldloop.run(main, loop_factory=loop_factory, **options)

    uvloop.new_event_loop = yieldloop.new_event_loop
    uvloop.Loop = uvloop.loop.Loop = yieldloop.EventLoop
    uvloop.EventLoopPolicy = Policy
    uvloop.run = run


def main(argv):
    way, record, stacks, leave = argv[:4]
    faulthandler.register(signal.SIGUSR1, open(stacks, "w"), all_threads=True)
    with open(leave) as source:
        recorder = Recorder(record, set(json.load(source)))
    if way != "stock":
        sys.path.insert(0, CONFORMANCE)
        import ways
        ways.install(way, "yieldloop")
        stand_for_uvloop()
        sys.path.remove(CONFORMANCE)
    del sys.path[0]  # this folder
    import pytest
    code = pytest.main(["-p", "no:cacheprovider", *argv[4:]], plugins=[recorder])
    recorder.put(event="end")
    return code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # threads and loops that a test has left must not keep the process
