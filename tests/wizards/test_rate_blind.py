"""Blindness over HTTP: what the rating page sends must be the same whichever model wrote which answer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import httpx
import pytest
from gradio import context as building

from studio.compare import blind, dealing, seats
from studio.compare.known_pairs import KnownPair
from studio.settings import Settings
from studio.store import ArmRow, Pairing
from tests.wizards.world import World
from wizards import compose

X = "The first text, which stands on the left in both worlds."
Y = "The second text, which stands on the right."
Z = "The third text, of about the same length as others."
PROMPTS = 8


class Served:
    """One world behind the whole application, asked without a network."""

    def __init__(self, home, *, tuned_left: bool, monkeypatch) -> None:
        self.world = World(home)
        run = self.world.run("completed", name="Secret run name")
        pairs = [(Y, X) if tuned_left else (X, Y) for _ in range(PROMPTS)]
        self.session = self.world.session(self.world.comparison(run, pairs))
        self.serve(home, _forced("left" if tuned_left else "right"), monkeypatch)

    def serve(self, home, order, monkeypatch) -> None:
        """Take a seat with this order, and put the application up."""
        monkeypatch.setattr(seats, "order", order)
        self.token = self.world.seat(self.session)
        monkeypatch.setattr(seats, "order", dealing.order)
        # Gradio counts components over the whole process; both worlds start to count alike.
        monkeypatch.setattr(building.Context, "id", 0)
        self.app = compose.create_app(Settings(home=home))
        self.turn = 0

    def get(self, path: str) -> str:
        return self._ask(lambda client: client.get(path)).text

    def say(self, name: str = "open", value: str = "", position: int = -1) -> str:
        self.turn += 1
        event = {"seat": self.token, "name": name, "value": value, "position": position, "turn": str(self.turn)}
        body = {"data": [], "event_data": event, "fn_index": 0, "session_hash": "same", "trigger_id": None}
        answer = self._ask(lambda client: client.post("/rate/gradio_api/run/predict", json=body))
        assert answer.status_code == 200, answer.text
        return answer.text

    def _ask(self, ask: Callable[[httpx.AsyncClient], Any]) -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://studio") as client:
                return await ask(client)

        # In a thread of its own: an open browser keeps a loop running in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(go())).result()


class ServedArms(Served):
    """A world of three systems, a check and two questions more; ``writers`` says who wrote the texts X, Y and Z."""

    def __init__(self, home, *, writers: tuple[str, str, str], monkeypatch) -> None:
        self.world = World(home)
        names = ("base", "run-1", "run-2")
        arms = [ArmRow("", name, 0, "", "model" if name == "base" else "run", f"Secret {name}") for name in names]
        answers = [[f"{(X, Y, Z)[writers.index(name)]} {at}" for name in names] for at in range(PROMPTS)]
        comparison = self.world.comparison(self.world.run("completed"), answers, arms=arms)
        options = blind.SessionOptions(pairs="all", criteria=("Tone",), comments=True)
        known = [KnownPair('[{"role": "user", "content": "2 + 2?"}]', "Four.", "A fish.")]
        store = self.world.store
        self.session = blind.open_session(store, comparison, "local", options=options, known=known).id
        self.serve(home, _texts_in_place(writers), monkeypatch)


def _texts_in_place(writers: tuple[str, str, str]):
    """X left of Y, Y left of Z, Z left of X, and a gold item in between, whoever wrote them."""

    def order(units, gold=(), *, reference="", chance=None):
        del reference, chance
        prompts = sorted({unit.prompt_id for unit in units})
        pairs = [Pairing(prompt, writers[at], writers[(at + 1) % 3]) for at in range(3) for prompt in prompts]
        return (pairs[0], Pairing(gold[0], "worse", "better", "gold"), *pairs[1:])

    return order


def _forced(side: str):
    def order(units, gold=(), *, reference="", chance=None):
        del gold, reference, chance
        arms = ("tuned", "base") if side == "left" else ("base", "tuned")
        return tuple(Pairing(prompt_id, *arms) for prompt_id in sorted(unit.prompt_id for unit in units))

    return order


@pytest.fixture
def worlds(tmp_path, monkeypatch):
    made = [
        Served(tmp_path / "one", tuned_left=True, monkeypatch=monkeypatch),
        Served(tmp_path / "two", tuned_left=False, monkeypatch=monkeypatch),
    ]
    yield made
    for one in made:
        one.world.close()


def masked(text: str) -> str:
    """Without clocks, ids that are drawn anew for each application, and the digests of static files."""
    text = re.sub(r'"(duration|average_duration|app_id|eta|time_limit)":[^,}]*', r'"\1":0', text)
    text = re.sub(r'"(id|_id|trigger_id|username)":\s?\d+', r'"\1":0', text)
    return re.sub(r"\b\d{9,}\b", "0", text)


def test_swapping_who_wrote_what_changes_nothing_that_a_rater_is_sent(worlds):
    first, second = worlds
    for path in ("/rate/", "/rate/config", "/rate/gradio_api/info"):
        assert masked(first.get(path)) == masked(second.get(path)), path
    script = [
        ("open", "", -1),
        ("vote", "left", 0),
        ("vote", "left", 0),
        ("back", "", 1),
        ("vote", "right", 0),
        ("vote", "x", 1),
    ]
    script += [("vote", choice, at) for at, choice in enumerate(("tie", "both_bad", "skip", "left", "right", "left", "tie"), 1)]
    script += [("review", "", -1), ("vote", "right", PROMPTS - 1)]
    for message in script:
        answers = [masked(world.say(*message)) for world in worlds]
        assert answers[0] == answers[1], message
    assert "One last question" in answers[0]
    assert [len(world.world.store.ratings.votes(world.session)) for world in worlds] == [10, 10]
    # The two worlds really differ: only now, when it is over, may it be told.
    told = [world.say("guess", "left") for world in worlds]
    assert "guessed right" in told[0]
    assert "guessed wrong" in told[1]


def test_with_several_arms_swapping_who_wrote_what_changes_nothing_either(tmp_path, monkeypatch):
    seen: list[list[str]] = []
    for number, writers in enumerate((("base", "run-1", "run-2"), ("run-2", "base", "run-1"), ("run-1", "run-2", "base"))):
        served = ServedArms(tmp_path / str(number), writers=writers, monkeypatch=monkeypatch)
        pages = [served.get(path) for path in ("/rate/", "/rate/config", "/rate/gradio_api/info")]
        total = 3 * PROMPTS + 1
        pages += [served.say("open"), served.say("vote", "left", 0), served.say("vote", "left", 0), served.say("back", "", 1)]
        for at in range(1, total - 1):
            pages.append(served.say("vote", ("left", "right", "tie", "both_bad", "skip")[at % 5], at))
        assert "2 + 2?" in pages[4], "the check was shown like any other pair"
        assert not re.search(r"gold|Secret|run-|\bbase\b", "".join(pages[3:]))
        seen.append([masked(page) for page in pages])
        assert len(served.world.store.ratings.votes(served.session)) == total - 1
        assert "One last question" in served.say("vote", "left", total - 1)
        assert "Secret run-1" in served.say("guess", "left"), "now it may be told"
        served.world.close()
    assert seen[0] == seen[1] == seen[2]


def test_time_does_not_tell_the_worlds_apart(worlds):
    taken: list[list[float]] = [[], []]
    for _ in range(30):
        for world, times in zip(worlds, taken, strict=True):
            began = time.perf_counter()
            world.say()
            times.append(time.perf_counter() - began)
    fast, slow = sorted(median(times) for times in taken)
    assert slow < 1.5 * fast + 0.005


def test_a_closed_session_and_a_fault_look_the_same_in_both_worlds(worlds, monkeypatch):
    for world in worlds:
        world.say("vote", "left", 0)
        blind.close(world.world.store, world.session, "local")
    answers = [masked(world.say("vote", "left", 1)) for world in worlds]
    assert answers[0] == answers[1]

    def broken(*_):
        raise ValueError("the tuned adapter")

    monkeypatch.setattr(blind, "item", broken)
    answers = [masked(world.say()) for world in worlds]
    assert answers[0] == answers[1]
    assert "adapter" not in answers[0]


def test_the_config_names_no_identity(worlds):
    config = json.loads(worlds[0].get("/rate/config"))
    own = json.dumps([each["props"] for each in config["components"]]) + json.dumps(config["dependencies"]) + config["title"]
    for word in ("base", "tuned", "model", "run", "nano", "lora", "adapter", "Secret run name", "win rate", "ses-", "cmp-"):
        assert not re.search(rf"\b{word}\b", own, re.IGNORECASE), word
    assert json.loads(worlds[0].get("/rate/gradio_api/info"))["named_endpoints"] == {}
    assert worlds[0].token not in worlds[0].get("/rate/") + worlds[0].get("/config")


def test_the_pages_of_the_wizard_do_not_hold_the_answers(worlds):
    for path in ("/", "/config", "/runs"):
        page = worlds[0].get(path)
        assert X not in page
        assert worlds[0].session not in page
