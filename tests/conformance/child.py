"""Runs one file of CPython's asyncio tests in this process and records each test's start and end.

    child.py FILE WAY PLUG RECORD STACKS ONLY

What lives here: putting yieldloop under the tests (by `ways`), loading, filtering and running them, the record.
What may not: timeouts and verdicts (the parent's). Rule for the editor: the way is installed before unittest or any test is
imported, because those bind names of asyncio when they are imported.
"""

import faulthandler
import json
import os
import signal
import sys
import traceback

PREFIX = "test.test_asyncio."


class Record:
    """Appends JSON lines to the record, one write a line, so that a crash loses nothing."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.pid = os.getpid()

    def put(self, **event):
        if os.getpid() == self.pid:  # a test's forked child is not the record's author
            os.write(self.fd, (json.dumps(event) + "\n").encode())


def make_result_class(unittest, record):
    """Return a TestResult that writes to `record`; a test's outcome is the worst of its parts (subtests, cleanups)."""

    class Result(unittest.TestResult):
        outcome, text = "pass", ""  # Python 3.12.1 stops a test of a skipped class without having started it

        def startTest(self, test):
            super().startTest(test)
            self.outcome, self.text = "pass", ""
            record.put(event="start", id=short(test))

        def stopTest(self, test):
            super().stopTest(test)
            record.put(event="stop", id=short(test), outcome=self.outcome, text=self.text)
            self.outcome, self.text = "pass", ""

        def bad(self, test, err):
            text = "".join(traceback.format_exception(*err))
            if isinstance(test, unittest.TestCase) or hasattr(test, "test_case"):
                self.outcome, self.text = "fail", self.text + text
            else:
                record.put(event="problem", text=f"{test}\n{text}")

        def addError(self, test, err):
            self.bad(test, err)

        def addFailure(self, test, err):
            self.bad(test, err)

        def addSubTest(self, test, subtest, err):
            if err is not None:
                self.bad(test, err)

        def addSkip(self, test, reason):
            if not isinstance(test, unittest.TestCase):
                record.put(event="problem", text=f"skipped: {test}: {reason}\n")
            elif self.outcome == "pass":
                self.outcome, self.text = "skip", reason

        def addExpectedFailure(self, test, err):
            self.outcome, self.text = "skip", "expected failure"

        def addUnexpectedSuccess(self, test):
            self.outcome, self.text = "fail", "unexpected success"

    return Result()


def short(test):
    return test.id().removeprefix(PREFIX)


def flat(suite):
    """Yield the tests of a suite in its order."""
    for part in suite:
        if hasattr(part, "__iter__"):
            yield from flat(part)
        else:
            yield part


def run_all(unittest, tests, result, record):
    """Run the tests in order. unittest lets a KeyboardInterrupt end the run; here it ends only the test that let it out."""
    while tests:
        ran = result.testsRun
        try:
            unittest.TestSuite(tests).run(result)
            return
        except KeyboardInterrupt:
            text = traceback.format_exc()
        done = max(1, result.testsRun - ran)  # at least one, so that an interrupt outside any test cannot loop for ever
        record.put(event="stop", id=short(tests[done - 1]), outcome="fail", text=text)
        tests = tests[done:]


def main(argv):
    file, way, plug, record_path, stacks_path, only_path = argv
    here = os.path.dirname(os.path.abspath(__file__))
    with open(only_path) as source:
        choice = json.load(source)
    stacks = open(stacks_path, "w")
    faulthandler.enable(stacks)
    faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
    record = Record(record_path)
    try:
        import ways
        borrowed = ways.install(way, plug)
        record.put(event="borrowed", names=borrowed)
        sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
        import unittest
        __import__(PREFIX + file)
        suite = unittest.defaultTestLoader.loadTestsFromName(PREFIX + file)
    except BaseException:
        record.put(event="problem", text=traceback.format_exc())
        record.put(event="end")
        return
    only, leave = choice["only"], set(choice["leave"])
    wanted = None if only is None else set(only)
    tests = [test for test in flat(suite) if short(test) not in leave and (wanted is None or short(test) in wanted)]
    run_all(unittest, tests, make_result_class(unittest, record), record)
    record.put(event="end")


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # threads and loops that a test has left must not keep the process
