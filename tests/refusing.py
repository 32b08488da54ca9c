"""Faults at the seam of the system call: the kernel itself refuses what a rule names, for one thread, by seccomp(2).

What lives here: `refusing`. What may not: a stub of anything of ours; what runs under the rules is the real thing, C or Python.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

_NUMBERS = {
    "x86_64": {"sendto": 44, "sendmsg": 46, "sendmmsg": 307},
    "aarch64": {"sendto": 206, "sendmsg": 211, "sendmmsg": 269},
}.get(platform.machine(), {})

_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of a 32-bit word of seccomp_data; BPF
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2  # prctl(2)


@dataclass(frozen=True)
class Rule:
    """The system call *name* fails with *errno* if its argument number *argument* is *value* (libc's send is a sendto)."""

    name: str
    argument: int
    value: int
    errno: int


class _Program(ctypes.Structure):
    _fields_ = [("size", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def _install(rules: Sequence[Rule]) -> None:
    code = []
    for rule in rules:
        code += [
            (_LOAD, 0, 0, 0),  # the call's number
            (_JUMP_IF_EQUAL, 0, 3, _NUMBERS[rule.name]),
            (_LOAD, 0, 0, 16 + 8 * rule.argument),
            (_JUMP_IF_EQUAL, 0, 1, rule.value),
            (_RETURN, 0, 0, _ERRNO | rule.errno),
        ]
    code.append((_RETURN, 0, 0, _ALLOW))
    packed = b"".join(struct.pack("=HBBI", *one) for one in code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    word = ctypes.c_ulong
    for asked in (
        (_NO_NEW_PRIVS, word(1), word(0), word(0), word(0)),
        (_SECCOMP, word(_FILTER), ctypes.byref(_Program(len(code), packed)), word(0), word(0)),
    ):
        if prctl(*asked):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def refusing(rules: Sequence[Rule], run: Callable[[], Any]) -> None:
    """Call *run* in a thread of its own in which *rules* hold. Skips the test where the system knows no such rules."""
    if sys.platform != "linux" or not _NUMBERS or sys.byteorder != "little":
        pytest.skip("faults are made by seccomp, and the numbers of this system's calls are not known here")
    outcome: list[BaseException] = []
    refused: list[OSError] = []

    def work() -> None:
        try:
            _install(rules)
        except OSError as exc:
            refused.append(exc)
            return
        try:
            run()
        except BaseException as exc:
            outcome.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if refused:
        pytest.skip(f"this system lets nobody filter system calls: {refused[0]}")
    if outcome:
        raise outcome[0]
