"""Questions that a model cannot be asked are refused before the first step, without a server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio import models
from studio.errors import RunError
from studio.models.rendering import template
from studio.runs import envs
from tests.runs.test_examples import work_of

NANO = models.get("nano")


def tokens_of(question: envs.Question) -> int:
    return template(NANO).prompt(question.turns).length


def asking(work, max_tokens):
    return replace(work, recipe=replace(work.recipe, max_tokens=max_tokens))


def test_a_question_without_room_for_its_answer_is_refused_before_the_first_step(tmp_path):
    work = work_of(tmp_path, [{"prompt": f"Add {n} and {n * n}.", "completion": "?"} for n in range(40)], method="rl")
    written = template(NANO)
    for part, ask in (
        (work.dataset.train, lambda one: envs.questions(one, one.dataset.train, written)),
        (work.dataset.validation, lambda one: envs.held_out(one, written)),
    ):
        lengths = [tokens_of(question) for question in envs.Questions(part.path, work.cache)]
        room = NANO.context - max(lengths)
        assert len(ask(asking(work, room))) == part.rows
        with pytest.raises(RunError, match="cannot be answered by nano") as found:
            ask(asking(work, room + 1))
        count = lengths.count(max(lengths))
        assert found.value.what.startswith("1 question " if count == 1 else f"{count} questions ")
        assert f"at most {room:,} tokens" in found.value.next_step


def test_only_the_held_out_questions_that_are_asked_must_fit(tmp_path, monkeypatch):
    work = work_of(tmp_path, [{"prompt": "Add " + "1 " * n, "completion": "?"} for n in range(1, 41)], method="rl")
    lengths = [tokens_of(question) for question in envs.Questions(work.dataset.validation.path, work.cache)]
    longest = lengths.index(max(lengths))
    tight = asking(work, NANO.context - max(lengths) + 1)
    monkeypatch.setattr(envs, "MOST_HELD_OUT", longest)
    assert len(envs.held_out(tight, template(NANO))) == longest
    monkeypatch.setattr(envs, "MOST_HELD_OUT", longest + 1)
    with pytest.raises(RunError):
        envs.held_out(tight, template(NANO))
