"""The store: durable, ordered, honest about what it cannot do."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from studio.errors import NotFoundError, StoreError
from studio.store import AnswerRow, ArmRow, Pairing, PromptRow, Store, checked_id, new_id
from studio.store.ratings import Ballot


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "studio.sqlite3")
    yield opened
    opened.close()


def a_run(store: Store, owner: str = "local") -> str:
    dataset = store.datasets.add(new_id("dat"), owner=owner, name="d", rows=3, fingerprint="f", manifest_json="{}")
    run = store.runs.add(owner=owner, name="r", dataset_id=dataset.id, method="sl", model="nano", recipe_json="{}")
    return run.id


def test_what_was_written_is_there_for_another_connection(tmp_path: Path):
    first = Store(tmp_path / "s.sqlite3")
    run = a_run(first)
    second = Store(tmp_path / "s.sqlite3")
    assert second.runs.get(run, "local").id == run
    assert second.jobs.get(run).status == "queued"
    first.close()
    second.close()


def test_another_owner_sees_nothing(store: Store):
    run = a_run(store, owner="ana")
    with pytest.raises(NotFoundError):
        store.runs.get(run, "bo")
    assert store.runs.all("bo") == ()
    assert store.datasets.all("bo") == ()


def test_every_table_has_an_owner(store: Store, tmp_path: Path):
    con = sqlite3.connect(tmp_path / "studio.sqlite3")
    tables = [name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    ours = [name for name in tables if not name.startswith("sqlite_") and name != "migrations"]
    assert len(ours) >= 10
    for table in ours:
        assert "owner" in [column[1] for column in con.execute(f"PRAGMA table_info({table})")], table
    con.close()


def test_a_job_is_claimed_once_and_one_at_a_time(store: Store):
    first, second = a_run(store), a_run(store)
    wins: list[bool] = []

    def claim() -> None:
        wins.append(store.jobs.claim(first))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wins) == 1
    assert not store.jobs.claim(second), "one training at a time"
    store.jobs.move(first, "completed")
    assert store.jobs.claim(second)


def test_coming_to_rest_forgets_the_process_and_keeps_the_reason(store: Store):
    run = a_run(store)
    store.jobs.claim(run)
    store.jobs.update(run, pid=4242, pid_started=1.0, done=3, total=9, phase="training")
    assert store.jobs.move(run, "interrupted", reason="The worker was killed.", next_step="Resume it.")
    job = store.jobs.get(run)
    assert (job.pid, job.done, job.total, job.reason) == (None, 3, 9, "The worker was killed.")
    assert job.ended_at is not None
    assert job.ended
    assert [event.text for event in store.jobs.events(run)] == ["The worker was killed."]


@pytest.mark.parametrize(
    ("status", "phase"), [("completed", ""), ("stopped", ""), ("failed", "saving"), ("interrupted", "saving")]
)
def test_who_comes_to_rest_in_order_is_in_no_phase_any_more_from_that_moment_on(store: Store, status, phase):
    run = a_run(store)
    store.jobs.update(run, phase="saving")
    store.jobs.move(run, status)
    assert store.jobs.get(run).phase == phase


def test_a_move_is_refused_from_the_wrong_state(store: Store):
    run = a_run(store)
    assert not store.jobs.move(run, "stopping", only_from=("running",))
    assert store.jobs.get(run).status == "queued"


def test_answers_are_never_rewritten(store: Store):
    comparison = store.comparisons.add(owner="local", run_id=a_run(store), settings_json="{}")
    first = AnswerRow(comparison.id, "p1", "base", "local", 0, "[]", "ref", "one", 1, "stop", None, 0)
    later = AnswerRow(comparison.id, "p1", "base", "local", 0, "[]", "ref", "two", 1, "stop", None, 0)
    store.comparisons.add_answers([first])
    store.comparisons.add_answers([later])
    assert [answer.text for answer in store.comparisons.answers(comparison.id)] == ["one"]


def test_a_double_click_is_one_vote_and_a_change_of_mind_is_logged(store: Store):
    comparison = store.comparisons.add(owner="local", run_id=a_run(store), settings_json="{}")
    session = store.ratings.open_session(owner="local", comparison_id=comparison.id, settings_json="{}")
    rater = store.ratings.add_rater(
        session, "Ana", "hash", lambda *_: [Pairing("p1", "tuned", "base"), Pairing("p2", "base", "tuned")]
    )
    deal = store.ratings.deals(rater.id)[0]
    assert store.ratings.vote(rater, deal, Ballot("left"))[0]
    assert not store.ratings.vote(rater, deal, Ballot("left"))[0]
    assert store.ratings.vote(rater, deal, Ballot("tie"))[0]
    store.ratings.reveal(rater.id, "left")
    assert store.ratings.vote(rater, deal, Ballot("right"))[0]
    log = store.ratings.votes(session.id)
    assert [(vote.choice, vote.unblinded) for vote in log] == [("left", 0), ("tie", 0), ("right", 1)]
    first_reveal = store.ratings.raters(session.id)[0].revealed_at
    store.ratings.reveal(rater.id, "right")
    assert store.ratings.raters(session.id)[0].revealed_at == first_reveal
    assert store.ratings.raters(session.id)[0].guess == "left"


def test_a_newer_file_is_refused_with_advice(tmp_path: Path):
    path = tmp_path / "s.sqlite3"
    Store(path).close()
    con = sqlite3.connect(path)
    con.execute("INSERT INTO migrations VALUES ('9999_future')")
    con.commit()
    con.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(path)


def test_a_full_disk_is_said_and_loses_nothing(store: Store):
    run = a_run(store)
    # SQLite's own page limit is the same error code as a full disk.
    keeper = store.jobs.database._keeper
    (pages,) = keeper.execute("PRAGMA page_count").fetchone()
    (most,) = keeper.execute("PRAGMA max_page_count").fetchone()
    keeper.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full") as caught:
        store.jobs.tell(run, "x" * 200_000)
    assert "Free some space" in caught.value.next_step
    assert store.jobs.events(run) == ()
    keeper.execute(f"PRAGMA max_page_count = {most}")
    store.jobs.tell(run, "There is room again.")
    assert [event.text for event in store.jobs.events(run)] == ["There is room again."]
    assert store.jobs.get(run).status == "queued"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError):
        Store(path)


def test_ids_are_safe_in_paths():
    ids = {new_id("run") for _ in range(2000)}
    assert len(ids) == 2000
    assert all(checked_id(one) == one for one in ids)
    for bad in ("../etc", "run-", "run-abc/def", "", "run-ABCDEFGH", "run-a b c d"):
        with pytest.raises(NotFoundError):
            checked_id(bad)


def test_a_home_from_before_sweeps_keeps_its_jobs_and_what_points_at_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from studio.store import database, schema

    path = tmp_path / "studio.sqlite3"
    monkeypatch.setattr(database, "MIGRATIONS", schema.MIGRATIONS[:2])
    old = Store(path)
    first, second = a_run(old), a_run(old)
    con = sqlite3.connect(path)
    con.execute("UPDATE jobs SET created_at = 1")
    con.commit()
    con.close()
    old.jobs.tell(first, "A line of its history.")
    old.close()
    monkeypatch.undo()
    store = Store(path)
    assert [job.id for job in store.jobs.waiting()] == [first, second]
    assert [event.text for event in store.jobs.events(first)] == ["A line of its history."]
    data = store.runs.get(first, "local").dataset_id
    sweep = store.sweeps.add(owner="local", name="s", dataset_id=data, plan_json="{}")
    assert store.jobs.get(sweep.id).kind == "sweep"
    con = sqlite3.connect(path)
    con.execute("PRAGMA foreign_keys = ON")
    assert con.execute("PRAGMA foreign_key_check").fetchall() == []
    with pytest.raises(sqlite3.IntegrityError):
        con.execute("INSERT INTO events (owner, job_id, at, text) VALUES ('local', 'run-nobody', 1, 'x')")
    con.close()
    store.close()


def test_trials_are_numbered_and_keep_how_they_ended(store: Store):
    data = store.runs.get(a_run(store), "local").dataset_id
    sweep = store.sweeps.add(owner="local", name="s", dataset_id=data, plan_json="{}")
    first, second = (store.sweeps.add_trial(sweep, '{"lora_rank": 8}') for _ in range(2))
    store.sweeps.end_trial(first, "completed", 0.5)
    store.sweeps.end_trial(second, "pruned", None, "behind")
    assert [(one.number, one.state, one.value, one.reason) for one in store.sweeps.trials(sweep.id)] == [
        (1, "completed", 0.5, ""),
        (2, "pruned", None, "behind"),
    ]
    with pytest.raises(NotFoundError):
        store.sweeps.get(sweep.id, "somebody else")
    with pytest.raises(NotFoundError):
        store.sweeps.note("swp-000000", "no")


def test_arms_stand_in_their_order_and_answers_belong_to_one_of_them(store: Store):
    run = a_run(store)
    arms = [ArmRow("", name, 0, "", "imported", name.upper(), path=f"{name}.csv") for name in ("zebra", "apple", "mango")]
    comparison = store.comparisons.add(owner="local", run_id=None, settings_json="{}", arms=arms)
    assert store.comparisons.get(comparison.id, "local").run_id is None
    kept = store.comparisons.arms(comparison.id)
    assert [(one.name, one.reference, one.label) for one in kept] == [
        ("zebra", True, "ZEBRA"),
        ("apple", False, "APPLE"),
        ("mango", False, "MANGO"),
    ]
    for prompt in ("p2", "p1"):
        rows = [AnswerRow(comparison.id, prompt, one.name, "local", 0, "[]", "", one.name, 1, "", None, 0, 0.5) for one in arms]
        store.comparisons.add_answers(rows[::-1])
    assert [one.arm for one in store.comparisons.pair(comparison.id, "p1")] == ["zebra", "apple", "mango"]
    stranger = AnswerRow(comparison.id, "p1", "tuned", "local", 0, "[]", "", "x", 1, "", None, 0)
    with pytest.raises(StoreError):
        store.comparisons.add_answers([stranger])
    store.comparisons.update_arm(comparison.id, "apple", path="tinker://x")
    assert store.comparisons.arms(comparison.id)[1].path == "tinker://x"
    with pytest.raises(NotFoundError):
        store.comparisons.update_arm(comparison.id, "tuned", path="x")
    assert {one.id for one in store.comparisons.all("local")} == {comparison.id}
    assert store.comparisons.of_run(run, "local") == ()
    with pytest.raises(NotFoundError):
        store.comparisons.add(owner="somebody else", run_id=run, settings_json="{}")


def test_what_is_known_of_a_prompt_is_kept_once(store: Store):
    comparison = store.comparisons.add(owner="local", run_id=a_run(store), settings_json="{}")
    rows = [PromptRow(comparison.id, f"p{i}", "local", i, '{"source": "a"}', "trained on" if i else "") for i in range(2)]
    store.comparisons.add_prompts(rows)
    store.comparisons.add_prompts([PromptRow(comparison.id, "p0", "local", 0, "{}", "other")])
    assert store.comparisons.prompts(comparison.id) == tuple(rows)


def test_many_small_writes_share_a_transaction_and_fail_one_by_one(store: Store):
    database, run = store.jobs.database, a_run(store)

    def one(number: int) -> int:
        def do(con: sqlite3.Connection) -> int:
            con.execute("INSERT INTO events (owner, job_id, at, text) VALUES ('local', ?, 1, ?)", (run, str(number)))
            if number % 5 == 3:
                raise NotFoundError(f"No {number}.")
            if number == 7:
                con.execute("INSERT INTO events (owner, job_id, at, text) VALUES ('local', 'run-nobody', 1, 'x')")
            return number

        return database.write_together(do)

    def asked(number: int) -> object:
        try:
            return one(number)
        except (NotFoundError, StoreError) as error:
            return type(error).__name__

    with ThreadPoolExecutor(20) as pool:
        with database._writing:
            waiting = [pool.submit(asked, number) for number in range(20)]
            while len(database._waiting) < 20:
                time.sleep(0.001)
        answers = [each.result() for each in waiting]
    assert answers[7] == "StoreError"
    assert [answers[number] for number in (3, 8, 13, 18)] == ["NotFoundError"] * 4
    kept = sorted(int(event.text) for event in store.jobs.events(run))
    assert kept == [number for number in range(20) if number % 5 != 3 and number != 7]
    assert [answers[number] for number in kept] == kept
