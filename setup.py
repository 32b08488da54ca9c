"""The compiled half of the build: which modules become C, and how strictly.

Every ``.py`` under ``src/yieldloop`` with a ``.pxd`` beside it is compiled untouched; where a ``.pyx`` stands beside both, it is
the compiled twin of that ``.py`` (a C leaf). With a C compiler the build is strict: a Cython warning or a C error fails it. Without
one, or with ``YIELDLOOP_PURE=1``, nothing is compiled, and the build says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "src" / "yieldloop"
C_FLAGS = ["-O3", "-g0", "-fno-semantic-interposition", "-Wall", "-Werror", "-Wno-unused-function"]
REFS = PACKAGE / "engine" / "_refs.h"  # how references are counted
C_FLAGS += ["-include", str(REFS)]
# Cython's own C is not warning-free on every CPython (deprecated internals in 3.12+), so those stay warnings.
C_FLAGS += ["-Wno-error=deprecated-declarations", "-Wno-deprecated-declarations", "-Wno-unreachable-code"]


def why_pure() -> str:
    """The reason to compile nothing, or the empty string."""
    if os.environ.get("YIELDLOOP_PURE") == "1":
        return "YIELDLOOP_PURE=1 is set"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} is not CPython"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None and shutil.which("cc") is None:
        return f"no C compiler was found (looked for {compiler!r} and 'cc')"
    if shutil.which(compiler) is None:
        os.environ["CC"] = "cc"
    return ""


def extensions() -> list[Extension]:
    found = []
    for pxd in sorted(PACKAGE.rglob("*.pxd")):
        if pxd.name == "__init__.pxd":
            continue
        pyx = pxd.with_suffix(".pyx")
        source = pyx if pyx.exists() else pxd.with_suffix(".py")
        if not source.exists():
            raise SystemExit(f"setup.py: {pxd} has no .py or .pyx beside it; add one or remove it")
        name = ".".join(pxd.relative_to(PACKAGE.parent).with_suffix("").parts)
        found.append(Extension(name, [str(source.relative_to(ROOT))], extra_compile_args=C_FLAGS, depends=[str(REFS)]))
    return found


def cythonized() -> list[Extension]:
    reason = why_pure()
    if reason:
        print(f"yieldloop: building without compiled modules: {reason}", file=sys.stderr)
        return []
    from Cython.Build import cythonize
    from Cython.Compiler import Options

    Options.warning_errors = True
    tag = sysconfig.get_config_var("SOABI") or "abi"
    modules: list[Extension] = cythonize(
        extensions(),
        build_dir=f"build/cython-{tag}",
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "annotation_typing": False,
            "auto_pickle": False,
            "binding": True,
            "boundscheck": False,
            "wraparound": True,
            "initializedcheck": False,
            "cdivision": True,
            "always_allow_keywords": True,
        },
    )
    return modules


class LockedBuild(build_ext):
    """One build at a time in one tree: two that write the same files leave neither."""

    def finalize_options(self) -> None:
        if not why_pure():
            (ROOT / "build").mkdir(exist_ok=True)
            self._lock = open(ROOT / "build" / ".lock", "w")  # held until the process ends
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.distribution.ext_modules = cythonized()
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()


# The one extension named here says that this is a platform wheel; LockedBuild finds the real list.
wanted = [] if why_pure() else [Extension("yieldloop._compiled", [])]
setup(ext_modules=wanted, cmdclass={"build_ext": LockedBuild})
