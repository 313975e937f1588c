"""Many people rate at once, and the studio is killed in the middle: no vote is lost and none is doubled."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from studio.compare import blind, outcome
from studio.compare.blind import SessionOptions
from studio.store import Store

ROOT = Path(__file__).resolve().parents[2]
CHOICES = ("left", "right", "tie", "both_bad", "skip")


def places(store: Store, session: str) -> Counter[tuple[str, int]]:
    return Counter((one.rater_id, one.position) for one in store.ratings.votes(session))


def test_fifty_people_at_once_lose_nothing_and_double_nothing(store: Store, comparison_of: Callable[..., str]):
    made = comparison_of([(f"base {i}", f"tuned {i}") for i in range(8)])
    session = blind.open_session(store, made, "local").id
    tokens = [blind.invite(store, session, "local", f"R{i}").token for i in range(50)]

    def rate(token: str) -> int:
        # Two tabs of one person, each pressing everything: what the second one says is there already.
        pressed = [(position, CHOICES[position % 5]) for position in range(8) for _ in range(2)]
        return sum(blind.vote(store, token, *press).saved for press in pressed)

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(rate, tokens)) == [8] * 50
    assert set(places(store, session).values()) == {1}
    state = blind.state(store, session, "local")
    assert (state.votes, state.ended, state.closed_pairs) == (400, True, 8)
    assert outcome.verdict_of(store, session, "local").n_raters == 50


def test_two_tabs_of_one_person_are_one_vote(store: Store, comparison: str):
    session = blind.open_session(store, comparison, "local").id
    token = blind.invite(store, session, "local", "Ana").token
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda _: blind.vote(store, token, 0, "left").saved, range(40)))
    assert sum(saved) == 1
    assert len(store.ratings.votes(session)) == 1


def test_people_who_come_at_once_are_dealt_each_prompt_as_often_as_planned(store: Store, comparison: str):
    options = SessionOptions(ratings_per_prompt=3, per_rater=10)
    session = blind.open_session(store, comparison, "local", options=options).id
    with ThreadPoolExecutor(6) as pool:
        tokens = list(pool.map(lambda i: blind.invite(store, session, "local", f"R{i}").token, range(6)))
    dealt = Counter(one.prompt_id for token in tokens for one in blind.seat_of(store, token).deals)
    assert set(dealt.values()) == {3}
    assert len(dealt) == 20


RATERS = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from studio.compare import blind
from studio.store import Store

store = Store(Path(sys.argv[1]))

def rate(numbered):
    number, token = numbered
    for position in range(40):
        if position == 30:
            threading.Event().wait()  # nobody gets to the end
        blind.vote(store, token, position, ("left", "right", "tie", "both_bad", "skip")[position % 5])
        os.write(1, f"{number} {position}\\n".encode())

with ThreadPoolExecutor(16) as pool:
    list(pool.map(rate, enumerate(sys.argv[2:])))
"""


def test_killed_while_sixteen_people_vote(store: Store, comparison_of: Callable[..., str], tmp_path: Path):
    made = comparison_of([(f"base {i}", f"tuned {i}") for i in range(40)])
    session = blind.open_session(store, made, "local").id
    tokens = [blind.invite(store, session, "local", f"R{i}").token for i in range(16)]
    before = [blind.seat_of(store, token).deals for token in tokens]
    child = subprocess.Popen(
        [sys.executable, "-c", RATERS, str(tmp_path / "studio.sqlite3"), *tokens], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child:
        lines = [child.stdout.readline() for _ in range(200)]
        child.kill()
        lines += child.stdout.readlines()
    acknowledged = {tuple(map(int, line.split())) for line in lines if line.endswith("\n")}
    assert 200 <= len(acknowledged) <= 480, "it was killed in the middle"
    again = Store(tmp_path / "studio.sqlite3")
    assert [blind.seat_of(again, token).deals for token in tokens] == before
    for number, position in acknowledged:
        assert blind.item(again, tokens[number], position).choice == CHOICES[position % 5]
    assert set(places(again, session).values()) == {1}
    assert len(again.ratings.votes(session)) - len(acknowledged) <= 16, "at most one each was on its way"
    for token in tokens:
        for position in range(40):
            blind.vote(again, token, position, CHOICES[position % 5])
    assert Counter(places(again, session).values()) == {1: 640}
    again.close()
