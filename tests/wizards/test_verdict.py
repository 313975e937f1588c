from __future__ import annotations

import base64
import json
import re
from html import unescape

import gradio as gr
import pytest

from studio.compare import blind, outcome
from studio.compare.recompute import verdict_from_document
from studio.store import PromptRow
from tests.wizards.world import MEASURES, OWNER, World
from wizards import answers_list, reference_drawer, scale, verdict
from wizards.draft import Draft
from wizards.shell import Once, Said

PAIRS = [(f"base {i}", f"tuned {i}") for i in range(30)]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


class Session:
    """A run with answers and an open session."""

    def __init__(self, world: World, pairs=PAIRS, prompts=(), name="Support tickets") -> None:
        self.world = world
        self.run = world.run("completed", name=name)
        self.comparison = world.comparison(self.run, pairs, prompts=prompts, measures=MEASURES)
        self.id = world.session(self.comparison)

    def rated(self, outcomes, name="You", *, finish=True) -> Session:
        self.world.rate(self.world.seat(self.id, name), outcomes, finish=finish)
        return self

    def page(self, view: str = "") -> str:
        draft = Draft(run=self.run.id, comparison=self.comparison, session=self.id, step="verdict", view=view)
        page = str(verdict.html(verdict.screen(self.world.store, draft, "local")))
        return re.sub(r'<span class="tf-unbroken">([^<]*)</span>', r"\1", page)

    def ticks(self) -> bool:
        """Whether the page goes on asking."""
        with gr.Blocks():
            parts = verdict.build(self.world.ctx)
        visit = self.world.visit(run=self.run.id, comparison=self.comparison, session=self.id, step="verdict")
        return "data-tick" in str(parts.show(visit)[-1])


def test_without_votes_the_page_teaches_and_offers_one_act(world):
    run = world.run("completed")
    page = str(verdict.html(verdict.screen(world.store, Draft(run=run.id), "local")))
    assert "Go to the comparison" in page
    world.comparison(run, PAIRS)
    page = str(verdict.html(verdict.screen(world.store, Draft(run=run.id), "local")))
    assert "Nobody has rated yet" in page
    assert page.count("<button") == 1


def test_the_sentence_comes_first_and_is_the_statistics_own(world):
    made = Session(world).rated(["tuned"] * 26 + ["base"] * 2 + ["tie"] * 2)
    page = unescape(made.page())
    told = outcome.verdict_of(world.store, made.id, "local")
    assert told.state == "tuned_better"
    assert told.headline in page
    assert told.sentence in page
    assert page.index(told.headline) < page.index(told.paragraph) < page.index("tf-scale") < page.index(told.sentence)
    assert page.index(told.sentence) < page.index("What this rests on")
    for note in told.notes:
        assert page.count(note) == 1
    assert re.search(r'<p id="(tf-paragraph)">.*data-copy="\1"', page)
    assert "preferred" in page
    assert f"{told.odds} against" in page


def test_while_the_owner_rates_nothing_tells_how_the_votes_fall(tmp_path):
    pages: list[str] = []
    for lead in ("tuned", "base"):
        world = World(tmp_path / lead)
        made = Session(world).rated([lead] * 30, "Guest 1").rated([lead] * 12, finish=False)
        pages.append(made.page().replace(made.id, "session"))
        world.close()
    assert "You have rated 12 of 30 pairs" in pages[0]
    assert "win rate" not in pages[0]
    assert pages[0].replace("rater-2", "rater-1") == pages[1].replace("rater-2", "rater-1")


def test_closing_opens_the_verdict_and_the_answers(world):
    made = Session(world).rated(["tuned"] * 12, finish=False)
    visit = world.visit(run=made.run.id, comparison=made.comparison, session=made.id, step="verdict")
    after = verdict.pressed(world.ctx, visit, Said("close"))
    assert isinstance(after, Draft)
    page = made.page()
    assert "Stopped, not settled" in page
    assert "base 3" in page
    assert "Invite somebody else" not in page


def test_answers_and_exports_stay_sealed_while_somebody_rates(world):
    made = Session(world).rated(["tuned"] * 30)
    made.rated(["tuned"] * 3, "Guest 1", finish=False)
    page = made.page()
    assert "They stay sealed" in page
    assert "base 3" not in page
    assert "Votes (JSON)" not in page
    assert "Close the session and open the answers" in page
    assert made.ticks()
    blind.close(world.store, made.id, "local")
    assert not made.ticks()


def test_answers_stay_sealed_for_an_owner_who_still_rates_them_in_another_comparison(world):
    made = Session(world).rated(["tuned"] * 30)
    assert "base 3" in made.page()
    again = world.comparison(made.run, PAIRS)
    for one in (made.comparison, again):
        world.store.comparisons.add_prompts([PromptRow(one, f"p{at:03}", OWNER, at) for at in range(len(PAIRS))])
    seat = world.seat(world.session(again))
    assert "base 3" not in made.page()
    world.rate(seat, ["tie"] * 30)
    assert "base 3" in made.page()


