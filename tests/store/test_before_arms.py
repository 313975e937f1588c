"""A home folder from before there were several arms: its sessions go on, and nothing in them has changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from studio.compare import blind, outcome
from studio.store import Store, database, schema

OLD = """
INSERT INTO jobs (id, owner, kind, status, created_at) VALUES
  ('run-000001', 'local', 'train', 'completed', 1), ('cmp-000001', 'local', 'answers', 'completed', 2);
INSERT INTO datasets VALUES ('dat-000001', 'local', 'd', 1, 2, 'f', '{}');
INSERT INTO runs (id, owner, name, dataset_id, method, model, recipe_json, created_at, sampler_path)
  VALUES ('run-000001', 'local', 'Mine', 'dat-000001', 'sl', 'nano', '{}', 1, 'tinker://x');
INSERT INTO comparisons VALUES ('cmp-000001', 'local', 'run-000001', 2, '{"temperature": 0.0}', '[]');
INSERT INTO answers VALUES
  ('cmp-000001', 'p1', 'base', 'local', 0, '[{"role": "user", "content": "One"}]', 'r', 'base one', 3, 'stop', 1.5, 4),
  ('cmp-000001', 'p1', 'tuned', 'local', 0, '[{"role": "user", "content": "One"}]', 'r', 'tuned one', 3, 'stop', 1.0, 4),
  ('cmp-000001', 'p2', 'base', 'local', 1, '[{"role": "user", "content": "Two"}]', 'r', 'base two', 3, 'stop', NULL, 0),
  ('cmp-000001', 'p2', 'tuned', 'local', 1, '[{"role": "user", "content": "Two"}]', 'r', 'tuned two', 3, 'stop', NULL, 0),
  ('cmp-000001', 'p3', 'base', 'local', 2, '[{"role": "user", "content": "Three"}]', 'r', 'same', 3, 'stop', NULL, 0),
  ('cmp-000001', 'p3', 'tuned', 'local', 2, '[{"role": "user", "content": "Three"}]', 'r', 'same', 3, 'stop', NULL, 0);
INSERT INTO sessions VALUES
  ('ses-000001', 'local', 'cmp-000001', 'open', 3, NULL, '{"rated": ["p1", "p2"], "automatic_ties": ["p3"]}'),
  ('ses-000002', 'local', 'cmp-000001', 'closed', 3, 4, '{"rated": ["p1", "p2"], "automatic_ties": ["p3"]}');
INSERT INTO deals VALUES ('rat-000001', 0, 'local', 'p2', 'left'), ('rat-000001', 1, 'local', 'p1', 'right'),
  ('rat-000002', 0, 'local', 'p1', 'left'), ('rat-000002', 1, 'local', 'p2', 'right');
INSERT INTO votes (owner, session_id, rater_id, position, prompt_id, choice, unblinded, at) VALUES
  ('local', 'ses-000001', 'rat-000001', 0, 'p2', 'right', 0, 5),
  ('local', 'ses-000001', 'rat-000001', 0, 'p2', 'left', 0, 6),
  ('local', 'ses-000001', 'rat-000002', 0, 'p1', 'tie', 0, 7);
"""


@pytest.fixture
def old_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "studio.sqlite3"
    monkeypatch.setattr(database, "MIGRATIONS", schema.MIGRATIONS[:3])
    Store(path).close()
    monkeypatch.undo()
    con = sqlite3.connect(path)
    con.executescript(OLD)
    for rater, name, token in (("rat-000001", "You", "ours"), ("rat-000002", "Guest 1", "theirs")):
        con.execute(
            "INSERT INTO raters VALUES (?, 'local', 'ses-000001', ?, ?, 4, NULL, '')", (rater, name, blind.fingerprint(token))
        )
    con.execute("PRAGMA foreign_keys = ON")
    assert con.execute("PRAGMA foreign_key_check").fetchall() == []
    con.commit()
    con.close()
    return path


def test_every_row_is_still_there_and_points_at_something(old_home: Path):
    Store(old_home).close()
    con = sqlite3.connect(old_home)
    assert con.execute("PRAGMA foreign_key_check").fetchall() == []
    counts = {
        table: con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("jobs", "comparisons", "arms", "answers", "sessions", "raters", "deals", "votes")
    }
    assert counts == {
        "jobs": 2,
        "comparisons": 1,
        "arms": 2,
        "answers": 6,
        "sessions": 2,
        "raters": 2,
        "deals": 4,
        "votes": 3,
    }
    assert not [name for (name,) in con.execute("SELECT name FROM sqlite_master") if name.endswith("_before")]
    con.close()


def test_base_and_tuned_become_arms_and_sides_stay(old_home: Path):
    store = Store(old_home)
    arms = store.comparisons.arms("cmp-000001")
    assert [(one.name, one.kind, one.label, one.run_id, one.path, one.reference) for one in arms] == [
        ("base", "base", "nano", None, "", True),
        ("tuned", "run", "Mine", "run-000001", "tinker://x", False),
    ]
    assert [(one.prompt_id, one.left_arm, one.right_arm, one.kind) for one in store.ratings.deals("rat-000001")] == [
        ("p2", "tuned", "base", "pair"),
        ("p1", "base", "tuned", "pair"),
    ]
    assert [(one.choice, one.criteria_json, one.comment, one.seconds) for one in store.ratings.votes("ses-000001")] == [
        ("right", "{}", "", None),
        ("left", "{}", "", None),
        ("tie", "{}", "", None),
    ]
    assert [(one.name, one.is_owner, one.expires_at) for one in store.ratings.raters("ses-000001")] == [
        ("You", True, None),
        ("Guest 1", False, None),
    ]
    assert [one.nll for one in store.comparisons.answers("cmp-000001")][:2] == [1.5, 1.0]
    store.close()


def test_an_old_session_goes_on_to_its_verdict(old_home: Path):
    store = Store(old_home)
    item = blind.item(store, "ours")
    assert (item.position, item.done, item.left, item.right) == (1, 1, "base one", "tuned one")
    blind.vote(store, "ours", 1, "right")
    blind.vote(store, "theirs", 1, "skip")
    found = outcome.verdict_of(store, "ses-000001", "local")
    assert (found.n_rated, found.n_automatic_ties, found.win_rate_rated) == (2, 1, (0.75 + 1.0) / 2)
    told = blind.finish(store, "ours", "right")
    assert [one.tuned_side for one in told.items] == ["left", "right"]
    assert told.guessed_right
    store.close()
