"""One sentence and one action for each method: what endangers the result is said before what looks well."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from studio.runs.diagnosis_methods import diagnose_run
from studio.runs.metrics import Point


def curve(values: Sequence[float], start: int = 1) -> tuple[Point, ...]:
    return tuple(Point(start + place, value) for place, value in enumerate(values))


def checks(*values: float) -> tuple[Point, ...]:
    return tuple(Point(10 * place, value) for place, value in enumerate(values))


PAIRS = {
    "train_loss": curve([0.69 - 0.01 * n for n in range(20)]),
    "validation_accuracy": checks(0.5, 0.8, 0.95),
    "validation_chosen_reward": checks(0.0, 0.1, 0.2),
    "validation_rejected_reward": checks(0.0, -0.5, -1.0),
}
PRACTICE = {
    "reward": curve([0.3 + 0.02 * n for n in range(20)]),
    "signal_share": curve([0.6] * 20),
    "answer_tokens": curve([12.0] * 20),
    "kl": curve([0.01] * 20),
}


def test_pairs_that_are_learned_are_well():
    found = diagnose_run("dpo", PAIRS, 20, ended=True)
    assert found.level == "good"
    assert "95%" in found.sentence
    assert "50% before" in found.sentence


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        # As nano did when it was pushed too hard: right on every held-out pair, and broken.
        (
            {"validation_chosen_reward": checks(0.0, -0.4, -0.61), "validation_rejected_reward": checks(0.0, -1.5, -2.4)},
            *("warn", "Both rewards fall"),
        ),
        ({"train_loss": curve([0.6, 0.5, math.nan])}, "bad", "no longer a number"),
        ({"train_loss": curve([0.6])}, "wait", "just begun"),
        ({"validation_accuracy": checks(0.5, 0.52, 0.5)}, "warn", "no better than chance"),
        ({"validation_accuracy": checks(0.5, 0.9, 0.8)}, "warn", "by heart"),
        ({"validation_accuracy": ()}, "wait", "held-out pairs"),
    ],
)
def test_what_can_go_wrong_with_pairs(changes: dict[str, tuple[Point, ...]], level: str, words: str):
    found = diagnose_run("dpo", PAIRS | changes, 20)
    assert (found.level, words in found.sentence) == (level, True), found
    assert found.action


def test_a_better_answer_that_only_the_worse_one_leaves_behind_is_no_warning():
    fine = PAIRS | {"validation_chosen_reward": checks(0.0, -0.02, -0.05)}
    assert diagnose_run("dpo", fine, 20).level == "good"


@pytest.mark.parametrize("method", ["rl", "rlhf"])
@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "good", "rises from"),
        ({"reward": curve([0.3, 0.3])}, "wait", "just begun"),
        ({"signal_share": curve([0.5] * 15 + [0.0] * 5)}, "warn", "nothing to learn"),
        ({"answer_tokens": curve([12.0] * 10 + [40.0] * 10)}, "warn", "much longer"),
        ({"answer_tokens": curve([12.0] * 10 + [3.0] * 10)}, "warn", "much shorter"),
        ({"kl": curve([0.01] * 10 + [0.5] * 10)}, "warn", "from its start"),
        ({"reward": curve([0.8 - 0.03 * n for n in range(20)])}, "bad", "fallen"),
        ({"missing_share": curve([0.4] * 20)}, "warn", "could not be scored"),
        ({"validation_reward": checks(0.3, 0.8)}, "good", "0.30 to 0.80"),
    ],
)
def test_practice(method: str, changes: dict[str, tuple[Point, ...]], level: str, words: str):
    found = diagnose_run(method, PRACTICE | changes, 40)
    assert (found.level, words in found.sentence) == (level, True), found


def test_a_recipe_sets_its_own_limit_and_tokens_matter_only_while_the_reward_rises():
    far = PRACTICE | {"kl": curve([0.5] * 20)}
    assert diagnose_run("rl", far, 40, kl_limit=1.0).level == "good"
    fallen = {"reward": curve([0.8 - 0.03 * n for n in range(20)]), "answer_tokens": curve([12.0] * 10 + [40.0] * 10)}
    assert diagnose_run("rl", PRACTICE | fallen, 40).level == "bad"


def test_a_trick_that_all_answers_have_learned_is_called_one():
    alike = {"signal_share": curve([0.5] * 10 + [0.0] * 10), "answer_tokens": curve([26.0] * 10 + [10.0] * 10)}
    won = {"reward": curve([0.0] * 20), "validation_reward": checks(0.5, 0.99)}
    assert "perhaps a trick" in diagnose_run("rlhf", PRACTICE | alike | won, 20, ended=True).sentence


def test_too_easy_questions_are_told_from_too_hard_ones():
    flat = PRACTICE | {"signal_share": curve([0.0] * 20)}
    assert "harder" in diagnose_run("rl", flat | {"reward": curve([1.0] * 20)}, 40).action
    assert "easier" in diagnose_run("rl", flat | {"reward": curve([0.0] * 20)}, 40).action


def test_an_earlier_stage_is_judged_while_it_is_at_work():
    judge = {"judge/validation_accuracy": checks(0.5, 0.52)}
    assert diagnose_run("rlhf", judge, 40).level == "wait"
    assert diagnose_run("rlhf", judge, 40, ended=True).level == "bad"
    assert diagnose_run("rlhf", judge | PRACTICE, 40).level == "good"
    warm = {"warm_start/train_loss": curve([3.0 - 0.1 * n for n in range(20)])}
    assert diagnose_run("dpo", warm, 40).level == "good"


def test_distance_to_a_teacher():
    nearer = {"teacher_kl": curve([1.0 - 0.04 * n for n in range(20)])}
    assert "1.0" not in diagnose_run("distill", nearer, 20).action
    assert diagnose_run("distill", nearer, 20).level == "good"
    assert diagnose_run("distill", {"teacher_kl": curve([1.0] * 20)}, 20, ended=True).level == "warn"
    examples = {"train_loss": curve([3.0 - 0.1 * n for n in range(20)])}
    assert diagnose_run("distill", examples, 20).level == "good"
