"""Sessions of three arms or more: each challenger pays for the others, and strengths only where the votes determine them."""

from __future__ import annotations

import itertools
import json
import math
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.document import record_from_document
from studio.compare.evidence import THRESHOLD, Spread
from studio.compare.recompute import as_json, verdict_from_document
from studio.compare.record import Arm, Ballot, Record, pair_of
from studio.compare.strengths import strengths
from studio.compare.verdict import judge, state_of, verdict
from studio.errors import DataError

CASES = Path(__file__).parents[3] / "shared" / "cases" / "verdict_known_answers.json"
ARMS = (Arm("base", kind="base"), Arm("step-20", "Step 20"), Arm("step-40", "Step 40"))
NAMES = [arm.name for arm in ARMS]


def ballots(rows: list[tuple[str, str, int, int, int]], rater: str = "ana") -> tuple[Ballot, ...]:
    """(x, y, x wins, y wins, ties), one prompt per vote; sides alternate."""
    made: list[Ballot] = []
    for x, y, x_wins, y_wins, ties in rows:
        for winner in [x] * x_wins + [y] * y_wins + [""] * ties:
            left, right = (x, y) if len(made) % 2 else (y, x)
            choice = {left: "left", right: "right"}.get(winner, "tie")
            made.append(Ballot(f"p{len(made)}", rater, choice, left, right))
    return tuple(made)


def record(*rows: tuple[str, str, int, int, int], **changes: Any) -> Record:
    return replace(Record(ARMS, "base", ballots(list(rows))), **changes)


def elo(found: Record) -> dict[str, float | None]:
    return {one.arm.name: one.strength.elo for one in judge(found).checkpoints}


@pytest.mark.skipif(not CASES.exists(), reason="the worked cases are not beside this checkout")
def test_three_checkpoints_with_ties() -> None:
    case = next(case for case in json.loads(CASES.read_text())["cases"] if case["id"] == "K07b")
    names = ["base", "ckpt1", "ckpt2"]
    found = judge(Record(tuple(map(Arm, names)), "base", ballots([tuple(row) for row in case["input"]["rows"]])))
    wanted = case["expected"]["elo_base1000"]
    assert {one.arm.name: one.strength.elo for one in found.checkpoints} == pytest.approx(
        {name: wanted[name] for name in ("ckpt1", "ckpt2")}, abs=1e-6
    )
    # The average over opponents is told by the win rates themselves.
    against_base = {one.arm.name: one.verdict.win_rate for one in found.checkpoints}
    assert against_base == pytest.approx({"ckpt1": (20 + 3) / 40, "ckpt2": (24 + 3.5) / 40})


def test_two_models_have_no_elo() -> None:
    two = Record((Arm("base"), Arm("tuned")), "base", ballots([("tuned", "base", 30, 10, 0)]))
    (only,) = judge(two).checkpoints
    assert (only.strength.elo, only.verdict.win_rate, only.verdict.threshold) == (None, 0.75, 20)
    assert only.strength.missing


def test_each_challenger_pays_for_the_others() -> None:
    """36 of 50 is 23 : 1: enough for one challenger, not for one of two."""
    rows = [("step-20", "base", 36, 14, 0), ("step-40", "base", 38, 12, 0)]
    found = judge(record(*rows))
    first, second = found.checkpoints
    assert (found.threshold, first.verdict.verdict, first.verdict.state) == (40, "undecided", "leaning")
    assert (second.verdict.verdict, second.verdict.state) == ("tuned", "tuned_better")
    assert first.verdict.low < 0.5 < second.verdict.low
    alone = judge(Record(ARMS[:2], "base", ballots(rows[:1])))
    assert (alone.verdict, alone.evidence) == ("tuned", first.verdict.evidence)


