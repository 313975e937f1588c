"""Every method through the browser, with short settings: chosen, set up, trained on this computer, and shown.

Screenshots are kept under ``test-results/methods``. How well a method trains is measured elsewhere; here it has to work.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from studio import samples
from studio.recipe import Recipe
from studio.runs import rollouts, stages
from studio.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "test-results" / "methods"
#: Patient enough for a machine that does other work at the same time.
PATIENCE = 240_000
#: Pairs of the sample that are enough for a judge to be right about nearly every pair.
PAIRS = 160


@pytest.fixture
def page(browser, shared_studio):
    """A person who knows what they want, at the first question."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce", color_scheme="light")
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.faults = []
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.goto(shared_studio.url)
    yield opened
    assert opened.faults == []
    context.close()


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True, timeout=PATIENCE)


def set_up(page: Page, method: str, source: str | Path, **settings: object) -> None:
    """From the goal to the settings, and then the settings by the address, as somebody would who repeats a run."""
    page.get_by_text("I know which way of training I want").click()
    page.get_by_role("button", name=f"Choose {method}").click()
    expect(page.get_by_role("heading", name=f"You chose: {method}")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Continue to your data").click()
    if isinstance(source, Path):
        page.set_input_files("input[type=file]", str(source))
    else:
        page.get_by_role("button", name=re.compile(source)).click()
    page.get_by_role("button", name="Split and continue").click()
    expect(page.get_by_role("heading", name="How thorough should it be?")).to_be_visible(timeout=PATIENCE)
    change(page, page.url, **settings)


def change(page: Page, address: str, **settings: object) -> None:
    """The settings step at this address with these changes."""
    page.goto(f"{address}&{urlencode([('set', f'{name}:{value}') for name, value in settings.items()])}")
    expect(page.get_by_text(re.compile(r"\d settings? changed")).first).to_be_visible(timeout=PATIENCE)


def train(page: Page, studio, name: str) -> tuple[Store, str, Recipe]:
    """Start, wait for the end, and say which run it was."""
    picture(page, f"{name}-settings")
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"run=run-"), timeout=PATIENCE)
    run_id = re.findall(r"run=(run-[0-9a-z]+)", page.url)[0]
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(re.compile(r"Training (is done|has failed|was)"), timeout=PATIENCE)
    picture(page, f"{name}-train")
    store = Store(studio.home / "studio.sqlite3")
    job = store.jobs.get(run_id)
    assert job.status == "completed", f"{job.reason} {job.next_step}\n{studio.log[-2000:]}"
    expect(page.get_by_role("button", name="Compare with the base model")).to_be_visible()
    return store, run_id, Recipe.from_json(store.runs.get(run_id, "local").recipe_json)


def test_practice_for_a_score(page, shared_studio):
    set_up(page, "Reinforcement", "Largest and smallest", max_steps=2, batch_size=4, group_size=4, eval_every=0, save_every=1)
    expect(page.get_by_role("heading", name="What makes an answer good?")).to_be_visible()
    store, run_id, recipe = train(page, shared_studio, "rl")
    assert (recipe.method, recipe.max_steps) == ("rl", 2)
    expect(page.get_by_role("heading", name="What its answers score")).to_be_visible()
    folder = shared_studio.home / "runs" / run_id
    assert rollouts.steps(folder) == (1, 2)
    group = rollouts.read(folder, 2)[0]
    assert len(group.answers) == 4
    expect(page.get_by_text(group.prompt).first).to_be_visible()
    page.get_by_role("button", name="First", exact=True).click()
    expect(page).to_have_url(re.compile("view="))
    expect(page.get_by_label("Step to read")).to_have_value("1")
    store.close()


def pairs(folder: Path, number: int) -> Path:
    """The first pairs of the sample, as a file of somebody's own."""
    lines = samples.sample("concise").file.read_text(encoding="utf-8").splitlines(keepends=True)
    some = folder / "pairs.csv"
    some.write_text("".join(lines[: number + 1]), encoding="utf-8")
    return some


