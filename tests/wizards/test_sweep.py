"""The page of sweeps without a browser: what the address means, what presses do, and what every state of a sweep looks like."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlencode

import gradio as gr
import pytest

from studio import samples
from studio.errors import NotFoundError
from studio.recipe import Recipe, facts_of
from studio.settings import Settings
from studio.store import Store, SweepRow
from studio.sweeps import plan as plans
from studio.sweeps import standing
from studio.sweeps.plan import Axis, Plan
from tests.wizards.test_settings import settled
from tests.wizards.world import Supervisor
from wizards import settings as settings_step
from wizards import sweep, sweep_picture
from wizards.draft import Draft
from wizards.plan import plan
from wizards.shell import Context, Said, Visit
from wizards.sweep_asked import Asked, around, probe_href, read, searched, sweep_href

ANN = "ann"
RATES = Axis("learning_rate", (0.001, 0.004, 0.012))


@dataclass
class House:
    """A studio with one split data set and nobody at work."""

    ctx: Context
    supervisor: Supervisor
    dataset: str
    recipe: Recipe
    made: list[SweepRow] = field(default_factory=list)

    @property
    def draft(self) -> Draft:
        return Draft("settings", method="sl", dataset=self.dataset)

    @property
    def store(self) -> Store:
        return self.ctx.store

    def asked(self, **changed) -> Asked:
        return replace(Asked.from_query(sweep_href(self.draft, self.recipe)), draft=self.draft, **changed)

    def page(self, query: str, owner: str = ANN, **more: str) -> str:
        return str(sweep.shown(self.ctx, query, owner, **more))

    def press(self, asked: Asked | str, pressed: str = "", **typed: str) -> sweep.Answer:
        """A press of the form, which sends everything that stands in its fields, or of a button on a sweep."""
        if isinstance(asked, str):
            return sweep.pressed(self.ctx, asked, ANN, Said(pressed))
        sent = {f"over:{name}": text for name, text in asked.over} | {"trials": asked.trials, "steps": asked.steps}
        return sweep.pressed(self.ctx, asked.to_query(), ANN, Said("sweep", json.dumps(sent | typed | {"pressed": pressed})))

    def sweep(self, status="running", ends=(), *, name="Rates", reason="", next_step="", recipe=None, **changed) -> SweepRow:
        """A sweep whose trials have ended like this: each a state, a number and a reason."""
        shape = replace(Plan("grid", recipe or self.recipe, (RATES,)), **changed)
        row = self.store.sweeps.add(owner=ANN, name=name, dataset_id=self.dataset, plan_json=shape.to_json())
        if status != "queued":
            self.store.jobs.move(row.id, "starting")
            self.store.jobs.move(row.id, status, reason=reason, next_step=next_step)
        for values, (state, value, why) in zip(shape.combinations(), ends, strict=False):
            self._trial(row, values, state, value, why)
        return row

    def _trial(self, row: SweepRow, values, state, value, why) -> None:
        trial = self.store.sweeps.add_trial(row, json.dumps(values))
        self.store.runs.add(
            owner=ANN, name=f"{row.name}, trial {trial.number}", dataset_id=self.dataset, method="sl", model="nano",
            recipe_json=self.recipe.to_json(), run_id=trial.run_id,
        )  # fmt: skip
        self.store.jobs.update(trial.run_id, done=20, total=40)
        folder = self.ctx.settings.runs / trial.run_id
        folder.mkdir(parents=True)
        lines = [{"step": step, "train_mean_nll": 3.0, "validation/nll": 3.0 - step / 20} for step in range(0, 20, 4)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if state != "running":
            self.store.sweeps.end_trial(trial, state, value, why)


def opened(settings: Settings) -> Iterator[House]:
    settings.home.mkdir()
    store, supervisor = Store(settings.database), Supervisor()
    ctx = Context(settings, store, supervisor, lambda **_: "", owner_of=lambda _: ANN)
    sample = next(one for one in samples.samples() if one.file.stem == "pig_latin")
    dataset = settled(settings, store, sample.file)
    now = plan(settings, store, Draft("settings", method="sl", dataset=dataset), ANN)
    assert now.recipe is not None
    yield House(ctx, supervisor, dataset, now.recipe)
    store.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[House]:
    yield from opened(Settings(home=tmp_path_factory.mktemp("sweeps") / "home", upload_limit_bytes=10_000_000))


def at(row: SweepRow) -> str:
    return urlencode({"sweep": row.id})


# --- the address and what it means -----------------------------------------------------------------------------------------


def test_an_address_says_all_that_was_asked(house):
    draft = house.draft.with_change("epochs", "2")
    asked = house.asked(kind="tpe", over=(("learning_rate", "1e-4..1e-2"), ("lora_rank", "8, 16")), trials="7", most="1.5")
    asked = replace(asked, draft=draft, keep_all=True, steps="12")
    assert Asked.from_query(asked.to_query()) == asked
    assert Asked.from_query("?" + asked.to_query()) == asked


@pytest.mark.parametrize("query", ["", "new=../../etc", "new=run-abcdef123456", "search=everything&over=x&trials=&steps=%00"])
def test_any_address_opens_something(house, query):
    assert Asked.from_query(query).id.startswith("swp-")
    assert house.page(f"{query}&dataset=dat-nothere&method=sl")


def test_the_settings_step_leads_to_both(house):
    visit = Visit(house.draft, ANN)
    now = plan(house.ctx.settings, house.store, house.draft, ANN)
    found = settings_step.screen(now, house.draft, settings_step.offer(house.ctx, visit), "a.csv")
    assert found is not None
    assert found.searches is not None
    assert Asked.from_query(found.searches.probe.partition("?")[2]).kind == "probe"
    assert Asked.from_query(found.searches.sweep.partition("?")[2]).over == (("learning_rate", "0.00133, 0.004, 0.012"),)
    page = str(settings_step.settings_html.rest(found))
    assert page.count("tf-primary") == 0, "a measured rate needs no probe"
    assert now.recommendation is not None
    unknown = replace(now, recommendation=replace(now.recommendation, badge="not calibrated"))
    found = settings_step.screen(unknown, house.draft, settings_step.offer(house.ctx, visit), "a.csv")
    assert "Nobody has measured" in str(settings_step.settings_html.rest(found))


def test_settings_that_are_not_in_order_lead_nowhere(house):
    draft = house.draft.with_change("epochs", "many")
    now = plan(house.ctx.settings, house.store, draft, ANN)
    found = settings_step.screen(now, draft, settings_step.offer(house.ctx, Visit(draft, ANN)), "a.csv")
    assert found is not None
    assert found.searches is None
    page = house.page(replace(house.asked(), draft=draft).to_query())
    assert "Correct 1 setting first" in page
    assert "data-send" not in page


@pytest.mark.parametrize("kind", ["grid", "tpe"])
def test_the_values_to_begin_with_can_be_tried(house, kind):
    facts = facts_of(plan(house.ctx.settings, house.store, house.draft, ANN).dataset)
    for spec in plans.variable(house.recipe):
        text = around(spec, getattr(house.recipe, spec.name), kind)
        found = read(house.asked(kind=kind, over=((spec.name, text),)), house.recipe, facts)
        assert found.plan is not None, (spec.name, text, found.problems)
        assert found.cost is not None


def test_untouched_values_follow_the_way_to_search_and_typed_ones_stay(house):
    asked = house.asked(over=(("learning_rate", "0.00133, 0.004, 0.012"), ("batch_size", "4, 8")))
    tpe = searched(asked, house.recipe, "tpe")
    assert tpe.over == (("learning_rate", "0.0004..0.04"), ("batch_size", "4, 8"))
    assert searched(tpe, house.recipe, "grid").over == asked.over


@pytest.mark.parametrize(
    ("changed", "where", "words"),
    [
        ({"over": (("batch_size", "4, x"),)}, "batch_size", "'x' does not fit"),
        ({"over": (("batch_size", ""),)}, "batch_size", "at least one value"),
        ({"over": (("batch_size", "4..8"),)}, "batch_size", "this is a range"),
        ({"over": (("batch_size", "4, 4000"),)}, "batch_size", "Leave this value out"),
        ({"over": (("learning_rate", "0.001"),)}, "", "One combination"),
        ({"trials": "2"}, "trials", "3 combinations, and the limit is 2"),
        ({"trials": "some"}, "trials", "whole number"),
        ({"most": "much"}, "most", "US dollars"),
        ({"most": "-1"}, "most", "above 0"),
        ({"kind": "probe", "steps": "0"}, "steps", "step limit"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_starts(house, changed, where, words):
    asked = house.asked(**changed)
    before = house.store.sweeps.all(ANN)
    facts = facts_of(plan(house.ctx.settings, house.store, house.draft, ANN).dataset)
    found = read(asked, house.recipe, facts)
    assert words in found.problems[where]
    assert 'data-send="start"' not in house.page(asked.to_query())
    assert house.press(asked, "start").query == asked.to_query()
    assert house.store.sweeps.all(ANN) == before


# --- presses ---------------------------------------------------------------------------------------------------------------


def test_the_price_stands_there_before_the_start_and_two_presses_make_one_sweep(house):
    asked = house.asked()
    page = house.page(asked.to_query())
    assert page.index("3 trials at most. Free") < page.index('data-send="start"')
    before = len(house.store.sweeps.all(ANN))
    first, second = house.press(asked, "start"), house.press(asked, "start")
    assert first == second
    assert parse_qs(first.query)["sweep"] == [asked.id]
    assert len(house.store.sweeps.all(ANN)) == before + 1
    assert ("submit", asked.id) in house.supervisor.asked
    row = house.store.sweeps.get(asked.id, ANN)
    assert Plan.from_json(row.plan_json).axes == (Axis("learning_rate", (0.00133, 0.004, 0.012)),)
    again = Asked.from_query(sweep.fresh(house.ctx, asked.to_query(), ANN))
    assert again.id != asked.id, "who comes back puts another one together"
    assert replace(again, id="") == replace(asked, id="")


def test_nothing_is_started_that_was_not_on_screen(house):
    asked = house.asked()
    answer = house.press(asked, "start", trials="9")
    assert Asked.from_query(answer.query).trials == "9"
    assert "Look at the price" in answer.said
    assert answer.said in house.page(answer.query, said=answer.said)
    with pytest.raises(NotFoundError):
        house.store.sweeps.get(asked.id, ANN)


def test_a_probe_is_three_short_runs(house):
    asked = Asked.from_query(probe_href(house.draft).partition("?")[2])
    page = house.page(asked.to_query())
    for rate in ("0.00133", "0.004", "0.012"):
        assert f"<strong>{rate}</strong>" in page
    house.press(asked, "start")
    made = Plan.from_json(house.store.sweeps.get(asked.id, ANN).plan_json)
    assert (made.kind, made.steps, made.recipe) == ("probe", 40, house.recipe)


def test_switches_keep_all_that_is_typed(house):
    def pressed(asked: Asked, what: str, **typed: str) -> Asked:
        return Asked.from_query(house.press(asked, what, **typed).query)

    asked = pressed(house.asked(), "vary:batch_size", **{"over:learning_rate": "0.001, 0.002"})
    assert asked.over == (("learning_rate", "0.001, 0.002"), ("batch_size", "8, 16, 32"))
    asked = pressed(asked, "vary:lr_schedule")
    assert asked.values("lr_schedule") == "linear, cosine, constant"
    asked = pressed(asked, "choice:lr_schedule:cosine")
    assert asked.values("lr_schedule") == "linear, constant"
    asked = pressed(pressed(asked, "vary:batch_size"), "keep")
    assert (asked.values("batch_size"), asked.keep_all) == (None, True)
    assert pressed(asked, "kind:tpe").kind == "tpe"
    assert pressed(asked, "vary:max_length") == asked, "what changes the number is never varied"
    assert pressed(asked, "") == asked, "Enter in a field starts nothing"


def test_a_stranger_finds_nothing(house):
    row = house.sweep("running", [("completed", 1.0, "")], name="Secret")
    page = house.page(at(row), "bob")
    assert "not in this studio" in page
    assert "Secret" not in page
    assert "Secret" not in house.page("", "bob")
    for act in ("stop", "resume", "use", "again"):
        with pytest.raises(NotFoundError):
            sweep.pressed(house.ctx, at(row), "bob", Said(act))
    assert "Something is missing first" in house.page(house.asked().to_query(), "bob")


def test_stop_and_resume_reach_the_supervisor(house):
    row = house.sweep("running")
    house.press(at(row), "stop")
    house.press(at(row), "resume")
    assert house.supervisor.asked[-2:] == [("stop", row.id), ("resume", row.id)]


# --- what a sweep looks like -----------------------------------------------------------------------------------------------


def test_a_sweep_at_work_ticks_and_is_drawn_only_when_it_has_changed(house):
    row = house.sweep("running", [("completed", 1.25, ""), ("running", None, "")])
    page = house.page(at(row))
    assert "1 of at most 3 runs" in page
    assert "Best so far: trial 1" in page
    assert "step 20 of 40" in page or "step 17 of 40" in page
    assert 'data-pick="stop"' in page
    assert 'data-pick="resume"' not in page
    seen = page.partition('data-seen="')[2].partition('"')[0]
    assert sweep.shown(house.ctx, at(row), ANN, seen=seen) is None
    house.store.sweeps.end_trial(house.store.sweeps.trials(row.id)[1], "failed", None, "It ran out of memory.")
    assert "It ran out of memory." in house.page(at(row), seen=seen)


@pytest.mark.parametrize("status", ["completed", "stopped", "failed", "interrupted"])
def test_a_sweep_at_rest_says_why_and_what_next_and_does_not_tick(house, status):
    ends = [("completed", 1.0, ""), ("pruned", 2.0, "It was clearly behind."), ("failed", None, "The server refused.")]
    row = house.sweep(status, ends, reason="Because.", next_step="Do this.")
    page = house.page(at(row))
    assert "data-tick" not in page
    assert "Best of these: trial 1" in page
    for words in ("It was clearly behind.", "The server refused.", "Stopped early", "ended early, at its last check"):
        assert words in page
    assert ("Because." in page) == (status != "completed")
    assert ('data-pick="resume"' in page) == (status != "completed")
    assert page.count(f"run={house.store.sweeps.trials(row.id)[0].run_id}") == 1


def test_a_sweep_whose_trials_all_failed_says_so(house):
    row = house.sweep("completed", [("failed", None, "No memory.")] * 3)
    page = house.page(at(row))
    assert "No trial came to its end" in page
    assert page.count("No memory.") == 3
    assert 'data-pick="use"' not in page
    with pytest.raises(NotFoundError):
        house.press(at(row), "use")


def test_hostile_names_are_text(house):
    page = house.page(at(house.sweep("running", name="<script>alert(1)</script> ${alert(1)}")))
    assert "<script>" not in page
    assert "${" not in page


def test_the_best_settings_stand_in_the_wizard_as_changes(house):
    ends = [("completed", 2.0, ""), ("completed", 1.5, ""), ("completed", 1.0, "")]
    row = house.sweep("completed", ends, recipe=replace(house.recipe, epochs=3), kind="probe", steps=5)
    answer = house.press(at(row), "use")
    draft = Draft.from_query(answer.leave.partition("?")[2])
    assert answer.leave.startswith("/?")
    assert (draft.step, draft.method, draft.dataset, draft.dial) == ("settings", "sl", house.dataset, "standard")
    assert dict(draft.changes) == {"learning_rate": "0.012", "epochs": "3"}, "the short runs of a probe are not brought along"
    now = plan(house.ctx.settings, house.store, draft, ANN)
    assert now.ready
    assert set(now.changed) == {"learning_rate", "epochs"}
    back = plan(house.ctx.settings, house.store, draft.with_change("epochs", None), ANN)
    assert back.changed == ("learning_rate",)


def test_the_dial_is_found_again(house):
    thorough = plan(house.ctx.settings, house.store, replace(house.draft, dial="thorough"), ANN)
    row = house.sweep("completed", [("completed", 1.0, "")], recipe=thorough.recipe)
    draft = sweep.taken(house.ctx, row, ANN, best=True)
    assert (draft.dial, dict(draft.changes)) == ("thorough", {"learning_rate": "0.001"})


def test_a_sweep_can_be_put_together_again_as_it_was(house):
    axes = (Axis("lora_rank", low=4, high=64), Axis("lr_schedule", ("linear", "cosine")))
    row = house.sweep("stopped", kind="tpe", axes=axes, trials=7, prune=False)
    asked = Asked.from_query(house.press(at(row), "again").query)
    assert (asked.kind, asked.trials, asked.keep_all) == ("tpe", "7", True)
    assert asked.over == (("lora_rank", "4..64"), ("lr_schedule", "linear, cosine"))
    facts = facts_of(plan(house.ctx.settings, house.store, house.draft, ANN).dataset)
    assert read(asked, house.recipe, facts).plan == Plan.from_json(row.plan_json)
    assert asked.id != row.id


def test_the_list_shows_each_with_its_best(house, tmp_path):
    settings = Settings(home=tmp_path)
    with contextlib.closing(Store(settings.database)) as store:
        empty = House(Context(settings, store, Supervisor(), lambda **_: "", lambda _: ANN), Supervisor(), "dat", house.recipe)
        store.datasets.add("dat", owner=ANN, name="mine", rows=1, fingerprint="", manifest_json="{}")
        page = empty.page("")
        assert "No sweeps yet" in page
        assert page.count("<a ") == 1
        empty.sweep("completed", [("completed", 2.0, ""), ("completed", 1.5, "")], name="First")
        assert "data-tick" not in empty.page("")
        row = empty.sweep("running", name="Second")
        page = empty.page("")
        assert page.index("Second") < page.index("First")
        for words in (
            f"/sweeps?sweep={row.id}",
            "learning rate 0.004",
            "loss on validation rows 1.5000",
            "2 of 3",
            "data-tick",
        ):
            assert words in page


# --- the picture -----------------------------------------------------------------------------------------------------------


def test_values_are_placed_by_their_factors_and_words_one_after_the_other():
    across = sweep_picture.places(RATES, [])
    assert across[0.001] < across[0.004] < across[0.012]
    assert across[0.004] == pytest.approx(8 + 84 * 0.5579, abs=0.1)
    words = sweep_picture.places(Axis("lr_schedule", ("linear", "cosine")), [])
    assert list(words.values()) == [25.0, 75.0]
    even = sweep_picture.places(Axis("epochs", (2, 3, 4)), [])
    assert even[3] == pytest.approx(50)


def test_a_hopeless_trial_does_not_flatten_the_picture(house):
    ends = [("completed", 1.0, ""), ("completed", 1.2, ""), ("pruned", 1e9, "It was clearly behind.")]
    found = standing.read(house.ctx.settings, house.store, house.sweep("completed", ends))
    heights = sweep_picture.range_of(found.trials)
    assert heights.high == pytest.approx(1.4)
    assert heights.place(1e9) == 92
    assert str(sweep_picture.picture(found)).count("tf-dot ") == 3


def test_marks_at_one_spot_stand_beside_each_other_and_labels_keep_their_distance():
    assert sweep_picture.shifts([(50, 20), (50, 22), (50, 21), (50, 80), (8, 20)]) == [0, 18, -18, 0, 0]
    assert sweep_picture.labels({0.1: 8.0, 0.2: 20.0, 0.5: 50.0, 1.0: 92.0}) == [0.1, 0.5, 1.0]
    assert sweep_picture.labels({"linear": 50.0}) == ["linear"]


def test_only_measured_numbers_are_written_beside_the_picture(house):
    ends = [("completed", 1.0, ""), ("completed", 1.2, ""), ("pruned", 1e9, "It was clearly behind.")]
    found = standing.read(house.ctx.settings, house.store, house.sweep("completed", ends))
    beside = str(sweep_picture.picture(found)).partition("tf-dots-left")[2].partition("</div>")[0]
    assert ("1.0000" in beside, "1.2000" in beside, beside.count("<span")) == (True, True, 2)


def test_what_is_no_number_is_not_drawn(house):
    found = standing.read(house.ctx.settings, house.store, house.sweep("completed", [("pruned", float("inf"), "")]))
    assert sweep_picture.picture(found) is None


def test_the_page_builds_inside_a_route(house):
    with gr.Blocks() as page:
        pass
    with page.route("Sweeps", "/sweeps"):
        sweep.build(house.ctx)
    assert all(each.api_visibility == "private" for each in page.fns.values())