def test_a_challenger_that_never_lost_has_no_strength_and_the_others_keep_theirs() -> None:
    swept = [("step-20", "base", 20, 10, 0), ("step-40", "base", 10, 0, 0), ("step-40", "step-20", 10, 0, 0)]
    found = {one.arm.name: one.strength for one in judge(record(*swept)).checkpoints}
    assert found["step-40"].elo is None
    assert "never lost" in found["step-40"].missing
    assert found["step-20"].elo == pytest.approx(1000 + 400 * math.log10(2), abs=1e-6)
    lost = [("step-20", "base", 20, 10, 0), ("step-40", "base", 0, 10, 0)]
    assert "never won" in {one.arm.name: one.strength for one in judge(record(*lost)).checkpoints}["step-40"].missing
    assert elo(record(("step-20", "base", 20, 10, 0)))["step-40"] is None


def test_one_tie_connects() -> None:
    points = elo(record(("step-20", "base", 10, 0, 0), ("step-40", "base", 10, 0, 1)))
    assert points["step-20"] is None
    assert points["step-40"] == pytest.approx(1000 + 400 * math.log10(10.5 / 0.5), abs=1e-4)


def test_two_groups_apart() -> None:
    """Two arms beat each other, and both swept the reference: nothing says how far they are from it."""
    rows = [("step-20", "base", 9, 0, 0), ("step-40", "base", 9, 0, 0), ("step-20", "step-40", 5, 4, 0)]
    assert elo(record(*rows)) == {"step-20": None, "step-40": None}


scores = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=8)


@given(scores, scores, scores)
@settings(deadline=None, max_examples=60)
def test_strengths_are_where_the_likelihood_is_flat(a: list[float], b: list[float], c: list[float]) -> None:
    """At a maximum every arm wins as often as its strength says it should: Zermelo's condition."""
    pairs = {("x", "base"): a, ("y", "base"): b, ("x", "y"): c}
    found = strengths(["base", "x", "y"], "base", pairs)
    known = {name: 10 ** ((one.elo - 1000) / 400) for name, one in found.items() if one.elo is not None}
    assert found["base"].elo == 1000
    for name in known:
        won = expected = 0.0
        for (one, other), given_scores in pairs.items():
            if name in (one, other) and one in known and other in known:
                rival = other if name == one else one
                won += sum(given_scores) if name == one else len(given_scores) - sum(given_scores)
                expected += len(given_scores) * known[name] / (known[name] + known[rival])
        assert won == pytest.approx(expected, abs=1e-4)


some_ballots = st.builds(
    lambda prompt, rater, choice, sides: Ballot(f"p{prompt}", rater, choice, *sides),
    st.integers(0, 30),
    st.sampled_from(["ana", "bo"]),
    st.sampled_from(["left", "left", "right", "tie", "both_bad", "skip"]),
    st.sampled_from(list(itertools.permutations(NAMES, 2))),
)
logs = st.lists(some_ballots, max_size=60, unique_by=lambda one: (one.prompt_id, one.rater, frozenset((one.left, one.right))))
FLIPPED = {"left": "right", "right": "left"}


