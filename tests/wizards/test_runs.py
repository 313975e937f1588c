from __future__ import annotations

import json
import re

import gradio as gr
import pytest

from studio.models import get
from studio.recipe import DataFacts, recommend
from studio.runs import stages
from studio.runs.progress import Point
from tests.wizards.world import World
from wizards import runs


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


def page_of(world: World) -> str:
    return str(runs.html(runs.lines(world.settings, world.store, "local")))


def test_an_empty_place_teaches_with_one_act(world):
    page = page_of(world)
    assert "No runs yet" in page
    assert page.count("<a ") == 1
    assert 'href="/"' in page


def test_every_run_has_its_state_data_model_steps_and_loss(world):
    done = world.run("completed", step=120, name="First")
    world.run("interrupted", step=61, name="Second")
    page = page_of(world)
    assert page.index("Second") < page.index("First")
    assert "Finished" in page
    assert "Interrupted" in page
    assert "61 of 120" in page
    assert f"/?run={done.id}&amp;step=train" in page
    assert "3.50 → 0.7" in page
    assert page.count("tf-spark") == 2
    assert "data-tick" not in page


def test_a_live_run_keeps_the_page_awake(world):
    world.run("running", pid=1)
    assert "data-tick" in page_of(world)


def test_the_loss_of_the_result_wins_over_the_curve(world):
    run = world.run("completed", step=60)
    world.store.runs.update(run.id, result_json=json.dumps({"validation_loss_first": 9.0, "validation_loss_last": 1.0}))
    assert "9.00 → 1.00" in page_of(world)


@pytest.mark.parametrize(
    ("method", "kind", "series", "said"),
    [
        ("dpo", "", "validation/accuracy", "50 % → 90 %Preference accuracy, on pairs it never trains on"),
        ("rl", "", "validation/reward", "0.50 → 0.90Mean reward, on questions it never practises"),
        ("rlhf", "", "validation/reward", "50 % → 90 %Win rate against the start, on questions it never practises"),
        ("distill", "on_policy", "validation/teacher_kl", "0.50 → 0.90Reverse KL divergence, on questions it never practises"),
        ("distill", "prompt", "validation/nll", "0.50 → 0.90Loss, on rows it never trains on"),
    ],
)
def test_each_way_of_training_shows_its_own_main_measure_by_name(world, method, kind, series, said):
    facts = DataFacts(510, 60, 30, 120.0, 200.0, 480.0, training={"dpo": "DPO", "rlhf": "DPO", "rl": "RL"}.get(method, "SL"))
    chosen = recommend(facts, get("nano"), method, distillation=kind or "prompt").recipe
    run = world.run("completed", recipe=chosen)
    mark = {"dpo": "dpo_loss", "distill": "teacher_kl" if kind == "on_policy" else "train_mean_nll"}.get(
        method, "progress/batch"
    )
    lines = [{"step": step, mark: 0.3, series: value} for step, value in enumerate((0.5, 0.7, 0.9))]
    path = world.settings.runs / run.id / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    stages.write_outline(path.parent, chosen, 510)
    text = re.sub("<[^>]+>", "", page_of(world))
    assert said in text


def test_a_verdict_stands_there_once_the_owner_has_rated(world):
    run = world.run("completed")
    session = world.session(world.comparison(run, [(f"b{i}", f"t{i}") for i in range(24)]))
    assert "not rated" in page_of(world)
    token = world.seat(session)
    world.rate(token, ["tuned"] * 10, finish=False)
    page = page_of(world)
    assert "you rated 10 of 24" in page
    assert "better" not in page
    world.rate(token, ["tuned"] * 24)
    page = page_of(world)
    assert "The tuned model is better, 100 %" in page
    assert f"session={session}" in page


def test_hostile_names_are_text(world):
    world.run("completed", name="<script>alert(1)</script> ${alert(1)}")
    page = page_of(world)
    assert "<script>" not in page
    assert "${" not in page


def test_other_peoples_runs_are_not_listed(world):
    world.run("completed", owner="bob", name="Bobs run")
    assert "Bobs run" not in page_of(world)


def test_a_sparkline_survives_odd_curves():
    assert runs.spark(()) is None
    assert runs.spark((Point(1, 2.0),)) is None
    assert "NaN" not in str(runs.spark((Point(1, 2.0), Point(2, float("nan")), Point(3, 2.0))))
    assert str(runs.spark(tuple(Point(i, 1.0) for i in range(5_000)))).count("L") < 130


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "just now"), (61, "1 minute ago"), (7_300, "2 hours ago"), (90_000, "1 day ago")]
)
def test_times_are_words(seconds, words):
    assert runs.ago(seconds) == words


def test_the_page_builds_inside_a_route(world):
    with gr.Blocks() as page:
        pass
    with page.route("Runs", "/runs"):
        runs.build(world.ctx)
    assert all(each.api_visibility == "private" for each in page.fns.values())