def test_better_and_worse_answers(page, shared_studio, tmp_path):
    # A warm start reads every pair once before the first step.
    set_up(page, "Preference", pairs(tmp_path, 60), max_steps=3, batch_size=4, eval_every=0, save_every=2)
    store, _, recipe = train(page, shared_studio, "dpo")
    assert recipe.method == "dpo"
    expect(page.get_by_role("heading", name="How often it leans to the better answer")).to_be_visible()
    page.get_by_role("button", name="How clearly").click()
    expect(page.get_by_role("heading", name="How clearly it leans to the better answer")).to_be_visible()
    store.close()


def test_a_judge_and_practice_for_it(page, shared_studio, tmp_path):
    quick = {"max_steps": 1, "batch_size": 2, "group_size": 2, "eval_every": 0, "save_every": 1}
    set_up(page, "Learned judge", pairs(tmp_path, PAIRS), **quick, judge_batch_size=8, judge_epochs=1)
    store, run_id, recipe = train(page, shared_studio, "rlhf")
    titles = [stage.title for stage in stages.of(recipe)]
    for title in titles:
        expect(page.get_by_role("list", name="Stages").get_by_text(title)).to_be_visible()
    expect(page.get_by_role("list", name="Stages").get_by_text(re.compile("^Done"))).to_have_count(len(titles))
    expect(page.get_by_role("button", name="Judge is right")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("How often the judge prefers its answers"))).to_be_visible()

    # The judge is a thing of its own: the next run may use it again.
    page.get_by_role("button", name="3 Settings").click()
    expect(page.get_by_role("heading", name="How thorough should it be?")).to_be_visible(timeout=PATIENCE)
    page.get_by_label("Judge of an earlier run").select_option(run_id)
    expect(page).to_have_url(re.compile(f"judge%3A{run_id}"))
    store.close()


def test_a_long_prompt_baked_in_and_what_came_of_it_as_a_teacher(page, shared_studio, tmp_path):
    settings = samples.sample("school").settings
    some = tmp_path / "school.jsonl"
    # The teacher answers every question before the first step.
    some.write_text("".join(samples.sample("school").file.read_text("utf-8").splitlines(keepends=True)[:60]), "utf-8")
    set_up(page, "Distillation", some, max_steps=1, batch_size=8, epochs=1, eval_every=0, save_every=1)
    box = page.get_by_label("teacher's prompt")
    expect(page.get_by_role("button", name="Write the long prompt first")).to_be_visible(timeout=PATIENCE)
    box.fill(settings["teacher_prompt"])
    box.blur()
    store, run_id, recipe = train(page, shared_studio, "distill")
    assert recipe.teacher_prompt == settings["teacher_prompt"]
    expect(page.get_by_role("heading", name="How far its guesses are from the teacher's answers")).to_be_visible()
    expect(page.get_by_text("The teacher's answer:")).to_be_visible()
    dataset = store.runs.get(run_id, "local").dataset_id
    store.close()

    # The next run learns from that one, word by word.
    quick = {"max_steps": 1, "batch_size": 2, "group_size": 2, "max_tokens": 8, "eval_every": 0, "save_every": 1}
    address = f"{shared_studio.url}?{urlencode({'step': 'settings', 'method': 'distill', 'dataset': dataset})}"
    change(page, address, distillation="on_policy", teacher=run_id, **quick)
    store, _, recipe = train(page, shared_studio, "on-policy")
    assert (recipe.distillation, recipe.teacher) == ("on_policy", run_id)
    expect(page.get_by_role("heading", name="How far it is from its teacher")).to_be_visible()
    page.get_by_role("button", name="On held-out questions").click()
    expect(page.get_by_label("Step to read")).to_have_value("1")
    expect(page.get_by_text("not scored")).to_have_count(0)
    store.close()
