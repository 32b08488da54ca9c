"""What stock asyncio does with its own tests on this machine: the control, which decides what is demanded of us.

What lives here: finding the interpreter's test package, running its files on stock asyncio, and keeping the outcomes in the
user's cache folder under a key of interpreter and test text. What may not: anything about yieldloop.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import sys

from process import run_file

FORMAT = 3  # change it when the outcomes' meaning changes: old caches are ignored then


def tests_folder():
    """Return the folder of the running interpreter's test.test_asyncio, or None."""
    try:
        spec = importlib.util.find_spec("test.test_asyncio")
    except ImportError:
        return None
    return os.path.dirname(spec.origin) if spec and spec.origin else None


def has_file(name):
    """True when this Python has that file of tests."""
    return os.path.exists(os.path.join(tests_folder(), name + ".py"))


def cache_path(name):
    """Return where the control of file `name` is kept: new interpreter or new test text, new place."""
    binary = os.path.realpath(sys.executable)  # an environment's Python is the interpreter that it was made from
    digest = hashlib.sha256(f"{FORMAT} {binary} {sys.version}".encode())
    for part in (name, "utils", "functional"):
        with open(os.path.join(tests_folder(), part + ".py"), "rb") as source:
            digest.update(source.read())
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(folder, "yieldloop", "conformance", f"{name}-{digest.hexdigest()[:16]}.json")


def baseline(name, options):
    """Return {test id: outcome} of file `name` on stock asyncio, from the cache if it is there."""
    path = cache_path(name)
    if os.path.exists(path) and not options.fresh_control:
        with open(path) as source:
            return json.load(source)
    job = argparse.Namespace(file=name, way="control", plug="stock", pure=False, poller=None, timeout=options.timeout)
    results = run_file(job)
    if "<file>" in results:  # a broken control must not be kept: it would demand less of us for ever
        raise SystemExit(f"{name}: stock asyncio's own run died outside any test, so nothing can be demanded of it:\n"
                         + results["<file>"]["text"])
    failed = [test for test, result in results.items() if result["outcome"] in ("fail", "hang", "crash")]
    if failed and len(failed) < 40:  # a noisy machine must not make the demand smaller
        results.update(run_file(job, only=failed))
    if not results:
        raise SystemExit(f"{name}: the control ran no test at all; run this Python's own `-m test test_asyncio` to see why")
    outcomes = {test: result["outcome"] for test, result in results.items()}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as out:
        json.dump(outcomes, out, indent=0)
    os.replace(path + ".new", path)
    return outcomes


def baselines(names, options):
    """Return {file: {test id: outcome}} and say in one line what stock itself does not pass."""
    found = {}
    for name in names:
        found[name] = baseline(name, options)
    counts = {}
    for outcomes in found.values():
        for outcome in outcomes.values():
            counts[outcome] = counts.get(outcome, 0) + 1
    told = ", ".join(f"{counts[key]} {key}" for key in sorted(counts))
    print(f"control (stock asyncio, not demanded unless it passes): {told}", flush=True)
    for outcomes in found.values():
        for test, outcome in outcomes.items():
            if outcome not in ("pass", "skip"):
                print(f"  stock asyncio itself: {outcome:5} {test}")
    return found
