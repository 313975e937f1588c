"""The supervisor with real processes: what survives what, and what each death is called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from textwrap import dedent

import psutil
import pytest

from studio.errors import NotFoundError, RunError
from studio.processes import describe_end, life_of, started_at
from studio.runs import files
from studio.runs.supervisor import Supervisor, can_resume, can_stop

COUNT = """
done = 0
note = desk.folder / "done"
if note.exists():
    done = int(note.read_text())
while done < {steps}:
    if desk.stopping:
        raise StopAsked(f"It is saved at step {{done}}.")
    done += 1
    note.write_text(str(done))
    desk.progress(done, {steps})
    time.sleep(0.05)
"""


def test_a_job_runs_to_its_end_and_leaves_no_zombie(house, script):
    before = psutil.Process().children()
    run = house.run()
    supervisor = house.supervisor(script(COUNT.format(steps=3)))
    assert supervisor.submit(run).status in {"starting", "running"}
    job = house.until(run, "completed", ticking=supervisor)
    assert (job.done, job.total, job.pid, job.reason) == (3, 3, None, "")
    assert job.ended_at is not None
    children = [child for child in psutil.Process().children() if child not in before]

    def zombies():
        return [child for child in children if child.is_running() and child.status() == psutil.STATUS_ZOMBIE]

    # It says that it is done a moment before it ends.
    house.eventually(lambda: not zombies(), supervisor)
    assert [event.text for event in house.store.jobs.events(run)] == ["Its process is at work.", "completed"]


def test_what_a_worker_raises_becomes_its_reason_and_next_step(house, script):
    run = house.run()
    body = 'raise BackendError("The server refused.", where="create_model", next_step="Check the key tml-abcdef123456.")'
    supervisor = house.supervisor(script(body))
    supervisor.submit(run)
    job = house.until(run, "failed", ticking=supervisor)
    assert job.reason == "create_model: The server refused."
    assert job.next_step == "Check the key [hidden]."
    assert "tml-abcdef" not in (house.folder(run) / files.LOG).read_text()


def test_an_unforeseen_error_is_failed_too_and_points_to_the_log(house, script):
    run = house.run()
    supervisor = house.supervisor(script("{}['answer']"))
    supervisor.submit(run)
    job = house.until(run, "failed", ticking=supervisor)
    assert job.reason == "KeyError: 'answer'"
    assert "worker.log" in job.next_step
    assert "Traceback" in (house.folder(run) / files.LOG).read_text()


def test_a_killed_worker_is_interrupted_with_its_reason_and_resumes(house, script):
    run = house.run()
    supervisor = house.supervisor(script(COUNT.format(steps=40)))
    supervisor.submit(run)
    house.until(run, "running", ticking=supervisor)
    pid = house.job(run).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    job = house.until(run, "interrupted", ticking=supervisor)
    assert "SIGKILL" in job.reason
    assert "memory" in job.reason
    assert "Resume" in job.next_step
    assert can_resume(job)
    supervisor.resume(run)
    assert house.until(run, "completed", ticking=supervisor).done == 40
    assert "You resumed it." in [event.text for event in house.store.jobs.events(run)]


def test_stop_lets_the_worker_save(house, script):
    run = house.run()
    supervisor = house.supervisor(script(COUNT.format(steps=10_000)))
    supervisor.submit(run)
    # A process that is asked before its first step stops at once, and has nothing to save.
    house.eventually(lambda: house.job(run).done > 0, supervisor, told=lambda: house.told(run))
    assert can_stop(house.job(run))
    assert supervisor.stop(run).status in {"stopping", "stopped"}
    job = house.until(run, "stopped", ticking=supervisor)
    assert job.reason.startswith("You stopped it. It is saved at step")
    assert not can_stop(job)
    assert supervisor.stop(run) == job


def test_a_worker_that_does_not_listen_is_ended_after_its_grace(house, script):
    run = house.run()
    supervisor = house.supervisor(script("time.sleep(600)"), grace=0.3)
    supervisor.submit(run)
    house.until(run, "running", ticking=supervisor)
    supervisor.stop(run)
    job = house.until(run, "stopped", ticking=supervisor)
    assert "before it could save" in job.reason
    assert can_resume(job)


def test_a_stop_before_the_process_is_at_work_is_not_lost(house, script):
    run = house.run()
    supervisor = house.supervisor(script(COUNT.format(steps=10_000)))
    supervisor.submit(run)
    supervisor.stop(run)
    house.until(run, "stopped", ticking=supervisor)
    queued = house.run()
    assert supervisor.stop(queued).status == "stopped"
    supervisor.resume(queued)
    house.until(queued, "running", ticking=supervisor)
    supervisor.stop(queued)
    house.until(queued, "stopped", ticking=supervisor)


def test_one_training_and_one_comparison_at_a_time(house, script):
    first, second = house.run(), house.run()
    answers = house.answers(first)
    train = script(COUNT.format(steps=15))
    compare = script("pass", kind="answers")
    supervisor = house.supervisor(lambda job: train(job) if job.kind == "train" else compare(job))
    supervisor.submit(first)
    supervisor.submit(second)
    supervisor.submit(answers)
    assert house.job(second).status == "queued"
    assert house.job(answers).live
    house.until(answers, "completed", ticking=supervisor)
    house.until(second, "starting", "running", ticking=supervisor)
    assert house.job(first).status == "completed"
    house.until(second, "completed", ticking=supervisor)


def test_two_studios_start_a_job_once(house, script):
    run = house.run()
    command = script("open('starts', 'a').write('x'); time.sleep(0.5)")
    studios = [house.supervisor(command) for _ in range(4)]
    gate = threading.Barrier(len(studios))

    def go(studio: Supervisor) -> None:
        gate.wait()
        for _ in range(5):
            studio.tick()

    threads = [threading.Thread(target=go, args=(studio,)) for studio in studios]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job = house.until(run, "completed", "interrupted", ticking=studios[0])
    assert job.status == "completed"
    assert (house.folder(run) / "starts").read_text() == "x"


@pytest.mark.slow
def test_killing_the_studio_leaves_the_run_alone(house, script):
    run = house.run()
    command = script(COUNT.format(steps=60))(house.job(run))
    studio = dedent(
        f"""
        import time
        from pathlib import Path
        from studio.runs.supervisor import Supervisor
        from studio.settings import Settings
        from studio.store import Store

        settings = Settings(home=Path({str(house.settings.home)!r}))
        with Supervisor(settings, Store(settings.database), command=lambda job: {command!r}) as supervisor:
            supervisor.submit({run!r})
            time.sleep(600)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", studio])
    house.until(run, "running")
    process.send_signal(signal.SIGKILL)
    process.wait()
    pid = house.job(run).pid
    assert pid is not None
    assert life_of(pid, house.job(run).pid_started) == "alive"
    # A new studio on the same home finds it at work, and does not start it again.
    second = house.supervisor(lambda job: ["false"])
    second.recover()
    assert house.job(run).pid == pid
    assert house.until(run, "completed", ticking=second).done == 60


