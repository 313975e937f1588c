"""The playground: what was asked of a run's model, what each side answered, and what the person thinks of each answer.

Guarantees: a question and the places of its answers are made together; an answer is written once, and only where one is waited
for; opinions are a log, of which the last one on an answer counts. No query for votes meets any of these tables.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from studio.errors import NotFoundError
from studio.store.database import Database, insert

AnswerState = Literal["waiting", "answered", "failed"]
#: What is thought of an answer; empty for nothing (any more).
Thumb = Literal["up", "down", ""]


@dataclass(frozen=True, slots=True)
class TalkQuestionRow:
    """One question to one or two sides. ``talk_id`` is the id of the first question of its conversation.

    ``model`` is the base model's catalogue name. The system prompt, the earlier turns and this one are in the answers' prompts.
    """

    id: str
    owner: str
    talk_id: str
    run_id: str
    model: str
    created_at: float
    text: str
    settings_json: str


@dataclass(frozen=True, slots=True)
class TalkAnswerRow:
    """What one side is asked and what it answered.

    ``path`` is that of the side's weights, empty for the base model itself. ``prompt_json`` is the list of turns, as role and
    content. ``trained_on`` says whether the side was trained on this very prompt (1, 0), ``None`` where nothing tells.
    ``reason`` and ``next_step`` are why there is no answer.
    """

    question_id: str
    side: str
    owner: str
    position: int
    label: str
    path: str
    prompt_json: str
    state: AnswerState = "waiting"
    text: str = ""
    tokens: int = 0
    stop_reason: str = ""
    trained_on: int | None = None
    reason: str = ""
    next_step: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class OpinionRow:
    """One line of the log of opinions. ``better`` is the answer that the person would rather have read; it may be empty."""

    id: int
    owner: str
    question_id: str
    side: str
    thumb: Thumb
    better: str
    at: float


_OF_RUN: Final = "SELECT talk_questions.id FROM talk_questions WHERE run_id = :run AND owner = :owner"


@dataclass(frozen=True, slots=True)
class Talks:
    """Reads and writes ``talk_questions, talk_answers`` and ``talk_opinions``."""

    database: Database

    def ask(self, question: TalkQuestionRow, answers: Sequence[TalkAnswerRow]) -> None:
        """Note a question, and that each of these sides is to answer it. Raises ``StoreError``."""
        now = time.time()
        with self.database.write() as con:
            insert(con, "talk_questions", asdict(question))
            for position, answer in enumerate(answers):
                row = replace(answer, question_id=question.id, owner=question.owner, position=position, at=now)
                insert(con, "talk_answers", asdict(row))

    def question(self, question_id: str, owner: str) -> TalkQuestionRow:
        """The question, if it is this owner's. Raises ``NotFoundError``."""
        sql = "SELECT * FROM talk_questions WHERE id = ? AND owner = ?"
        row = self.database.one(TalkQuestionRow, sql, (question_id, owner))
        if row is None:
            raise NotFoundError(f"There is no question {question_id!r}.", next_step="Ask it again.")
        return row

    def questions(self, run_id: str, owner: str) -> tuple[TalkQuestionRow, ...]:
        """Everything that this owner asked of the run, oldest first."""
        sql = "SELECT * FROM talk_questions WHERE run_id = ? AND owner = ? ORDER BY created_at, rowid"
        return self.database.all(TalkQuestionRow, sql, (run_id, owner))

    def answers(self, run_id: str, owner: str) -> tuple[TalkAnswerRow, ...]:
        """The answers to those questions, those that are waited for included, in the order of questions and sides."""
        return self.database.all(
            TalkAnswerRow,
            "SELECT talk_answers.* FROM talk_answers JOIN talk_questions ON talk_questions.id = question_id "
            "WHERE run_id = ? AND talk_questions.owner = ? ORDER BY created_at, talk_questions.rowid, position",
            (run_id, owner),
        )

    def waiting(self, model: str) -> tuple[TalkAnswerRow, ...]:
        """What the models tuned from this base model, and it itself, have still to answer, oldest first."""
        return self.database.all(
            TalkAnswerRow,
            "SELECT talk_answers.* FROM talk_answers JOIN talk_questions ON talk_questions.id = question_id "
            "WHERE model = ? AND state = 'waiting' ORDER BY created_at, position",
            (model,),
        )

    def answered(self, row: TalkAnswerRow) -> bool:
        """Write down an answer (its text, how it ended, what is known of it); ``False`` when none is waited for any more."""
        values = {**asdict(row), "state": "answered", "at": time.time()}
        sql = (
            "UPDATE talk_answers SET state = :state, text = :text, tokens = :tokens, stop_reason = :stop_reason, "
            "trained_on = :trained_on, at = :at WHERE question_id = :question_id AND side = :side AND state = 'waiting'"
        )
        with self.database.write() as con:
            return con.execute(sql, values).rowcount == 1

    def failed(self, row: TalkAnswerRow, reason: str, next_step: str) -> bool:
        """Write down why there is no answer; ``False`` when none is waited for any more."""
        sql = (
            "UPDATE talk_answers SET state = 'failed', reason = ?, next_step = ?, at = ? "
            "WHERE question_id = ? AND side = ? AND state = 'waiting'"
        )
        with self.database.write() as con:
            return con.execute(sql, (reason, next_step, time.time(), row.question_id, row.side)).rowcount == 1

    def again(self, question_id: str, owner: str) -> None:
        """Wait once more for the answers that failed. Raises ``NotFoundError``."""
        self.question(question_id, owner)
        sql = (
            "UPDATE talk_answers SET state = 'waiting', reason = '', next_step = '', at = ? "
            "WHERE question_id = ? AND state = 'failed'"
        )
        with self.database.write() as con:
            con.execute(sql, (time.time(), question_id))

    def think(self, question_id: str, side: str, owner: str, *, thumb: Thumb | None = None, better: str | None = None) -> None:
        """Note an opinion on an answer; ``None`` leaves what was thought before. Raises ``NotFoundError`` without an answer."""
        known = "SELECT * FROM talk_answers WHERE question_id = ? AND side = ? AND owner = ? AND state = 'answered'"
        if self.database.one(TalkAnswerRow, known, (question_id, side, owner)) is None:
            raise NotFoundError("There is no answer here to think about.", next_step="Wait for it, or ask again.")
        with self.database.write() as con:
            last = con.execute(
                "SELECT thumb, better FROM talk_opinions WHERE question_id = ? AND side = ? ORDER BY id DESC LIMIT 1",
                (question_id, side),
            ).fetchone()
            before: tuple[str, str] = last or ("", "")
            values = {"thumb": before[0] if thumb is None else thumb, "better": before[1] if better is None else better}
            place = {"owner": owner, "question_id": question_id, "side": side, "at": time.time()}
            insert(con, "talk_opinions", {**place, **values})

    def opinions(self, run_id: str, owner: str) -> tuple[OpinionRow, ...]:
        """The last opinion on each answer to this owner's questions of the run, in the order in which they were given."""
        return self.database.all(
            OpinionRow,
            f"SELECT * FROM talk_opinions WHERE question_id IN ({_OF_RUN}) AND id IN "  # noqa: S608
            "(SELECT max(id) FROM talk_opinions GROUP BY question_id, side) ORDER BY id",
            {"run": run_id, "owner": owner},
        )
