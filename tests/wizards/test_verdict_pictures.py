"""The pictures and folds of a verdict: what they draw is what they say, and no more than the votes determine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape

import pytest

from studio.compare import blind
from studio.compare.planning import plan_session
from studio.compare.record import Arm, Ballot, Gold, Record
from studio.compare.verdict import Verdict, judge
from studio.store import ArmRow, Choice
from tests.wizards.world import World
from wizards import reference_drawer, scale, verdict, verdict_charts, verdict_told
from wizards.draft import Draft

BASE, TUNED = Arm("base", kind="base"), Arm("tuned", kind="run")
HOSTILE = "<img src=x onerror=alert(1)> ${1} {{2}}"


def text(markup: object) -> str:
    joined = re.sub(r'<span class="tf-unbroken">([^<]*)</span>', r"\1", str(markup))
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", joined)).split())


def ballots(choices: Sequence[str], rater: str = "rater-1", challenger: str = "tuned", start: int = 0) -> tuple[Ballot, ...]:
    """``w`` won, ``l`` lost, anything else a tie; the challenger stands left every other time."""
    made: list[Ballot] = []
    for at, what in enumerate(choices, start=start):
        left, right = (challenger, "base") if at % 2 else ("base", challenger)
        side: Choice = "tie" if what not in "wl" else "left" if (left == challenger) == (what == "w") else "right"
        made.append(Ballot(f"p{at:03}", rater, side, left, right))
    return tuple(made)


def told(*groups: tuple[Ballot, ...], **changes: object) -> Verdict:
    return judge(Record((BASE, TUNED), "base", sum(groups, ()), **changes))  # type: ignore[arg-type]


# ---- how the evidence grew ----


def points(markup: object) -> list[tuple[float, float]]:
    found = re.search(r'points="([^"]*)"', str(markup))
    assert found
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def line(markup: object, name: str) -> float:
    found = re.search(rf'y1="([\d.]+)"[^>]*class="{name}"', str(markup))
    assert found
    return float(found[1])


def test_the_course_crosses_the_line_where_it_says():
    now = told(ballots("wwl" * 4 + "w" * 20))
    drawn = verdict_charts.evidence(now)
    settles = line(drawn, "tf-course-line")
    above = [x for x, y in points(drawn) if y < settles and x >= 20]
    assert f"It first passed 20 : 1 after {above[0]:.0f} prompts." in text(drawn)
    assert len(points(drawn)) == 33
    assert points(drawn)[0] == (0, line(drawn, "tf-course-even"))
    assert now.state == "tuned_better"


def test_passing_the_line_too_early_is_said_to_be_too_early():
    drawn = text(verdict_charts.evidence(told(ballots("w" * 12 + "l" * 12))))
    assert "It passed 20 : 1 only below 20 prompts, which is too early." in drawn
    assert "first passed" not in drawn


@pytest.mark.parametrize("choices", ["w" * 200, "wl" * 100, "t" * 40, "l" * 3, "wwt"])
def test_the_course_stays_in_its_picture(choices):
    now = told(ballots(choices))
    drawn = verdict_charts.evidence(now)
    assert all(y <= 100 and 0 <= x <= len(choices) for x, y in points(drawn))
    left = any(y < 0 for _, y in points(drawn))
    assert left == (now.evidence > 1e6) == ("The picture ends at 1,000,000 : 1." in text(drawn))
    assert 0 < line(drawn, "tf-course-line") < line(drawn, "tf-course-even") < 100


def test_one_prompt_has_no_course():
    assert verdict_charts.evidence(told(ballots("w"))) is None
    assert verdict_charts.evidence(told(())) is None


# ---- person by person ----


def test_each_person_stands_beside_what_the_others_say():
    now = told(ballots("w" * 26 + "l" * 4), ballots("wwll" * 7, "rater-2"))
    shown = text(verdict_charts.raters(now, {"rater-1": HOSTILE}))
    by = {one.rater: one for one in now.raters}
    assert f"{HOSTILE} (rater-1)" in shown
    assert "30 prompts rated; everybody else says 50 % on 28 prompts" in shown
    assert by["rater-1"].verdict_without == "undecided"
    assert ("another verdict: not settled" in shown) == (now.winner == "tuned")
    assert "<img" not in str(verdict_charts.raters(now, {"rater-1": HOSTILE}))
    assert "Two people saw the same prompt 28 times and said the same in 57 %, in 57 % where both" in shown


def test_a_verdict_that_hangs_on_one_person_is_marked():
    now = told(ballots("w" * 40), ballots("wwl" * 13, "rater-2"))
    assert now.winner == "tuned"
    marked = re.findall(r"<strong>(another verdict[^<]*)</strong>", str(verdict_charts.raters(now, {})))
    assert marked == ["another verdict: not settled"]


def test_one_person_is_not_set_beside_themselves():
    assert verdict_charts.raters(told(ballots("w" * 30)), {}) is None


def test_agreement_says_when_there_is_none_to_speak_of():
    apart = told(ballots("w" * 5), ballots("l" * 5, "rater-2", start=5))
    assert "No two people" in verdict_charts.agreement(apart)
    alike = told(ballots("w" * 5), ballots("w" * 5, "rater-2"))
    assert verdict_charts.agreement(alike) == (
        "Two people saw the same prompt 5 times and said the same in 100 %, in 100 % where both chose a side."
    )


# ---- several challengers ----

ARMS = (BASE, Arm("step-20", "Step 20"), Arm("step-40", "Step 40"), Arm("file", HOSTILE, "imported"))


def many(first: str, second: str, third: str) -> Verdict:
    cast = ballots(first, challenger="step-20") + ballots(second, challenger="step-40") + ballots(third, challenger="file")
    return judge(Record(ARMS, "base", cast))


def test_the_ranking_goes_by_win_rate_and_each_pays_for_the_others():
    now = many("w" * 28 + "l" * 12, "w" * 36 + "l" * 4, "l" * 36 + "w" * 4)
    assert [one.arm.name for one in verdict_charts.ranked(now)] == ["step-40", "step-20", "file"]
    shown = text(verdict_charts.ranking(now))
    assert shown.index("Step 40 Better") < shown.index("Step 20 ") < shown.index("Worse")
    assert text(verdict_told.answer(now)).count("each needs evidence of 60 : 1") == 1
    assert "Points are Elo: a translation of win rates" in shown
    assert "1,382 points" in shown
    assert "<img" not in str(verdict_charts.ranking(now))
    assert verdict_charts.leaders(now) == "“Step 40” is better than the base model, 1 is worse"
    assert verdict_charts.settled(now) == ("2 of 3 settled", "quiet")


def test_a_challenger_that_never_lost_has_no_points_and_says_why():
    shown = text(verdict_charts.ranking(many("w" * 40, "wl" * 20, "")))
    assert "Step 20: Not estimable: it never lost to the reference" in shown
    assert "no Elo points" in shown
    assert "Nobody has voted" in shown
    assert shown.index("Step 20") < shown.index("Step 40") < shown.index("Nobody has voted")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (("w" * 40, "w" * 40, "w" * 40), "All 3 are better than the base model"),
        (("l" * 40, "l" * 40, "l" * 40), "The base model is better than all 3"),
        (("w" * 40, "w" * 40, "wl" * 20), "2 of 3 are better than the base model"),
        (("wl" * 20, "wl" * 20, "wl" * 20), "None of 3 is better than the base model so far"),
        (("w" * 5, "w" * 5, "w" * 5), "Too early to say"),
    ],
)
def test_several_are_summed_up_without_naming_more_than_the_votes(choices, words):
    assert verdict_charts.leaders(many(*choices)) == words


def test_each_challenger_is_shown_by_itself_under_its_own_name():
    now = many("w" * 28 + "l" * 12, "w" * 36 + "l" * 4, "l" * 36 + "w" * 4)
    page = str(verdict_told.closer(now, {}))
    heads = re.findall(r'role="tab"[^>]*>([^<]*)<', page)
    assert heads[:2] == ["Step 40", "Step 20"]
    for one in now.checkpoints:
        assert one.verdict.sentence in text(page)
    assert "“Step 40” preferred" in page
    assert "base preferred" in page
    assert "tuned preferred" not in page
    assert "<img" not in page
    # What is true of all of them stands once, above.
    assert "the easier one of them looks better by chance" not in page


def test_a_page_of_several_arms(tmp_path):
    """Through the store: the headline, the ranking, and the same words that the verdict itself has."""
    world = World(tmp_path / "home")
    run = world.run("completed")
    arms = [
        ArmRow("", "base", 0, "", "base", "nano", None, "", "{}"),
        ArmRow("", "step-20", 1, "", "checkpoint", "Step 20", run.id, "tinker://a", "{}"),
        ArmRow("", "file", 2, "", "imported", HOSTILE, None, "", json.dumps({"stamps": ["Nothing says how it was asked."]})),
    ]
    comparison = world.comparison(run, [(f"b {i}", f"s {i}", f"f {i}") for i in range(24)], arms=arms)
    session = world.session(comparison)
    token = world.seat(session, "Ana")
    for deal in world.store.ratings.deals(world.store.ratings.rater_of(blind.fingerprint(token)).id):
        blind.vote(world.store, token, deal.position, "right" if deal.left_arm == "base" else "left")
    blind.finish(world.store, token, "unsure")
    page = str(verdict.html(verdict.screen(world.store, Draft(run=run.id, session=session, step="verdict"), "local")))
    shown = text(page)
    assert "All 2 are better than the base model" in shown
    assert "Nothing says how it was asked." in shown
    assert "compared nano, Step 20" in shown
    assert "48 rated of 48" in shown
    assert "<img" not in page
    world.close()


# ---- the folds ----


def parts(now: Verdict) -> str:
    return text(reference_drawer.drawer(now, {"rater-1": "Ana"}))


def test_parts_of_the_prompts_are_exploratory_and_small_ones_are_hidden():
    slices = {f"p{at:03}": {"topic": "a" if at < 18 else HOSTILE if at < 27 else "c"} for at in range(30)}
    now = told(ballots("w" * 18 + "l" * 12), slices=slices)
    shown = parts(now)
    assert "Part by part (exploratory: chosen after the fact, so it cannot settle anything)" in shown
    assert "topic: a 100 %" in shown
    assert "topic: c" not in shown
    assert "2 more with fewer than 10 rated prompts are not shown." in shown
    assert "Part by part" not in parts(told(ballots("w" * 30)))


def test_other_questions_stand_apart_from_the_verdict():
    asked = tuple(replace(one, criteria={"Friendly": "tie"} if one.prompt_id > "p004" else {}) for one in ballots("w" * 30))
    few = tuple(replace(one, criteria={**one.criteria, "Short": "left"}) if one.prompt_id < "p004" else one for one in asked)
    shown = parts(told(few))
    assert "Friendly 50 %" in shown
    assert "“Short” has 4 prompts: shown from 10 on." in shown


def test_gold_items_are_shown_for_people_to_judge():
    gold = (*(Gold(f"gold-{at}", "rater-1", at != 2) for at in range(4)), Gold("gold-9", "rater-2", None))
    shown = parts(told(ballots("w" * 30), gold=gold))
    assert "How carefully people read: 3 of 4 right, 75 %" in shown
    assert "Ana (rater-1) 3 of 4 0" in shown
    assert "rater-2 0 of 0 1" in shown


def test_length_and_position_are_among_the_reference_numbers():
    lengths = {f"p{at:03}": {"tuned": 100 + 7 * (at % 5), "base": 100 + 5 * (at % 3)} for at in range(40)}
    now = told(ballots("wwl" * 13), lengths=lengths)
    values = dict(reference_drawer.rows(now))
    held = now.length_controlled
    assert held.win_rate is not None
    assert values["Win rate with length held equal (length-controlled)"].startswith(f"{100 * held.win_rate:.0f} %")
    assert values["Votes for the longer answer, of those for a side"] == f"{held.longer_won} of {held.longer_of}"
    left, right = now.reference.position.win_rate_tuned_left, now.reference.position.win_rate_tuned_right
    assert values["Win rate while the answer stood left, and right"] == f"{100 * left:.0f} %, {100 * right:.0f} %"
    without = dict(reference_drawer.rows(told(ballots("wwl" * 13))))
    assert without["Win rate with length held equal (length-controlled)"].startswith("not determined. The lengths")


def test_a_plan_in_a_table_promises_nothing_for_certain():
    planned = plan_session(60)
    shown = text(reference_drawer.planning(planned, "No ties."))
    first, last = planned.rows[0], planned.rows[-1]
    assert f"60 % {first.prompts_needed} {100 * first.chance:.0f} %" in shown
    assert last.chance > 0.99
    assert f"90 % {last.prompts_needed} over 99 %" in shown
    assert planned.sentence in shown


# ---- the paragraph, the numbers ----


def test_no_line_ends_inside_a_number():
    made = str(verdict_charts.unbroken(f"between 56 % and 81 %, evidence 1,234 : 1 of {HOSTILE}"))
    assert re.findall(r'<span class="tf-unbroken">([^<]*)</span>', made) == ["56 %", "81 %", "1,234 : 1"]
    assert text(made) == f"between 56 % and 81 %, evidence 1,234 : 1 of {HOSTILE}"
    assert "<img" not in made


def test_a_long_paragraph_is_set_smaller_and_can_be_copied():
    short, long = told(ballots("w" * 30)), many("w" * 28 + "l" * 12, "w" * 36 + "l" * 4, "wl" * 20)
    assert "is-long" not in str(verdict_told.answer(short))
    page = str(verdict_told.answer(long))
    assert 'class="tf-quote is-long"' in page
    assert 'data-copy="tf-paragraph"' in page


def test_the_scale_goes_by_the_names_of_the_two():
    now = many("w" * 28 + "l" * 12, "w" * 36 + "l" * 4, "wl" * 20).checkpoints[0].verdict
    drawn = str(scale.picture(now))
    assert "“Step 20” preferred" in drawn
    assert "“Step 20”'s win rate: 70 %" in unescape(drawn)
