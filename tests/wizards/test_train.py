from __future__ import annotations

import json
import re
from dataclasses import replace

import gradio as gr
import pytest

from studio.assets import asset
from studio.errors import NotFoundError
from studio.runs import progress
from studio.runs.progress import Point
from tests.wizards.world import World
from wizards import charts, curve, gauges, shell, train
from wizards.draft import Draft
from wizards.shell import Said
from wizards.train import Screen


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


def screen_of(world: World, run) -> Screen:
    job = world.job(run.id)
    return train.screen(run, job, progress.read(world.settings.runs / run.id, job), "embedded")


def page_of(now: Screen) -> str:
    return "".join(map(str, (train.head(now), train.middle(now), train.answers(now), train.foot(now))))


def test_a_running_run_shows_four_numbers_and_one_sentence(world):
    now = screen_of(world, world.run("running", step=47, total=120, pid=1))
    assert [each.name for each in now.gauges] == ["Step", "Loss now", "Time left", "Cost"]
    assert (now.gauges[0].value, now.gauges[0].remark) == ("47", "of 120")
    assert now.gauges[2].value == "about 18 s"
    assert now.gauges[3].value == "free"
    page = page_of(now)
    assert "Your model is learning" in page
    assert "validation loss falls" in page
    assert "Stop and keep what it learned" in page
    assert "data-tick" in page
    assert "Resume" not in page


def test_the_phase_is_named_while_it_starts(world):
    page = page_of(screen_of(world, world.run("starting", step=0, phase="loading the model")))
    assert "Now: loading the model" in page
    assert "The curve begins" not in page
    assert ">Stop<" in page


def test_a_server_that_makes_the_run_wait_is_named_in_the_middle_of_the_steps(world):
    phase = "waiting: the server asks for patience (429), since 14:03"
    page = page_of(screen_of(world, world.run("running", step=47, phase=phase, pid=1)))
    assert f"Now: {phase}. Nothing is lost; it goes on by itself." in page


def test_an_end_without_a_result_says_why_and_what_next(world):
    run = world.run("interrupted", step=61, reason="Its process was killed.", next_step="Choose Resume to continue.")
    page = page_of(screen_of(world, run))
    for words in ("Its process was killed.", "Choose Resume to continue.", "after step 61 of 120", "Resume training"):
        assert words in page
    assert "Compare with the base model" not in page
    assert "compare it with the base model" not in page, "the diagnosis must not ask for what cannot be done"
    assert "data-tick" not in page


def test_a_run_that_failed_before_the_first_step_shows_no_empty_curve(world):
    now = screen_of(world, world.run("failed", step=0, reason="No memory.", next_step="Close programs."))
    assert not now.has_curve
    assert "tf-gauges" not in page_of(now)
    assert "before the first step" in page_of(now)


def test_a_stopped_run_that_saved_can_be_compared_and_resumed(world):
    page = page_of(screen_of(world, world.run("stopped", step=40, sampler=True)))
    assert page.index("Compare with the base model") < page.index("Resume training")
    assert "Compare with" not in page_of(screen_of(world, world.run("stopped", step=40, sampler=False)))


def test_a_finished_run_leads_on(world):
    now = screen_of(world, world.run("completed", step=120))
    assert now.can_compare
    assert now.gauges[2].name == "Time taken"
    assert not now.moving
    assert "data-tick" not in page_of(now)


def test_a_recipe_of_the_cookbook_is_not_compared_there_is_nothing_held_out(world):
    run = world.run("completed", step=120)
    with gr.Blocks():
        parts = train.build(world.ctx)
    visit = replace(world.visit(run=run.id), draft=Draft(run=run.id).at("train"))
    assert "compare" in " ".join(str(part) for part in parts.show(visit)).lower()
    (world.settings.runs / run.id / "cookbook.json").write_text('{"recipe": "shorter", "settings": {}}', "utf-8")
    assert "compare" not in " ".join(str(part) for part in parts.show(visit)).lower()


def test_hostile_names_reasons_and_log_lines_are_text(world):
    hostile = "<script>alert(1)</script> ${alert(2)} `${alert(3)}` {{7*7}}"
    run = world.run("failed", step=3, name=hostile, reason=hostile, next_step=hostile)
    (world.settings.runs / run.id / "worker.log").write_text(hostile + "\n", encoding="utf-8")
    page = page_of(screen_of(world, run))
    assert "<script>" not in page
    assert "${" not in page
    assert "{{" not in page
    assert "&lt;script&gt;" in page


def test_only_what_changed_is_sent_again(world):
    run = world.run("running", step=47, pid=1)
    with gr.Blocks():
        parts = train.build(world.ctx)
    visit = replace(world.visit(run=run.id), draft=Draft(run=run.id).at("train"))
    first = parts.show(visit)
    assert not isinstance(first[0], dict)
    assert first[1]["visible"]
    seen = screen_of(world, run).drawn
    again = parts.show(replace(visit, seen=seen))
    assert again[0] == gr.skip()
    assert again[1] == gr.skip()
    assert again[3] == gr.skip()
    world.write_curve(run.id, 48, 120)
    later = parts.show(replace(visit, seen=seen))
    assert later[0] == gr.skip()
    assert later[1] != gr.skip()


