"""Blindness over HTTP: what the rating page sends must be the same whichever model wrote which answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio import context as building
from scipy.stats import mannwhitneyu

from studio.compare import blind, seats
from studio.compare.known_pairs import KnownPair
from studio.settings import Settings
from studio.store import ArmRow, Pairing
from tests.wizards.world import World
from wizards import compose

X = "The first text, which stands on the left in both worlds."
Y = "The second text, which stands on the right."
Z = "The third text, of about the same length as others."
PROMPTS = 8

Order = Callable[..., Sequence[Pairing]]


class Served:
    """One world behind the whole application, asked without a network. Each test has a session of its own in it."""

    def __init__(self, home: Path, *, tuned_left: bool) -> None:
        self.world = World(home)
        run = self.world.run("completed", name="Secret run name")
        pairs = [(Y, X) if tuned_left else (X, Y) for _ in range(PROMPTS)]
        self.comparison = self.world.comparison(run, pairs)
        self.forced = _forced("left" if tuned_left else "right")
        with pytest.MonkeyPatch.context() as patch:
            # Gradio counts components over the whole process; both worlds start to count alike.
            patch.setattr(building.Context, "id", 0)
            self.app = compose.create_app(Settings(home=home))
        self.turn = 0

    def begin(self) -> Served:
        """A new session over the same answers, and a seat in it with the order that both worlds share."""
        return self.rating(self.world.session(self.comparison), self.forced)

    def rating(self, session: str, order: Order) -> Served:
        """Take a seat with this order."""
        self.session = session
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seats, "order", order)
            self.token = self.world.seat(session)
        self.turn = 0
        return self

    def get(self, path: str) -> str:
        return self.fetch(path).text

    def fetch(self, path: str) -> httpx.Response:
        return self.ask(lambda client: client.get(path))

    def say(self, name: str = "open", value: str = "", position: int = -1, **more: object) -> str:
        self.turn += 1
        event = {"seat": self.token, "name": name, "value": value, "position": position, "turn": str(self.turn)} | more
        body = {"data": [], "event_data": event, "fn_index": 0, "session_hash": "same", "trigger_id": None}
        answer = self.post("/rate/gradio_api/run/predict", body)
        assert answer.status_code == 200, answer.text
        return answer.text

    def post(self, path: str, body: object) -> httpx.Response:
        return self.ask(lambda client: client.post(path, json=body))

    def ask(self, ask: Callable[[httpx.AsyncClient], Any]) -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://studio") as client:
                return await ask(client)

        # In a thread of its own: an open browser keeps a loop running in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(go())).result()


def three_arms(world: World, writers: tuple[str, str, str]) -> str:
    """A session of three systems, a check and two questions more; ``writers`` says who wrote the texts X, Y and Z."""
    names = ("base", "run-1", "run-2")
    arms = [ArmRow("", name, 0, "", "model" if name == "base" else "run", f"Secret {name}") for name in names]
    answers = [[f"{(X, Y, Z)[writers.index(name)]} {at}" for name in names] for at in range(PROMPTS)]
    comparison = world.comparison(world.run("completed"), answers, arms=arms)
    options = blind.SessionOptions(pairs="all", criteria=("Tone",), comments=True)
    known = [KnownPair('[{"role": "user", "content": "2 + 2?"}]', "Four.", "A fish.")]
    return blind.open_session(world.store, comparison, "local", options=options, known=known).id


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


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Iterator[list[Served]]:
    made = [Served(tmp_path_factory.mktemp("world"), tuned_left=left) for left in (True, False)]
    yield made
    for one in made:
        one.world.close()


@pytest.fixture
def worlds(built) -> list[Served]:
    return [one.begin() for one in built]


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


def test_with_several_arms_swapping_who_wrote_what_changes_nothing_either(worlds):
    seen: list[list[str]] = []
    for writers in (("base", "run-1", "run-2"), ("run-2", "base", "run-1"), ("run-1", "run-2", "base")):
        served = worlds[0].rating(three_arms(worlds[0].world, writers), _texts_in_place(writers))
        total = 3 * PROMPTS + 1
        pages = [served.say("open"), served.say("vote", "left", 0), served.say("vote", "left", 0), served.say("back", "", 1)]
        said = {"criteria": {"Tone": "tie"}, "comment": "The first one names the steps.", "seconds": 4.25}
        choices = ("left", "right", "tie", "both_bad", "skip")
        pages.extend(served.say("vote", choices[at % 5], at, **said) for at in range(1, total - 1))
        pages += [served.say("back", "", 2), served.say("vote", "tie", 1, criteria={"Taste": "left"})]
        assert "The first one names the steps." in pages[-2], "what was said beside an answer comes back with it"
        assert "This did not work" in pages[-1]
        assert "2 + 2?" in pages[1], "the check was shown like any other pair"
        assert not re.search(r"gold|Secret|run-|\bbase\b", "".join(pages))
        seen.append([masked(page) for page in pages])
        assert len(served.world.store.ratings.votes(served.session)) == total - 1
        assert "One last question" in served.say("vote", "left", total - 1)
        assert "Secret run-1" in served.say("guess", "left"), "now it may be told"
    assert seen[0] == seen[1] == seen[2]


def test_time_does_not_tell_the_worlds_apart(worlds):
    """How often a guess by time alone would name the world: 0.5 is a coin. With 40 of each, chance stays within 0.25 of it."""
    taken: list[list[float]] = [[], []]
    for turn in range(40):
        # Neither world is always asked first.
        for number in (turn % 2, 1 - turn % 2):
            began = time.perf_counter()
            worlds[number].say("vote", ("left", "right")[turn // PROMPTS % 2], turn % PROMPTS)
            taken[number].append(time.perf_counter() - began)
    told = mannwhitneyu(taken[0], taken[1]).statistic / (len(taken[0]) * len(taken[1]))
    assert 0.25 < told < 0.75


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


# ---- whoever has no invite, or somebody else's ----


def nothing_told(page: str) -> None:
    for word in (X, Y, "Question", "Secret"):
        assert word not in page


def test_private_endpoints_called_directly_give_nothing(worlds):
    world = worlds[0]
    dependencies = json.loads(world.get("/rate/config"))["dependencies"]
    assert dependencies
    for seat in ("", "x" * 48, "forged.AAAA", world.session, "' OR 1=1 --", None, 7, ["x"], {"a": 1}):
        for dependency, name in itertools.product(dependencies, ("open", "vote", "back", "review", "guess", "enter")):
            event = {"seat": seat, "name": name, "value": "left", "position": 1, "turn": "1", "session": world.session}
            body = {"data": [], "event_data": event, "fn_index": dependency["id"], "session_hash": "someone"}
            nothing_told(world.post("/rate/gradio_api/run/predict", body).text)
    assert world.world.store.ratings.votes(world.session) == ()


def test_what_the_framework_offers_besides_gives_no_file_and_takes_none(worlds):
    world = worlds[0]
    home = world.world.settings.home
    for path in (home / "studio.sqlite3", "/etc/passwd", "app.py", "../studio.sqlite3"):
        for way in ("file=", "file/", "stream/"):
            assert world.fetch(f"/rate/gradio_api/{way}{path}").status_code in (403, 404, 405), path
    files = {"files": ("x.txt", b"x" * 1_000)}
    for path in ("upload", "upload/", "upload?upload_id=x"):
        sent = world.ask(lambda client, path=path: client.post(f"/rate/gradio_api/{path}", files=files))
        assert sent.status_code == 404
    assert not any(one.is_file() for one in world.world.settings.uploads.rglob("*"))


def test_a_token_reaches_its_own_pairs_only_and_nothing_once_it_is_over(worlds):
    world = worlds[0]
    store = world.world.store
    mine, theirs = (blind.invite(store, world.session, "local", name) for name in ("Ana", "Bo"))
    world.say("vote", "left", 0, seat=theirs.token)
    assert "1 rated" in world.say("open", seat=theirs.token)
    assert "0 rated" in world.say("open", seat=mine.token)
    forged = theirs.token[:-3] + "AAA"
    nothing_told(world.say("vote", "right", 0, seat=forged))
    with store.ratings.database.write() as con:
        con.execute("UPDATE raters SET expires_at = 1 WHERE id = ?", (theirs.rater_id,))
    for name in ("open", "vote", "back", "review", "guess"):
        page = world.say(name, "right", 0, seat=theirs.token)
        nothing_told(page)
        assert "This link has expired." in page
    assert [(one.rater_id, one.choice) for one in store.ratings.votes(world.session)] == [(theirs.rater_id, "left")]


def test_a_vote_that_is_played_again_and_one_after_the_reveal_change_no_number(worlds):
    world = worlds[0]
    for at in range(PROMPTS):
        for _ in range(3):
            world.say("vote", "left", at)
    log = world.world.store.ratings.votes
    assert len(log(world.session)) == PROMPTS
    told = world.say("guess", "right")
    assert "Thank you" in told
    for name, value in (("vote", "right"), ("guess", "left"), ("back", ""), ("review", ""), ("open", "")):
        assert "Thank you" in world.say(name, value, 0)
    assert [one.choice for one in log(world.session)] == ["left"] * PROMPTS
    rater = world.world.store.ratings.rater_of(blind.fingerprint(world.token))
    assert rater is not None
    assert rater.guess == "right"
