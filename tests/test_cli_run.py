"""``yieldloop run`` against ``python``: the same program in both, and what an onlooker sees must be the same.

Each test runs two processes. What lives here: output, status, names and traces. Where the loop comes from is test_cli_loop.py's.
"""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

PYTHON = [sys.executable]
OURS = [sys.executable, "-m", "yieldloop", "run"]

LOOK = """
import sys, warnings
print(sorted(globals()), __name__, __file__, __package__, __spec__ and __spec__.name, type(__loader__).__name__)
print(sys.argv, sys.path[0], type(__builtins__).__name__, sys.modules["__main__"].__dict__ is globals())
"""

ENDINGS = {
    "falls_off_the_end": "print('done')",
    "exit_status": "import sys; sys.exit(7)",
    "exit_text": "import sys; sys.exit('a reason')",
    "exit_none": "import sys; sys.exit()",
    "exit_text_from_a_coroutine": "import asyncio, sys\nasync def main(): sys.exit('bye')\nasyncio.run(main())",
    "error": "def f():\n    return 1 / 0\nf()",
    "error_with_cause": "try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('x') from e",
    "error_with_context": "try:\n    1 / 0\nexcept Exception as e:\n    [][1]",
    "exception_group": "raise ExceptionGroup('g', [ValueError(1), TypeError('t')])",
    "keyboard_interrupt": "raise KeyboardInterrupt",
    "keyboard_interrupt_with_atexit": "import atexit\natexit.register(print, 'last')\nraise KeyboardInterrupt",
    "own_excepthook": "import sys\nsys.excepthook = lambda t, e, tb: print(t, e, tb.tb_frame.f_code.co_name)\n1 / 0",
    "last_traceback": (
        "import atexit, sys, traceback\n"
        "atexit.register(lambda: print(traceback.extract_tb(sys.last_traceback).format(), sys.excepthook is sys.__excepthook__))\n"
        "1 / 0"
    ),
    "thread_outlives_main": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(.05), print(LATE))).start()\nLATE = 'late'"
    ),
    "pickles_its_classes": (
        "import pickle\nclass C:\n    x = 1\nc = pickle.loads(pickle.dumps(C()))\nprint(type(c) is C, C.__module__)"
    ),
    "spawns": (
        "import multiprocessing as mp\nclass C:\n    def __init__(self, n): self.n = n\ndef work(c, q): q.put(c.n + 1)\n"
        "if __name__ == '__main__':\n    ctx = mp.get_context('spawn'); q = ctx.SimpleQueue()\n"
        "    p = ctx.Process(target=work, args=(C(41), q)); p.start(); print(q.get()); p.join(); print(p.exitcode)"
    ),
    "deprecation_is_shown_in_main": "import warnings\nwarnings.warn('old', DeprecationWarning)",
    "syntax_error": "x = (",
    "indentation": "if 1:\nprint()",
    "not_utf8": b"x = '\xff'\n",
    "latin1_declared": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n",
    "null_byte": b"x = 1\0\n",
    "empty": "",
}


def see(command: list[str], cwd: Path, **env: str) -> tuple[int, str, str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONASYNCIODEBUG", "PYTHONWARNINGS")}
    done = subprocess.run(
        command, cwd=cwd, env=inherited | env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def assert_same(arguments: list[str], cwd: Path, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    expected = see([PYTHON[0], *options, *arguments], cwd)
    assert see([OURS[0], *options, *OURS[1:], *arguments], cwd) == expected
    return expected


@pytest.mark.parametrize("name", ENDINGS)
def test_a_program_ends_as_under_python(name: str, tmp_path: Path) -> None:
    source = ENDINGS[name]
    (tmp_path / "prog.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    assert_same(["prog.py"], tmp_path)


def test_death_by_ctrl_c_is_death_by_sigint(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text("raise KeyboardInterrupt")
    status, _, _ = assert_same(["prog.py"], tmp_path)
    assert status == -signal.SIGINT


@pytest.mark.parametrize("path", ["prog.py", "./prog.py", "sub/../prog.py", "link.py", "sub/link.py"])
def test_file_names_itself_alike(path: str, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(LOOK)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.py").symlink_to("prog.py")
    (tmp_path / "sub" / "link.py").symlink_to("../prog.py")
    assert_same([path, "a", "--debug", "--", "-m"], tmp_path)
    assert_same([path], tmp_path, options=("-P",))
    assert_same([str(tmp_path / path)], tmp_path)


@pytest.mark.parametrize("ending", ["", "1 / 0", "raise KeyboardInterrupt", "x = ("])
def test_modules_packages_folders_and_zips_run_alike(ending: str, tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("import sys; print(sys.argv)")
    (package / "__main__.py").write_text(LOOK + ending)
    (package / "mod.py").write_text(LOOK + ending)
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.write(package / "__main__.py", "__main__.py")
    for arguments in (["-m", "pkg", "a", "-b"], ["-m", "pkg.mod"], ["-mpkg.mod", "x"], ["pkg", "y"], ["./pkg"], ["app.zip"]):
        assert_same(arguments, tmp_path)
    assert_same(["pkg"], tmp_path, options=("-P",))


def test_what_is_not_there_is_refused_in_pythons_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    for arguments in (["nope.py", "a"], ["empty"], ["-m", "nope_no"], ["-m", "pkg"], ["-m", "pkg.nope"], ["", "x"]):
        status, _, error = assert_same(arguments, tmp_path)
        assert status and error


def test_a_compiled_file_runs(tmp_path: Path) -> None:
    import py_compile

    (tmp_path / "prog.py").write_text(LOOK + "1 / 0")
    py_compile.compile(str(tmp_path / "prog.py"), cfile=str(tmp_path / "prog.pyc"), dfile="prog.py")
    assert_same(["prog.pyc", "a"], tmp_path)


def test_options_of_the_interpreter_hold(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text("import sys\nprint(sys.flags.optimize, sys.warnoptions)\nassert False, 'optimized away'")
    assert_same(["prog.py"], tmp_path, options=("-O", "-W", "error::UserWarning"))


def test_words_after_the_program_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text("import sys; print(sys.argv)")
    expected = see([*PYTHON, "prog.py", "--poller", "x", "-m", "--help"], tmp_path)
    assert see([*OURS, "--", "prog.py", "--poller", "x", "-m", "--help"], tmp_path) == expected


@pytest.mark.parametrize(
    ("words", "text"),
    [([], "needs a PROGRAM"), (["-m"], "needs a MODULE"), (["-"], "standard input"), (["--poller", "fast", "x.py"], "'fast'")],
)
def test_a_wrong_command_line_is_explained(words: list[str], text: str, tmp_path: Path) -> None:
    status, out, error = see([*OURS, *words], tmp_path)
    assert (status, out) == (2, "")
    assert text in error


@pytest.mark.parametrize("launcher", [PYTHON, OURS], ids=["python", "yieldloop"])
def test_ctrl_c_ends_a_sleeping_loop(launcher: list[str], tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        "import asyncio\nasync def main():\n    print('up', flush=True)\n"
        "    try:\n        await asyncio.sleep(60)\n    finally:\n        print('cleaned', flush=True)\nasyncio.run(main())"
    )
    process = subprocess.Popen(
        [*launcher, "prog.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert time.monotonic() - began < 20
    assert process.returncode == -signal.SIGINT
    assert out == "cleaned\n"
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert "yieldloop/cli" not in error
