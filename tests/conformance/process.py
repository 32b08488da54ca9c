"""One file of tests in its own process, watched from outside.

What lives here: starting the child, following its record line by line, ending it when a test makes no progress, and
starting it again with the tests that are left. What may not: any judgement of outcomes.

Facts: the child appends one JSON line when a test starts and one when it ends, so a crash or a hang always has a name: the
test that started and never ended. SIGUSR1 makes the child's faulthandler write all threads' stacks, which become the text
of a hang; the child leads its own process group, so that the processes a test has left behind end with it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "src")
MOST_RESTARTS = 60  # a file that hangs or crashes more often is given up; the tests left count as not run
GRACE = 1.0  # seconds that a hanging child gets to write its stacks


class Record:
    """The child's record so far: outcomes by test id, and the test that has started and not ended."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.outcomes = {}
        self.running = None
        self.finished = False
        self.problem = ""

    def read(self):
        """Take in the lines written since the last call; return True when there were any."""
        with open(self.path, encoding="utf-8") as source:
            source.seek(self.offset)
            text = source.read()
        whole = text[:text.rfind("\n") + 1]
        self.offset += len(whole.encode("utf-8"))
        for line in whole.splitlines():
            self.take(json.loads(line))
        return bool(whole)

    def take(self, event):
        kind = event["event"]
        if kind == "start":
            self.running = event["id"]
        elif kind == "stop":
            self.outcomes[event["id"]] = {"outcome": event["outcome"], "text": event["text"]}
            self.running = None
        elif kind == "problem":  # outside any test: an import, a class or module fixture
            self.problem += event["text"]
        elif kind == "borrowed" and event["names"]:
            self.outcomes["<borrowed>"] = {"outcome": "fail", "text": "answered by the standard library, so its tests do not "
                                           "test yieldloop: " + ", ".join(event["names"])}
        elif kind == "end":
            self.finished = True


def environment(options):
    """Return the child's environment: the source tree first, the speed and the poller that were asked for."""
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(part for part in (SOURCE, env.get("PYTHONPATH")) if part)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    if options.pure:
        env["YIELDLOOP_PURE"] = "1"
    if options.poller:
        env["YIELDLOOP_POLLER"] = options.poller
    return env


def end_group(process, number):
    """Send signal `number` to the child's whole process group, if it is still there."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def stop_hanging(process, stacks_path):
    """Let a hanging child write its stacks, end its group, and return those stacks."""
    try:
        process.send_signal(signal.SIGUSR1)
        process.wait(GRACE)
    except (subprocess.TimeoutExpired, ProcessLookupError):
        pass
    end_group(process, signal.SIGKILL)
    process.wait()
    with open(stacks_path, encoding="utf-8", errors="replace") as source:
        return source.read()


def follow(process, record, timeout):
    """Wait for the child's end; return False when it made no progress for `timeout` seconds."""
    last = time.monotonic()
    while True:
        ended = process.poll() is not None
        if record.read():
            last = time.monotonic()
        if ended:
            return True
        if time.monotonic() - last > timeout:
            return False
        time.sleep(0.05)


def run_once(options, only, results, folder):
    """Run the tests `only` (None: all without an outcome) until the end or the first hang or crash; True when none is left."""
    paths = {name: os.path.join(folder, name) for name in ("record", "stacks", "only", "output", "cwd")}
    for name in ("record", "stacks", "output"):
        open(paths[name], "w").close()
    os.makedirs(paths["cwd"], exist_ok=True)
    with open(paths["only"], "w") as out:
        json.dump({"only": only, "leave": sorted(results)}, out)
    command = [sys.executable, os.path.join(HERE, "child.py"), options.file, options.way, options.plug,
               paths["record"], paths["stacks"], paths["only"]]
    with open(paths["output"], "w") as output:
        process = subprocess.Popen(command, cwd=paths["cwd"], env=environment(options), stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    record = Record(paths["record"])
    in_time = follow(process, record, options.timeout)
    stacks = "" if in_time else stop_hanging(process, paths["stacks"])
    end_group(process, signal.SIGKILL)  # what a test may have left behind
    record.read()
    results.update(record.outcomes)
    if record.finished and in_time:
        if record.problem and not record.outcomes:
            results.setdefault("<file>", {"outcome": "missing", "text": record.problem})
        missing(only, results, "not run: " + (record.problem or "the file has no such test in this way"))
        return True
    with open(paths["stacks"], encoding="utf-8", errors="replace") as source:
        stacks = stacks or source.read()
    with open(paths["output"], encoding="utf-8", errors="replace") as source:
        tail = source.read()[-3000:]
    what = "hang" if not in_time else "crash"
    text = f"{what} (exit code {process.returncode})\n{stacks}\n{record.problem}{'' if stacks else tail}"
    if record.running is None:  # died outside any test: nothing to leave out, so a repeat would not end
        missing(only, results, text)
        results.setdefault("<file>", {"outcome": what, "text": text})
        return True
    results[record.running] = {"outcome": what, "text": text}
    return False


def missing(only, results, text):
    """Give each test of `only` without an outcome the outcome 'missing'."""
    for test in only or ():
        results.setdefault(test, {"outcome": "missing", "text": text})


def run_file(options, only=None):
    """Run `options.file` in `options.way` and return {test id: {"outcome", "text"}}.

    `only` limits the run to these ids, and each of them has an outcome in the result. Outcomes: pass, skip, fail, hang,
    crash, missing (asked for and never run).
    """
    results = {}
    for _ in range(MOST_RESTARTS):
        only_left = None if only is None else [test for test in only if test not in results]
        if only_left == []:
            return results
        with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
            if run_once(options, only_left, results, folder):
                return results
    missing(only, results, f"given up after {MOST_RESTARTS} hangs or crashes")
    return results
