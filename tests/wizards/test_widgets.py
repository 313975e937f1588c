from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.errors import DataError
from wizards import widgets
from wizards.widgets import ChoiceCard, Share, Tab, tag

HOSTILE = "<script>alert(1)</script>${alert(2)}`${x}`{{constructor}}\"'><img src=x onerror=alert(3)>&lt;"


class _Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs = dict(attrs)

    def handle_data(self, data):
        self.text += data


@given(st.text())
def test_text_comes_back_as_it_was_and_makes_no_element(text):
    read = _Read()
    read.feed(str(tag("p", text, title=text)))
    read.close()
    assert read.tags == ["p"]
    assert read.text == text.replace("\r\n", "\n").replace("\r", "\n") or read.text == text
    assert not re.search(r"[$`{}]", str(widgets.esc(text)))


def test_no_sign_that_a_template_would_run_is_left():
    made = str(tag("div", HOSTILE, data_value=HOSTILE))
    assert not set("$`{}") & set(made)
    assert "<script" not in made
    assert "<img" not in made


def test_markup_passes_and_nothing_leaves_a_trace():
    assert str(tag("p", tag("b", "a & b"), None, "")) == "<p><b>a &amp; b</b></p>"
    assert str(tag("input", type="text", disabled=True, hidden=False, value=None)) == '<input type="text" disabled>'


def test_only_the_widgets_write_markup():
    # Plotly's own <extra> is not markup of the page.
    markup = re.compile(r"""["'f]</?(?!extra)[a-z]""")
    folder = Path(widgets.__file__).parent
    writers = {path.name for path in folder.glob("*.py") if markup.search(path.read_text(encoding="utf-8"))}
    # The theme writes what goes into <head>, with nothing in it that comes from outside.
    assert writers <= {"widgets.py", "theme.py", "serve.py"}


@pytest.mark.parametrize(
    "made",
    [
        widgets.choices("Q", [ChoiceCard(HOSTILE, HOSTILE, HOSTILE, note=HOSTILE)]),
        widgets.notice(HOSTILE, where=HOSTILE, next_step=HOSTILE, details=HOSTILE),
        widgets.problem(DataError(HOSTILE, where=HOSTILE, next_step=HOSTILE)),
        widgets.table([HOSTILE], [[HOSTILE]], caption=HOSTILE),
        widgets.facts([(HOSTILE, HOSTILE)]),
        widgets.tabs("t", [Tab("a", HOSTILE, tag("p", HOSTILE))], group="g"),
        widgets.shares([Share(HOSTILE, 1, HOSTILE)], unit=HOSTILE),
        widgets.meter(1, 2, HOSTILE),
        widgets.button(HOSTILE, HOSTILE, value=HOSTILE, phase=HOSTILE),
        widgets.empty(HOSTILE, HOSTILE),
        widgets.title(HOSTILE, HOSTILE),
        widgets.more(HOSTILE, HOSTILE, keep=HOSTILE),
        widgets.pill(HOSTILE),
    ],
)
def test_every_widget_escapes(made):
    assert "<script" not in made
    assert "<img" not in made
    assert not set("$`{}") & set(made)


def test_a_state_is_never_colour_alone():
    made = widgets.pill("Ready", "good")
    assert "Ready" in made
    assert "<svg" in made


def test_an_error_says_what_where_and_what_next():
    made = widgets.problem(DataError("The file is empty.", where="a.csv", next_step="Choose another."))
    assert all(words in made for words in ("The file is empty.", "a.csv", "Choose another.", 'role="alert"'))