def test_a_new_studio_finds_out_what_died_while_nobody_watched(house):
    run = house.run()
    assert house.store.jobs.claim(run)
    house.store.jobs.update(run, pid=os.getpid(), pid_started=1.0)  # the pid was given out again since
    house.store.jobs.move(run, "running")
    house.supervisor(lambda job: ["false"]).recover()
    job = house.job(run)
    assert job.status == "interrupted"
    assert "not known" in job.reason
    assert "not saved a checkpoint" in job.next_step


def test_a_workers_own_words_are_believed_before_anything_is_guessed(house):
    run = house.run()
    house.store.jobs.claim(run)
    house.store.jobs.update(run, pid=4_194_305, pid_started=1.0)
    house.folder(run).mkdir(parents=True)
    files.write_outcome(house.folder(run), files.Outcome(4_194_305, "failed", "The disk is full.", "Free some space."))
    house.supervisor(lambda job: ["false"]).recover()
    job = house.job(run)
    assert (job.status, job.reason, job.next_step) == ("failed", "The disk is full.", "Free some space.")


def test_a_program_that_cannot_be_started_fails_with_the_reason(house):
    run = house.run()
    job = house.supervisor(lambda job: ["/nonexistent/python"]).submit(run)
    assert job.status == "failed"
    assert "No such file" in job.reason


def test_a_process_that_ends_at_once_is_interrupted_with_its_last_line(house):
    run = house.run()
    supervisor = house.supervisor(lambda job: [sys.executable, "-c", "print('no torch here'); raise SystemExit(7)"])
    supervisor.submit(run)
    job = house.until(run, "interrupted", ticking=supervisor)
    assert "exit code 7" in job.reason
    assert "no torch here" in job.reason


def test_only_what_came_to_rest_early_resumes(house):
    run = house.run()
    supervisor = house.supervisor(lambda job: ["false"])
    with pytest.raises(RunError, match="queued"):
        supervisor.resume(run)
    house.store.jobs.move(run, "completed")
    with pytest.raises(RunError, match="completed"):
        supervisor.resume(run)
    with pytest.raises(NotFoundError):
        supervisor.resume("run-000000")


def test_the_background_thread_starts_and_ends_with_the_studio(house, script):
    run = house.run()
    supervisor = house.supervisor(script(COUNT.format(steps=2)))
    with supervisor:
        house.until(run, "completed")
    assert not [thread for thread in threading.enumerate() if thread.name == "supervisor"]


@pytest.mark.parametrize("trouble", [PermissionError("outcome.json"), KeyError("something of ours")])
def test_the_background_thread_survives_whatever_one_look_meets(house, monkeypatch, trouble):
    looks = []

    def tick(self):
        looks.append(self)
        if len(looks) == 1:
            raise trouble

    monkeypatch.setattr("studio.runs.supervisor._TICK_SECONDS", 0.01)
    monkeypatch.setattr("studio.runs.supervisor.Supervisor.tick", tick)
    with house.supervisor(lambda job: []):
        house.eventually(lambda: len(looks) > 1)


def test_a_process_is_known_by_its_start_too():
    me = os.getpid()
    assert life_of(me, started_at(me)) == "alive"
    assert life_of(me, 12345.0) == "gone"
    assert life_of(me, 12345.0, mark=psutil.Process().cmdline()[-1]) == "alive"
    assert started_at(4_194_305) is None


@pytest.mark.parametrize(
    ("code", "says"),
    [(None, "not known"), (0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-200, "200")],
)
def test_every_end_has_a_sentence(code, says):
    assert says in describe_end(code)
