"""Work in a process of its own: how it is followed, how it is ended, and what no file can make it do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from studio import processes, work
from studio.data import RefusedFile
from studio.errors import DataError, NotFoundError, StoreError, StudioError
from studio.work import Cancelled, Done, Failed, Limits, Progress, Ticket, Working, files

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "tests.work.misbehaving"


@pytest.fixture
def ticket(tmp_path):
    made = Ticket(tmp_path / "data")
    made.folder.mkdir()
    yield made
    for slot in ("rows", "tokens", "export"):
        work.cancel(replace(made, slot=slot))


def begin(ticket, task, asked=None, **options):
    return work.start(task, ticket, asked or {}, program=PROGRAM, **options)


def process_of(ticket):
    return json.loads((ticket.place / files.PROCESS).read_text())["pid"]


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.02)
    return found


def working_at(ticket, phase):
    now = work.state(ticket)
    return now if isinstance(now, Working) and now.progress.phase == phase else None


def test_work_is_done_by_another_process(ticket):
    begin(ticket, "greet", {"name": "ann"})
    ended = work.wait(ticket)
    assert isinstance(ended, Done)
    assert ended.result["hello"] == "ann"
    assert ended.result["process"] != os.getpid()
    assert work.state(ticket) == ended


def test_no_work_is_nothing_and_cannot_be_waited_for(ticket):
    assert work.state(ticket) is None
    assert work.cancel(ticket) is None
    with pytest.raises(NotFoundError):
        work.wait(ticket)


def test_start_returns_at_once_and_the_first_word_comes_soon(ticket):
    began = time.monotonic()
    begin(ticket, "count", {"to": 100})
    assert time.monotonic() - began < 0.5
    until((ticket.place / files.PROGRESS).exists, 5)
    assert isinstance(work.state(ticket), Working)


def test_progress_says_how_far_and_how_fast(ticket):
    begin(ticket, "count", {"to": 100})
    now = until(lambda: (at := working_at(ticket, "counting")) and at.progress.done >= 5_000_000 and at)
    assert 0.05 <= now.progress.share <= 0.5
    # Ten million bytes a second, less what waking up costs.
    assert 5e6 < now.progress.per_second < 11e6
    assert now.progress.words.endswith("MB per second")
    assert " of 100 MB, " in now.progress.words


def test_words_of_progress():
    assert Progress("reading").words == ""
    assert Progress("reading", 5, 0, "rows").words == "5 rows"
    assert Progress("reading", 412_000_000, 1_000_000_000, "bytes", 96e6).words == "412 of 1,000 MB, 96 MB per second"
    assert Progress("reading", 5).share is None
    assert Progress("reading", 12, 10, "rows").share == 1.0


def test_cancel_ends_it_at_once_and_keeps_what_was_there(ticket):
    (ticket.folder / "inspection.json").write_text("good")
    begin(ticket, "count", {"to": 1000})
    until(lambda: working_at(ticket, "counting"))
    pid = process_of(ticket)
    began = time.monotonic()
    assert work.cancel(ticket) == Cancelled("count")
    assert time.monotonic() - began < 1.0
    assert is_gone(pid)
    assert work.state(ticket) == Cancelled("count")
    assert {path.name for path in ticket.folder.iterdir()} == {"inspection.json", "work"}
    assert (ticket.folder / "inspection.json").read_text() == "good"


def test_what_was_complete_stays_when_cancel_comes_too_late(ticket):
    begin(ticket, "greet", {"name": "ann"})
    ended = work.wait(ticket)
    assert work.cancel(ticket) == ended
    assert work.state(ticket) == ended


def test_a_new_start_forgets_the_old_end(ticket):
    begin(ticket, "refuse")
    assert isinstance(work.wait(ticket), Failed)
    begin(ticket, "greet", {"name": "bob"})
    assert isinstance(work.wait(ticket), Done)


def test_one_piece_of_work_at_a_time_per_slot(ticket):
    begin(ticket, "count", {"to": 1000})
    with pytest.raises(DataError, match="still working") as caught:
        begin(ticket, "greet", {"name": "ann"})
    assert caught.value.next_step
    beside = replace(ticket, slot="tokens")
    begin(beside, "greet", {"name": "ann"})
    assert isinstance(work.wait(beside), Done)
    assert isinstance(work.state(ticket), Working)


@pytest.mark.parametrize(
    ("task", "kind", "words"), [("refuse", DataError, "It cannot be used."), ("refuse_store", StoreError, "No.")]
)
def test_an_error_comes_out_as_it_went_in(ticket, task, kind, words):
    begin(ticket, task)
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert type(ended.error) is kind
    assert ended.error.what == words
    assert ended.error.next_step


def test_a_refused_file_keeps_its_code(ticket):
    error = RefusedFile("empty_file", "This file is empty.", where="a.csv", next_step="Choose another.")
    back = files.state_of(json.loads(json.dumps(files.outcome_of(Failed("inspect", error)))))
    assert isinstance(back, Failed)
    assert isinstance(back.error, RefusedFile)
    assert (back.error.code, back.error.what, back.error.where) == ("empty_file", error.what, "a.csv")


def test_a_defect_of_ours_is_said_without_its_insides(ticket):
    begin(ticket, "defect")
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert "nobody should read" not in str(ended.error)
    assert "RuntimeError" in str(ended.error)
    assert "nobody should read" in (ticket.place / files.LOG).read_text()


def test_a_crash_is_told(ticket):
    begin(ticket, "crash")
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, RefusedFile)
    assert ended.error.code == "broke_off"
    assert "SIGSEGV" in ended.error.what
    assert ended.error.next_step


def test_a_kill_from_outside_is_told_as_the_system_running_out_of_memory(ticket):
    (ticket.folder / "inspection.json").write_text("good")
    begin(ticket, "count", {"to": 1000})
    until(lambda: working_at(ticket, "counting"))
    os.kill(process_of(ticket), signal.SIGKILL)
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, RefusedFile)
    assert ended.error.code == "ended_by_system"
    assert "ended by the system, likely because memory ran out" in ended.error.what
    assert {path.name for path in ticket.folder.iterdir()} == {"inspection.json", "work"}


@pytest.mark.parametrize(
    ("task", "limits", "code", "words"),
    [
        ("swallow", Limits(memory_bytes=600_000_000), "too_much_memory", "more memory"),
        ("spin", Limits(seconds=1), "took_too_long", "longer"),
    ],
)
def test_too_much_of_something_ends_the_child_and_not_the_studio(ticket, task, limits, code, words):
    begin(ticket, task, limits=limits)
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, RefusedFile)
    assert ended.error.code == code
    assert words in ended.error.what


def test_a_file_that_grows_without_end_is_stopped(ticket):
    begin(ticket, "flood", limits=Limits(file_bytes=5_000_000))
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, StoreError)
    assert (ticket.folder / "flood").stat().st_size <= 5_000_000


def test_a_disk_that_is_nearly_full_ends_the_child(ticket):
    begin(ticket, "spin", limits=Limits(room_bytes=2**62))
    ended = work.wait(ticket)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, StoreError)
    assert "nearly full" in ended.error.what


def test_the_child_knows_little_and_secrets_are_written_nowhere(ticket, monkeypatch):
    monkeypatch.setenv("TINKER_API_KEY", "tml-secret-key")
    monkeypatch.setenv("HF_TOKEN", "hf_from_the_shell")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/evil.py")
    begin(ticket, "environment", secrets={"HF_TOKEN": "hf_only_for_this"})
    ended = work.wait(ticket)
    assert isinstance(ended, Done)
    known = ended.result["environment"]
    assert known["HF_TOKEN"] == "hf_only_for_this"
    assert not {"TINKER_API_KEY", "PYTHONSTARTUP"} & set(known)
    assert Path(ended.result["folder"]).resolve() == ticket.place.resolve()
    # The task gave its environment back as its result; apart from that no file holds the secret.
    others = [path for path in ticket.folder.rglob("*") if path.is_file() and path.name != files.OUTCOME]
    assert others
    assert not [path for path in others if b"hf_only_for_this" in path.read_bytes()]


def test_no_secret_is_in_the_command_line(ticket):
    begin(ticket, "count", {"to": 1000}, secrets={"HF_TOKEN": "hf_only_for_this"})
    assert "hf_only_for_this" not in " ".join(psutil.Process(process_of(ticket)).cmdline())


def elsewhere(code, *words):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


START = """
import sys
from pathlib import Path
from studio import processes, work
from studio.work import Ticket
ticket, asked, tied = Ticket(Path(sys.argv[1])), {"to": int(sys.argv[2])}, sys.argv[3] == "tied"
work.start("count", ticket, asked, program="tests.work.misbehaving", tied=tied)
"""
STATE = """
import sys
from pathlib import Path
from studio import processes, work
from studio.work import Ticket
print(type(work.state(Ticket(Path(sys.argv[1])))).__name__)
"""


def test_work_outlives_the_studio_that_began_it_and_is_found_by_the_next(ticket):
    elsewhere(START, ticket.folder, 20, "free")
    assert isinstance(work.state(ticket), Working)
    assert elsewhere(STATE, ticket.folder) == "Working"
    assert isinstance(work.wait(ticket), Done)
    assert (ticket.folder / "half.txt").read_text() == "half"
    assert elsewhere(STATE, ticket.folder) == "Done"


def test_tied_work_ends_with_its_parent(ticket):
    elsewhere(START, ticket.folder, 1000, "tied")
    until(lambda: is_gone(process_of(ticket)))
    assert isinstance(work.state(ticket), Failed)


def test_any_studio_can_cancel(ticket):
    elsewhere(START, ticket.folder, 1000, "free")
    pid = process_of(ticket)
    assert work.cancel(ticket) == Cancelled("count")
    until(lambda: is_gone(pid), 5)


def test_a_pid_that_was_given_out_again_is_not_our_child(ticket):
    ticket.place.mkdir(parents=True)
    files.write_json(ticket.place / files.ASKED, files.asked_of("count", {}, Limits(), None))
    files.write_json(ticket.place / files.PROCESS, {"pid": os.getpid(), "started": 1.0})
    ended = work.state(ticket)
    assert isinstance(ended, Failed)
    assert "the computer was restarted" in ended.error.what
    # Nothing is there to be ended; above all not this process, whose number it was.
    assert isinstance(work.cancel(ticket), Failed)


def test_a_damaged_file_is_a_store_error(ticket):
    ticket.place.mkdir(parents=True)
    (ticket.place / files.ASKED).write_text("{")
    with pytest.raises(StoreError):
        work.state(ticket)
    (ticket.place / files.ASKED).unlink()


def test_results_replace_each_other_whole(ticket):
    folder = ticket.folder
    for name in ("original", "staged_by.txt", "stage.parquet", "train.parquet"):
        (folder / name).write_text("old")
    (folder / "spill-live").mkdir()
    new = folder / files.NEW
    new.mkdir()
    (new / "stage.parquet").write_text("new")
    (new / "inspection.json").write_text("new")
    files.complete(folder)
    found = {path.name: path.is_file() and path.read_text() for path in folder.iterdir()}
    assert found == {
        "original": "old",
        "staged_by.txt": "old",
        "stage.parquet": "new",
        "inspection.json": "new",
        "spill-live": False,
    }


def test_a_swap_that_broke_off_in_the_middle_is_finished_by_the_next_look(ticket):
    folder = ticket.folder
    (folder / "stage.parquet").write_text("new")
    new = folder / files.NEW
    new.mkdir()
    (new / "inspection.json").write_text("new")
    (folder / "inspection.json").write_text("old")
    files.write_json(new / files.COMPLETE, {"names": ["inspection.json", "stage.parquet"], "instead": True})
    work.tidy(ticket)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"inspection.json": "new", "stage.parquet": "new"}


def test_a_child_loads_nothing_heavy():
    heavy = {"torch", "gradio", "datasets", "transformers", "pandas", "tinker", "tinker_cookbook", "polars"}
    code = f"import sys, studio.work.child, studio.work.tasks; print(*sorted({heavy!r} & set(sys.modules)))"
    assert elsewhere(code) == ""


def test_every_error_can_travel():
    """Also one of a class that the parent may not have loaded."""

    class OurOwnError(DataError):
        pass

    back = files.state_of(files.outcome_of(Failed("x", OurOwnError("what", where="where", next_step="next"))))
    assert isinstance(back, Failed)
    assert type(back.error) is DataError
    plain = files.state_of(files.outcome_of(Failed("x", StudioError("what"))))
    assert isinstance(plain, Failed)
    assert type(plain.error) is StudioError


def test_a_container_may_have_less_memory_than_its_machine(tmp_path):
    whole = processes.free_memory(tmp_path)
    assert whole > 0
    for name, text in (("memory.max", "700"), ("memory.current", "500"), ("memory.stat", "anon 100\ninactive_file 50\n")):
        (tmp_path / name).write_text(text)
    assert processes.free_memory(tmp_path) == 250
    (tmp_path / "memory.max").write_text("max")
    assert processes.free_memory(tmp_path) > 1_000_000
