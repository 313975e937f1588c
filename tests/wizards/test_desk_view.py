from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wizards.desk.view import LONGEST_SEARCH, TABS, View
from wizards.draft import Draft

views = st.builds(
    View,
    tab=st.sampled_from(TABS),
    way=st.sampled_from(("", "paste", "hub", "path", "mix")),
    text=st.text(max_size=LONGEST_SEARCH).filter(lambda text: not any(0xD800 <= ord(each) <= 0xDFFF for each in text)),
    finding=st.sampled_from(("", "duplicates", "empty_value")),
    show=st.sampled_from(("all", "usable", "aside")),
    part=st.sampled_from(("", "train")),
    like=st.sampled_from(("", "copies:3")),
    page=st.integers(1, 10**9),
    row=st.integers(0, 10**9),
    shares=st.sampled_from(("", "80/15/5", "60/20/20")),
    group=st.sampled_from(("", "0", "17")),
)


@given(views)
def test_a_view_survives_the_address(view):
    assert View.from_text(view.to_text()) == view


@given(views)
def test_a_view_survives_the_address_of_a_whole_draft(view):
    draft = Draft(step="data", dataset="data-1", view=view.to_text())
    assert View.from_text(Draft.from_query(draft.to_query()).view) == view


@pytest.mark.parametrize(
    "text", ["", "80/15/5", "tab=nowhere", "page=-3", "page=0", "row=x", "show=all&show=everything", "=&&&=", "way=%00", "é=1"]
)
def test_what_an_old_address_cannot_mean_is_nothing_chosen(text):
    assert View.from_text(text) == View()


def test_another_search_starts_on_the_first_page():
    view = View(page=7, finding="duplicates")
    assert view.looking(text="lamp") == View(page=1, finding="duplicates", text="lamp")
    assert view.everything() == View()
