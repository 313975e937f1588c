from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace

import gradio as gr
import pytest

from studio.errors import DataError
from wizards import choose, chrome, data, settings, shell, widgets
from wizards.draft import STEPS, Draft
from wizards.shell import Action, Said, StepParts, Visit
from wizards.widgets import tag


def _stub(_):
    panel = widgets.panel()
    return StepParts((panel,), lambda visit: (tag("p", f"{visit.draft.step} of {visit.owner}"),))


@pytest.fixture
def page(ctx):
    real = {"goal": choose.build, "data": data.build, "settings": settings.build}
    return shell.build(ctx, {step: real.get(step, _stub) for step in STEPS})


def _call(page, dependency, inputs, event=None, open_page=""):
    """Run one listener as the browser would, through Gradio's own machinery."""
    state = gr.state_holder.SessionState(page)
    target = page.blocks[dependency.targets[0][0]] if dependency.targets[0][0] is not None else None
    request = gr.Request(session_hash=open_page) if open_page else None
    return asyncio.run(
        page.process_api(dependency, inputs, state=state, request=request, event_data=gr.EventData(target, event or {}))
    )["data"]


def _listener(page, name, target=None):
    found = [
        each
        for each in page.fns.values()
        if any(event == name and (target is None or block == target) for block, event in each.targets) and each.fn is not None
    ]
    assert found
    return found[0]


def test_no_listener_has_a_public_name(page):
    assert page.get_api_info()["named_endpoints"] == {}
    assert page.fns
    assert {each.api_visibility for each in page.fns.values()} == {"private"}


def test_polls_do_not_queue_and_nothing_waits_for_anybody_else(page):
    ticks = [each for each in page.fns.values() if any(event == "tick" for _, event in each.targets)]
    assert all(not each.queue for each in ticks)
    assert page.default_concurrency_limit is None if hasattr(page, "default_concurrency_limit") else True


def test_no_edit_is_dropped_while_another_is_at_work_but_half_a_double_click_is(page):
    modes = {event: each.trigger_mode for each in page.fns.values() for _, event in each.targets if each.fn is not None}
    assert (modes["edit"], modes["pick"]) == ("multiple", "once")


def test_every_panel_shows_values_and_nothing_but_values(page):
    panels = [block for block in page.blocks.values() if isinstance(block, gr.HTML)]
    assert panels
    assert {block.html_template for block in panels} == {"${value}"}


def test_an_act_returns_the_whole_frame(page, ctx):
    goal = next(each for each in page.fns.values() if ("pick" in [event for _, event in each.targets]))
    del ctx
    out = _call(page, goal, [None, "step=goal"], {"name": "go", "value": "goal"})
    assert any(isinstance(value, str) and "tf-dial" in value for value in out)


def test_a_heartbeat_that_an_act_has_overtaken_draws_nothing(ctx):
    while_it_looks = []

    def slow(_):
        panel = widgets.panel()

        def show(visit):
            if visit.seen == "beat":
                [act() for act in while_it_looks]
            return (tag("p", "as it was"),)

        return StepParts((panel,), show, (Action(panel.pick, lambda visit, said: visit.draft),), (panel,))

    page = shell.build(ctx, {step: slow if step == "goal" else _stub for step in STEPS})
    tick = _listener(page, "tick")
    pick = _listener(page, "pick", tick.targets[0][0])

    def beat():
        return _call(page, tick, [None, "step=goal"], {"name": "tick", "value": "beat"}, "page1")

    assert any("as it was" in str(value) for value in beat())

    def act():
        said = {"name": "go", "value": ""}
        done = threading.Thread(target=lambda: _call(page, pick, [None, "step=goal"], said, "page1"))
        done.start()
        done.join()

    while_it_looks.append(act)
    assert not any("as it was" in str(value) for value in beat())
    while_it_looks.clear()
    assert any("as it was" in str(value) for value in beat()), "the next one draws again"


def test_a_press_that_leaves_a_field_knows_what_was_typed(ctx):
    """The browser sends both in one breath, each with the draft as it was before."""
    at_work, seen = threading.Event(), []

    def both(_):
        panel = widgets.panel()

        def edit(visit, said):
            at_work.set()
            time.sleep(0.3)
            return replace(visit.draft, model=said.value)

        def press(visit, said):
            seen.append(visit.draft.model)
            return visit.draft

        return StepParts((panel,), lambda visit: ("",), (Action(panel.edit, edit), Action(panel.pick, press)))

    page = shell.build(ctx, {step: both if step == "settings" else _stub for step in STEPS})
    edit = _listener(page, "edit")
    pick = _listener(page, "pick", edit.targets[0][0])
    typing = threading.Thread(target=lambda: _call(page, edit, [None, "step=settings"], {"value": "other"}, "page1"))
    typing.start()
    at_work.wait(10)
    _call(page, pick, [None, "step=settings"], {"name": "start"}, "page1")
    typing.join()
    _call(page, pick, [None, "step=settings"], {"name": "start"}, "page2")
    assert seen == ["other", Draft().model], "another page knows nothing of it"


