"""Measures from stored answers: several arms on the same prompts, pairs, checks, and what changed prompt by prompt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from studio import models
from studio.compare.generate_arms import Questioner
from studio.compare.measures import measure_latency
from studio.compare.plan import Plan
from studio.compare.prompts import Question
from studio.compare.scores import changes, measured
from studio.data import Message
from studio.models.rendering import template
from studio.rewards import parse
from studio.store import AnswerRow

ARMS = ("base", "tuned", "step-4")


def answer(prompt: int, arm: str, text: str, **changed: object) -> AnswerRow:
    row = AnswerRow("cmp-x", f"p{prompt}", arm, "local", prompt, "[]", "yes", text, 3, "stop", 1.0, 4)
    return replace(row, **changed)


def question(prompt: int, **changed: str) -> Question:
    return Question(prompt, f"p{prompt}", (Message("user", f"Question {prompt}?"),), "yes", **changed)


def test_every_arm_is_measured_against_the_reference_on_the_same_prompts():
    said = {"base": "no", "tuned": "yes", "step-4": "no idea"}
    rows = [answer(place, arm, said[arm]) for place in range(4) for arm in ARMS]
    rows = [row for row in rows if (row.prompt_id, row.arm) != ("p3", "step-4")]
    found = measured(rows, arms=ARMS)
    assert {(one.reference, one.arm) for one in found} == {("base", "tuned"), ("base", "step-4")}
    assert {one.n for one in found} == {3}, "a prompt that one arm did not answer counts for none"
    exact = {one.arm: (one.base, one.tuned) for one in found if one.name == "exact"}
    assert exact == {"tuned": (0.0, 1.0), "step-4": (0.0, 0.0)}


def test_pairs_are_ranked_by_the_probability_of_the_whole_answer():
    def rows(place: int, arm: str, nll: float, tokens: int, worse: float, worse_tokens: int) -> AnswerRow:
        details = json.dumps({"worse_nll": worse, "worse_tokens": worse_tokens})
        return answer(place, arm, "x", nll=nll, nll_tokens=tokens, details_json=details)

    told = [
        *(rows(0, "base", 1.0, 4, 0.9, 4), rows(0, "tuned", 0.5, 4, 2.0, 4)),
        # Better word by word, and yet less probable as a whole, because it is longer.
        *(rows(1, "base", 1.0, 10, 2.0, 4), rows(1, "tuned", 1.0, 4, 1.0, 4)),
    ]
    ranking = next(one for one in measured(told) if one.name == "ranking")
    assert (ranking.base, ranking.tuned, ranking.n) == (0.0, 0.75, 2)
    assert "ranking" not in {one.name for one in measured([answer(0, "base", "x"), answer(0, "tuned", "x")])}


def test_both_answers_of_a_pair_are_scored_as_training_writes_them():
    nano = models.get("nano")
    plan = Plan("nano", nano.wire_name, nano.renderer, "", "", "", "", 1, 0.0, 1.0, -1, 64, 0)
    found = Questioner(nano, nano.renderer).prepare(question(0, worse="never"), plan)
    assert found is not None
    assert found.worse is not None
    tokenizer = template(nano).tokenizer
    for scored, at, text in ((found.scored, found.reference_at, "yes"), (found.worse, found.worse_at, "never")):
        ids = scored.to_ints()
        assert ids[: found.prompt.length] == found.prompt.to_ints()
        assert tokenizer.decode([ids[place] for place in at]) == f"{text}<|im_end|>"


def test_a_check_belongs_to_its_prompt():
    check = json.dumps({"kind": "contains", "any_of": ["yes"]})
    asked = [question(0, check=check), question(1), question(2, check=check)]
    rows = [answer(place, arm, text) for place in range(3) for arm, text in (("base", "no"), ("tuned", "yes indeed"))]
    checks = next(one for one in measured(rows, asked_of=asked) if one.name == "checks")
    assert (checks.base, checks.tuned, checks.n, checks.unit) == (0.0, 1.0, 2, "share")


def test_what_changed_is_told_prompt_by_prompt():
    rows = [answer(place, "base", "no", nll=2.0) for place in range(3)]
    rows += [answer(place, "tuned", "yes" if place else "no", nll=0.5 + place) for place in range(3)]
    reward = parse({"kind": "exact"})
    found = {one.name: one for one in changes(rows, reward=reward, asked_of=[question(place) for place in range(3)])}
    assert list(found) == ["reward", "loss", "exact", "format", "length"]
    assert found["loss"].scores == (("p0", 2.0, 0.5), ("p1", 2.0, 1.5), ("p2", 2.0, 2.5))
    assert found["loss"].better == "lower"
    for name in ("reward", "exact"):
        assert found[name].scores == (("p0", 0.0, 0.0), ("p1", 0.0, 1.0), ("p2", 0.0, 1.0))
        assert found[name].measure.tuned == pytest.approx(2 / 3)


def test_time_is_compared_on_prompts_that_both_were_timed_on():
    found = measure_latency({"a": 1.0, "b": 2.0, "c": 9.0}, {"b": 1.0, "a": 1.5})
    assert [(one.base, one.tuned, one.n, one.better, one.unit) for one in found] == [(1.5, 1.25, 2, "lower", "seconds")]
    assert measure_latency({"a": 1.0}, {}) == ()
