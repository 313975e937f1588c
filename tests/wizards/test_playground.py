"""The page ``/try``: what it shows, what each press does, and that a refusal takes nothing away."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from studio import playground, work
from studio.errors import SettingError
from studio.playground import Wanted, asking
from studio.store import RunRow
from studio.work import Progress, Working
from tests.wizards.world import OWNER, World
from wizards import playground as page
from wizards import playground_html as markup
from wizards.playground import Asked
from wizards.shell import Said

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} `x` {y}"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(asking, "begin", lambda *_: None)
    monkeypatch.setattr(work, "state", lambda _: Working("talk", Progress("answering")))
    made = World(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def run(world: World) -> RunRow:
    return world.run(name="Tickets")


def ask(world: World, run: RunRow, text: str = "Hello?", *answers: str) -> str:
    question = playground.ask(world.settings, world.store, run.id, OWNER, Wanted(text))
    rows = [row for row in world.store.talks.answers(run.id, OWNER) if row.question_id == question]
    for row, answer in zip(rows, answers, strict=False):
        world.store.talks.answered(replace(row, text=answer, tokens=3, stop_reason="stop", trained_on=row.position))
    return question


def press(world: World, run: RunRow, name: str, value: object = "") -> list[object]:
    sent = value if isinstance(value, str) else json.dumps(value)
    return page.after(world.ctx, Asked(run.id), OWNER, Said(name, sent))


FORM = {"text": "Why?", "sides": "base+tuned", "system": "", "temperature": "0,5", "max_tokens": "64"}


def test_any_text_is_an_address():
    assert Asked.from_query("?run=run-1&shown=30") == Asked("run-1", 30)
    assert Asked.from_query("shown=-1&x=%ff") == Asked("", markup.PAGE)
    assert Asked.from_query("run=" + "x" * 900).run == "x" * 64
    assert Asked.from_query(markup.query("run-1", 30)) == Asked("run-1", 30)


def test_without_a_run_it_offers_the_finished_ones(world: World):
    assert "No finished run yet" in page.drawn(world.ctx, Asked(), OWNER)[2]
    done, going = world.run(name="Done"), world.run("running", name="Going", sampler=False)
    shown = page.drawn(world.ctx, Asked(), OWNER)[2]
    assert markup.href(done.id) in shown
    assert going.id not in shown
    assert "no run" in page.drawn(world.ctx, Asked("run-000000"), OWNER)[3]
    assert "Wait until it has finished" in page.drawn(world.ctx, Asked(going.id), OWNER)[3]


def test_a_question_is_asked_on_the_terms_of_the_form(world: World, run: RunRow):
    values = press(world, run, "ask", FORM)
    (talk,) = playground.read(world.settings, world.store, run.id, OWNER).talks
    (one,) = talk.exchanges
    assert (one.text, one.terms["temperature"], one.terms["max_tokens"]) == ("Why?", 0.5, 64)
    assert "temperature 0.5, up to 64 tokens" in values[4]
    assert "data-tick" in values[5]
    assert "Answering." in values[5]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"text": " "}, "no question yet"), ({"temperature": "warm"}, "from 0 to 2"), ({"max_tokens": "1.5"}, "whole number")],
)
def test_a_refusal_leaves_everything_that_was_typed(world: World, run: RunRow, changed: dict[str, str], words: str):
    values = press(world, run, "ask", FORM | changed)
    assert words in values[3]
    assert all(isinstance(value, dict) and value["__type__"] == "update" for value in (values[2], *values[4:]))
    assert playground.read(world.settings, world.store, run.id, OWNER).talks == ()


def test_a_fault_of_ours_is_told_and_logged(world: World, run: RunRow, monkeypatch: pytest.MonkeyPatch, caplog):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret of the data")

    monkeypatch.setattr(playground, "ask", broken)
    values = press(world, run, "ask", FORM)
    assert "The studio made a mistake" in values[3]
    assert "a secret of the data" not in values[3]
    assert "ZeroDivisionError" in caplog.text


def test_opinions_and_further_questions_are_kept_by_a_press(world: World, run: RunRow):
    question = ask(world, run, "Hello?", "one", "two")
    press(world, run, "thumb", f"{question}:base:up")
    press(world, run, "better", {"place": f"{question}:tuned", "text": "three"})
    values = press(world, run, "further", {"talk": question, "text": "And then?"})
    (talk,) = playground.read(world.settings, world.store, run.id, OWNER).talks
    base, tuned = talk.exchanges[0].answers
    assert (base.thumb, tuned.better) == ("up", "three")
    assert talk.exchanges[1].text == "And then?"
    assert values[5].count('aria-pressed="true"') == 1
    press(world, run, "thumb", f"{question}:base:")
    assert playground.read(world.settings, world.store, run.id, OWNER).talks[0].exchanges[0].answers[0].thumb == ""
    press(world, run, "repeat", question)
    assert [talk.exchanges[0].text for talk in playground.read(world.settings, world.store, run.id, OWNER).talks] == [
        "Hello?"
    ] * 2
    assert "This question is not here" in press(world, run, "repeat", "tlk-notthere00")[3]
    assert "no answer here" in press(world, run, "thumb", "tlk-notthere00:base:up")[3]


def test_what_was_memorised_failed_or_empty_says_so(world: World, run: RunRow):
    ask(world, run, "Known?", "one", "two")
    ask(world, run, "Empty?", "one", "")
    failed = ask(world, run, "Failed?")
    for row in world.store.talks.waiting("nano"):
        world.store.talks.failed(row, "The server is too busy.", "Wait a few minutes, then ask again.")
    shown = page.drawn(world.ctx, Asked(run.id), OWNER)[5]
    assert shown.count("Trained on this very prompt") == 2
    assert "the model ended at once" in shown
    assert "The server is too busy." in shown
    assert f'data-pick="again" data-value="{failed}"' in shown
    assert "data-tick" not in shown


def test_hostile_text_is_text(world: World):
    run = world.run(name=HOSTILE)
    question = ask(world, run, HOSTILE, HOSTILE, HOSTILE)
    playground.think(world.store, question, "base", OWNER, better=HOSTILE + "!")
    shown = "".join(str(value) for value in page.drawn(world.ctx, Asked(run.id), OWNER))
    assert "<img" not in shown
    assert "${" not in shown


def test_older_conversations_are_a_press_away(world: World, run: RunRow):
    for number in range(markup.PAGE + 2):
        ask(world, run, f"Question number {number}?", "one", "two")
    shown = page.drawn(world.ctx, Asked(run.id), OWNER)[5]
    assert "Show 2 older" in shown
    assert "Question number 1?" not in shown
    assert "Question number 1?" in page.drawn(world.ctx, Asked(run.id, 20), OWNER)[5]


def test_it_warns_while_the_owner_still_rates_blind(world: World, run: RunRow):
    session = world.session(world.comparison(run, [(f"base {n}", f"tuned {n}") for n in range(6)]))
    assert "still rating" not in page.drawn(world.ctx, Asked(run.id), OWNER)[2]
    token = world.seat(session)
    assert "still rating this run blind" in page.drawn(world.ctx, Asked(run.id), OWNER)[2]
    world.rate(token, ["tuned"] * 6)
    assert "still rating" not in page.drawn(world.ctx, Asked(run.id), OWNER)[2]


def test_the_way_on_to_training_opens_with_enough_pairs(world: World, run: RunRow, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        question = ask(world, run, f"Question {number}?", "one", "two")
        assert "disabled" in page.drawn(world.ctx, Asked(run.id), OWNER)[6] or number == 0
        press(world, run, "better", {"place": f"{question}:base", "text": "three"})
    aside = page.drawn(world.ctx, Asked(run.id), OWNER)[6]
    assert "disabled" not in aside
    assert 'data-pick="make"' in aside
    got = playground.harvest(world.store, run.id, OWNER)
    monkeypatch.setattr(playground, "harvest", lambda *_: replace(got, dataset="set-000001"))
    world.store.runs.update(run.id, checkpoint_path="tinker://x:train:0/weights/final")
    aside = page.drawn(world.ctx, Asked(run.id), OWNER)[6]
    assert "method=dpo" in aside
    assert "method=rlhf" in aside
    assert "dataset=set-000001" in aside
    # What it has learned is gone on from.
    assert aside.count(f"start_from%3A{run.id}") == 2


def test_nothing_of_the_page_has_a_public_name(world: World):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with gr.Blocks() as built:
            page.build(world.ctx)
    assert built.fns
    assert all(each.api_visibility == "private" for each in built.fns.values())


def test_a_form_without_its_fields_is_refused():
    with pytest.raises(SettingError):
        page.wanted({})
