"""The acts of one page: one after the other, in the order in which they were sent."""

from __future__ import annotations

import threading
import time

import gradio as gr
import pytest

from wizards import turns
from wizards.turns import Turns

PAGE = gr.Request(session_hash="page1")


def act(kept, done, name, after, edits=0, page=PAGE):
    with kept.take(page, "me", after, edits=edits) as turn:
        done.append(name)
        turn.left = name


def test_a_press_that_arrives_before_the_edit_is_done_after_it():
    kept, done = Turns[str](), []
    press = threading.Thread(target=act, args=(kept, done, "press", 1))
    press.start()
    press.join(0.2)
    assert press.is_alive()
    act(kept, done, "edit", 0, 1)
    press.join(10)
    assert done == ["edit", "press"]
    assert kept.of(PAGE, "me").left == "press"


def test_edits_are_done_as_they_were_sent():
    kept, done = Turns[str](), []
    later = [threading.Thread(target=act, args=(kept, done, f"edit {n}", n, 1)) for n in (2, 1)]
    for one in later:
        one.start()
        one.join(0.1)
    act(kept, done, "edit 0", 0, 1)
    for one in later:
        one.join(10)
    assert done == ["edit 0", "edit 1", "edit 2"]


def test_an_edit_that_was_lost_on_the_way_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(turns, "_PATIENCE", 0.05)
    kept, done = Turns[str](), []
    act(kept, done, "third", 2, 1)
    act(kept, done, "press", 3)
    assert done == ["third", "press"]


@pytest.mark.parametrize("after", [0, 17], ids=["nothing was typed", "the studio was started again"])
def test_nothing_that_cannot_be_late_waits(after):
    kept, done = Turns[str](), []
    began = time.monotonic()
    act(kept, done, "edit", after, 1)
    act(kept, done, "press", after + 1)
    act(kept, done, "press", after + 1)
    assert time.monotonic() - began < 1
    assert done == ["edit", "press", "press"]


def test_pages_do_not_wait_for_each_other():
    kept, done = Turns[str](), []
    with kept.take(PAGE, "me"):
        other = threading.Thread(target=act, args=(kept, done, "press", 0, 0, gr.Request(session_hash="page2")))
        other.start()
        other.join(10)
    assert done == ["press"]
