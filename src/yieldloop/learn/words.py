"""What `learn` says, in Chinese and in English.

What lives here: every sentence that a walk, the terminal screen or the plain text shows, by key. What may not: logic.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["LANGUAGES", "Phrase", "language_of_the_user", "render", "say"]

LANGUAGES = ("zh", "en")

_SENTENCES: dict[str, tuple[str, str]] = {
    # events of a walk
    "call": ("调用 {name}，它的帧入栈", "{name} is called: its frame goes on the stack"),
    "start": ("{name} 开始运行，它的帧入栈", "{name} starts: its frame goes on the stack"),
    "resume": ("{name} 从停下的地方继续，它的帧重新入栈", "{name} resumes where it stopped: its frame is on the stack again"),
    "line": ("接下来执行第 {line} 行", "line {line} is next"),
    "yield": (
        "{name} 产出 {value} 后停下：帧出栈，但仍归它所有",
        "{name} yields {value} and stops: its frame leaves the stack and stays its own",
    ),
    "suspend": (
        "{name} 挂起，向外交出 {value}：帧出栈，但仍归它所有",
        "{name} is suspended, handing out {value}: its frame leaves the stack and stays its own",
    ),
    "return": ("{name} 返回 {value}，它的帧出栈", "{name} returns {value}: its frame leaves the stack"),
    "end of generator": ("{name} 运行完毕，返回 {value}，帧不复存在", "{name} is over and returns {value}: its frame is gone"),
    "exception": ("{name} 中出现 {error}", "{error} is raised in {name}"),
    "unwind": ("{error} 穿出 {name}，它的帧出栈", "{error} leaves {name}: its frame leaves the stack"),
    "end": ("程序结束", "the program has ended"),
    "exit": ("程序以 {value} 退出", "the program has ended by {value}"),
    "failed": ("程序因 {error} 而终止，回溯见输出", "the program was ended by {error}; the output shows the traceback"),
    "limit": (
        "已记录 {count} 步，到此为止；想走得更远，用 --steps {more}",
        "the walk stops here, after {count} steps; --steps {more} goes further",
    ),
    "timeout": (
        "程序运行了 {count} 秒仍未结束，记录到此为止",
        "the program was still running after {count} s, and the walk stops here",
    ),
    # who holds a generator
    "variable": ("{owner} 的变量 {name}", "variable {name} of {owner}"),
    "global": ("全局变量 {name}", "global variable {name}"),
    "item": ("{owner}", "{owner}"),
    "attribute": ("{owner}.{name}", "{owner}.{name}"),
    "delegates": ("{owner} 的 yield from / await", "yield from / await of {owner}"),
    "closure": ("{owner} 的闭包变量 {name}", "closure variable {name} of {owner}"),
    "method": ("{owner}（方法 {name}）", "{owner} (its method {name})"),
    "inside": ("{owner}", "{owner}"),
    "own stack": ("{owner} 的值栈", "the value stack of {owner}"),
    "stack": ("某个正在运行的帧的值栈（没有名字）", "the value stack of a running frame (no name)"),
    "elsewhere": ("没有名字的某处", "something that has no name"),
    # the panes
    "source": ("源码", "Source"),
    "frames": ("栈上的帧", "Frames on the stack"),
    "generators": ("生成器与协程", "Generators and coroutines"),
    "ready": ("就绪队列", "Ready queue"),
    "timers": ("定时器", "Timers"),
    "fds": ("文件描述符", "File descriptors"),
    "loop": ("事件循环", "Event loop"),
    "output": ("输出", "Output"),
    "created": ("未开始", "created"),
    "running": ("运行中", "running"),
    "suspended": ("已停下", "suspended"),
    "closed": ("已结束", "closed"),
    "held by": ("持有者", "held by"),
    "waits in": ("委托给", "delegates to"),
    "nobody": ("无", "nobody"),
    "nothing": ("空", "empty"),
    "step": ("第 {step} / {steps} 步", "step {step} of {steps}"),
    "other frames": ("… {names} 的 {count} 个帧", "… {count} frames of {names}"),
    # the keys
    "forward": ("前进", "forward"),
    "back": ("后退", "back"),
    "over": ("越过调用", "over"),
    "next yield": ("下个 yield", "next yield"),
    "last yield": ("上个 yield", "last yield"),
    "first": ("开头", "first"),
    "last": ("末尾", "last"),
    "jump": ("跳到", "jump"),
    "quit": ("退出", "quit"),
    "jump to": ("跳到第几步（1 到 {steps}）", "go to step (1 to {steps})"),
    # the list of chapters
    "chapters": ("指南的各章：", "The guide's chapters:"),
    "how": (
        "yieldloop learn 3 走读第 3 章；yieldloop learn 文件.py 走读你自己的文件；加 --web 在浏览器里看。",
        "yieldloop learn 3 steps through chapter 3, yieldloop learn FILE.py through a file of yours; --web does it in the browser.",
    ),
    "recording": ("正在运行并记录 {name} …", "running {name} and recording it …"),
    "page written": ("页面在 {path}", "The page is {path}"),
}


def say(language: str, key: str, /, **values: object) -> str:
    """The sentence *key* in *language*, with *values* in their places. KeyError for a key that is not listed."""
    return _SENTENCES[key][LANGUAGES.index(language)].format(**values)


class Phrase(NamedTuple):
    """A sentence that is not yet in a language: its key, and the values for its places."""

    key: str
    values: Mapping[str, object] = MappingProxyType({})


def render(value: Any, language: str) -> Any:
    """*value*, made of dictionaries and lists, with each `Phrase` in it said in *language*."""
    if isinstance(value, Phrase):
        return say(language, value.key, **value.values)
    if isinstance(value, dict):
        return {key: render(part, language) for key, part in value.items()}
    if isinstance(value, list):
        return [render(part, language) for part in value]
    return value


def language_of_the_user() -> str:
    """``zh`` if the environment's locale is Chinese, else ``en``."""
    named = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), None)
    if named is None:
        named = locale.getlocale()[0] or ""
    return "zh" if named.lower().startswith(("zh", "chinese")) else "en"
