from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wizards.draft import STEPS, Draft

_words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
_names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
_pairs = st.lists(st.tuples(_names, _words), max_size=4).map(tuple)


@given(
    st.builds(
        Draft,
        step=st.sampled_from(STEPS),
        answers=_pairs,
        method=st.sampled_from(("", "sl")),
        dataset=st.one_of(st.just(""), _words),
        mapping=_pairs,
        model=_words,
        changes=_pairs,
        dial=_words,
        run=st.one_of(st.just(""), _words),
        comparison=st.one_of(st.just(""), _words),
        session=st.one_of(st.just(""), _words),
        view=st.one_of(st.just(""), _words),
    )
)
def test_a_draft_survives_its_address(draft):
    assert Draft.from_query(draft.to_query()) == draft
    assert hash(Draft.from_query("?" + draft.to_query())) == hash(draft)


def test_a_fresh_draft_has_an_empty_address():
    assert Draft().to_query() == ""


def test_a_bare_run_opens_its_training():
    assert Draft.from_query("run=run-abc123").step == "train"


@given(st.text(max_size=300))
def test_any_address_opens_the_studio(text):
    assert isinstance(Draft.from_query(text), Draft)


def test_a_step_that_does_not_exist_is_ignored():
    assert Draft.from_query("step=../../etc&set=nocolon&other=1") == Draft()


def test_moving_on_forgets_the_view_of_the_step():
    draft = Draft(step="data", view="70/20/10")
    assert draft.at("settings").view == ""
    assert draft.at("data") is draft


def test_a_change_replaces_the_one_before_and_none_takes_it_back():
    draft = Draft().with_change("epochs", "3").with_change("seed", "1").with_change("epochs", "5")
    assert draft.changes == (("seed", "1"), ("epochs", "5"))
    assert draft.with_change("epochs", None).changes == (("seed", "1"),)
