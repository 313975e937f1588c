"""Data sets, runs and comparisons: what a person made, as opposed to what is happening to it (see ``jobs``)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from studio.errors import NotFoundError
from studio.store.database import Database, Value, insert, update
from studio.store.ids import new_id
from studio.store.jobs import new_job_values
from studio.store.rows import AnswerRow, ArmRow, ComparisonRow, DatasetRow, PromptRow, RunRow


@dataclass(frozen=True, slots=True)
class Datasets:
    """Reads and writes the ``datasets`` table."""

    database: Database

    def add(self, dataset_id: str, *, owner: str, name: str, rows: int, fingerprint: str, manifest_json: str) -> DatasetRow:
        """Record a data set whose files are complete in its folder. The id is chosen first, because the folder carries it."""
        row = DatasetRow(dataset_id, owner, name, time.time(), rows, fingerprint, manifest_json)
        with self.database.write() as con:
            insert(con, "datasets", asdict(row))
        return row

    def get(self, dataset_id: str, owner: str) -> DatasetRow:
        """The data set, if it is this owner's. Raises ``NotFoundError``."""
        row = self.database.one(DatasetRow, "SELECT * FROM datasets WHERE id = ? AND owner = ?", (dataset_id, owner))
        if row is None:
            raise NotFoundError(f"There is no data set {dataset_id!r}.", next_step="Load your file again.")
        return row

    def all(self, owner: str) -> tuple[DatasetRow, ...]:
        """This owner's data sets, newest first."""
        return self.database.all(DatasetRow, "SELECT * FROM datasets WHERE owner = ? ORDER BY created_at DESC", (owner,))


