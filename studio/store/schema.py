"""The schema, declared once as named migrations in the order they are applied.

A migration that has shipped is never edited: a later one changes what it made. Every table has an ``owner``: one person on a
laptop, the signed-in person on a Space. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import Final

_FIRST: Final = """
CREATE TABLE jobs (
  id          TEXT PRIMARY KEY,
  owner       TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('train', 'answers')),
  status      TEXT NOT NULL CHECK (status IN
                ('queued', 'starting', 'running', 'stopping', 'stopped', 'completed', 'failed', 'interrupted')),
  phase       TEXT NOT NULL DEFAULT '',
  reason      TEXT NOT NULL DEFAULT '',
  next_step   TEXT NOT NULL DEFAULT '',
  done        INTEGER NOT NULL DEFAULT 0,
  total       INTEGER NOT NULL DEFAULT 0,
  pid         INTEGER,
  pid_started REAL,
  created_at  REAL NOT NULL,
  started_at  REAL,
  ended_at    REAL
) STRICT;
CREATE INDEX jobs_waiting ON jobs (status, created_at);

CREATE TABLE events (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  owner  TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (id),
  at     REAL NOT NULL,
  text   TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_job ON events (job_id, id);

CREATE TABLE datasets (
  id            TEXT PRIMARY KEY,
  owner         TEXT NOT NULL,
  name          TEXT NOT NULL,
  created_at    REAL NOT NULL,
  rows          INTEGER NOT NULL,
  fingerprint   TEXT NOT NULL,
  manifest_json TEXT NOT NULL
) STRICT;
CREATE INDEX datasets_of_owner ON datasets (owner, created_at);

CREATE TABLE runs (
  id              TEXT PRIMARY KEY REFERENCES jobs (id),
  owner           TEXT NOT NULL,
  name            TEXT NOT NULL,
  dataset_id      TEXT NOT NULL REFERENCES datasets (id),
  method          TEXT NOT NULL,
  model           TEXT NOT NULL,
  recipe_json     TEXT NOT NULL,
  created_at      REAL NOT NULL,
  sampler_path    TEXT NOT NULL DEFAULT '',
  checkpoint_path TEXT NOT NULL DEFAULT '',
  result_json     TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX runs_of_owner ON runs (owner, created_at);

CREATE TABLE comparisons (
  id            TEXT PRIMARY KEY REFERENCES jobs (id),
  owner         TEXT NOT NULL,
  run_id        TEXT NOT NULL REFERENCES runs (id),
  created_at    REAL NOT NULL,
  settings_json TEXT NOT NULL,
  measures_json TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX comparisons_of_run ON comparisons (run_id, created_at);

CREATE TABLE answers (
  comparison_id TEXT NOT NULL REFERENCES comparisons (id),
  prompt_id     TEXT NOT NULL,
  arm           TEXT NOT NULL CHECK (arm IN ('base', 'tuned')),
  owner         TEXT NOT NULL,
  position      INTEGER NOT NULL,
  prompt_json   TEXT NOT NULL,
  reference     TEXT NOT NULL,
  text          TEXT NOT NULL,
  tokens        INTEGER NOT NULL,
  stop_reason   TEXT NOT NULL,
  nll           REAL,
  nll_tokens    INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (comparison_id, prompt_id, arm)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  id            TEXT PRIMARY KEY,
  owner         TEXT NOT NULL,
  comparison_id TEXT NOT NULL REFERENCES comparisons (id),
  state         TEXT NOT NULL CHECK (state IN ('open', 'closed')),
  created_at    REAL NOT NULL,
  closed_at     REAL,
  settings_json TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_comparison ON sessions (comparison_id, created_at);

CREATE TABLE raters (
  id          TEXT PRIMARY KEY,
  owner       TEXT NOT NULL,
  session_id  TEXT NOT NULL REFERENCES sessions (id),
  name        TEXT NOT NULL,
  token_hash  TEXT NOT NULL UNIQUE,
  created_at  REAL NOT NULL,
  revealed_at REAL,
  guess       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX raters_of_session ON raters (session_id, created_at);

-- What each rater is shown, in which order, and on which side the tuned answer stands: stored when dealt, never derived.
CREATE TABLE deals (
  rater_id   TEXT NOT NULL REFERENCES raters (id),
  position   INTEGER NOT NULL,
  owner      TEXT NOT NULL,
  prompt_id  TEXT NOT NULL,
  tuned_side TEXT NOT NULL CHECK (tuned_side IN ('left', 'right')),
  PRIMARY KEY (rater_id, position),
  UNIQUE (rater_id, prompt_id)
) STRICT, WITHOUT ROWID;

-- A log: nothing is overwritten. The vote that counts is the last one of a rater on a prompt before that rater's reveal.
CREATE TABLE votes (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  owner      TEXT NOT NULL,
  session_id TEXT NOT NULL REFERENCES sessions (id),
  rater_id   TEXT NOT NULL REFERENCES raters (id),
  position   INTEGER NOT NULL,
  prompt_id  TEXT NOT NULL,
  choice     TEXT NOT NULL CHECK (choice IN ('left', 'right', 'tie', 'both_bad', 'skip')),
  unblinded  INTEGER NOT NULL CHECK (unblinded IN (0, 1)),
  at         REAL NOT NULL
) STRICT;
CREATE INDEX votes_of_session ON votes (session_id, id);
CREATE INDEX votes_of_rater ON votes (rater_id, position, id);
"""

_SEAL: Final = """
ALTER TABLE runs ADD COLUMN seal TEXT NOT NULL DEFAULT '';
"""


def _jobs_of(*kinds: str) -> str:
    """A script that rebuilds the table of jobs for these kinds, all jobs kept."""
    # SQLite cannot change a CHECK, so the jobs move through a copy. Their children point at nothing for a moment: the keys are
    # checked when the transaction ends. The copy is read in the order of the rows, by which the queue breaks ties.
    known = ", ".join(f"'{kind}'" for kind in kinds)
    return f"""
PRAGMA defer_foreign_keys = ON;
CREATE TABLE jobs_before AS SELECT * FROM jobs ORDER BY rowid;
DROP TABLE jobs;
CREATE TABLE jobs (
  id          TEXT PRIMARY KEY,
  owner       TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ({known})),
  status      TEXT NOT NULL CHECK (status IN
                ('queued', 'starting', 'running', 'stopping', 'stopped', 'completed', 'failed', 'interrupted')),
  phase       TEXT NOT NULL DEFAULT '',
  reason      TEXT NOT NULL DEFAULT '',
  next_step   TEXT NOT NULL DEFAULT '',
  done        INTEGER NOT NULL DEFAULT 0,
  total       INTEGER NOT NULL DEFAULT 0,
  pid         INTEGER,
  pid_started REAL,
  created_at  REAL NOT NULL,
  started_at  REAL,
  ended_at    REAL
) STRICT;
INSERT INTO jobs (id, owner, kind, status, phase, reason, next_step, done, total,
                  pid, pid_started, created_at, started_at, ended_at)
  SELECT id, owner, kind, status, phase, reason, next_step, done, total, pid, pid_started, created_at, started_at, ended_at
  FROM jobs_before ORDER BY rowid;
DROP TABLE jobs_before;
CREATE INDEX jobs_waiting ON jobs (status, created_at);
"""  # noqa: S608 - the kinds are constants of this file


_SWEEPS: Final = (
    _jobs_of("train", "answers", "sweep")
    + """
CREATE TABLE sweeps (
  id         TEXT PRIMARY KEY REFERENCES jobs (id),
  owner      TEXT NOT NULL,
  name       TEXT NOT NULL,
  dataset_id TEXT NOT NULL REFERENCES datasets (id),
  plan_json  TEXT NOT NULL,
  created_at REAL NOT NULL,
  note       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX sweeps_of_owner ON sweeps (owner, created_at);

-- A trial is written down before its run is, so that a sweep that died in between makes that very run and no second one.
CREATE TABLE sweep_trials (
  sweep_id      TEXT NOT NULL REFERENCES sweeps (id),
  number        INTEGER NOT NULL,
  owner         TEXT NOT NULL,
  run_id        TEXT NOT NULL UNIQUE,
  settings_json TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('running', 'completed', 'pruned', 'failed', 'stopped')),
  value         REAL,
  reason        TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sweep_id, number)
) STRICT, WITHOUT ROWID;
"""
)

# Several arms. Old deals and answers are those of two arms, base and tuned, so each old comparison gets these two. Tables whose
# CHECK or NOT NULL changes move through a copy, as in the migration before.
_VERDICT: Final = """
PRAGMA defer_foreign_keys = ON;
CREATE TABLE comparisons_before AS SELECT * FROM comparisons ORDER BY rowid;
DROP TABLE comparisons;
-- Without a run: two imported files, or two base models.
CREATE TABLE comparisons (
  id            TEXT PRIMARY KEY REFERENCES jobs (id),
  owner         TEXT NOT NULL,
  run_id        TEXT REFERENCES runs (id),
  created_at    REAL NOT NULL,
  settings_json TEXT NOT NULL,
  measures_json TEXT NOT NULL DEFAULT '[]'
) STRICT;
INSERT INTO comparisons (id, owner, run_id, created_at, settings_json, measures_json)
  SELECT id, owner, run_id, created_at, settings_json, measures_json FROM comparisons_before ORDER BY rowid;
DROP TABLE comparisons_before;
CREATE INDEX comparisons_of_run ON comparisons (run_id, created_at);
CREATE INDEX comparisons_of_owner ON comparisons (owner, created_at);

-- The arm at position 0 is the reference; every other one is a challenger.
CREATE TABLE arms (
  comparison_id TEXT NOT NULL REFERENCES comparisons (id),
  name          TEXT NOT NULL,
  position      INTEGER NOT NULL,
  owner         TEXT NOT NULL,
  kind          TEXT NOT NULL CHECK (kind IN ('base', 'run', 'checkpoint', 'model', 'imported')),
  label         TEXT NOT NULL,
  run_id        TEXT REFERENCES runs (id),
  path          TEXT NOT NULL DEFAULT '',
  details_json  TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (comparison_id, name),
  UNIQUE (comparison_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO arms (comparison_id, name, position, owner, kind, label, run_id, path)
  SELECT comparisons.id, 'base', 0, comparisons.owner, 'base', runs.model, NULL, ''
  FROM comparisons JOIN runs ON runs.id = comparisons.run_id;
INSERT INTO arms (comparison_id, name, position, owner, kind, label, run_id, path)
  SELECT comparisons.id, 'tuned', 1, comparisons.owner, 'run', runs.name, runs.id, runs.sampler_path
  FROM comparisons JOIN runs ON runs.id = comparisons.run_id;

-- What is known of a prompt besides its text: where it comes from, and whether it was trained on.
CREATE TABLE prompts (
  comparison_id TEXT NOT NULL REFERENCES comparisons (id),
  prompt_id     TEXT NOT NULL,
  owner         TEXT NOT NULL,
  position      INTEGER NOT NULL,
  slices_json   TEXT NOT NULL DEFAULT '{}',
  stamp         TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (comparison_id, prompt_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE answers_before AS SELECT * FROM answers;
DROP TABLE answers;
CREATE TABLE answers (
  comparison_id TEXT NOT NULL REFERENCES comparisons (id),
  prompt_id     TEXT NOT NULL,
  arm           TEXT NOT NULL,
  owner         TEXT NOT NULL,
  position      INTEGER NOT NULL,
  prompt_json   TEXT NOT NULL,
  reference     TEXT NOT NULL,
  text          TEXT NOT NULL,
  tokens        INTEGER NOT NULL,
  stop_reason   TEXT NOT NULL,
  nll           REAL,
  nll_tokens    INTEGER NOT NULL DEFAULT 0,
  seconds       REAL,
  details_json  TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (comparison_id, prompt_id, arm),
  FOREIGN KEY (comparison_id, arm) REFERENCES arms (comparison_id, name)
) STRICT, WITHOUT ROWID;
INSERT INTO answers (comparison_id, prompt_id, arm, owner, position, prompt_json, reference, text, tokens, stop_reason,
                     nll, nll_tokens)
  SELECT comparison_id, prompt_id, arm, owner, position, prompt_json, reference, text, tokens, stop_reason, nll, nll_tokens
  FROM answers_before;
DROP TABLE answers_before;

CREATE TABLE sessions_before AS SELECT * FROM sessions ORDER BY rowid;
DROP TABLE sessions;
CREATE TABLE sessions (
  id            TEXT PRIMARY KEY,
  owner         TEXT NOT NULL,
  comparison_id TEXT NOT NULL REFERENCES comparisons (id),
  state         TEXT NOT NULL CHECK (state IN ('open', 'paused', 'closed')),
  created_at    REAL NOT NULL,
  closed_at     REAL,
  settings_json TEXT NOT NULL
) STRICT;
INSERT INTO sessions (id, owner, comparison_id, state, created_at, closed_at, settings_json)
  SELECT id, owner, comparison_id, state, created_at, closed_at, settings_json FROM sessions_before ORDER BY rowid;
DROP TABLE sessions_before;
CREATE INDEX sessions_of_comparison ON sessions (comparison_id, created_at);
CREATE INDEX sessions_of_owner ON sessions (owner, created_at);

CREATE TABLE session_events (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  owner      TEXT NOT NULL,
  session_id TEXT NOT NULL REFERENCES sessions (id),
  at         REAL NOT NULL,
  text       TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_session ON session_events (session_id, id);

-- Pairs of which the better answer is known. They say how carefully somebody rates and are in no verdict.
CREATE TABLE gold_items (
  session_id  TEXT NOT NULL REFERENCES sessions (id),
  gold_id     TEXT NOT NULL,
  owner       TEXT NOT NULL,
  prompt_json TEXT NOT NULL,
  better      TEXT NOT NULL,
  worse       TEXT NOT NULL,
  PRIMARY KEY (session_id, gold_id)
) STRICT, WITHOUT ROWID;

-- How somebody came in. The owner's seat was known by its name before.
ALTER TABLE raters ADD COLUMN via TEXT NOT NULL DEFAULT 'invite' CHECK (via IN ('invite', 'login', 'owner'));
ALTER TABLE raters ADD COLUMN login TEXT NOT NULL DEFAULT '';
ALTER TABLE raters ADD COLUMN expires_at REAL;
ALTER TABLE raters ADD COLUMN withdrawn_at REAL;
UPDATE raters SET via = 'owner' WHERE name = 'You';
CREATE UNIQUE INDEX raters_by_login ON raters (session_id, login) WHERE login <> '';

CREATE TABLE deals_before AS SELECT * FROM deals;
DROP TABLE deals;
-- What each rater is shown, in which order, and which arm stands on which side: stored when dealt, never derived.
CREATE TABLE deals (
  rater_id  TEXT NOT NULL REFERENCES raters (id),
  position  INTEGER NOT NULL,
  owner     TEXT NOT NULL,
  prompt_id TEXT NOT NULL,
  left_arm  TEXT NOT NULL,
  right_arm TEXT NOT NULL CHECK (right_arm <> left_arm),
  kind      TEXT NOT NULL CHECK (kind IN ('pair', 'gold')),
  PRIMARY KEY (rater_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO deals (rater_id, position, owner, prompt_id, left_arm, right_arm, kind)
  SELECT rater_id, position, owner, prompt_id,
    CASE tuned_side WHEN 'left' THEN 'tuned' ELSE 'base' END, CASE tuned_side WHEN 'left' THEN 'base' ELSE 'tuned' END, 'pair'
  FROM deals_before;
DROP TABLE deals_before;
-- Nobody is shown the same two answers twice, not even with the sides swapped.
CREATE UNIQUE INDEX deals_once ON deals (rater_id, kind, prompt_id, min(left_arm, right_arm), max(left_arm, right_arm));

ALTER TABLE votes ADD COLUMN criteria_json TEXT NOT NULL DEFAULT '{}';
ALTER TABLE votes ADD COLUMN comment TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN seconds REAL;

-- What signs the invites of this studio. It is worth nothing without this file, which holds all that it protects.
CREATE TABLE secrets (
  name  TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

# An opinion of a model. It is in tables of its own, so that no query for votes can ever meet it.
_MACHINE: Final = (
    _jobs_of("train", "answers", "sweep", "judge")
    + """
-- One model that was asked about one session.
CREATE TABLE machine_judges (
  id            TEXT PRIMARY KEY REFERENCES jobs (id),
  owner         TEXT NOT NULL,
  session_id    TEXT NOT NULL REFERENCES sessions (id),
  created_at    REAL NOT NULL,
  settings_json TEXT NOT NULL
) STRICT;
CREATE INDEX machine_judges_of_session ON machine_judges (session_id, created_at);

-- What it said about one pair in one order. Without a choice there is a reason why, and never a score.
CREATE TABLE machine_ratings (
  judge_id   TEXT NOT NULL REFERENCES machine_judges (id),
  prompt_id  TEXT NOT NULL,
  left_arm   TEXT NOT NULL,
  right_arm  TEXT NOT NULL CHECK (right_arm <> left_arm),
  owner      TEXT NOT NULL,
  choice     TEXT CHECK (choice IN ('left', 'right', 'tie', 'both_bad')),
  missing    TEXT NOT NULL DEFAULT '' CHECK ((choice IS NULL) = (missing <> '')),
  detail     TEXT NOT NULL DEFAULT '',
  reply      TEXT NOT NULL DEFAULT '',
  tokens_in  INTEGER,
  tokens_out INTEGER,
  at         REAL NOT NULL,
  PRIMARY KEY (judge_id, prompt_id, left_arm, right_arm)
) STRICT, WITHOUT ROWID;
"""
)

# The playground. What is typed there is no prompt of a comparison, and what is thought of it is no vote.
_TALKS: Final = """
CREATE TABLE talk_questions (
  id            TEXT PRIMARY KEY,
  owner         TEXT NOT NULL,
  talk_id       TEXT NOT NULL,
  run_id        TEXT NOT NULL REFERENCES runs (id),
  model         TEXT NOT NULL,
  created_at    REAL NOT NULL,
  text          TEXT NOT NULL,
  settings_json TEXT NOT NULL
) STRICT;
CREATE INDEX talk_questions_of_run ON talk_questions (run_id, owner, created_at);

CREATE TABLE talk_answers (
  question_id TEXT NOT NULL REFERENCES talk_questions (id),
  side        TEXT NOT NULL,
  owner       TEXT NOT NULL,
  position    INTEGER NOT NULL,
  label       TEXT NOT NULL,
  path        TEXT NOT NULL,
  prompt_json TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('waiting', 'answered', 'failed')),
  text        TEXT NOT NULL,
  tokens      INTEGER NOT NULL,
  stop_reason TEXT NOT NULL,
  trained_on  INTEGER CHECK (trained_on IN (0, 1)),
  reason      TEXT NOT NULL,
  next_step   TEXT NOT NULL,
  at          REAL NOT NULL,
  PRIMARY KEY (question_id, side)
) STRICT, WITHOUT ROWID;
CREATE INDEX talk_answers_waiting ON talk_answers (question_id) WHERE state = 'waiting';

-- A log: nothing is overwritten. The opinion that counts is the last one on an answer.
CREATE TABLE talk_opinions (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  owner       TEXT NOT NULL,
  question_id TEXT NOT NULL,
  side        TEXT NOT NULL,
  thumb       TEXT NOT NULL CHECK (thumb IN ('up', 'down', '')),
  better      TEXT NOT NULL,
  at          REAL NOT NULL,
  FOREIGN KEY (question_id, side) REFERENCES talk_answers (question_id, side)
) STRICT;
CREATE INDEX talk_opinions_of_answer ON talk_opinions (question_id, side, id);
"""

#: (name, SQL script), applied once each, in order, inside a transaction.
MIGRATIONS: Final[tuple[tuple[str, str], ...]] = (
    ("0001_first", _FIRST),
    ("0002_seal", _SEAL),
    ("0003_sweeps", _SWEEPS),
    ("0004_verdict", _VERDICT),
    ("0005_machine_ratings", _MACHINE),
    ("0006_thumbs", _TALKS),
)