def almost(found: Any) -> Any:
    """Numbers to ten digits: sums in another order differ in the last bit."""
    if isinstance(found, dict):
        return {key: almost(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [almost(value) for value in found]
    return float(f"{found:.9g}") if isinstance(found, float) else found


@given(logs, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_neither_order_nor_sides_nor_twins_matter(log: list[Ballot], chance: random.Random) -> None:
    here = almost(as_json(judge(Record(ARMS, "base", tuple(log)))))
    shuffled = chance.sample(log, len(log))
    assert almost(as_json(judge(Record(ARMS, "base", tuple(shuffled))))) == here
    flipped = [replace(one, left=one.right, right=one.left, choice=FLIPPED.get(one.choice, one.choice)) for one in log]
    there = almost(as_json(judge(Record(ARMS, "base", tuple(flipped)))))
    twins = [*log, *(replace(one, rater=f"{one.rater}'s twin") for one in log)]
    doubled = almost(as_json(judge(Record(ARMS, "base", tuple(twins)))))
    for one, two, three in zip(here["checkpoints"], there["checkpoints"], doubled["checkpoints"], strict=True):
        assert one == two
        assert all(one[key] == three[key] for key in ("win_rate", "low", "high", "evidence", "verdict", "state", "elo"))


@given(logs)
@settings(deadline=None, max_examples=25)
def test_a_session_of_three_is_three_sessions_of_two(log: list[Ballot]) -> None:
    whole = Record(ARMS, "base", tuple(log))
    for one in judge(whole).checkpoints:
        alone = verdict(whole.votes(one.arm.name, "base"), challengers=2)
        assert (alone.win_rate, alone.low, alone.high, alone.state) == (
            one.verdict.win_rate,
            one.verdict.low,
            one.verdict.high,
            one.verdict.state,
        )


@cache
def state(wins: int, losses: int, challengers: int = 1) -> str:
    """What the real rule says."""
    return state_of(Spread.of([1.0] * wins + [0.0] * losses), threshold=THRESHOLD * challengers)


def test_between_equal_models_the_real_rule_names_a_winner_in_at_most_one_session_in_twenty() -> None:
    """2,500 sessions; the state itself is asked after every prompt, until it ends the session."""
    sessions, prompts = 2500, 200
    won = np.cumsum(np.random.default_rng(11).integers(0, 2, (sessions, prompts)), axis=1)
    ended: list[str] = []
    for session in won:
        looks = (state(max(wins, n - wins), min(wins, n - wins)) for n, wins in enumerate(session.tolist(), start=1))
        ended.append(next(found for found in looks if found in {"tuned_better", "base_better", "no_difference", "stopped"}))
    winners = sum(found in {"tuned_better", "base_better"} for found in ended)
    assert 0 < winners <= 0.05 * sessions
    assert ended.count("stopped") == sessions - winners


def test_three_equal_challengers_find_a_false_winner_in_at_most_one_session_in_twenty() -> None:
    """2,000 sessions through the real rule, looked at after every prompt, until the 120th; one base answers all three."""
    chance = np.random.default_rng(7)
    sessions, prompts = 2000, 120
    won = np.cumsum(chance.random((sessions, prompts, 3)) > chance.random((sessions, prompts, 1)), axis=1)
    false = sum(
        any(
            state(max(wins, n - wins), min(wins, n - wins), 3) in {"tuned_better", "base_better"}
            for n, row in enumerate(session, start=1)
            for wins in row
        )
        for session in won.tolist()
    )
    assert 0 < false <= 0.05 * sessions


# ---- the file ---------------------------------------------------------------------------------------------------------------


def document(**changes: Any) -> dict[str, Any]:
    rows = [("step-20", "base", 15, 10, 0), ("step-40", "base", 12, 8, 5), ("step-20", "step-40", 3, 4, 0)]
    return {
        "version": 2,
        "arms": [{"name": arm.name, "label": arm.label, "kind": arm.kind, "reference": arm.name == "base"} for arm in ARMS],
        "items": [
            {"prompt_id": b.prompt_id, "rater": b.rater, "choice": b.choice, "left": b.left, "right": b.right}
            for b in ballots(rows)
        ],
    } | changes


def test_the_file_gives_what_the_record_gives() -> None:
    rows = [("step-20", "base", 15, 10, 0), ("step-40", "base", 12, 8, 5), ("step-20", "step-40", 3, 4, 0)]
    assert verdict_from_document(document()) == as_json(judge(record(*rows)))


def test_version_one_and_version_two_of_the_same_votes_are_the_same() -> None:
    old = [
        {
            "prompt_id": f"p{i}",
            "rater": "ana",
            "choice": ("left", "right", "tie")[i % 3],
            "tuned_side": ("left", "right")[i % 2],
        }
        for i in range(30)
    ]
    sides = {"left": ("tuned", "base"), "right": ("base", "tuned")}
    new = [item | dict(zip(("left", "right"), sides[item["tuned_side"]], strict=True)) for item in old]
    arms = [{"name": "base", "kind": "base", "reference": True}, {"name": "tuned", "kind": "run"}]
    assert verdict_from_document({"version": 2, "arms": arms, "items": new}) == verdict_from_document({"items": old})


def test_ties_caps_and_closed_prompts_belong_to_two_arms() -> None:
    matchups = [
        {"challenger": "step-20", "reference": "base", "automatic_ties": ["same1", "same2"], "cap": 27},
        {"challenger": "step-40", "reference": "base", "automatic_ties": [], "cap": 90},
        {"challenger": "step-40", "reference": "step-20", "automatic_ties": [7], "cap": 8},
    ]
    found = record_from_document(document(matchups=matchups))
    assert found.automatic_ties[pair_of("base", "step-20")] == ("same1", "same2")
    assert found.caps[pair_of("step-20", "step-40")] == 8
    first, second = (one.verdict for one in judge(found).checkpoints)
    assert (first.n_items, first.cap, first.state, second.cap) == (27, 27, "stopped", 90)
    closed = [{"prompt_id": "p0", "arms": ["base", "step-20"]}]
    running = judge(record_from_document(document(closed=closed)))
    assert (running.n_items, running.n_open) == (1, 24)
    assert running.checkpoints[1].verdict.n_items == 0


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"arms": [{"name": "base"}]}, "arms"),
        ({"arms": [{"name": "base"}, {"name": "base"}]}, "arms[1].name"),
        ({"arms": [{"name": "base"}, {}]}, "arms[1].name"),
        ({"arms": [{"name": "a", "reference": True}, {"name": "b", "reference": True}]}, "arms"),
        ({"arms": [{"name": "a", "reference": 1}, {"name": "b"}]}, "arms[0].reference"),
        ({"arms": {"base": {}}}, "arms"),
        ({"automatic_ties": ["p1"]}, "automatic_ties[0]"),
        ({"automatic_ties": [{"prompt_id": "p1", "arms": ["base"]}]}, "automatic_ties[0].arms"),
        ({"automatic_ties": [{"prompt_id": "p1", "arms": ["base", "elsewhere"]}]}, "automatic_ties[0].arms"),
        ({"cap": {"elsewhere": 3}}, "cap"),
        ({"cap": {"step-20": 0}}, "cap.step-20"),
        ({"matchups": [{"challenger": "base", "reference": "base"}]}, "matchups[0].reference"),
        ({"matchups": [{"challenger": "step-20"}]}, "matchups[0].reference"),
        ({"matchups": [{"challenger": "step-20", "reference": "base", "cap": "many"}]}, "matchups[0].cap"),
        ({"items": [{"prompt_id": "p", "rater": "a", "choice": "left", "tuned_side": "left"}]}, "items[0].left"),
        ({"items": [{"prompt_id": "p", "rater": "a", "choice": "left", "left": "base", "right": "base"}]}, "items[0].right"),
        ({"items": [{"prompt_id": "p", "rater": "a", "choice": "left", "left": "base", "right": "x"}]}, "items[0].right"),
        ({"items": [{"prompt_id": "p", "rater": "a", "choice": "left", "left": "base"}]}, "items[0].right"),
    ],
)
def test_a_wrong_file_is_refused_at_the_place(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(DataError) as refused:
        verdict_from_document(document(**changes))
    assert refused.value.where == where
    assert len(str(refused.value)) < 300


def test_sides_that_contradict_each_other_are_refused() -> None:
    item = {"prompt_id": "p", "rater": "a", "choice": "left", "left": "tuned", "right": "base", "tuned_side": "right"}
    with pytest.raises(DataError, match="does not agree"):
        verdict_from_document({"items": [item]})


def test_a_record_without_two_arms_is_refused() -> None:
    for arms, reference in (((Arm("base"),), "base"), ((Arm("a"), Arm("a")), "a"), ((Arm("a"), Arm("b")), "c")):
        with pytest.raises(DataError):
            Record(arms, reference, ())
    with pytest.raises(DataError):
        Ballot("p", "ana", "left", "base", "base")