def test_an_unknown_run_is_said_to_be_unknown(world):
    with gr.Blocks():
        parts = train.build(world.ctx)
    for run_id in ("run-zzz", world.run(owner="bob").id, "../../etc", ""):
        head, _, *rest = parts.show(world.visit(run=run_id, step="train"))
        assert "not in this studio" in str(head) or "No run yet" in str(head)
        assert rest == ["", "", ""]


def test_presses_reach_the_supervisor_for_ones_own_runs_only(world):
    mine, other = world.run("running"), world.run("running", owner="bob")
    for act in ("stop", "resume"):
        train.pressed(world.ctx, world.visit(run=mine.id, step="train"), Said(act))
        with pytest.raises(NotFoundError):
            train.pressed(world.ctx, world.visit(run=other.id, step="train"), Said(act))
    assert world.supervisor.asked == [("stop", mine.id), ("resume", mine.id)]
    assert isinstance(train.pressed(world.ctx, world.visit(run=mine.id, step="train"), Said("nonsense")), Draft)


# ---- the figure ----


def test_the_figure_asks_for_nothing_and_keeps_the_whole_run_in_sight(world):
    now = screen_of(world, world.run("running", step=47, total=120)).curve
    plain = json.loads(curve.figure(now).plot)
    assert "http" not in json.dumps(plain)
    assert plain["layout"]["xaxis"]["range"][1] >= 120
    assert plain["config"]["displaylogo"] is False
    assert [len(trace["x"]) for trace in plain["data"]] == [47, 47, 4]


def test_a_loss_that_is_not_a_number_leaves_a_gap(world):
    now = screen_of(world, world.run("running", step=3)).progress
    broken = curve.of(
        replace(now, series={"train_loss": (Point(1, 2.0), Point(2, float("nan")), Point(3, float("inf")))}),
        charts.CHARTS["sl"][0],
    )
    assert json.loads(curve.figure(broken).plot)["data"][0]["y"] == [2.0, None, None]


def test_an_empty_curve_invents_no_scale(world):
    empty = curve.figure(screen_of(world, world.run("starting", step=0, total=0)).curve)
    layout = json.loads(empty.plot)["layout"]
    assert not layout["xaxis"]["showticklabels"]
    assert not layout["yaxis"]["showticklabels"]
    short = json.loads(curve.figure(screen_of(world, world.run("running", step=2, total=3)).curve).plot)["layout"]["xaxis"]
    assert short["showticklabels"]
    assert short["nticks"] <= 4


def test_the_curve_is_drawn_anew_when_the_number_of_steps_is_known(world):
    run = world.run("running", step=0, total=0)
    before = screen_of(world, run).drawn
    world.store.jobs.update(run.id, total=58)
    assert screen_of(world, run).drawn.partition("|")[2] != before.partition("|")[2]


def test_a_resumed_run_promises_no_time_from_the_process_before(world):
    run = world.run("running", step=47, total=120, phase="loading the model", pid=1, pid_started=2e9)
    now = screen_of(world, run)
    assert (now.gauges[2].value, now.gauges[2].remark) == ("not known yet", "loading the model")
    assert "Now: loading the model. It goes on from its last checkpoint" in page_of(now)


@pytest.mark.parametrize(("step", "words"), [(1, "The last line of the log"), (2, "The last 2 lines of the log")])
def test_log_lines_are_counted_in_words(world, step, words):
    assert words in page_of(screen_of(world, world.run("running", step=step)))


def test_the_curve_is_told_in_words_and_numbers(world):
    now = screen_of(world, world.run("running", step=47)).curve
    assert "Lower is better" in curve.words(now)
    assert "never trains on from 3.50" in curve.words(now)
    table = str(curve.numbers(now))
    assert table.count("<tr>") < 24
    assert ">47<" in table
    assert "no curve" in curve.words(screen_of(world, world.run("starting", step=0)).curve)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (45, "45 s"), (240, "4 min"), (5_000, "83 min"), (9_000, "2.5 hours")]
)
def test_durations_are_words(seconds, words):
    assert gauges.duration(seconds) == words


def test_the_frame_takes_the_step(world):
    with gr.Blocks():
        parts = train.build(world.ctx)
    assert isinstance(parts, shell.StepParts)
    assert parts.ticking == (parts.outputs[-1],)


def test_the_frame_of_the_curve_is_never_lower_than_the_curve():
    sheet = (asset("theme") / "judge.css").read_text(encoding="utf-8")
    heights = [
        int(found) for rule in re.findall(r"#tf-curve \{([^}]*)\}", sheet) for found in re.findall(r"height: (\d+)px", rule)
    ]
    assert heights
    assert min(heights) >= curve.HEIGHT
