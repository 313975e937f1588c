"""Who takes part, on which prompts, and what the seals say about it; no model is needed here."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from studio import data, models
from studio.compare import generate
from studio.compare.answers_job import _answer
from studio.compare.generate import CompareSettings, Imported, Others, Plan
from studio.compare.prompts import TRAINED_ON
from studio.data import SplitPlan
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.recipe import facts_of, recommend
from studio.runs.desk import Desk
from studio.runs.launch import create_run
from studio.settings import Settings
from studio.store import RunRow, Store, new_id

OWNER = "local"
ROWS = [
    (f"What is the colour of thing {i}?", f"Thing {i} is {('blue', 'red')[i % 2]}.", ("toys", "tools")[i % 2])
    for i in range(60)
]


@dataclass(frozen=True)
class World:
    """A home with three finished runs: one, a stranger to its data, and one that was trained on what the first one held out."""

    settings: Settings
    store: Store
    run: RunRow
    stranger: RunRow
    knowing: RunRow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = Store(settings.database)
    run = a_run(settings, store)
    held_out = [(row.prompt, "Known.", "x") for row in part(settings, run, "test")]
    with_checkpoints(settings, run, 4, 8)
    yield World(
        settings,
        store,
        run,
        a_run(settings, store, [(f"Other {i}?", "No.", "x") for i in range(20)]),
        a_run(settings, store, [*held_out, *((f"More {i}?", "No.", "x") for i in range(10))], "Knows it", 80),
    )
    store.close()


@pytest.fixture
def settings(world: World) -> Settings:
    return world.settings


@pytest.fixture
def store(world: World) -> Store:
    return world.store


@pytest.fixture
def run(world: World) -> RunRow:
    return world.run


def a_run(
    settings: Settings, store: Store, rows: list[tuple[str, str, str]] = ROWS, name: str = "Mine", train: int = 40
) -> RunRow:
    dataset_id = new_id("data")
    folder = settings.datasets / dataset_id
    folder.mkdir(parents=True)
    with (folder / "original").open("w", newline="") as handle:
        csv.writer(handle).writerows([("prompt", "completion", "shelf"), *rows])
    dataset = data.split(
        data.inspect(folder / "original", "mine.csv", folder), SplitPlan("even", train, (100 - train) / 2, (100 - train) / 2)
    )
    store.datasets.add(dataset_id, owner=OWNER, name="mine", rows=dataset.rows, fingerprint="", manifest_json="{}")
    recipe = recommend(facts_of(dataset), models.get("nano")).recipe
    run = create_run(settings, store, dataset_id=dataset_id, recipe=recipe, name=name, owner=OWNER)
    store.runs.update(run.id, sampler_path=f"tinker://{run.id}/sampler_weights/final")
    store.jobs.move(run.id, "completed")
    return store.runs.get(run.id, OWNER)


def part(settings: Settings, run: RunRow, name: str) -> list[data.Row]:
    dataset = data.load(settings.datasets / run.dataset_id)
    return data.rows(getattr(dataset, name).path)


def a_file(settings: Settings, tmp_path: Path, rows: list[tuple[str, str]], name: str = "other.csv") -> Imported:
    path = tmp_path / name
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([("prompt", "answer"), *rows])
    return generate.keep_answers(settings, path, name)


def with_checkpoints(settings: Settings, run: RunRow, *batches: int) -> None:
    lines = [
        {
            "name": f"{batch:06d}",
            "epoch": 0,
            "batch": batch,
            "state_path": f"tinker://{run.id}/weights/{batch:06d}",
            "sampler_path": f"tinker://{run.id}/sampler_weights/{batch:06d}",
        }
        for batch in batches
    ]
    final = {
        "name": "final",
        "epoch": 1,
        "batch": 0,
        "state_path": "tinker://x/weights/final",
        "sampler_path": run.sampler_path,
    }
    path = settings.runs / run.id / "checkpoints.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, final]), "utf-8")


def start(settings: Settings, store: Store, run: RunRow | None, **options: object) -> Plan:
    wanted = options.pop("wanted", None)
    prompts = options.pop("prompts", None)
    row = generate.start_comparison(
        settings, store, run.id if run else "", OWNER, wanted, others=Others(**options), prompts=prompts
    )
    kept = [(one.name, one.kind, one.label, one.path) for one in store.comparisons.arms(row.id)]
    plan = Plan.of(row)
    assert kept == [(one.name, one.kind, one.label, one.path) for one in plan.arms]
    assert plan.to_json() == row.settings_json
    return plan


# ---- arms ----


def test_base_and_tuned_come_first_and_the_others_in_their_order(
    world: World, settings: Settings, store: Store, run: RunRow, tmp_path: Path
):
    other = world.stranger
    imported = a_file(settings, tmp_path, [(row.prompt, "Grey.") for row in part(settings, run, "test")])
    plan = start(settings, store, run, checkpoints=(8, 4), against=(other.id,), imported=(imported,))
    assert [(one.name, one.kind) for one in plan.arms] == [
        ("base", "base"),
        ("tuned", "run"),
        ("step-8", "checkpoint"),
        ("step-4", "checkpoint"),
        ("run-2", "run"),
        ("file-1", "imported"),
    ]
    assert plan.arms[1].label == "Mine"
    assert len({one.label for one in plan.arms}) == 6, "two runs of one name can be told apart"
    assert plan.reference.name == "base"
    assert plan.arms[2].path.endswith("/sampler_weights/000008")
    assert (plan.arms[4].run_seal, plan.arms[3].run_seal) == (other.seal, run.seal)
    assert {one.renderer for one in plan.arms if one.asked} == {plan.renderer}


def test_what_cannot_take_part_is_refused(world: World, settings: Settings, store: Store, run: RunRow, tmp_path: Path):
    imported = a_file(settings, tmp_path, [(row.prompt, "Grey.") for row in part(settings, run, "test")])
    before = store.comparisons.all(OWNER)
    refused = [
        ({"checkpoints": (5,)}, NotFoundError, "step 5"),
        ({"checkpoints": (4, 4)}, SettingError, "takes part already"),
        ({"against": (run.id,)}, SettingError, "takes part already"),
        ({"against": ("nano",)}, SettingError, "takes part already"),
        ({"against": ("Qwen/Qwen3-8B",)}, NotFoundError, "does not run where"),
        ({"against": ("run-nosuchrun0000000",)}, NotFoundError, "no run"),
        ({"imported": (imported, imported)}, SettingError, "takes part already"),
    ]
    for options, error, match in refused:
        with pytest.raises(error, match=match) as caught:
            start(settings, store, run, **options)
        assert caught.value.next_step
    with pytest.raises(SettingError, match="two sides"):
        start(settings, store, None, imported=(imported,))
    with pytest.raises(SettingError, match="belongs to a run"):
        start(settings, store, None, imported=(imported,), checkpoints=(4,))
    assert store.comparisons.all(OWNER) == before


def test_asking_twice_for_the_same_arms_is_one_comparison(world: World, settings: Settings, store: Store, run: RunRow):
    asked = [{"checkpoints": (4,)}, {"checkpoints": (8,)}, {}]
    known = [start(settings, store, run, **options) for options in asked]
    before = store.comparisons.all(OWNER)
    assert [start(settings, store, run, **options) for options in asked] == known
    assert store.comparisons.all(OWNER) == before


def test_a_comparison_of_an_earlier_version_is_found_again(world: World, settings: Settings, store: Store, run: RunRow):
    first = generate.start_comparison(settings, store, run.id, OWNER, CompareSettings(seed=9))
    old = {key: value for key, value in json.loads(first.settings_json).items() if key not in ("arms", "source", "learned")}
    earlier = store.comparisons.add(owner=OWNER, run_id=run.id, settings_json=json.dumps({**old, "seed": 10}))
    assert generate.start_comparison(settings, store, run.id, OWNER, CompareSettings(seed=10)).id == earlier.id
    assert [one.name for one in Plan.of(earlier).arms] == ["base", "tuned"]


# ---- prompts ----


def test_held_out_prompts_can_be_sliced(world: World, settings: Settings, store: Store, run: RunRow):
    asked = generate.questions(settings, start(settings, store, run))
    known = {row[0]: row[2] for row in ROWS}
    for one in asked:
        assert one.slices["shelf"] == known[one.messages[-1].content]
        assert one.slices["prompt length"] == "up to 200 characters"
        assert one.stamp == ""


def test_an_own_list_is_asked_with_its_answers(world: World, settings: Settings, store: Store, run: RunRow):
    source = generate.keep_pasted(settings, "prompt,answer\nWhat is new?,Nothing.\nAnd now?,Still nothing.\n")
    plan = start(settings, store, run, prompts=source)
    asked = generate.questions(settings, plan)
    assert [(one.messages[-1].content, one.reference) for one in asked] == [
        ("What is new?", "Nothing."),
        ("And now?", "Still nothing."),
    ]
    assert plan.max_prompts == 2
    assert [one.name for one in plan.arms] == ["base", "tuned"]


def test_a_pack_is_asked_and_sliced_by_topic(world: World, settings: Settings, store: Store, run: RunRow):
    plan = start(settings, store, run, prompts=generate.keep_packs(settings, ["arithmetic"]))
    asked = generate.questions(settings, plan)
    assert len(asked) == 40
    assert {one.slices["pack"] for one in asked} == {"Arithmetic"}
    assert len({one.slices["topic"] for one in asked}) > 3


def test_prompts_that_were_trained_on_are_refused_left_out_or_stamped(
    world: World, settings: Settings, store: Store, run: RunRow
):
    learned = [row.prompt for row in part(settings, run, "train")][:3]
    source = generate.keep_pasted(settings, "\n".join([*(text.upper() for text in learned), "Never heard of?", "Nor this?"]))
    with pytest.raises(DataError, match="trained on 3 of these 5 prompts") as caught:
        start(settings, store, run, prompts=source)
    assert "stamped" in caught.value.next_step
    left = generate.questions(
        settings, start(settings, store, run, prompts=source, wanted=CompareSettings(learned="leave_out"))
    )
    assert [one.messages[-1].content for one in left] == ["Never heard of?", "Nor this?"]
    kept = generate.questions(settings, start(settings, store, run, prompts=source, wanted=CompareSettings(learned="stamp")))
    assert [one.stamp for one in kept] == [TRAINED_ON] * 3 + ["", ""]


def test_held_out_prompts_that_another_run_learned_are_refused(world: World, settings: Settings, store: Store, run: RunRow):
    other = world.knowing
    with pytest.raises(DataError, match="Knows it was trained on"):
        start(settings, store, run, against=(other.id,))
    plan = start(settings, store, run, against=(other.id,), wanted=CompareSettings(learned="stamp"))
    stamps = [one.stamp for one in generate.questions(settings, plan)]
    assert 0 < stamps.count(TRAINED_ON) <= len(stamps)


def test_only_prompts_that_a_file_answers_are_asked(
    world: World, settings: Settings, store: Store, run: RunRow, tmp_path: Path
):
    held_out = [row.prompt for row in part(settings, run, "test")]
    some = a_file(settings, tmp_path, [(f"  {text.upper()} ", "Grey.") for text in held_out[:5]])
    asked = generate.questions(settings, start(settings, store, run, imported=(some,)))
    assert [one.messages[-1].content for one in asked] == held_out[:5]
    none = a_file(settings, tmp_path, [("Something else?", "Grey.")], "none.csv")
    with pytest.raises(DataError, match="answers none of the prompts"):
        start(settings, store, run, imported=(none,))


# ---- two files, and nobody to ask ----


def test_two_files_are_compared_without_a_model(world: World, settings: Settings, store: Store, run: RunRow, tmp_path: Path):
    prompts = [f"Question {i}?" for i in range(6)]
    first = a_file(settings, tmp_path, [(text, f"Answer {text}") for text in prompts], "one.csv")
    second = a_file(settings, tmp_path, [(text, f"<think>hm</think>Other {text}") for text in prompts[1:]], "two.csv")
    row = generate.start_comparison(settings, store, "", OWNER, others=Others(imported=(first, second)))
    assert row.run_id is None
    job = store.jobs.get(row.id)
    for _ in range(2):  # again after it was killed: nothing is there twice
        _answer(Desk(settings, store, job))
    answers = store.comparisons.answers(row.id)
    assert [(one.arm, one.text) for one in answers[:2]] == [
        ("file-1", "Answer Question 1?"),
        ("file-2", "<think>hm</think>Other Question 1?"),
    ]
    assert len(answers) == 10
    assert [one.slices_json for one in store.comparisons.prompts(row.id)] == ['{"prompt length": "up to 200 characters"}'] * 5
    length = generate.measures(store, row.id, OWNER)[0]
    assert (length.name, length.reference, length.arm, length.n) == ("length", "file-1", "file-2", 5)
    remarks = [json.loads(one.details_json)["stamps"] for one in store.comparisons.arms(row.id)]
    assert all("two.csv" in one[0] or "one.csv" in one[0] for one in remarks)


def test_without_a_run_somebody_has_to_bring_prompts(world: World, settings: Settings, store: Store, run: RunRow):
    with pytest.raises(SettingError):
        start(settings, store, None, against=("nano",))
    with pytest.raises(RunError, match="no held-out prompts"):
        start(settings, store, None, against=("nano", run.id))
    plan = start(settings, store, None, against=("nano", run.id), prompts=generate.keep_pasted(settings, "What is new?\n"))
    assert [one.name for one in plan.arms] == ["model-1", "run-2"]
    assert "Nothing says whether" in plan.remarks(plan.arms[0])[0]
