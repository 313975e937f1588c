"""Mixtures: weights, names and order, and nothing that was held out ever trained on."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data import Dataset, Ingredient, Inspection, SplitPlan
from studio.errors import DataError, NotFoundError
from tests.effort import tries

PARTS = ("train", "validation", "test")
PLAN = SplitPlan("even", 50, 25, 25)


def checked(folder: Path, rows: list[dict]) -> Inspection:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "original.dat").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data.inspect(folder / "original.dat", f"{folder.name}.jsonl", folder / "dataset")


def prepared(folder: Path, rows: list[dict], plan: SplitPlan = PLAN) -> Dataset:
    return data.split(checked(folder, rows), plan)


def pairs(topic: str, count: int = 60, **more: object) -> list[dict]:
    return [{"prompt": f"{topic} number {n * 7919}", "completion": f"about {topic} {n}", **more} for n in range(count)]


def chats(topic: str, count: int = 60) -> list[dict]:
    return [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": f"{topic} number {n * 7919}"},
                {"role": "assistant", "content": f"about {topic} {n}"},
            ]
        }
        for n in range(count)
    ]


def prompts(dataset: Dataset, part: str) -> list[str]:
    return [row.prompt for row in data.rows(getattr(dataset, part).path)]


def held_out(dataset: Dataset) -> set[str]:
    return {prompt for part in ("validation", "test") for prompt in prompts(dataset, part)}


def test_every_row_keeps_the_part_that_it_had(tmp_path):
    cats, dogs = prepared(tmp_path / "cats", pairs("cats")), prepared(tmp_path / "dogs", chats("dogs"))
    mixed = data.mix(tmp_path / "mix", [Ingredient(cats.folder), Ingredient(dogs.folder)])
    for part in PARTS:
        assert sorted(prompts(mixed, part)) == sorted(prompts(cats, part) + prompts(dogs, part))
    assert Counter(row.source for row in data.rows(mixed.train.path)) == {"cats": cats.train.rows, "dogs": dogs.train.rows}
    assert data.load(tmp_path / "mix") == mixed
    assert data.reopen(tmp_path / "mix") == mixed.inspection


def test_conversations_and_pairs_go_together(tmp_path):
    cats, dogs = prepared(tmp_path / "cats", pairs("cats")), prepared(tmp_path / "dogs", chats("dogs"))
    mixed = data.mix(tmp_path / "mix", [Ingredient(cats.folder), Ingredient(dogs.folder)])
    roles = {row.source: tuple(turn.role for turn in row.messages) for row in data.rows(mixed.train.path)}
    assert roles == {"cats": ("user", "assistant"), "dogs": ("system", "user", "assistant")}
    assert mixed.inspection.shape is not None
    assert mixed.inspection.shape.training == "SL"
    written = data.export_jsonl(mixed.train.path, tmp_path / "train.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert len(lines) == written == mixed.train.rows
    assert all(line["messages"][-1]["role"] == "assistant" for line in lines)


@pytest.mark.parametrize(("weight", "least", "most"), [(1, 1, 1), (2, 2, 2), (3, 3, 3), (1.5, 1, 2), (0.5, 0, 1)])
def test_a_weight_repeats_or_takes_rows(tmp_path, weight, least, most):
    cats, dogs = prepared(tmp_path / "cats", pairs("cats", 200)), prepared(tmp_path / "dogs", pairs("dogs", 30))
    mixed = data.mix(tmp_path / "mix", [Ingredient(cats.folder, weight), Ingredient(dogs.folder)])
    times = Counter(prompt for prompt in prompts(mixed, "train") if prompt.startswith("cats"))
    assert all(least <= times[prompt] <= most for prompt in prompts(cats, "train"))
    assert sum(times.values()) == pytest.approx(weight * cats.train.rows, rel=0.2)
    for part in ("validation", "test"):
        kept = [prompt for prompt in prompts(mixed, part) if prompt.startswith("cats")]
        assert set(kept) <= set(prompts(cats, part))
        assert len(kept) == len(set(kept)) == pytest.approx(min(1, weight) * getattr(cats, part).rows, rel=0.35)
    told = mixed.details["mixture"][0]
    assert told["weight"] == weight
    assert told["written"]["train"] == sum(times.values())


def test_a_mixture_is_the_same_every_time(tmp_path):
    cats, dogs = prepared(tmp_path / "cats", pairs("cats", 200)), prepared(tmp_path / "dogs", pairs("dogs", 30))
    sources = [Ingredient(cats.folder, 0.3), Ingredient(dogs.folder, 2.5)]
    one, two = data.mix(tmp_path / "one", sources), data.mix(tmp_path / "two", sources)
    assert all(prompts(one, part) == prompts(two, part) for part in PARTS)
    assert one.inspection.fingerprint == two.inspection.fingerprint
    other = data.mix(tmp_path / "other", [Ingredient(cats.folder, 0.4), Ingredient(dogs.folder, 2.5)])
    assert other.inspection.fingerprint != one.inspection.fingerprint
    # A larger weight takes more rows and lets go of none.
    assert set(prompts(one, "train")) <= set(prompts(other, "train"))


def test_a_prompt_that_sources_share_goes_to_the_strictest_part(tmp_path):
    rows = pairs("cats", 80)
    first = prepared(tmp_path / "first", rows)
    again = [{**row, "prompt": row["prompt"].upper(), "completion": "another answer"} for row in rows]
    # The same prompts, split by other shares: many of them are in another part there.
    second = prepared(tmp_path / "second", again, SplitPlan("other", 20, 40, 40))
    mixed = data.mix(tmp_path / "mix", [Ingredient(first.folder), Ingredient(second.folder)])
    strictness = {part: place for place, part in enumerate(PARTS)}
    was = {
        prompt.upper(): max(strictness[part] for source in (first, second) for part in PARTS
                             if prompt.upper() in {one.upper() for one in prompts(source, part)})
        for prompt in prompts(first, "train") + prompts(first, "validation") + prompts(first, "test")
    }  # fmt: skip
    now = {prompt.upper(): strictness[part] for part in PARTS for prompt in prompts(mixed, part)}
    assert now == was
    assert mixed.rows == 160


def test_only_training_rows_are_replayed(tmp_path):
    earlier, new = prepared(tmp_path / "earlier", pairs("earlier", 120)), prepared(tmp_path / "new", pairs("new"))
    mixed = data.mix(tmp_path / "mix", [Ingredient(new.folder), Ingredient(earlier.folder, 0.25, replay=True)])
    replayed = [prompt for prompt in prompts(mixed, "train") if prompt.startswith("earlier")]
    assert set(replayed) <= set(prompts(earlier, "train"))
    assert len(replayed) == pytest.approx(0.25 * earlier.train.rows, rel=0.5)
    assert not any(prompt.startswith("earlier") for prompt in held_out(mixed))


def test_what_the_earlier_data_held_out_is_never_trained_on(tmp_path):
    """The new file holds prompts that the earlier data set keeps sealed."""
    rows = pairs("earlier", 120)
    earlier = prepared(tmp_path / "earlier", rows)
    again = [{**row, "completion": "new answer"} for row in rows]
    new = checked(tmp_path / "new", again + pairs("new", 60))
    mixed = data.mix(tmp_path / "mix", [Ingredient(new.folder), Ingredient(earlier.folder, 1, replay=True)], PLAN)
    assert not held_out(earlier) & set(prompts(mixed, "train"))
    # What it was trained on is no fair question either.
    assert not set(prompts(earlier, "train")) & held_out(mixed)


def test_a_held_out_prompt_that_is_replayed_elsewhere_is_left_out(tmp_path):
    rows = pairs("shared", 80)
    earlier = prepared(tmp_path / "earlier", rows)
    new = prepared(tmp_path / "new", [{**row, "completion": "else"} for row in rows] + pairs("new"), SplitPlan("o", 20, 40, 40))
    mixed = data.mix(tmp_path / "mix", [Ingredient(new.folder), Ingredient(earlier.folder, 1, replay=True)])
    contested = set(prompts(earlier, "train")) & held_out(new)
    assert contested
    everywhere = {prompt for part in PARTS for prompt in prompts(mixed, part)}
    assert not contested & everywhere


def test_a_file_that_was_never_split_is_split_by_the_plan(tmp_path):
    cats, new = prepared(tmp_path / "cats", pairs("cats")), checked(tmp_path / "new", pairs("new", 200))
    mixed = data.mix(tmp_path / "mix", [Ingredient(cats.folder), Ingredient(new.folder)], SplitPlan("p", 60, 20, 20))
    count = sum(prompt.startswith("new") for prompt in prompts(mixed, "test"))
    assert count == pytest.approx(40, abs=15)
    assert mixed.details["mixture"][1]["split_before"] is None


@pytest.mark.parametrize("order", ["source", "length", "level", ""])
def test_the_order_of_the_training_rows(tmp_path, order):
    cats = prepared(tmp_path / "cats", [{**row, "level": n % 7} for n, row in enumerate(pairs("cats"))])
    dogs = prepared(tmp_path / "dogs", [{**row, "level": n % 5} for n, row in enumerate(pairs("dog breeds"))])
    plan = SplitPlan("p", 70, 20, 10, order=order)
    mixed = data.mix(tmp_path / "mix", [Ingredient(dogs.folder), Ingredient(cats.folder, 2)], plan)
    rows = data.rows(mixed.train.path)
    if order == "source":
        assert [row.source for row in rows] == ["dogs"] * dogs.train.rows + ["cats"] * 2 * cats.train.rows
    elif order == "length":
        sizes = [len(row.prompt) + len(row.completion) for row in rows]
        assert sizes == sorted(sizes)
    elif order == "level":
        level = {row["prompt"]: n % 7 for n, row in enumerate(pairs("cats"))}
        level |= {row["prompt"]: n % 5 for n, row in enumerate(pairs("dog breeds"))}
        assert [level[row.prompt] for row in rows] == sorted(level[row.prompt] for row in rows)
    else:
        # Shuffled: the first rows of any source are not the first rows of the mixture.
        assert len({row.source for row in rows[:20]}) == 2


def test_held_out_rows_of_all_sources_come_early(tmp_path):
    """Training scores the first validation rows only, so these must not all be of the first source."""
    cats, dogs = prepared(tmp_path / "cats", pairs("cats", 100)), prepared(tmp_path / "dogs", pairs("dogs", 100))
    mixed = data.mix(tmp_path / "mix", [Ingredient(cats.folder), Ingredient(dogs.folder)])
    assert {row.source for row in data.rows(mixed.validation.path, limit=15)} == {"cats", "dogs"}


def test_sources_of_one_name_are_told_apart(tmp_path):
    one, two = prepared(tmp_path / "a" / "faq", pairs("cats")), prepared(tmp_path / "b" / "faq", pairs("dogs"))
    mixed = data.mix(tmp_path / "mix", [Ingredient(one.folder), Ingredient(two.folder), Ingredient(one.folder, name="mine")])
    assert [source["name"] for source in mixed.details["mixture"]] == ["faq", "faq (2)", "mine"]


def test_a_mixture_can_be_mixed_again(tmp_path):
    cats, dogs = prepared(tmp_path / "cats", pairs("cats")), prepared(tmp_path / "dogs", pairs("dogs"))
    first = data.mix(tmp_path / "first", [Ingredient(cats.folder, 2), Ingredient(dogs.folder)])
    more = prepared(tmp_path / "more", pairs("more"))
    second = data.mix(tmp_path / "second", [Ingredient(first.folder), Ingredient(more.folder)])
    assert held_out(first) <= held_out(second)
    assert not held_out(first) & set(prompts(second, "train"))


def test_a_mixture_is_not_split_again(tmp_path):
    cats = prepared(tmp_path / "cats", pairs("cats"))
    mixed = data.mix(tmp_path / "mix", [Ingredient(cats.folder)])
    with pytest.raises(DataError, match="keeps the parts") as caught:
        data.split(mixed.inspection)
    assert "Mix the sources again" in caught.value.next_step
    assert data.load(tmp_path / "mix") == mixed


def test_the_sources_are_only_read(tmp_path):
    cats = prepared(tmp_path / "cats", pairs("cats"))
    before = {file.name: file.read_bytes() for file in cats.folder.iterdir()}
    data.mix(tmp_path / "mix", [Ingredient(cats.folder, 2)])
    assert {file.name: file.read_bytes() for file in cats.folder.iterdir()} == before


# ---- refused ----


def test_what_trains_differently_does_not_go_together(tmp_path):
    cats = prepared(tmp_path / "cats", pairs("cats"))
    better = prepared(tmp_path / "better", [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": "bad"} for n in range(40)])
    with pytest.raises(DataError, match="pairs of answers") as caught:
        data.mix(tmp_path / "mix", [Ingredient(cats.folder), Ingredient(better.folder)])
    assert "better answers" in caught.value.next_step
    assert not (tmp_path / "mix" / "dataset.json").exists()


def test_pairs_of_answers_can_be_mixed(tmp_path):
    flat = prepared(tmp_path / "flat", [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": "bad"} for n in range(40)])
    other = prepared(tmp_path / "other", [{"prompt": f"q{n}", "chosen": f"fine {n}", "rejected": "no"} for n in range(40)])
    mixed = data.mix(tmp_path / "mix", [Ingredient(flat.folder), Ingredient(other.folder)])
    rows = data.rows(mixed.train.path)
    assert {row.rejected for row in rows} == {"bad", "no"}
    assert all([turn.role for turn in row.messages] == ["user"] for row in rows)


@pytest.mark.parametrize("weight", [0, -1, 101, float("nan"), float("inf")])
def test_a_weight_that_cannot_work(tmp_path, weight):
    cats = prepared(tmp_path / "cats", pairs("cats"))
    with pytest.raises(DataError, match="weight"):
        data.mix(tmp_path / "mix", [Ingredient(cats.folder, weight)])


def test_only_a_share_can_be_replayed(tmp_path):
    cats, new = prepared(tmp_path / "cats", pairs("cats")), checked(tmp_path / "new", pairs("new"))
    with pytest.raises(DataError, match="weight"):
        data.mix(tmp_path / "mix", [Ingredient(new.folder), Ingredient(cats.folder, 2, replay=True)])
    with pytest.raises(DataError, match="Only a data set that was split"):
        data.mix(tmp_path / "mix", [Ingredient(cats.folder), Ingredient(new.folder, 0.5, replay=True)])


def test_nothing_to_hold_out_is_refused(tmp_path):
    cats = prepared(tmp_path / "cats", pairs("cats"))
    with pytest.raises(DataError, match="No row is left for the part") as caught:
        data.mix(tmp_path / "mix", [Ingredient(cats.folder, 1, replay=True)])
    assert caught.value.next_step


def test_a_folder_without_data(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError):
        data.mix(tmp_path / "mix", [Ingredient(tmp_path / "empty")])
    with pytest.raises(DataError, match="1 to"):
        data.mix(tmp_path / "mix", [])


# ---- always ----

words = st.text("abcd", min_size=1, max_size=3)


@pytest.mark.slow
@tries(6)
@given(
    first=st.sets(words, min_size=12, max_size=50),
    second=st.sets(words, min_size=12, max_size=50),
    weight=st.sampled_from([0.3, 1, 2.5]),
    replay=st.booleans(),
    split_before=st.booleans(),
)
def test_nothing_held_out_is_trained_on(first, second, weight, replay, split_before):
    def rows(prompts: set[str], answer: str) -> list[dict]:
        return [{"prompt": f"tell me about {prompt}", "completion": answer} for prompt in sorted(prompts)]

    # The prompts differ by a few letters only: as near-duplicates all of them would be one piece, which cannot be split.
    apart = replace(PLAN, near=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = prepared(folder / "one", rows(first, "one"), apart)
        two = checked(folder / "two", rows(second, "two"))
        if split_before:
            data.split(two, SplitPlan("o", 30, 40, 30, near=False))
        sources = [Ingredient(two.folder), Ingredient(one.folder, min(1, weight) if replay else weight, replay=replay)]
        try:
            mixed = data.mix(folder / "mix", sources, apart)
        except DataError as error:
            told = error.what
            mixed = None
        if mixed is None:
            assert "No row is left" in told or "piece" in told
            return
        learned = set(prompts(mixed, "train"))
        assert not learned & held_out(mixed)
        assert not learned & held_out(one)
        if split_before:
            assert not learned & held_out(data.load(two.folder))
        if replay:
            assert not set(prompts(one, "train")) & held_out(mixed)
