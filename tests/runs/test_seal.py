"""The seal of a run: nothing that was trained on is ever taken for unseen, whatever happens to the data set afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio import data, models
from studio.compare import blind, generate
from studio.compare.generate import Plan
from studio.data import Dataset, Message, SplitPlan
from studio.errors import DataError, NotFoundError, RunError, StoreError
from studio.recipe import facts_of, recommend
from studio.runs import seal
from studio.runs.launch import create_run
from studio.settings import Settings
from studio.store import RunRow, Store, new_id

OWNER = "local"
PLAN = SplitPlan("even", 40, 20, 40)
ROWS = [{"prompt": f"What is the colour of thing {i}?", "completion": f"Thing {i} is blue."} for i in range(60)]


def chat(*texts: str) -> dict[str, object]:
    roles = ("user", "assistant") * len(texts)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = Store(settings.database)
    yield opened
    opened.close()


def prepared(settings: Settings, store: Store, rows: list[dict[str, object]], plan: SplitPlan = PLAN) -> tuple[str, Dataset]:
    dataset_id = new_id("data")
    folder = settings.datasets / dataset_id
    folder.mkdir(parents=True)
    (folder / "original").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = data.split(data.inspect(folder / "original", "mine.jsonl", folder), plan)
    store.datasets.add(dataset_id, owner=OWNER, name="mine", rows=dataset.rows, fingerprint="", manifest_json="{}")
    return dataset_id, dataset


def launched(settings: Settings, store: Store, dataset_id: str, dataset: Dataset, **options: object) -> RunRow:
    recipe = recommend(facts_of(dataset), models.get("nano")).recipe
    run = create_run(settings, store, dataset_id=dataset_id, recipe=recipe, name="Mine", owner=OWNER, **options)
    store.runs.update(run.id, sampler_path="tinker://m/sampler_weights/f")
    store.jobs.move(run.id, "completed")
    return store.runs.get(run.id, OWNER)


def asked(prompt: str) -> list[Message]:
    return [Message("user", prompt)]


def test_the_seal_is_there_before_the_run_starts(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    folder = settings.runs / run.id
    record = json.loads((folder / seal.RECORD).read_text())
    assert len(run.seal) == 64
    assert (record["trained"], record["held_out"]) == (dataset.train.rows + dataset.validation.rows, dataset.test.rows)
    for part, learned in (("train", True), ("validation", True), ("test", False)):
        rows = data.rows(getattr(dataset, part).path)
        found = seal.trained_on(settings, run.id, run.seal, [row.messages[:-1] for row in rows])
        assert set(found) == {learned}, part


def test_no_text_of_the_data_is_in_the_seal(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    kept = b"".join(file.read_bytes() for file in (settings.runs / run.id).iterdir())
    assert b"colour" not in kept
    assert b"blue" not in kept


@pytest.mark.parametrize("change", [str.upper, lambda text: f"  {text} ", lambda text: text.replace(" ", "\n")])
def test_the_same_prompt_in_other_clothes_is_known(settings: Settings, store: Store, change):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    learned = data.rows(dataset.train.path, limit=1)[0].prompt
    assert seal.trained_on(settings, run.id, run.seal, [asked(change(learned)), asked("Never heard")]) == (True, False)


def test_a_comparison_asks_what_was_sealed(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    comparison = generate.start_comparison(settings, store, run.id, OWNER)
    plan = Plan.of(comparison)
    assert (plan.run_id, plan.run_seal) == (run.id, run.seal)
    assert len(generate.questions(settings, plan)) == dataset.test.rows


def test_a_data_set_that_was_split_again_is_refused(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    before = generate.start_comparison(settings, store, run.id, OWNER)
    data.split(dataset.inspection, SplitPlan("other", 50, 30, 20))
    with pytest.raises(RunError, match="split again after this run") as caught:
        generate.start_comparison(settings, store, run.id, OWNER)
    assert "new run" in caught.value.next_step
    with pytest.raises(DataError, match="put aside"):
        generate.questions(settings, Plan.of(before))


def test_the_same_split_again_is_no_other_split(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    data.split(dataset.inspection, PLAN)
    assert generate.start_comparison(settings, store, run.id, OWNER).run_id == run.id


def test_a_held_out_row_whose_text_was_swapped_is_refused(settings: Settings, store: Store):
    """The ids still fit the seal of the split; the texts that would be asked do not."""
    import duckdb

    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    comparison = generate.start_comparison(settings, store, run.id, OWNER)
    learned = data.rows(dataset.train.path, limit=1)[0].prompt
    changed = dataset.folder / "changed.parquet"
    with duckdb.connect() as connection:
        swapped = "* EXCLUDE (file_row_number) REPLACE (CASE WHEN file_row_number = 0 THEN $text ELSE prompt END AS prompt)"
        rows = f"read_parquet('{dataset.test.path}', file_row_number=true)"
        connection.execute(f"COPY (SELECT {swapped} FROM {rows}) TO '{changed}' (FORMAT parquet)", {"text": learned})
    changed.replace(dataset.test.path)
    with pytest.raises(DataError, match=r"1 of \d+ held-out prompts was trained on"):
        generate.questions(settings, Plan.of(comparison))


@pytest.mark.parametrize("name", [seal.RECORD, seal.KEYS])
@pytest.mark.parametrize("change", ["gone", "other"])
def test_a_seal_that_was_changed_proves_nothing(settings: Settings, store: Store, name: str, change: str):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    comparison = generate.start_comparison(settings, store, run.id, OWNER)
    file = settings.runs / run.id / name
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    for ask in (
        lambda: generate.start_comparison(settings, store, run.id, OWNER),
        lambda: generate.questions(settings, Plan.of(comparison)),
        lambda: generate.was_trained_on(settings, store, run.id, "Hello?"),
    ):
        with pytest.raises(RunError, match="missing or was changed") as caught:
            ask()
        assert caught.value.next_step


def test_a_run_without_a_seal_is_sealed_when_its_data_is_as_it_was(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    recipe = recommend(facts_of(dataset), models.get("nano")).recipe.to_json()
    old = store.runs.add(owner=OWNER, name="Old", dataset_id=dataset_id, method="sl", model="nano", recipe_json=recipe)
    found, record = seal.sealed(settings, store, old, dataset)
    assert found.seal
    assert record.trained == dataset.train.rows + dataset.validation.rows
    assert store.runs.get(old.id, OWNER).seal == found.seal


def test_a_run_without_a_seal_whose_data_was_split_since_is_refused(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    recipe = recommend(facts_of(dataset), models.get("nano")).recipe.to_json()
    old = store.runs.add(owner=OWNER, name="Old", dataset_id=dataset_id, method="sl", model="nano", recipe_json=recipe)
    again = data.split(dataset.inspection, PLAN)
    with pytest.raises(RunError, match="split again after this run began"):
        seal.sealed(settings, store, old, again)
    assert store.runs.get(old.id, OWNER).seal == ""


def test_what_an_earlier_run_was_trained_on_is_inherited(settings: Settings, store: Store):
    first_id, first = prepared(settings, store, ROWS)
    second_id, second = prepared(settings, store, [{"prompt": f"Other {i}?", "completion": "No."} for i in range(40)])
    grandparent = launched(settings, store, first_id, first)
    parent = launched(settings, store, second_id, second, ancestors=[grandparent.id])
    child = launched(settings, store, second_id, second, ancestors=[parent.id])
    learned, unseen = (data.rows(part.path, limit=1)[0].messages[:-1] for part in (first.train, first.test))
    assert seal.trained_on(settings, child.id, child.seal, [learned, unseen]) == (True, False)
    assert json.loads((settings.runs / child.id / seal.RECORD).read_text())["ancestors"] == [parent.id, grandparent.id]
    # The earlier run and its data may be gone; what it was trained on stays known.
    shutil.rmtree(settings.runs / grandparent.id)
    assert seal.trained_on(settings, child.id, child.seal, [learned]) == (True,)


def test_a_held_out_prompt_that_an_earlier_run_learned_is_refused(settings: Settings, store: Store):
    first_id, first = prepared(settings, store, ROWS)
    learned = [row.prompt for row in data.rows(first.train.path)]
    second_id, second = prepared(settings, store, [{"prompt": prompt, "completion": "Red."} for prompt in learned])
    child = launched(settings, store, second_id, second, ancestors=[launched(settings, store, first_id, first).id])
    comparison = generate.start_comparison(settings, store, child.id, OWNER)
    with pytest.raises(DataError, match="trained on"):
        generate.questions(settings, Plan.of(comparison))


def test_an_ancestor_of_somebody_else_is_not_there(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    with pytest.raises(NotFoundError):
        launched(settings, store, dataset_id, dataset, ancestors=["run-nosuchrun0000000"])
    assert store.runs.all(OWNER) == ()
    assert list(settings.runs.iterdir()) == []


def test_a_run_that_cannot_be_recorded_leaves_no_seal(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch):
    dataset_id, dataset = prepared(settings, store, ROWS)

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr("studio.store.library.insert", refuse)
    with pytest.raises(StoreError):
        launched(settings, store, dataset_id, dataset)
    assert list(settings.runs.iterdir()) == []


def test_the_beginning_of_a_conversation_is_known(settings: Settings, store: Store):
    rows = [chat(f"Hello {i}", f"Hi {i}", f"How are you, {i}?", "Fine.") for i in range(40)]
    dataset_id, dataset = prepared(settings, store, rows)
    run = launched(settings, store, dataset_id, dataset)
    turns = data.rows(dataset.train.path, limit=1)[0].messages
    held_out = data.rows(dataset.test.path, limit=1)[0].messages
    # The first answer of a conversation was trained on as well, with what came before it.
    known = seal.trained_on(settings, run.id, run.seal, [turns[:1], turns[:3], turns[2:3], held_out[:1], held_out[:3]])
    assert known == (True, True, False, False, False)


def test_a_prompt_of_ones_own_is_stamped(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    learned, unseen = (data.rows(part.path, limit=1)[0].prompt for part in (dataset.train, dataset.test))
    assert generate.was_trained_on(settings, store, run.id, learned) is True
    assert generate.was_trained_on(settings, store, run.id, unseen) is False
    assert generate.was_trained_on(settings, store, "nano", learned) is None


def test_answers_that_were_made_under_another_seal_are_not_rated(settings: Settings, store: Store):
    dataset_id, dataset = prepared(settings, store, ROWS)
    run = launched(settings, store, dataset_id, dataset)
    comparison = generate.start_comparison(settings, store, run.id, OWNER)
    store.jobs.move(comparison.id, "completed")
    store.runs.update(run.id, seal="0" * 64)
    with pytest.raises(RunError, match="seal"):
        blind.open_session(store, comparison.id, OWNER)
