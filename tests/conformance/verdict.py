"""What an outcome means: demanded, passed, failed or listed; the table and the exit code.

What lives here: the list and its matching, the judgement of one file in one way, the printed report.
What may not: running anything. Rule for the editor: each demanded test ends in exactly one column.
"""

import dataclasses
import fnmatch
import os
import sys
import tomllib

FAILED = ("fail", "hang", "crash", "missing", "skip")  # a test that stock passes and we skip is not passed


@dataclasses.dataclass
class Entry:
    """One entry of the list: the tests (patterns over ids, e.g. test_tasks.*.test_x), where it holds, and why."""

    tests: list
    reason: str
    way: str = "both"
    python: str = ""  # "" or ">=3.14" or "<3.12"
    run: bool = True  # False: the test meets no code of ours, so its outcome would say nothing, and it is not run
    used: int = 0

    def holds(self, test, way):
        """True when this entry is about `test` in `way` on the running Python."""
        if self.way not in ("both", way) or not self.holds_here():
            return False
        return any(fnmatch.fnmatchcase(test, pattern) for pattern in self.tests)

    def holds_here(self):
        """True when the running Python is one that the entry is about."""
        if not self.python:
            return True
        sign = self.python.rstrip("0123456789.")
        version = tuple(int(part) for part in self.python[len(sign):].split("."))
        here = sys.version_info[:len(version)]
        return {">=": here >= version, "<": here < version, "==": here == version}[sign]


class Internals:
    """The list of internals, read from the TOML file beside this one."""

    def __init__(self, entries):
        self.entries = entries

    @classmethod
    def load(cls, folder):
        """Read the list; ValueError for an entry without tests or reason."""
        with open(os.path.join(folder, "internals.toml"), "rb") as source:
            entries = [Entry(**entry) for entry in tomllib.load(source)["entry"]]
        for entry in entries:
            if not entry.tests or not entry.reason.strip():
                raise ValueError(f"internals.toml: an entry needs tests and a reason, got {entry!r}")
        return cls(entries)

    def reason(self, test, way):
        """Return why `test` is on the list of internals, or ''."""
        for entry in self.entries:
            if entry.holds(test, way):
                entry.used += 1
                return entry.reason
        return ""

    def meets_us(self, test, way):
        """False for a listed test that would not touch yieldloop at all."""
        return all(entry.run for entry in self.entries if entry.holds(test, way))


@dataclasses.dataclass
class Row:
    """One file in one way. `failed` holds (test, outcome, text); `stale` the listed tests that pass."""

    file: str
    way: str
    demanded: int
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    listed: list = dataclasses.field(default_factory=list)
    stale: list = dataclasses.field(default_factory=list)
    unsteady: list = dataclasses.field(default_factory=list)

    def line(self):
        """Return the row as a line of the table."""
        return (f"{self.way:7} {self.file:25} demanded {self.demanded:5}  passed {self.passed:5}  failed {len(self.failed):4}"
                f"  listed {len(self.listed):3}"
                + (f"  stale {len(self.stale)}" if self.stale else "")
                + (f"  unsteady {len(self.unsteady)}" if self.unsteady else ""))

    def as_dict(self):
        return dataclasses.asdict(self)


def judge(file, way, demanded, results, internals):
    """Put each demanded test of one file into exactly one column of a `Row`."""
    row = Row(file, way, len(demanded))
    for test in demanded:
        result = results.get(test, {"outcome": "missing", "text": ""})
        outcome, reason = result["outcome"], internals.reason(test, way)
        if outcome in FAILED:
            if reason:
                row.listed.append((test, reason))
            else:
                row.failed.append((test, outcome, result["text"]))
        elif reason:
            row.stale.append((test, reason))
        else:
            row.passed += 1
            if outcome == "unsteady":
                row.unsteady.append((test, result["text"]))
    for mark in ("<borrowed>", "<file>"):  # what concerns the whole file is no test's outcome, and still a failure
        if mark in results:
            row.failed.append((f"{file}.{mark}", results[mark]["outcome"], results[mark]["text"]))
    return row


def headline(options):
    """Say what is tested: interpreter, plug, speed."""
    speed = "interpreted" if options.pure else "compiled where it is built"
    return f"conformance: Python {sys.version.split()[0]}, {options.plug} ({speed}), way {options.way}"


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:900] if lines else ""


def print_failures(rows, verbose):
    """Name each failure; the same last line of a traceback is one cause and stands together."""
    causes = {}
    for row in rows:
        for test, outcome, text in row.failed:
            line = last_line(text) if outcome == "fail" else f"{outcome}: {last_line(text)}"
            causes.setdefault(line, []).append((row.way, test, text))
    for line, hits in sorted(causes.items(), key=lambda item: -len(item[1])):
        print(f"\n{len(hits)} failed: {line}")
        for way, test, text in hits:
            print(f"  {way:7} {test}")
            if verbose:
                print("    " + text.replace("\n", "\n    "))


def report(rows, internals, options):
    """Print the table and return the exit code: 1 for a failed demanded test or a stale list, 0 otherwise."""
    print_failures(rows, options.verbose)
    print()
    for row in rows:
        print(row.line())
    for row in rows:
        for test, reason in row.stale:
            print(f"stale: {row.way} {test} passes, but internals.toml says: {reason}")
        for test, text in row.unsteady:
            print(f"unsteady: {row.way} {test} failed, and passed alone: {last_line(text)}")
    listed = sorted({(reason, test) for row in rows for test, reason in row.listed})
    for reason in sorted({reason for reason, _ in listed}):
        tests = [test for why, test in listed if why == reason]
        print(f"listed ({len(tests)}): {reason}\n    " + "\n    ".join(tests))
    whole = not options.files and not options.match and options.way == "both" and options.plug == "yieldloop"
    dead = [entry for entry in internals.entries if whole and entry.holds_here() and not entry.used]
    for entry in dead:
        print(f"stale: internals.toml names {entry.tests}, which no demanded test of this Python matches")
    for way in sorted({row.way for row in rows}):
        mine = [row for row in rows if row.way == way]
        print(f"way {way}: {sum(row.passed for row in mine)} passed, "
              f"{sum(len(row.failed) + len(row.stale) for row in mine)} failed, {sum(len(row.listed) for row in mine)} listed")
    passed = sum(row.passed for row in rows)
    failed = sum(len(row.failed) + len(row.stale) for row in rows) + len(dead)
    print(f"{passed} passed, {failed} failed, {sum(len(row.listed) for row in rows)} skipped")
    return 1 if failed else 0
