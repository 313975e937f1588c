"""The inside of the sandbox: a script that a bare Python runs (``python -I -S``), never imported by the studio.

Guarantees: before any code of a person runs, this process has given up opening files, connecting, starting processes or
threads, and every other call to the system but for memory, the clock and its two pipes (Linux: an allow-list of system calls
through libseccomp; macOS: the profile ``pure-computation``). When that cannot be had, it says so and ends.

It reads JSON lines: first ``{code, memory}``, then ``{n, prompt, answer, reference, extra}``. It answers each with one:
``{ready}`` or ``{refused}``, then ``{n, value}`` or ``{n, error}``.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import resource
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

#: What code may import: loaded before the doors close, since afterwards no file can be read.
MODULES = (
    *("math", "cmath", "re", "json", "string", "random", "statistics", "itertools", "functools", "operator", "collections"),
    *("collections.abc", "datetime", "_strptime", "calendar", "decimal", "fractions", "unicodedata", "textwrap", "difflib"),
    *("bisect", "heapq", "html", "ast", "typing", "dataclasses", "enum", "copy", "contextlib", "traceback", "types"),
)
#: Processor seconds after which the system ends this process, whoever is left to watch it.
CPU_SECONDS = 120
_WANTED_BY_PYTHON = (
    *("read", "write", "close", "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "futex", "restart_syscall"),
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "clock_nanosleep", "nanosleep", "getrandom", "sched_yield"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "exit", "exit_group"),
)
_REFUSE_WITH_EPERM = 0x00050001


def main() -> NoReturn:
    """Take the pipes, close the doors, and score until the pipe ends."""
    into, out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    lines = _lines(into)
    asked = json.loads(next(lines))
    for name in MODULES:
        importlib.import_module(name)
    try:
        _limit(asked["memory"])
        _close_the_doors()
    except Exception as error:  # noqa: BLE001 - whatever it is, no code may run then
        _tell(out, {"refused": str(error)})
        os._exit(1)
    try:
        score = _function(asked["code"])
    except BaseException as error:  # noqa: BLE001 - code of a person may raise anything
        _tell(out, {"wrong": _said(error)})
        os._exit(1)
    _tell(out, {"ready": True})
    for line in lines:
        _tell(out, _scored(score, json.loads(line)))
    os._exit(0)


def _lines(pipe: int) -> Iterator[bytes]:
    held = b""
    while piece := os.read(pipe, 65_536):
        held += piece
        while b"\n" in held:
            line, held = held.split(b"\n", 1)
            yield line


def _tell(pipe: int, answer: dict[str, Any]) -> None:
    text = json.dumps(answer).encode() + b"\n"
    while text:
        text = text[os.write(pipe, text) :]


def _limit(memory: int) -> None:
    os.nice(10)
    used = 0
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for which, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_DATA, used + memory),
    ):
        try:
            resource.setrlimit(which, (most, most))
        except (ValueError, OSError):
            # macOS takes no limit of address space; there the parent watches the memory.
            if sys.platform == "linux":
                raise


def _close_the_doors() -> None:
    if sys.platform == "linux":
        _only_these_calls(ctypes.CDLL("libseccomp.so.2", use_errno=True))
    elif sys.platform == "darwin":
        _pure_computation(ctypes.CDLL("/usr/lib/libSystem.dylib", use_errno=True))
    else:
        raise OSError(f"there is none for {sys.platform}")


def _only_these_calls(library: ctypes.CDLL) -> None:
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    filters = library.seccomp_init(_REFUSE_WITH_EPERM)
    if not filters:
        raise OSError("libseccomp could not begin a filter")
    allow = 0x7FFF0000
    for name in _WANTED_BY_PYTHON:
        number = library.seccomp_syscall_resolve_name(name.encode())
        # Not every processor has every call; those that it lacks have negative numbers.
        if number >= 0 and library.seccomp_rule_add_array(filters, allow, number, 0, None) != 0:
            raise OSError(f"libseccomp refused the rule for {name}")
    wrong = library.seccomp_load(filters)
    if wrong != 0:
        raise OSError(f"the system took no filter: {os.strerror(-wrong)}")


def _pure_computation(library: ctypes.CDLL) -> None:
    said = ctypes.c_char_p()
    named = 1
    if library.sandbox_init(b"pure-computation", named, ctypes.byref(said)) != 0:
        raise OSError((said.value or b"macOS refused the sandbox").decode(errors="replace"))


def _function(code: str) -> Callable[..., object]:
    # A module like any other: dataclasses and others look theirs up.
    room = sys.modules["reward"] = types.ModuleType("reward")
    exec(compile(code, "<reward>", "exec"), room.__dict__)  # noqa: S102 - what this closed process is for
    score = getattr(room, "score", None)
    if not callable(score):
        raise TypeError("the code defines no function called score")
    return score


def _scored(score: Callable[..., object], asked: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = [asked["prompt"], asked["answer"], asked["reference"]]
        given = score(*arguments, asked["extra"]) if _takes_four(score) else score(*arguments)
        return {"n": asked["n"], "value": _number(given)}
    except BaseException as error:  # noqa: BLE001 - code of a person may raise anything
        return {"n": asked["n"], "error": _said(error)}


def _takes_four(score: Callable[..., object]) -> bool:
    code = getattr(score, "__code__", None)
    return code is not None and code.co_argcount == 4


def _number(given: object) -> float:
    if not isinstance(given, bool | int | float):
        raise TypeError(f"score returned {type(given).__name__}; it must return a number from 0 to 1, True or False")
    value = float(given)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"score returned {value:g}; it must be from 0 to 1")
    return value


def _said(error: BaseException) -> str:
    """The error as one line, with the line of the person's code."""
    line = getattr(error, "lineno", None)
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<reward>":
            line = step.tb_lineno
        step = step.tb_next
    place = f"line {line}: " if isinstance(line, int) else ""
    try:
        words = str(error)[:300]
    except BaseException:  # noqa: BLE001 - so may the text of what it raised
        words = ""
    return f"{place}{type(error).__name__}{': ' if words else ''}{words}"


if __name__ == "__main__":
    main()
