"""The reward bench with answers made up here, and the rewards that data suggests."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import rewards
from studio.rewards import RewardError, TaskRow, score, suggest
from studio.rewards.bench import Bench, histogram, score_answers, spaced, try_reward

ROWS = [TaskRow(f"What is {n} + {n}?", str(2 * n)) for n in range(5)]


def tried(answers, reward=None, rows=ROWS):
    async def sample(given, count):
        assert list(given) == list(rows)
        return [[answers(row, place) for place in range(count)] for row in given]

    return asyncio.run(try_reward(reward or rewards.Number(), rows, sample))


def test_five_rows_four_answers_and_something_to_learn():
    bench = tried(lambda row, place: row.reference if place == 0 else "no idea")
    assert bench.answers == 20
    assert bench.mean == pytest.approx(0.25)
    assert bench.spread == pytest.approx((0.25 * 0.75) ** 0.5)
    assert (bench.flat, bench.failed) == (0, 0)
    assert [each.count for each in bench.histogram] == [15, 0, 0, 0, 0, 0, 0, 0, 0, 5]
    assert [note.level for note in bench.notes] == ["good"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [(lambda row, place: "no", "lowest score"), (lambda row, place: row.reference, "full score")],
)
def test_no_signal_is_said_loudly(answers, words):
    bench = tried(answers)
    assert bench.flat == 5
    assert bench.spread == 0
    (note,) = bench.notes
    assert note.level == "bad"
    assert "nothing to learn" in note.sentence
    assert words in note.sentence
    assert note.next_step


def test_some_flat_groups_are_usual():
    bench = tried(lambda row, place: row.reference if place == 0 and row is ROWS[0] else "no")
    assert [note.level for note in bench.notes] == ["warn"]
    assert "4 of 5 questions" in bench.notes[0].sentence


def test_failures_are_shown_and_are_no_zeros():
    bench = tried(lambda row, place: "4", rows=[TaskRow("a question", "4"), TaskRow("no reference", "")])
    assert bench.scores == (1, 1, 1, 1)
    assert bench.failed == 4
    assert bench.notes[0].level == "bad"
    assert "4 of 8 answers could not be scored" in bench.notes[0].sentence


def test_the_range_of_the_histogram_is_that_of_the_reward():
    reward = rewards.parse(
        "{kind: sum, parts: [{weight: 2, reward: {kind: number}}, {weight: -1, reward: {kind: length, most: 1}}]}"
    )
    bench = tried(lambda row, place: "no, not at all", reward)
    assert (bench.histogram[0].low, bench.histogram[-1].high) == (-1, 2)


def test_a_bench_is_written_and_read_back():
    bench = tried(lambda row, place: str(place))
    document = json.loads(json.dumps(bench.to_dict()))
    assert Bench.of_dict(document) == bench
    assert document["scores"] == list(bench.scores)
    assert document["flat_groups"] == bench.flat


def test_typed_answers_need_no_model():
    bench = asyncio.run(score_answers(rewards.Number(), ROWS[1], ["2", "3"]))
    assert bench.scores == (1, 0)


def test_nothing_to_try_is_said():
    with pytest.raises(RewardError):
        tried(lambda row, place: "", rows=[])


@given(st.lists(st.floats(-3, 5, allow_nan=False), max_size=50), st.floats(-3, 0), st.floats(0.5, 5))
def test_a_histogram_counts_every_score_once(scores, low, high):
    bins = histogram(scores, low, high)
    assert sum(each.count for each in bins) == len(scores)
    assert len(bins) == 10


def test_scores_on_a_border_stand_above_it():
    assert [each.count for each in histogram([0.1 * n for n in range(11)], 0, 1)] == [1] * 9 + [2]


@given(st.integers(0, 1000), st.integers(1, 20))
def test_tried_rows_are_spread_over_the_file(total, wanted):
    places = spaced(total, wanted)
    assert len(places) == min(total, wanted)
    assert len(set(places)) == len(places)
    assert all(0 <= place < total for place in places)


@pytest.mark.parametrize(
    ("references", "kind", "sure"),
    [
        ([str(n) for n in range(20)], "number", True),
        (["1,000", "3.5", "-2"], "number", True),
        ([r"\boxed{5}", "7"], "number", True),
        (["A", "C", "B", "D"] * 3, "choice", True),
        (["positive", "negative"] * 4, "choice", True),
        (["positive", "negative"], "exact", True),
        (['{"a": 1}', '{"a": 2}'], "json_schema", True),
        (["Paris", "Rome", "a small town"], "exact", True),
        (["word " * 60, "other " * 60], "sum", False),
        (["", ""], "length", False),
        (["5", ""], "length", False),
    ],
)
def test_the_data_suggests_a_reward_that_it_passes_itself(references, kind, sure):
    rows = [TaskRow(f"q{n}", reference) for n, reference in enumerate(references)]
    found = suggest(rows)
    assert (found.reward.kind, found.sure) == (kind, sure)
    assert found.reason.endswith(".")
    if sure:
        assert all(score(found.reward, row.reference, row).value == 1 for row in rows)


def test_rows_that_name_rewards_get_them():
    assert suggest([TaskRow("q", "1", "number"), TaskRow("q", "x", "exact")]).reward == rewards.Column()
    mixed = suggest([TaskRow("q", "1", "number"), TaskRow("q", "2")])
    assert mixed.reward == rewards.Column(otherwise=rewards.Number())
    unknown = suggest([TaskRow("q", "1", "beauty"), TaskRow("q", "2", "number")])
    assert not unknown.sure
    assert "beauty" in unknown.reason