def test_the_second_press_of_start_starts_nothing(ctx):
    started = Draft(step="train", run="run-1")
    assert shell.start(ctx, Visit(started, "ann")) == started


@pytest.mark.parametrize("step", STEPS)
def test_the_dial_says_where_one_is_and_what_is_open(step):
    made = chrome.dial(step, chrome.reachable(Draft(step=step)))
    assert made.count('aria-current="step"') == 1
    assert f"{STEPS.index(step) + 1} of 6" in made
    assert made.count("disabled") == 6 - len(chrome.reachable(Draft(step=step)))


def test_a_step_that_is_not_open_cannot_be_entered():
    visit = Visit(Draft(), "ann")
    assert shell.go(visit, Said("go", "verdict")).step == "goal"
    assert shell.go(visit, Said("go", "nowhere")).step == "goal"
    assert shell.go(Visit(Draft(method="sl"), "ann"), Said("go", "data")).step == "data"


def _page_with(ctx, run):
    """A page whose first step does ``run`` when its panel is pressed."""

    def build(_):
        panel = widgets.panel()
        return StepParts((panel,), lambda visit: (tag("p", visit.draft.view),), actions=(Action(panel.pick, run),))

    page = shell.build(ctx, {step: build if step == "goal" else _stub for step in STEPS})
    frame_picks = 3
    picks = [each for each in page.fns.values() if any(event == "pick" for _, event in each.targets)]
    return page, picks[frame_picks]


def test_an_error_of_ours_is_shown_with_its_next_step(ctx):
    def refuse(visit, said):
        raise DataError("The file is empty.", where="a.csv", next_step="Choose another.")

    page, pick = _page_with(ctx, refuse)
    shown = "".join(str(value) for value in _call(page, pick, [None, ""]))
    assert "The file is empty." in shown
    assert "Choose another." in shown


def test_a_mistake_of_ours_is_logged_and_its_text_stays_inside(ctx, caplog):
    def stumble(visit, said):
        raise RuntimeError("secret row of the file")

    page, pick = _page_with(ctx, stumble)
    with caplog.at_level(logging.ERROR):
        shown = "".join(str(value) for value in _call(page, pick, [None, ""]))
    assert "The studio made a mistake." in shown
    assert "RuntimeError" in shown
    assert "secret row" not in shown
    assert "secret row" in caplog.text


def test_a_studio_that_was_started_again_reads_the_draft_from_the_address(ctx):
    seen = []

    def note(visit, said):
        seen.append((visit, said))
        return visit.draft

    page, pick = _page_with(ctx, note)
    _call(page, pick, [None, "step=data&method=sl&dataset=data-abc123"], {"name": "n", "value": "v"})
    assert seen == [(Visit(Draft(step="data", method="sl", dataset="data-abc123"), "ann"), Said("n", "v"))]


def test_the_address_moves_on_only_for_a_new_step_or_run():
    draft = Draft(step="data", method="sl")
    assert 'data-push="yes"' in chrome.address(draft, Draft())
    assert 'data-push="no"' in chrome.address(draft.with_change("epochs", "2"), draft)
    assert 'data-push="no"' in chrome.address(draft, None)
    assert f'data-query="{draft.to_query().replace("&", "&amp;")}"' in chrome.address(draft, None)


def test_the_header_names_page_and_place(ctx):
    made = chrome.header(ctx.settings, "/runs")
    assert made.count('aria-current="page"') == 1
    assert "this computer" in made
    assert "Dark theme" in made


def test_a_bare_address_of_a_run_knows_its_data_and_method(ctx):
    ctx.store.datasets.add("data-abc123", owner="ann", name="d", rows=3, fingerprint="f", manifest_json="{}")
    run = ctx.store.runs.add(owner="ann", name="r", dataset_id="data-abc123", method="sl", model="nano", recipe_json="{}")
    asked = Draft.from_query(f"run={run.id}")
    known = shell.remembered(ctx.store, Visit(asked, "ann"))
    assert (known.step, known.dataset, known.method, known.model) == ("train", "data-abc123", "sl", "nano")
    assert shell.remembered(ctx.store, Visit(asked, "bob")) == asked
