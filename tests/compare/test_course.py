"""The course of the evidence: what the page would have said after each prompt, and no other number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.compare.course import course
from studio.compare.evidence import Spread, evidence_path, log_evidence
from studio.compare.record import Arm, Ballot, Record
from studio.compare.verdict import judge
from studio.store import Choice

ARMS = (Arm("base", kind="base"), Arm("tuned", kind="run"))


def record(choices: Sequence[tuple[str, str, Choice]]) -> Record:
    """(prompt, rater, choice), the tuned answer always on the left."""
    return Record(ARMS, "base", tuple(Ballot(prompt, rater, choice, "tuned", "base") for prompt, rater, choice in choices))


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 2 / 3, 1.0]), max_size=60))
def test_each_point_is_the_evidence_of_what_was_there(scores: list[float]) -> None:
    wanted = [log_evidence(Spread.of(scores[: at + 1])) for at in range(len(scores))]
    assert evidence_path(scores) == pytest.approx(wanted, abs=1e-9)


def test_prompts_enter_where_their_last_vote_came() -> None:
    votes: list[tuple[str, str, Choice]] = [
        ("p1", "ana", "right"),
        ("p2", "ana", "left"),
        ("p2", "ben", "left"),
        ("p1", "ben", "right"),
        ("p3", "ana", "skip"),
    ]
    found = judge(record(votes))
    assert course(found) == pytest.approx([math.log(1), math.log(2 / 3)])
    one_way = judge(record([("p1", "ana", "left"), ("p2", "ana", "left"), ("p3", "ana", "right"), ("p1", "ana", "left")]))
    assert course(one_way) == pytest.approx([0, math.log(2 / 3), math.log(2 / 3)])


def test_it_ends_at_the_evidence_of_the_verdict() -> None:
    found = judge(record([(f"p{at}", "ana", "left" if at % 4 else "right") for at in range(50)]))
    assert course(found)[-1] == pytest.approx(found.log_evidence, abs=1e-9)
    assert len(course(found)) == found.n_rated