@dataclass(frozen=True, slots=True)
class Runs:
    """Reads and writes the ``runs`` table. A run and its job are made together and share an id."""

    database: Database

    def add(
        self,
        *,
        owner: str,
        name: str,
        dataset_id: str,
        method: str,
        model: str,
        recipe_json: str,
        run_id: str = "",
        seal: str = "",
    ) -> RunRow:
        """A new run with a queued job. The id is chosen first (``new_id``) where its folder must be there before it."""
        ident = run_id or new_id("run")
        row = RunRow(ident, owner, name, dataset_id, method, model, recipe_json, time.time(), "", "", "{}", seal)
        with self.database.write() as con:
            insert(con, "jobs", new_job_values(row.id, "train", owner))
            insert(con, "runs", asdict(row))
        return row

    def get(self, run_id: str, owner: str) -> RunRow:
        """The run, if it is this owner's. Raises ``NotFoundError``."""
        row = self.database.one(RunRow, "SELECT * FROM runs WHERE id = ? AND owner = ?", (run_id, owner))
        if row is None:
            raise NotFoundError(f"There is no run {run_id!r}.", next_step="Choose one from the list of runs.")
        return row

    def all(self, owner: str) -> tuple[RunRow, ...]:
        """This owner's runs, newest first."""
        return self.database.all(RunRow, "SELECT * FROM runs WHERE owner = ? ORDER BY created_at DESC", (owner,))

    def update(self, run_id: str, **changes: Value) -> None:
        """Change ``sampler_path, checkpoint_path, result_json`` or ``seal``. Raises ``NotFoundError``."""
        with self.database.write() as con:
            if changes and update(con, "runs", run_id, changes) == 0:
                raise NotFoundError(f"There is no run {run_id!r}.")


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Reads and writes ``comparisons, arms, prompts`` and ``answers``. A comparison and its job share an id."""

    database: Database

    def add(self, *, owner: str, run_id: str | None, settings_json: str, arms: Sequence[ArmRow] = ()) -> ComparisonRow:
        """A new comparison with a queued job and its arms, the reference first.

        The arms' ``comparison_id``, ``owner`` and ``position`` are filled in here. Without ``arms`` it is the run's model,
        ``tuned``, against the model that it started from, ``base``. Raises ``NotFoundError`` when there is no such run.
        """
        row = ComparisonRow(new_id("cmp"), owner, run_id, time.time(), settings_json, "[]")
        chosen = arms or self._base_and_tuned(run_id, owner)
        with self.database.write() as con:
            insert(con, "jobs", new_job_values(row.id, "answers", owner))
            insert(con, "comparisons", asdict(row))
            for position, arm in enumerate(chosen):
                insert(con, "arms", asdict(replace(arm, comparison_id=row.id, owner=owner, position=position)))
        return row

    def _base_and_tuned(self, run_id: str | None, owner: str) -> tuple[ArmRow, ArmRow]:
        run = self.database.one(RunRow, "SELECT * FROM runs WHERE id = ? AND owner = ?", (run_id, owner))
        if run is None:
            raise NotFoundError(f"There is no run {run_id!r}.", next_step="Choose one from the list of runs.")
        return (
            ArmRow("", "base", 0, owner, "base", run.model),
            ArmRow("", "tuned", 1, owner, "run", run.name, run.id, run.sampler_path),
        )

    def get(self, comparison_id: str, owner: str) -> ComparisonRow:
        """The comparison, if it is this owner's. Raises ``NotFoundError``."""
        sql = "SELECT * FROM comparisons WHERE id = ? AND owner = ?"
        row = self.database.one(ComparisonRow, sql, (comparison_id, owner))
        if row is None:
            raise NotFoundError(f"There is no comparison {comparison_id!r}.", next_step="Start one from the run's page.")
        return row

    def all(self, owner: str) -> tuple[ComparisonRow, ...]:
        """This owner's comparisons, newest first."""
        sql = "SELECT * FROM comparisons WHERE owner = ? ORDER BY created_at DESC"
        return self.database.all(ComparisonRow, sql, (owner,))

    def of_run(self, run_id: str, owner: str) -> tuple[ComparisonRow, ...]:
        """This run's comparisons, newest first."""
        sql = "SELECT * FROM comparisons WHERE run_id = ? AND owner = ? ORDER BY created_at DESC"
        return self.database.all(ComparisonRow, sql, (run_id, owner))

    def update(self, comparison_id: str, **changes: Value) -> None:
        """Change ``measures_json``. Raises ``NotFoundError``."""
        with self.database.write() as con:
            if changes and update(con, "comparisons", comparison_id, changes) == 0:
                raise NotFoundError(f"There is no comparison {comparison_id!r}.")

    def arms(self, comparison_id: str) -> tuple[ArmRow, ...]:
        """The arms, the reference first."""
        return self.database.all(ArmRow, "SELECT * FROM arms WHERE comparison_id = ? ORDER BY position", (comparison_id,))

    def update_arm(self, comparison_id: str, name: str, *, path: str | None = None, details_json: str | None = None) -> None:
        """Record where an arm answers from, once that is known. Raises ``NotFoundError``."""
        with self.database.write() as con:
            changed = con.execute(
                "UPDATE arms SET path = COALESCE(?, path), details_json = COALESCE(?, details_json) "
                "WHERE comparison_id = ? AND name = ?",
                (path, details_json, comparison_id, name),
            ).rowcount
            if not changed:
                raise NotFoundError(f"There is no arm {name!r} in {comparison_id!r}.")

    def add_prompts(self, prompts: Sequence[PromptRow]) -> None:
        """Store what is known of the prompts, all or none. One that is there already stays as it was."""
        with self.database.write() as con:
            for prompt in prompts:
                known = con.execute(
                    "SELECT 1 FROM prompts WHERE comparison_id = ? AND prompt_id = ?", (prompt.comparison_id, prompt.prompt_id)
                ).fetchone()
                if known is None:
                    insert(con, "prompts", asdict(prompt))

    def prompts(self, comparison_id: str) -> tuple[PromptRow, ...]:
        """What is known of each prompt, in their order; none for a comparison of an older version."""
        sql = "SELECT * FROM prompts WHERE comparison_id = ? ORDER BY position"
        return self.database.all(PromptRow, sql, (comparison_id,))

    def add_answers(self, answers: Sequence[AnswerRow]) -> None:
        """Store answers, all or none. One that is there already stays as it was: answers are never rewritten.

        Raises ``StoreError`` for an answer of an arm that the comparison does not have.
        """
        with self.database.write() as con:
            for answer in answers:
                known = con.execute(
                    "SELECT 1 FROM answers WHERE comparison_id = ? AND prompt_id = ? AND arm = ?",
                    (answer.comparison_id, answer.prompt_id, answer.arm),
                ).fetchone()
                if known is None:
                    insert(con, "answers", asdict(answer))

    def pair(self, comparison_id: str, prompt_id: str) -> tuple[AnswerRow, ...]:
        """The answers to one prompt, the reference's first; fewer than there are arms while they are being made."""
        return self.database.all(
            AnswerRow, f"{_ANSWERS} AND answers.prompt_id = ? ORDER BY arms.position", (comparison_id, prompt_id)
        )

    def answers(self, comparison_id: str) -> tuple[AnswerRow, ...]:
        """Every stored answer, in the order of the prompts, of each prompt the reference's first."""
        return self.database.all(AnswerRow, f"{_ANSWERS} ORDER BY answers.position, arms.position", (comparison_id,))

    def answered(self, comparison_id: str) -> dict[str, int]:
        """How many answers each arm has given so far, by the arm's name; 0 for one that has given none."""
        sql = (
            "SELECT arms.name, COUNT(answers.prompt_id) AS many FROM arms LEFT JOIN answers "
            "ON answers.comparison_id = arms.comparison_id AND answers.arm = arms.name "
            "WHERE arms.comparison_id = ? GROUP BY arms.name"
        )
        return {one.name: one.many for one in self.database.all(_Count, sql, (comparison_id,))}


@dataclass(frozen=True, slots=True)
class _Count:
    name: str
    many: int


_ANSWERS: Final = (
    "SELECT answers.* FROM answers JOIN arms ON arms.comparison_id = answers.comparison_id AND arms.name = answers.arm "
    "WHERE answers.comparison_id = ?"
)
