"""A person's Python: what it can do, and all that it cannot."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from studio.rewards import Python, RewardError, TaskRow, sandbox
from studio.rewards.sandbox import Sandbox

ROW = TaskRow("What is 2 + 2?", "4", extra={"level": "easy"})

pytestmark = pytest.mark.skipif(bool(sandbox.trouble()), reason=f"no sandbox here: {sandbox.trouble()}")


#: Writes into every pipe that there could be.
SHOUT = "import os\nfor fd in range(3, 12):\n  try: os.write(fd, {})\n  except OSError: pass\nreturn 0"


def run(code: str, *answers: str, **limits: float):
    with Sandbox(Python(code=code, **limits)) as room:
        return room.score([(answer, ROW) for answer in answers or ("4",)])


def body(lines: str) -> str:
    return "import sys\ndef score(prompt, answer, reference):\n" + "".join(f"    {line}\n" for line in lines.splitlines())


def test_this_machine_has_a_sandbox_that_holds():
    # The suite is run where there is one; a build machine without it should be known.
    assert sandbox.trouble() == ""


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("def score(prompt, answer, reference):\n    return answer == reference", 1),
        ("def score(prompt, answer, reference, row):\n    return 0.5 if row['level'] == 'easy' else 0", 0.5),
        ("import re, json, math, statistics\nscore = lambda p, a, r: len(re.findall('4', a)) / 2", 0.5),
        ("from datetime import datetime\ndef score(p, a, r):\n    return datetime.strptime('2020', '%Y').year == 2020", 1),
        ("import random\ndef score(p, a, r):\n    random.seed(1)\n    return random.random() < 1", 1),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\ndef score(p, a, r):\n    return A(1).x", 1),
        ("def score(p, a, r):\n    print('chatter' * 100000)\n    return True", 1),
    ],
)
def test_honest_code_scores(code, value):
    assert [one.value for one in run(code, "4", "4")] == [value, value]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("return open('/etc/passwd').read()", "PermissionError"),
        ("return open('/tmp/x', 'w').write('x')", "PermissionError"),
        ("import os\nreturn len(os.listdir('/'))", "PermissionError"),
        ("import os\nreturn os.path.exists('/etc/passwd') + 5", "from 0 to 1"),
        ("import os\nos.fork()", "PermissionError"),
        ("import os\nos.execv('/bin/sh', ['sh'])", "PermissionError"),
        ("import os\nos.kill(1, 9)", "PermissionError"),
        ("import os\nos.kill(os.getppid() or 1, 9)", "PermissionError"),
        ("import posix\nposix.system('touch /tmp/here') and 1 / 0\nreturn 9", "ZeroDivisionError"),
        ("import socket\nreturn 1", "ModuleNotFoundError"),
        ("import threading\nreturn 1", "ModuleNotFoundError"),
        ("import subprocess\nreturn 1", "ModuleNotFoundError"),
        ("import numpy\nreturn 1", "can import"),
        (
            "import ctypes\nc = ctypes.CDLL(None)\nreturn 2 + c.socket(2, 1, 0) + c.fork()",
            "never",
        ),
        ("import ctypes\nreturn ctypes.CDLL(None).ptrace(16, 1, 0, 0) + 9", "from 0 to 1"),
        ("return 1 / 0", "line 3: ZeroDivisionError"),
        ("return 2", "from 0 to 1"),
        ("return float('nan')", "from 0 to 1"),
        ("return 'good'", "must return a number"),
        ("return None", "must return a number"),
        ("raise SystemExit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return score(prompt, answer, reference)", "RecursionError"),
    ],
)
def test_what_is_closed_stays_closed(lines, why):
    found, again = run(body(lines), "4", "4")
    if why == "never":
        # -1 from each of the calls: none of them was carried out.
        assert found.value == 0
        return
    assert found.value is None
    assert why in found.error
    assert again.value is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("while True: pass", "took longer"),
        ("import time\ntime.sleep(60)", "took longer"),
        ("x = []\nwhile True: x.append(bytearray(10_000_000))", ""),
        ("return 'x' * 10**11 == ''", "MemoryError"),
        ("return 9 ** 9 ** 9 > 0", "took longer"),
        ("import os\nos._exit(0)", "ended its process"),
        ("import os\nos.abort()", "ended"),
        ("import ctypes\nctypes.string_at(0)", "ended"),
        ("import sys\nsys.setrecursionlimit(10**9)\nf = lambda g: g(g)\nreturn f(f)", ""),
        (SHOUT.format("b'x' * 200_000"), "where only its score"),
        (SHOUT.format('b\'{"n": 7, "value": 1.0}\\n\''), "where only its score"),
        (SHOUT.format("b'[' * 50_000 + b'\\n'"), "where only its score"),
        ("import re\nreturn bool(re.match('(a+)+$', 'a' * 60 + 'b'))", "took longer"),
    ],
)
def test_what_goes_wild_is_ended_and_the_next_answer_is_fresh(lines, why):
    began = time.monotonic()
    code = body(f"if answer != 'wild': return 1\n{lines}")
    wild, tame = run(code, "wild", "tame", seconds=0.4, memory_mb=128)
    assert wild.value is None
    assert why in wild.error
    assert tame.value == 1
    assert time.monotonic() - began < 60


def test_code_that_cannot_be_loaded_says_which_line():
    for code, words in (
        ("def score(p, a, r)\n    return 1", "line 1: SyntaxError"),
        ("x = 1\ny = z", "line 2: NameError"),
        ("def rate(p, a, r):\n    return 1", "no function called score"),
        ("import os\nos.fork()", "PermissionError"),
    ):
        with pytest.raises(RewardError) as caught:
            run(code)
        assert words in caught.value.what
        assert caught.value.where == "code"


def test_nothing_of_the_studio_is_in_there(monkeypatch):
    monkeypatch.setenv("TINKER_API_KEY", "tml-secret")
    lines = (
        "import os\nraise ValueError(repr((dict(os.environ), sys.argv[:0], sorted(m for m in sys.modules if 'studio' in m))))"
    )
    (found,) = run(body(lines))
    assert found.error.startswith("line 4: ValueError: ({")
    assert "tml-secret" not in found.error
    assert "studio" not in found.error
    (seen,) = run(body("return open('/proc/self/environ').read()"))
    assert seen.value is None


def test_no_process_is_left_behind():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    run(body("while True: pass"), "4", "4", seconds=0.1)
    run(body("return 1"), *["4"] * 20)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_one_process_serves_many_answers():
    code = "import sys\nseen = []\ndef score(p, a, r):\n    seen.append(a)\n    return len(seen) / 100"
    with Sandbox(Python(code=code)) as room:
        values = [one.value for one in room.score([(str(n), ROW) for n in range(50)])]
    assert values == [n / 100 for n in range(1, 51)]


def test_where_there_is_no_sandbox_nothing_is_run(monkeypatch, tmp_path):
    mark = tmp_path / "ran"
    monkeypatch.setattr(sandbox, "trouble", lambda: "there is none")
    from studio import rewards

    with pytest.raises(RewardError, match="cannot be run safely"):
        rewards.batch_scorer(Python(code=f"open({str(mark)!r}, 'w')\ndef score(p, a, r):\n    return 1"))
    assert not mark.exists()


def test_a_cell_that_cannot_close_its_doors_runs_nothing(monkeypatch, tmp_path):
    """Without libseccomp: as on a machine that lacks it."""
    broken = tmp_path / "cell.py"
    broken.write_text(Path(sandbox._CELL).read_text().replace("libseccomp.so.2", "libnothing.so.9"))
    monkeypatch.setattr(sandbox, "_CELL", broken)
    sandbox.trouble.cache_clear()
    try:
        assert "does not start" in sandbox.trouble()
        with pytest.raises(RewardError, match="cannot be run safely"):
            run("def score(p, a, r):\n    return 1")
    finally:
        monkeypatch.undo()
        sandbox.trouble.cache_clear()


def test_a_cell_whose_doors_stay_open_is_not_trusted(monkeypatch, tmp_path):
    broken = tmp_path / "cell.py"
    broken.write_text(Path(sandbox._CELL).read_text().replace("        _close_the_doors()\n", ""))
    monkeypatch.setattr(sandbox, "_CELL", broken)
    sandbox.trouble.cache_clear()
    try:
        assert "does not hold" in sandbox.trouble()
    finally:
        monkeypatch.undo()
        sandbox.trouble.cache_clear()
