"""What models said: kept apart from votes, pair by pair, and never a score where there is none."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from studio.errors import NotFoundError, StoreError
from studio.store import MachineRatingRow, Store, database, schema
from tests.store.test_before_arms import OLD


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A home of a version before, with two sessions, opened by this one."""
    path = tmp_path / "studio.sqlite3"
    monkeypatch.setattr(database, "MIGRATIONS", schema.MIGRATIONS[:3])
    Store(path).close()
    monkeypatch.undo()
    con = sqlite3.connect(path)
    con.executescript(OLD)
    for rater in ("rat-000001", "rat-000002"):
        con.execute("INSERT INTO raters VALUES (?, 'local', 'ses-000001', 'Ana', ?, 4, NULL, '')", (rater, rater))
    con.commit()
    con.close()
    return Store(path)


def rating(judge_id: str, prompt: str = "p1") -> MachineRatingRow:
    return MachineRatingRow(judge_id, prompt, "base", "tuned", "local", "left", reply="VERDICT: FIRST", tokens_in=7)


def test_a_judging_is_made_with_its_job_and_the_jobs_before_it_are_still_there(store: Store):
    before = {job.id for job in store.jobs.waiting()} | {job.id for job in store.jobs.live()}
    made = store.machine.add(owner="local", session_id="ses-000001", settings_json="{}")
    assert (store.jobs.get(made.id).kind, store.jobs.get(made.id).status) == ("judge", "queued")
    assert before <= {job.id for job in store.jobs.waiting()} | {job.id for job in store.jobs.live()}
    assert store.machine.of_session("ses-000001", "local") == (made,)
    assert store.machine.add(owner="local", session_id="ses-000001", settings_json="{}", judge_id=made.id) == made
    with pytest.raises(NotFoundError):
        store.machine.get(made.id, "somebody else")
    with pytest.raises(StoreError):
        store.machine.add(owner="somebody else", session_id="ses-000001", settings_json="{}", judge_id=made.id)


def test_only_what_failed_on_the_way_is_replaced(store: Store):
    judge = store.machine.add(owner="local", session_id="ses-000001", settings_json="{}").id
    failed = replace(rating(judge), choice=None, missing="failed", detail="No answer in time.", reply="")
    store.machine.keep([failed, rating(judge, "p2")])
    store.machine.keep([rating(judge), replace(rating(judge, "p2"), choice="right")])
    found = {one.prompt_id: one for one in store.machine.ratings(judge)}
    assert (found["p1"].choice, found["p1"].missing, found["p1"].detail) == ("left", "", "")
    assert found["p2"].choice == "left"


def test_a_missing_rating_has_a_reason_and_a_given_one_has_none(store: Store):
    judge = store.machine.add(owner="local", session_id="ses-000001", settings_json="{}").id
    for wrong in (replace(rating(judge), choice=None), replace(rating(judge), missing="failed")):
        with pytest.raises(StoreError):
            store.machine.keep([wrong])
    assert not store.machine.ratings(judge)
