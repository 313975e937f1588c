"""The train page of every method: stages, curves, answers and money, over files as the runs write them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from studio.recipe import Recipe
from studio.runs import progress, rollouts, stages
from studio.runs.progress import Point, Progress, StageState
from studio.runs.rollouts import Answer, Group, Part
from tests.wizards.world import World
from wizards import charts, curve, gauges, stages_strip, train
from wizards import rollouts as reader
from wizards.draft import Draft
from wizards.gauges import Bill
from wizards.shell import Said
from wizards.train_view import View

HOSTILE = "<script>alert(1)</script> ${alert(2)} `${alert(3)}` {{7*7}}"


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


def recipe_of(method: str, **fields) -> Recipe:
    steps = {"learning_rate": 1e-3, "lora_rank": 8, "batch_size": 8, "epochs": 1, "eval_every": 10, "save_every": 10}
    reward = {"reward": '{"kind": "number"}'} if method == "rl" else {}
    return Recipe(method=method, model="nano", renderer="qwen3_instruct", **(steps | reward | fields))


def lines_of(folder: Path, lines: list[dict[str, float]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


PRACTICE = [
    {
        "step": step,
        "progress/batch": step,
        "practice/reward": 0.2 + step / 50,
        "practice/reward_spread": 0.4,
        "practice/signal_share": 0.6,
        "kl_policy_base": 0.004 * step,
        "optim/entropy": 1.5 - step / 40,
        "practice/answer_tokens": 6 + step,
        "practice/cut_share": 0.0,
        "validation/reward": 0.25 + step / 60,
    }
    for step in range(20)
]


def practised(world: World, recipe: Recipe):
    """A run with this recipe that has done 20 steps of practice."""
    run = world.run("running", step=20, total=40, recipe=recipe)
    folder = world.settings.runs / run.id
    lines_of(folder, PRACTICE)
    stages.write_outline(folder, recipe, 320)
    return run, folder


def screen_of(world: World, run, view: View | None = None, place="embedded"):
    job = world.job(run.id)
    folder = world.settings.runs / run.id
    now = train.screen(run, job, progress.read(folder, job), place, view)
    return replace(now, tried=reader.read(folder, view or View(), now.progress.method))


def page_of(now) -> str:
    return "".join(map(str, (train.head(now), train.middle(now), train.answers(now), train.foot(now))))


def test_practice_has_its_curves_in_plain_words_and_a_press_makes_one_big(world):
    run, _ = practised(world, recipe_of("rl"))
    now = screen_of(world, run)
    page = page_of(now)
    assert "What its answers score" in page
    assert now.gauges[1].name == "Score now"
    shown = [each.chart.id for each in now.curves]
    assert shown == ["reward", "signal", "kl", "length", "entropy", "spread"]
    for ident in shown:
        assert f'data-pick="chart" data-value="{ident}"' in page
    far = page_of(screen_of(world, run, View(chart="kl")))
    assert "How far it has moved from where it began" in far
    assert "KL divergence from the start" in far


@pytest.mark.parametrize("kind", charts.CHARTS)
def test_every_chart_is_titled_explained_and_drawn_from_series_that_exist(kind):
    from studio.runs.metrics import SERIES

    found = charts.CHARTS[kind]
    assert len({chart.id for chart in found}) == len(found)
    for chart in found:
        assert chart.title
        assert chart.explains.endswith(".")
        assert {line.series for line in chart.lines} <= SERIES
        points = {("" if chart.stage == "train" else f"{chart.stage}/") + line.series: (Point(1, 0.5),) for line in chart.lines}
        now = Progress(1, 9, "", 0, None, None, (), (), (), None, (), series=points)
        made = curve.of(now, chart)
        assert not made.empty
        assert json.loads(curve.figure(made).plot)["layout"]["yaxis"]["showticklabels"]
        assert chart.term in curve.words(made)


def test_answers_in_the_teachers_form_are_not_taken_for_answers_in_the_teachers_words():
    drawn = {chart.term: [line.series for line in chart.lines] for chart in charts.CHARTS["prompt"]}
    assert drawn["format match"] == ["validation_layout"]
    assert drawn["exact match"] == ["validation_match"]


def test_the_stage_at_work_decides_what_is_drawn_first(world):
    recipe = recipe_of("rlhf", warm_start_epochs=1)
    run = world.run("running", step=40, total=120, recipe=recipe)
    folder = world.settings.runs / run.id
    lines_of(folder, [])
    stages.write_outline(folder, recipe, 320)
    warm, judge, practice = stages.of(recipe)
    lines_of(warm.folder(folder), [{"step": step, "train_mean_nll": 2.0 - step / 100} for step in range(40)])
    (warm.folder(folder) / "checkpoints.jsonl").write_text('{"name": "final", "state_path": "tinker://a"}\n')
    now = screen_of(world, run)
    page = page_of(now)
    assert now.curve.chart.id == "judge"
    assert "Train the judge" in page
    assert 'aria-current="step"' in page
    assert "Done, 40 steps" in page
    assert "no curve" in curve.words(now.curve)
    lines_of(judge.folder(folder), [{"step": 0, "train_mean_nll": 0.7}, {"step": 1, "validation/accuracy": 0.88}])
    assert screen_of(world, run).gauges[1].value == "88 %"
    assert practice.folder_name == ""


def test_a_stage_that_was_cut_short_says_so():
    state = StageState("judge", "Train the judge", "waiting", 12, 40)
    last = StageState("train", "Practise", "waiting", 0, 90)
    made = str(stages_strip.html((state, last)))
    assert "Interrupted: step 12 of 40" in made
    assert "To come, 90 steps" in made
    assert stages_strip.html((last,)) is None


# ---- answers ----


def tried(folder: Path, step: int, text: str = "42") -> None:
    rollouts.add(
        folder,
        step,
        Group(
            HOSTILE,
            (
                Answer(text, 1.0, (Part("number", 1.0, "the last number is 42"),), 3, 0.5),
                Answer(HOSTILE, 0.0, (Part(HOSTILE, None, HOSTILE),), 9, -0.5, cut=True),
                Answer("", None, (), 0, None, error="The reward ran out of time."),
            ),
            reference="42",
        ),
    )
    rollouts.add(folder, step, Group("Flat", (Answer("a", 1.0, (), 1, 0.0), Answer("b", 1.0, (), 1, 0.0))))


def test_the_answers_of_a_step_are_readable_and_never_markup(world):
    run, folder = practised(world, recipe_of("rl"))
    tried(folder, 3)
    page = page_of(screen_of(world, run))
    for words in (
        "made likelier",
        "made less likely",
        "not scored",
        "The reward ran out of time.",
        "cut at the longest answer",
    ):
        assert words in page
    for bad in ("<script>", "${", "{{"):
        assert bad not in page
    assert "the last number is 42" in page
    flat = page_of(screen_of(world, run, View(step=3, group=1)))
    assert "this question taught nothing here" in flat


def checked(folder: Path, step: int, *answers: tuple[str, str], compared: str = "", reward: float | None = 0.5) -> None:
    """The held-out answers of one check: question and answer, in the order in which they were scored."""
    for prompt, text in answers:
        rollouts.add(
            folder / rollouts.HELD_OUT, step, Group(prompt, (Answer(text, reward, (), 3, 0.5),), "42", 7, compared=compared)
        )


def test_held_out_answers_of_each_check_are_readable_and_nothing_is_said_to_be_learned(world):
    run, folder = practised(world, recipe_of("rl"))
    tried(folder, 1)
    checked(folder, 0, ("A question?", "before"), (f"B question? {HOSTILE}", "beside"))
    assert 'data-pick="answers" data-value="held-out"' in page_of(screen_of(world, run))
    pressed = train.pressed(world.ctx, world.visit(run=run.id, step="train"), Said("answers", "held-out"))
    view = View.from_text(Draft.from_query(pressed.to_query()).view)
    page = page_of(screen_of(world, run, view))
    assert "before" in page
    assert "Before training" in page
    assert "made likelier" not in page.split("Its answer")[1]
    assert "made less likely" not in page
    assert "1 answer each" in page
    assert "Mean score 0.50" in page
    for bad in ("<script>", "${", "{{"):
        assert bad not in page
    # The same question has the same number at every check, whichever was scored first.
    checked(folder, 4, ("B question?", "beside later"), ("A question?", "after"), reward=1.0)
    latest = screen_of(world, run, view)
    assert [group.prompt[0] for group in latest.tried.groups] == ["A", "B"]
    page = page_of(latest)
    assert "After step 4" in page
    assert "Mean score 1.00" in page
    back = view.looking("answers", "practice")
    assert "made likelier" in page_of(screen_of(world, run, back))


def test_an_answer_that_a_judge_weighed_stands_beside_the_one_from_before_training(world):
    run, folder = practised(world, recipe_of("rlhf", judge="run-1"))
    checked(folder, 0, ("A question?", "new words"), compared="old words")
    page = page_of(screen_of(world, run, View(held=True)))
    assert "old words" in page
    assert "before training" in page


def test_what_is_won_and_lost_is_drawn_from_the_middle_and_has_no_mean(world):
    run, folder = practised(world, recipe_of("rlhf", judge="run-1"))
    answers = tuple(Answer(str(reward), reward, (), 2, reward) for reward in (0.5, -0.5, 0.0))
    for answered in (answers, (Answer("a", 0.0, (), 2, 0.0),) * 2):
        rollouts.add(folder, 3, Group("A question?", answered))
    page = page_of(screen_of(world, run))
    assert ["they differ" in page, "all equal" in page] == [True, True]
    for drawn in ("left:50%;width:25%", "left:25%;width:25%", "left:50%;width:0%"):
        assert drawn in page


def test_a_teacher_gives_no_score_and_nothing_is_called_unscored(world):
    recipe = recipe_of("distill", distillation="on_policy", teacher="nano", kl_coef=1.0)
    run, folder = practised(world, recipe)
    rollouts.add(folder, 3, Group("A question?", (Answer("Blue.", None, (), 2, None), Answer("Red.", None, (), 2, None))))
    page = page_of(screen_of(world, run))
    assert "Blue." in page
    assert "not scored" not in page
    assert "scored above" not in page
    assert "the teacher" in str(reader.html(screen_of(world, run).tried))
    assert 'data-pick="answers"' not in page, "there is nothing else to read"
    like = Answer("a", None, (Part("same words", 0.0), Part("same form", 1.0)), 2, None)
    rollouts.add(folder / rollouts.HELD_OUT, 0, Group("A?", (like,), compared="of the teacher"))
    rollouts.add(folder / rollouts.HELD_OUT, 0, Group("B?", (replace(like, parts=(Part("same form", 0.0),)),)))
    page = str(reader.html(reader.read(folder, View(held=True), "distill")))
    for name, said in (("same form", " yes"), ("same words", " no"), ("other form", "")):
        assert f"<strong>{name}</strong>{said}" in page
    assert "of the teacher" in page


def test_answers_follow_the_latest_step_until_one_is_chosen(world):
    run, folder = practised(world, recipe_of("rl"))
    for step in (1, 2, 3):
        tried(folder, step, f"answer of step {step}")
    assert "answer of step 3" in page_of(screen_of(world, run))
    pinned = train.pressed(world.ctx, world.visit(run=run.id, step="train"), Said("step", "2"))
    assert isinstance(pinned, Draft)
    view = View.from_text(Draft.from_query(pinned.to_query()).view)
    assert "answer of step 2" in page_of(screen_of(world, run, view))
    tried(folder, 4, "answer of step 4")
    assert "answer of step 2" in page_of(screen_of(world, run, view))
    latest = train.pressed(world.ctx, world.visit(run=run.id, step="train", view=view.to_text()), Said("step", "latest"))
    assert View.from_text(latest.view) == View()


@pytest.mark.parametrize("text", ["", "kl", "kl,12", ",7,3", "judge-loss,,2", ",,,held-out", "kl,0,5,held-out"])
def test_a_view_survives_its_address(text):
    assert View.from_text(text).to_text() == text


@pytest.mark.parametrize("text", ["<b>,x,y", "${a}", "kl,99999999999,1", ",,,,,,", "../..,-1,-1"])
def test_any_address_makes_a_view(text):
    view = View.from_text(text)
    assert View.from_text(view.to_text()) == view
    assert "<" not in view.to_text()


def test_what_is_read_is_not_sent_again_while_it_stays_the_same(world):
    run, folder = practised(world, recipe_of("rl"))
    tried(folder, 2)
    with gr.Blocks():
        parts = train.build(world.ctx)
    visit = world.visit(run=run.id, step="train")
    seen = screen_of(world, run).drawn
    again = parts.show(replace(visit, seen=seen))
    assert (again[0], again[1], again[3]) == (gr.skip(),) * 3
    tried(folder, 3)
    assert parts.show(replace(visit, seen=seen))[3] != gr.skip()


# ---- money ----


def test_a_bill_is_compared_with_its_budget_or_said_to_be_unknown():
    assert (Bill("embedded", None, None, 9).words, Bill("hosted", None, None, 9).words) == ("free", "not known")
    bill = Bill("hosted", 0.0312, 0.5, 120_000)
    assert (bill.words, bill.remark) == ("0.0312 USD", "of 0.50 USD at most")
    made = str(gauges.meter(bill))
    assert "0.0312 USD of 0.50 USD used. At the limit it saves and stops." in made
    assert 'aria-valuenow="62"' in made
    assert gauges.meter(Bill("embedded", None, None, 9)) is None
    assert gauges.money(0.00001) == "below 0.0001 USD"
    assert gauges.money(1234.5) == "1,234.50 USD"
