"""The programs that are measured, a file a subject. Each is ordinary asyncio code that gets its `asyncio` as `aio`.

A workload may not name an implementation, and may not choose another path for one of them.
`load` imports only the file that holds the asked one, so that a process under test carries no other's imports.
"""

from __future__ import annotations

import importlib

from harness.spec import REGISTRY, Workload

#: File -> the workloads in it, in the order of the tables.
FILES: dict[str, tuple[str, ...]] = {
    "tasks": ("switch", "futures", "spawn_gather", "task_group"),
    "callbacks": ("call_soon", "threadsafe", "threadsafe_own", "threadsafe_wake"),
    "timers": ("timers", "accuracy"),
    "sync": ("lock", "queue"),
    "echo": ("tcp_protocol", "tcp_streams", "tcp_sock"),
    "reading": ("read_exactly", "read_line", "iterate_lines"),
    "threads": ("executor", "literal"),
    "local": ("udp", "unix_protocol", "unix_streams"),
    "tls": ("tls_protocol", "tls_streams", "tls_bulk", "tls_idle_bytes"),
    "flat": (
        *(f"wake_{n}" for n in ("1e3", "1e4", "1e5", "1e6")),
        *(f"rearm_{n}" for n in ("1e3", "1e4", "1e5", "1e6")),
    ),
    "turns": ("answer_one", "answer_two", "task_one", "task_two", "write_drain", "tcp_crowd", "tcp_bytes"),
    "memory": ("timer_bytes", "task_bytes"),
    "importing": ("import",),
    "processes": ("spawn", "spawn_pipes", "pipe_protocol", "pipe_streams"),
    "web": ("uvicorn", "aiohttp"),
}


def load(name: str) -> Workload:
    """The workload of that name. Raises KeyError with the known names."""
    for file, names in FILES.items():
        if name in names:
            importlib.import_module(f"workloads.{file}")
            return REGISTRY[name]
    raise KeyError(f"no workload is called {name!r}; there are: {', '.join(sum(FILES.values(), ()))}")


def load_all() -> dict[str, Workload]:
    """Every workload in the order of the tables (for `run.py`, never in a process under test)."""
    return {name: load(name) for names in FILES.values() for name in names}
