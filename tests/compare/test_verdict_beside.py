"""What stands beside the verdict: slices, criteria, gold items, guesses, stamps, and the paragraph that tells it all."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.recompute import as_json, verdict_from_document
from studio.compare.record import Arm, Ballot, Gold, Guess, Record, pair_of
from studio.compare.reference import coin_evidence
from studio.compare.verdict import Verdict, judge, verdict
from studio.errors import DataError

PAIR = pair_of("base", "tuned")
OUTCOMES = {"t": "tuned", "b": "base"}


def ballots(letters: str, rater: str = "ana", **changes: Any) -> tuple[Ballot, ...]:
    """One prompt per letter (t, b, =); the tuned answer stands on the left of every other."""
    made: list[Ballot] = []
    for at, letter in enumerate(letters):
        left, right = ("tuned", "base") if at % 2 else ("base", "tuned")
        choice = {left: "left", right: "right"}.get(OUTCOMES.get(letter, ""), "tie")
        made.append(Ballot(f"p{at}", rater, choice, left, right, **changes))
    return tuple(made)


def record(letters: str = "", **changes: Any) -> Record:
    return replace(Record((Arm("base"), Arm("tuned")), "base", ballots(letters)), **changes)


# ---- slices and criteria ----------------------------------------------------------------------------------------------------


def kinds(n: int, **of: range) -> dict[str, dict[str, str]]:
    return {f"p{i}": {"kind": next(name for name, numbers in of.items() if i in numbers)} for i in range(n)}


def test_a_slice_is_judged_by_the_rule_of_the_whole() -> None:
    found = judge(record("t" * 20 + "b" * 12, slices=kinds(32, good=range(20), bad=range(20, 32))))
    good, bad = found.slices
    assert (good.name, good.value, good.n, bad.value, bad.n) == ("kind", "good", 20, "bad", 12)
    alone = verdict(record("t" * 20).votes("tuned", "base"))
    assert good.part is not None
    assert (good.part.low, good.part.high, good.part.evidence) == (alone.low, alone.high, alone.evidence)
    assert bad.part is not None
    assert (good.part.verdict, bad.part.verdict) == ("tuned", "base")


def test_a_slice_below_ten_prompts_is_hidden() -> None:
    found = judge(record("t" * 29, slices=kinds(29, many=range(20), few=range(20, 29))))
    assert [(one.value, one.n, one.part is None) for one in found.slices] == [("many", 20, False), ("few", 9, True)]
    assert as_json(found)["slices"].keys() == {"kind"}
    assert as_json(found)["slices"]["kind"].keys() == {"many"}


def test_automatic_ties_belong_to_their_slice_at_the_pace_of_the_rating() -> None:
    slices = kinds(20, here=range(20)) | {f"same{i}": {"kind": "here" if i < 6 else "there"} for i in range(20)}
    whole = record("t" * 20, slices=slices, automatic_ties={PAIR: tuple(f"same{i}" for i in range(20))})
    assert [(one.value, one.n) for one in judge(whole).slices] == [("here", 26), ("there", 14)]
    running = replace(whole, caps={PAIR: 60})  # half of the 40 to rate are rated, so half of the ties count
    found = judge(running)
    assert found.n_items == 30
    assert [(one.value, one.n) for one in found.slices] == [("here", 23), ("there", 7)]


def test_criteria_are_judged_apart() -> None:
    log = [*ballots("t" * 15, criteria={"tone": "right", "facts": "left"}), *ballots("t" * 15 + "b" * 3, rater="bo")]
    found = judge(record(ballots=tuple(log)))
    facts, tone = found.criteria
    assert (facts.name, facts.n, tone.name, tone.n) == ("facts", 15, "tone", 15)
    assert facts.part is not None
    assert tone.part is not None
    # The tuned answer stood right on prompts 0, 2, 4, …: 8 of 15.
    assert (facts.part.win_rate, tone.part.win_rate) == (pytest.approx(7 / 15), pytest.approx(8 / 15))
    few = judge(record(ballots=tuple(ballots("t" * 9, criteria={"tone": "tie"}))))
    assert few.criteria[0].part is None
    assert as_json(few)["criteria"] == {}


def test_a_criterion_changes_nothing_overall() -> None:
    plain, asked = judge(record("tttbb")), judge(record(ballots=ballots("tttbb", criteria={"tone": "left"}, comment="hm")))
    assert plain == asked


# ---- guesses, gold, sides ---------------------------------------------------------------------------------------------------


def test_gold_tells_about_raters_and_not_about_models() -> None:
    gold = tuple(
        Gold(f"g{i}", rater, right)
        for rater, told in (("ana", (True, True, None)), ("bo", (False, True, False)))
        for i, right in enumerate(told)
    )
    found = judge(record("t" * 25, gold=gold))
    assert found == judge(record("t" * 25))
    assert found.gold is not None
    assert (found.gold.n, found.gold.right, found.gold.skipped, found.gold.share) == (5, 3, 1, 0.6)
    assert [(one.rater, one.n, one.right, one.share) for one in found.gold.raters] == [
        ("ana", 2, 2, 1.0),
        ("bo", 3, 1, pytest.approx(1 / 3)),
    ]
    assert judge(record("t")).gold is None
    again = judge(record("t", gold=(Gold("g", "ana", False), Gold("g", "ana", True))))
    assert again.gold is not None
    assert (again.gold.n, again.gold.right) == (1, 1)
    skipped = judge(record("t", gold=(Gold("g", "ana", None),)))
    assert skipped.gold is not None
    assert (skipped.gold.share, skipped.gold.raters[0].share) == (None, None)


def guessed(right: int, wrong: int, unsure: int) -> tuple[Guess, ...]:
    told = [True] * right + [False] * wrong + [None] * unsure
    return tuple(Guess(f"r{i}", one) for i, one in enumerate(told))


def test_the_blinding_index_stands_beside_the_verdict() -> None:
    found = as_json(judge(record("t" * 25, guesses=guessed(22, 8, 10))))
    assert found["blinding_index"] == pytest.approx(0.35)
    assert as_json(judge(record("t" * 25)))["blinding_index"] is None


def test_raters_who_could_tell_are_a_caveat_and_raters_who_were_wrong_are_not() -> None:
    told = judge(record("t" * 25, guesses=guessed(12, 0, 3)))
    assert any("12 of 15 were right" in note for note in told.notes)
    assert "not fully blind" in told.paragraph
    wrong = judge(record("t" * 25, guesses=guessed(0, 12, 3)))
    assert not any("blind" in note for note in wrong.notes)


def test_a_rater_who_always_presses_left_is_a_caveat() -> None:
    always = [replace(one, choice="left") for one in ballots("t" * 40)]
    found = judge(record(ballots=tuple(always)))
    assert any(note.startswith("The left answer was chosen in 100 %") for note in found.notes)
    assert (found.verdict, found.win_rate) == ("undecided", 0.5)


def test_sides_that_were_not_dealt_half_and_half_are_a_caveat() -> None:
    stuck = [Ballot(f"p{i}", "ana", "left", "tuned", "base") for i in range(40)]
    assert any("stood on the left in 40 of 40 votes" in note for note in judge(record(ballots=tuple(stuck))).notes)


@pytest.mark.parametrize(("heads", "tails"), [(0, 0), (1, 0), (22, 8), (500, 500)])
def test_coin_evidence_is_the_evidence_of_a_session_of_wins_and_losses(heads: int, tails: int) -> None:
    assert coin_evidence(heads, tails) == pytest.approx(judge(record("t" * heads + "b" * tails)).evidence, rel=1e-9)


def test_huge_evidence_is_held_everywhere() -> None:
    found = as_json(
        judge(record("t" * 1500, slices={f"p{i}": {"kind": "all"} for i in range(1500)}, guesses=guessed(1500, 0, 0)))
    )
    assert json.loads(json.dumps(found, allow_nan=False))["slices"]["kind"]["all"]["evidence"] > 1e300
    assert found["blinding"]["evidence"] > 1e300
    assert found["length_controlled"]["missing"]


# ---- words ------------------------------------------------------------------------------------------------------------------


def paragraph(letters: str, **changes: Any) -> str:
    return judge(record(letters, **changes)).paragraph


def test_the_paragraph_tells_who_on_what_how_many_how_sure_and_what_not() -> None:
    told = paragraph("t" * 36 + "b" * 10 + "=" * 4, source="held out from training")
    assert told == (
        "One person compared the answers of the tuned model and the base model to 50 prompts held out from training, without "
        "being told which answer was whose. That person preferred the tuned model on 36 prompts and the base model on 10; on 4 "
        "neither was ahead. With ties counted as one half, the tuned model's win rate is 76 %; with 95 % certainty it lies "
        "between 56 % and 90 %, however often one looks at it. So the tuned model is better on prompts like these, in the eyes "
        "of this person. Other people may see it differently."
    )


@pytest.mark.parametrize(
    ("letters", "words"),
    [
        ("", "Nobody has compared"),
        ("t" * 8, "too little to say"),
        ("b" * 30, "So the base model is better"),
        ("=" * 60, "no difference worth having"),
        ("t" * 16 + "b" * 4, "leans towards the tuned model but does not settle it; about"),
        ("t" * 4 + "b" * 16, "leans towards the base model"),
        ("tb" * 10, "no evidence that either is better."),
        ("t" * 33 + "b" * 17, "no evidence that either is better; about"),
        ("tb" * 100, "without settling"),
    ],
)
def test_the_paragraph_concludes_what_the_state_concludes(letters: str, words: str) -> None:
    assert words in paragraph(letters)


letters_of = st.text("tb=", max_size=60)


@given(letters_of, st.integers(1, 60), st.integers(0, 30))
@settings(deadline=None, max_examples=60)
def test_no_words_name_a_winner_unless_the_state_does(letters: str, cap: int, same: int) -> None:
    log = [*ballots(letters), *ballots(letters[: len(letters) // 2], rater="bo")]
    ties = {PAIR: tuple(f"same{i}" for i in range(same))}
    found = judge(record(ballots=tuple(log), caps={PAIR: max(cap, same)}, automatic_ties=ties))
    words = " ".join((found.headline, found.sentence, found.paragraph))
    better = {"tuned_better": "tuned", "base_better": "base"}.get(found.state)
    named = set(re.findall(r"(tuned|base) model is better", words))
    assert named == ({better} if better else set())
    if not better:
        assert not any(re.search(r"not that the (tuned|base) model is better", note) for note in found.notes)
    for text in (*found.notes, found.sentence, found.paragraph):
        assert text.endswith((".", "?"))
        assert "!" not in text
        assert "None" not in text


def test_below_the_minimum_nobody_is_named_in_a_caveat_either() -> None:
    """Eight of eight is 28 : 1, and too early; without one rater nothing would be left of it."""
    found = judge(record("t" * 8, ballots=(*ballots("t" * 8), *ballots("t" * 2, rater="bo"))))
    assert (found.state, found.verdict, found.winner) == ("too_early", "tuned", "undecided")
    assert not any("Without" in note for note in found.notes)


def test_three_arms_in_one_paragraph() -> None:
    arms = (Arm("base"), Arm("a", "First try"), Arm("b", "Second try"), Arm("c", "Third try"))
    log = [
        replace(one, left=one.left.replace("tuned", name), right=one.right.replace("tuned", name))
        for name, letters in (("a", "t" * 40), ("b", "b" * 40), ("c", "t" * 5))
        for one in ballots(letters)
    ]
    told = judge(Record(arms, "base", tuple(log))).paragraph
    assert "So “First try” is better" in told
    assert "“Second try” is worse than the base model: its win rate is 0 %" in told
    assert "“Third try” has been compared with the base model on 5 prompts, too few to say anything." in told
    assert "60 : 1 instead of 20 : 1" in told
    none = judge(Record(arms, "base", tuple(one for one in log if "a" not in (one.left, one.right)))).paragraph
    assert none.startswith("Nobody has compared “First try” with the base model yet. “Second try” is worse")


def test_names_from_outside_are_one_short_line() -> None:
    arms = (Arm("base"), Arm("x", "Evil\x1b[2J\n" + "long " * 100))
    log = [
        replace(one, left=one.left.replace("tuned", "x"), right=one.right.replace("tuned", "x"), rater="ana\x07")
        for one in ballots("t" * 30)
    ]
    found = judge(Record(arms, "base", tuple(log), stamps=("not\nheld out",)))
    for text in (found.headline, found.sentence, found.paragraph, *found.notes):
        assert text.isprintable()
        assert len(text) < 2000
    assert found.notes[0] == "Not held out."


def test_stamps_come_first() -> None:
    found = verdict_from_document(
        {"items": [], "stamps": [{"code": "arm", "text": "3 of 20 prompts were trained on."}, "own list"]}
    )
    assert found["stamps"] == ["3 of 20 prompts were trained on.", "own list"]
    assert found["notes"][:2] == ["3 of 20 prompts were trained on.", "Own list."]
    counted = verdict_from_document({"items": [], "stamps": {"p1": "not held out", "p2": "not held out"}})
    assert counted["stamps"] == ["2 prompts: not held out"]


def test_more_votes_are_more_prompts_times_raters() -> None:
    log = (*ballots("t" * 16 + "b" * 8), *ballots("t" * 16 + "b" * 8, rater="bo"))
    found: Verdict = judge(record(ballots=log))
    assert found.more_prompts_needed is not None
    assert found.more_votes_needed == 2 * found.more_prompts_needed
    assert judge(record("t" * 30)).more_votes_needed is None
    assert judge(record()).more_votes_needed == 20


# ---- the file ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"slices": []}, "slices"),
        ({"slices": {"p1": "x"}}, "slices.p1"),
        ({"slices": {"p1": {"kind": []}}}, "slices.p1.kind"),
        ({"lengths": {"p1": {"base": -1}}}, "lengths.p1.base"),
        ({"lengths": {"p1": {"base": 10.5}}}, "lengths.p1.base"),
        ({"lengths": {"p1": {"base": 10**400}}}, "lengths.p1.base"),
        ({"gold": []}, "gold"),
        ({"gold": {"votes": {}}}, "gold.votes"),
        ({"gold": {"votes": [{"rater": "a"}]}}, "gold.votes[0].gold_id"),
        ({"gold": {"votes": [{"rater": "a", "gold_id": "g", "right": 1}]}}, "gold.votes[0].right"),
        ({"raters": "ana"}, "raters"),
        ({"raters": [{"rater": "a", "guess": "up", "tuned_side": "left"}]}, "raters[0].guess"),
        ({"raters": [{"rater": "a", "guess": "left", "tuned_side": "up"}]}, "raters[0].tuned_side"),
        ({"stamps": [7.5]}, "stamps[0]"),
        ({"stamps": {"p1": {}}}, "stamps.p1.text"),
        ({"prompt_source": "held out"}, "prompt_source"),
        ({"items": [{"prompt_id": "p", "rater": "\ud800", "choice": "tie", "tuned_side": "left"}]}, "items[0].rater"),
        (
            {"items": [{"prompt_id": "p", "rater": "a", "choice": "tie", "tuned_side": "left", "criteria": {"tone": "good"}}]},
            "items[0].criteria.tone",
        ),
        (
            {"items": [{"prompt_id": "p", "rater": "a", "choice": "tie", "tuned_side": "left", "len_base": "long"}]},
            "items[0].len_base",
        ),
    ],
)
def test_a_wrong_file_is_refused_at_the_place(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(DataError) as refused:
        verdict_from_document({"items": []} | changes)
    assert refused.value.where == where
    assert len(str(refused.value)) < 300


def test_guesses_by_the_arms_of_the_last_pair() -> None:
    raters = [
        {"rater": "a", "guess": "left", "arms": {"left": "tuned", "right": "base"}},
        {"rater": "b", "guess": "left", "arms": {"left": "base", "right": "tuned"}},
        {"rater": "c", "guess": "unsure", "tuned_side": "left"},
        {"rater": "d", "guess": "", "tuned_side": "left"},
        {"rater": "e"},
    ]
    told = verdict_from_document({"items": [], "raters": raters})["blinding"]
    assert (told["right"], told["wrong"], told["unsure"], told["index"]) == (1, 1, 1, 0.0)


words = st.sampled_from(["left", "right", "tie", "base", "tuned", "p1", "held_out", "unsure"])
keys = st.sampled_from(
    [
        *(
            "items",
            "arms",
            "name",
            "reference",
            "matchups",
            "challenger",
            "automatic_ties",
            "cap",
            "closed",
            "slices",
            "lengths",
        ),
        *("gold", "votes", "raters", "guess", "stamps", "text", "prompt_source", "kind", "prompt_id", "rater", "choice"),
        *("left", "right"),
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=25,
)


@given(st.dictionaries(keys, anything, max_size=8))
@settings(deadline=None, max_examples=60)
def test_nothing_but_a_data_error_ever_comes_out(document: dict[str, Any]) -> None:
    with suppress(DataError):
        json.dumps(verdict_from_document({"items": []} | document), allow_nan=False).encode()