def test_the_exported_file_gives_the_same_numbers(world):
    made = Session(world, [*PAIRS, ("same", "same")]).rated(["tuned"] * 20 + ["base"] * 6 + ["tie"] * 3 + ["skip"])
    page = made.page()
    found = re.search(r'href="data:application/json;charset=utf-8;base64,([^"]+)" download="votes-ses', page)
    assert found
    document = json.loads(base64.b64decode(found[1]))
    again = verdict_from_document(document)
    told = outcome.verdict_of(world.store, made.id, "local")
    assert (again["win_rate"], again["low"], again["high"]) == (told.win_rate, told.low, told.high)
    assert again["sentence"] in unescape(page)
    assert f"tuning-fork verdict votes-{made.id}.json" in page


def test_reference_numbers_stand_in_a_drawer_under_their_warning(world):
    page = Session(world).rated(["tuned"] * 20 + ["base"] * 10).page()
    drawer = page.index("valid only for one look planned in advance")
    assert page.rindex("<details", 0, drawer) < drawer < page.index("Wilson interval")
    assert "<details open" not in page


def test_one_sided_sessions_have_undetermined_numbers_not_nonsense(world):
    made = Session(world).rated(["tie"] * 30)
    told = outcome.verdict_of(world.store, made.id, "local")
    values = dict(reference_drawer.rows(told))
    assert values["Wilson interval of that share"] == "not determined"
    assert not re.search(r"\bnan\b", made.page().lower())


# ---- the picture ----


def test_the_picture_says_in_words_what_it_draws(world):
    made = Session(world).rated(["tuned"] * 20 + ["base"] * 6 + ["tie"] * 4)
    told = outcome.verdict_of(world.store, made.id, "local")
    page = str(scale.picture(told))
    assert told.sentence in unescape(re.sub(r"</?span[^>]*>", "", page))
    assert "<figcaption" in page
    assert scale.words(told) in unescape(page)
    assert page.count("<i></i>") == 30
    assert page.count("</line>") == page.count("<line ")


@pytest.mark.parametrize("outcomes", [["tuned"] * 30, ["base"] * 30, ["tie"] * 30])
def test_the_picture_holds_at_its_ends(world, outcomes):
    told = outcome.verdict_of(world.store, Session(world).rated(outcomes).id, "local")
    for number in re.findall(r' (?:x|x1|x2|width)="([^"]+)"', str(scale.picture(told))):
        assert -0.01 <= float(number) <= 100.01


# ---- the answers ----


def test_hostile_and_long_answers_are_text_and_come_in_pages(world):
    hostile = "<script>alert(1)</script> ${alert(1)} `${2}` {{3}}"
    pairs = [(hostile, "x" * 20_000), ("مرحبا", "🙂 ok"), *PAIRS]
    made = Session(world, pairs, prompts=[hostile], name=hostile).rated(["tuned"] * 32)
    page = made.page()
    shown = re.sub(r'href="data:[^"]*"', "", page)
    assert "<script>" not in page
    assert "${" not in page
    assert "{{" not in shown
    assert shown.count("x" * 20_000) == 1
    assert "Page 1 of 4" in page
    assert "Page 4 of 4" in made.page("all:4")
    assert "Page 4 of 4" in made.page("all:99999999999999999999999")
    assert "Page 1 of 4" in made.page("nonsense:-3")


def test_the_answers_can_be_sifted(world):
    made = Session(world).rated(["tuned"] * 20 + ["base"] * 6 + ["tie"] * 4)
    lines = outcome.answers_table(world.store, made.id, "local")
    now = answers_list.shelf(lines, "base:1")
    assert len(now.lines) == 6
    assert [count for _, _, count in now.counts] == [30, 6, 20, 4]
    assert {answers_list.kind_of(line) for line in now.lines} == {"base"}
    assert answers_list.result(now.lines[0]) == "Votes: 1 for base."
    assert answers_list.viewed(Draft(), "tuned:2").view == "tuned:2"


def test_what_a_session_takes_is_computed_for_who_asks(world):
    made = Session(world).rated(["tuned"] * 12 + ["base"] * 12, finish=False, name="Ana")
    assert "How many prompts does it take?" in made.page()
    visit = world.visit(run=made.run.id, session=made.id, step="verdict")
    asked = verdict.pressed(world.ctx, visit, Said("view", "plan"))
    assert isinstance(asked, Draft)
    page = made.page(asked.view)
    assert "With 30 prompts you will probably see a difference" in page
    assert "How many prompts does it take?" not in page
    blind.close(world.store, made.id, "local")
    assert "How many prompts" not in made.page(asked.view)


# ---- acts ----


def test_presses_lead_on(world):
    made = Session(world)
    visit = world.visit(run=made.run.id, comparison=made.comparison, session=made.id, step="verdict")
    assert isinstance(verdict.pressed(world.ctx, visit, Said("rate")), Once)
    assert isinstance(verdict.pressed(world.ctx, visit, Said("invite")), Once)
    back = verdict.pressed(world.ctx, visit, Said("compare"))
    assert isinstance(back, Draft)
    assert back.step == "compare"
    assert verdict.pressed(world.ctx, visit, Said("nonsense")) == visit.draft


def test_a_session_closed_without_votes_offers_another(world):
    made = Session(world)
    blind.close(world.store, made.id, "local")
    assert "closed before anybody rated" in made.page()


def test_somebody_elses_run_is_said_to_be_unknown(world):
    with gr.Blocks():
        parts = verdict.build(world.ctx)
    other = world.run("completed", owner="bob")
    assert "not in this studio" in str(parts.show(world.visit(run=other.id, step="verdict"))[0])
