"""The acts of one page: one after the other, in the order in which they were sent."""

from __future__ import annotations

import threading
import time

import gradio as gr
import pytest

from wizards import turns
from wizards.turns import Turns

PAGE = gr.Request(session_hash="page1")


def act(kept, done, number, page=PAGE):
    with kept.take(page, "me", number) as turn:
        done.append(number)
        turn.left = number


def test_acts_that_arrive_the_other_way_round_are_done_as_they_were_sent():
    kept, done = Turns[int](), []
    late = threading.Thread(target=act, args=(kept, done, 2))
    late.start()
    late.join(0.2)
    assert late.is_alive()
    act(kept, done, 1)
    late.join(10)
    assert done == [1, 2]
    assert kept.of(PAGE, "me").left == 2


def test_an_act_that_was_lost_on_the_way_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(turns, "_PATIENCE", 0.05)
    kept, done = Turns[int](), []
    act(kept, done, 1)
    act(kept, done, 3)
    act(kept, done, 2)
    assert done == [1, 3, 2]


@pytest.mark.parametrize("number", [0, 17], ids=["not counted", "after a restart of the studio"])
def test_nothing_that_cannot_be_late_waits(number):
    kept, done = Turns[int](), []
    began = time.monotonic()
    act(kept, done, number)
    assert time.monotonic() - began < 1
    act(kept, done, number + 1)
    assert done == [number, number + 1]


def test_pages_do_not_wait_for_each_other():
    kept, done = Turns[int](), []
    with kept.take(PAGE, "me", 1):
        other = threading.Thread(target=act, args=(kept, done, 1, gr.Request(session_hash="page2")))
        other.start()
        other.join(10)
    assert done == [1]
