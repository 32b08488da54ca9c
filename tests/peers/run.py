"""The command of the peers' run: other projects' own tests, on stock asyncio first and then on yieldloop, test by test.

    python tests/peers/run.py [PEER ...] [--way loop|module] [--pure] [--match TEXT]

What lives here: what it needs (sdists and an environment of their own, under build/peers), the two runs, the verdict.
What may not: which peers there are and which differences are known (`peers.toml`), putting yieldloop under the tests (`child.py`).

Rule for the editor: no outcome may vanish. A test that stock passes and we do not is a failure with a name, or is listed.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PLACE = ROOT / "build" / "peers"
MOST_RESTARTS = 20  # a suite that hangs or crashes more often is given up
sys.path.insert(0, str(HERE.parent / "conformance"))

from process import Record, end_group, follow, stop_hanging  # noqa: E402


def parse(argv):
    parser = argparse.ArgumentParser(description="Run other projects' tests on stock asyncio and on yieldloop.")
    parser.add_argument("peers", nargs="*", help="which (default: all that need no server)")
    parser.add_argument("--way", choices=("loop", "module"), default="loop",
                        help="loop: asyncio's module on our loops; module: our module in asyncio's place")
    parser.add_argument("--match", help="only tests that pytest's -k selects by this")
    parser.add_argument("--pure", action="store_true", help="the interpreted yieldloop")
    parser.add_argument("--timeout", type=float, default=90.0, help="seconds without progress that make a hang")
    parser.add_argument("-v", "--verbose", action="store_true", help="whole tracebacks")
    return parser.parse_args(argv)


def environment(peers, names):
    """Return the Python of the peers' own environment, with all that they require in it."""
    python = PLACE / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
    wanted = ["pytest>=9.1", "pytest-timeout"]
    for name in names:
        wanted += [f"{name}=={peers[name]['version']}", *peers[name]["requires"]]
    pip(python, "install", *wanted)
    return python


def pip(python, *words):
    subprocess.run([python, "-m", "pip", "-qq", "--disable-pip-version-check", *words], check=True)


def unpacked(python, name, peer):
    """Return the folder of the peer's sdist, without the package itself: what is tested is what is installed."""
    folder = PLACE / f"{name.replace('-', '_')}-{peer['version']}"
    if not folder.exists():
        pip(python, "download", "--no-deps", "--no-binary", name, "-d", PLACE, f"{name}=={peer['version']}")
        with tarfile.open(PLACE / f"{folder.name}.tar.gz") as archive:
            archive.extractall(PLACE, filter="data")
        if "drop" in peer:
            shutil.rmtree(folder / peer["drop"])
        if "conftest" in peer:
            (folder / "conftest.py").write_text(peer["conftest"])
    return folder


def run_once(python, folder, peer, way, results, options):
    """Run all tests without an outcome until the end or the first hang or crash; True when none is left."""
    files = {name: PLACE / f"{folder.name}.{way}.{name}" for name in ("record", "stacks", "leave", "output")}
    for path in files.values():
        path.write_text("")
    files["leave"].write_text(json.dumps(sorted(results)))
    command = [python, HERE / "child.py", way, files["record"], files["stacks"], files["leave"], "-q", "--rootdir", folder]
    command += peer["args"]
    if options.match:
        command += ["-k", options.match]
    # Tests that look at everything that is logged would fail by the watching thread's word on a slow machine.
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", "YIELDLOOP_WATCHDOG": "off"}
    if options.pure:
        env["YIELDLOOP_PURE"] = "1"
    with open(files["output"], "w") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
    record = Record(files["record"])
    in_time = follow(process, record, options.timeout)
    stacks = "" if in_time else stop_hanging(process, files["stacks"])
    end_group(process, 9)  # what a test may have left behind
    record.read()
    results.update(record.outcomes)
    if record.finished and in_time:
        return True
    if record.running is None:
        raise SystemExit(f"{folder.name} ended outside of any test:\n{files['output'].read_text()[-3000:]}")
    what = "hang" if not in_time else "crash"
    results[record.running] = {"outcome": what, "text": stacks or files["output"].read_text()[-3000:]}
    return False


def outcomes(python, folder, peer, way, options):
    """Return {test: {"outcome", "text"}} of one whole run of a peer's tests."""
    results = {}
    for _ in range(MOST_RESTARTS):
        if run_once(python, folder, peer, way, results, options):
            return results
    raise SystemExit(f"{folder.name} was given up after {MOST_RESTARTS} hangs or crashes: {sorted(results)[-1]}")


def counts(results):
    """Return how many passed and failed, in words."""
    ends = [result["outcome"] for result in results.values()]
    return f"{ends.count('pass'):5} passed {len(ends) - ends.count('pass') - ends.count('skip'):4} failed"


def judge(name, peer, stock, ours, options):
    """Print each test that stock passes and we do not; return how many of them are not listed."""
    failed, listed = 0, 0
    entries = [entry for entry in peer.get("listed", ()) if entry.get("way", options.way) == options.way]
    for test in sorted(test for test in stock if stock[test]["outcome"] == "pass"):
        got = ours.get(test, {"outcome": "missing", "text": ""})
        if got["outcome"] == "pass":
            continue
        reasons = [entry for entry in entries if any(fnmatch.fnmatchcase(test, pattern) for pattern in entry["tests"])]
        if reasons:
            listed += 1
            reasons[0]["used"] = True
            continue
        failed += 1
        lines = got["text"].strip().splitlines() or [""]
        print(f"  {got['outcome']}: {test}\n      {got['text'] if options.verbose else lines[-1][:200]}")
    for entry in entries:
        if not options.match and "used" not in entry:
            print(f"  stale: all pass of {entry['tests']}, which are listed: {entry['reason']}")
    ends = f"stock {counts(stock)}   {options.way} {counts(ours)}"
    print(f"{name:15} {peer['version']:8} {ends}: {listed} listed, {failed} new", flush=True)
    return failed


def main(argv=None):
    options = parse(argv)
    peers = tomllib.loads((HERE / "peers.toml").read_text())
    wrong = [name for name in options.peers if name not in peers]
    if wrong:
        raise SystemExit(f"no such peer: {wrong!r}; choose from {', '.join(peers)}")
    names = options.peers or [name for name, peer in peers.items() if "server" not in peer]
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / "pytest.ini").write_text("[pytest]\n")  # for who has no configuration: else pytest would find ours above
    python = environment(peers, names)
    failed = 0
    for name in names:
        peer = peers[name]
        folder = unpacked(python, name, peer)
        stock, ours = (outcomes(python, folder, peer, way, options) for way in ("stock", options.way))
        failed += judge(name, peer, stock, ours, options)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
