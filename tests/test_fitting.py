"""Whether a checked file fits a way of training."""

from __future__ import annotations

import json

import pytest

from studio import data, fitting
from studio.data import Fix, Reading
from studio.errors import NotFoundError

PLAIN = [{"prompt": f"Question {n}?", "completion": f"Answer {n}"} for n in range(40)]
PAIRS = [{"prompt": f"Question {n}?", "chosen": f"Good {n}", "rejected": f"Bad {n}"} for n in range(40)]
GRADED = [{"prompt": f"Question {n}?", "completion": f"Answer {n}", "reward": n % 3 / 2} for n in range(40)]


@pytest.fixture
def inspected(tmp_path):
    def inspect(rows, **reading):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return data.inspect(path, path.name, tmp_path / "dataset", reading=Reading(**reading))

    return inspect


@pytest.mark.parametrize(
    ("rows", "fits"),
    [(PLAIN, {"sl", "distill"}), (PAIRS, {"dpo", "rlhf"}), (GRADED, {"rl", "distill"})],
    ids=["plain", "pairs", "graded"],
)
def test_a_file_fits_its_own_kind_of_training_only(inspected, rows, fits):
    found = inspected(rows)
    for method in ("sl", "rl", "dpo", "rlhf", "distill"):
        codes = {finding.code: finding.severity for finding in fitting.findings(found, method)}
        if method in fits:
            assert codes.keys() <= {"few_for_method", "scores_of_written_answers"}
            assert ("scores_of_written_answers" in codes) == (method == "rl")
        else:
            assert codes == {"training_type_mismatch": "error"}


def test_too_few_rows_are_counted_without_copies_and_said_in_words(inspected):
    (few,) = fitting.findings(inspected([*PLAIN, *PLAIN[:10]]), "sl")
    assert (few.code, few.severity, few.count) == ("few_for_method", "warning", 40)
    assert "40 examples" in few.message
    assert "100 make a start, 500 are comfortable" in few.next_step


def test_enough_to_start_is_only_good_to_know_and_plenty_is_nothing(inspected):
    many = [{"prompt": f"Question {n}?", "completion": f"Answer {n}"} for n in range(500)]
    (few,) = fitting.findings(inspected(many[:150]), "sl")
    assert few.severity == "info"
    assert fitting.findings(inspected(many), "sl") == ()


def test_pairs_offer_their_better_answers_for_supervised_learning(inspected):
    found = inspected(PAIRS)
    (wrong,) = fitting.findings(found, "sl")
    assert "pairs of a better and a worse answer" in wrong.message
    assert wrong.fixes[0].fix == Fix("better_answers")
    assert "--fix better_answers" in fitting.way_out(found)
    # What is offered works.
    fixed = inspected(PAIRS, fixes=(wrong.fixes[0].fix,))
    assert "training_type_mismatch" not in {finding.code for finding in fitting.findings(fixed, "sl")}
    assert next(data.canonical_rows(fixed)) == {"prompt": "Question 0?", "completion": "Good 0"}
    assert fitting.way_out(fixed) == ""


def test_what_nobody_can_read_yet_is_held_against_nothing(inspected):
    assert fitting.findings(inspected([{"alpha": "a", "beta": "b"}]), "sl") == ()


def test_an_unknown_method_is_named(inspected):
    with pytest.raises(NotFoundError, match="magic"):
        fitting.findings(inspected(PLAIN), "magic")


TASKS = [{"prompt": f"What is {n} + {n}?", "ground_truth": f"{2 * n}"} for n in range(60)]


def test_scores_of_written_answers_cannot_score_new_ones(inspected):
    codes = {finding.code for finding in fitting.findings(inspected(GRADED), "rl")}
    assert "scores_of_written_answers" in codes
    assert "scores_of_written_answers" not in {finding.code for finding in fitting.findings(inspected(TASKS), "rl")}
