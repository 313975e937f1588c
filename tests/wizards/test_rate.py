from __future__ import annotations

import html
import re
import time
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest

from studio.compare import blind
from studio.compare.known_pairs import KnownPair
from studio.store import ArmRow
from tests.wizards.world import World
from wizards import rate
from wizards.rate import Asked, heard
from wizards.rate_screens import text
from wizards.turns import Turns

PAIRS = [(f"base {i}", f"tuned {i}") for i in range(6)]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def session(world):
    return world.session(world.comparison(world.run("completed"), PAIRS))


@pytest.fixture
def token(world, session):
    return world.seat(session)


def say(world: World, token: str, name: str = "open", value: str = "", position: int = -1, turn: str = "1") -> str:
    return str(rate.answer(world.ctx, Asked(token, name, value, position, turn)))


def screen_of(page: str) -> tuple[str, int]:
    found = re.search(r'data-screen="(\w+)".*?data-position="(-?\d+)"', page)
    assert found
    return found[1], int(found[2])


def votes(world: World, session: str) -> list[tuple[int, str]]:
    return [(one.position, one.choice) for one in world.store.ratings.votes(session)]


def test_a_pair_has_a_prompt_two_answers_five_buttons_and_progress(world, token):
    page = say(world, token)
    assert screen_of(page) == ("pair", 0)
    assert "Pair 1 of 6" in page
    for one in rate.BUTTONS:
        assert one.label in page
        assert f'<kbd aria-hidden="true">{one.key}</kbd>' in page
    assert page.count('data-say="vote"') == 5
    assert "Change the one before" not in page
    for word in ("base model", "tuned model", "Support tickets", "nano", "ses-"):
        assert word not in page


def test_a_vote_is_on_disk_before_the_next_pair_shows(world, session, token):
    page = say(world, token, "vote", "left", 0)
    assert votes(world, session) == [(0, "left")]
    assert screen_of(page) == ("pair", 1)
    assert "1 rated" in page


def test_the_same_message_twice_is_one_vote(world, session, token):
    for _ in range(3):
        page = say(world, token, "vote", "tie", 0)
    assert votes(world, session) == [(0, "tie")]
    assert screen_of(page) == ("pair", 1)


def test_the_last_one_can_be_changed_and_kept(world, session, token):
    say(world, token, "vote", "left", 0)
    page = say(world, token, "back", position=1)
    assert screen_of(page) == ("pair", 0)
    assert re.search(r'data-value="left" aria-pressed="true"', page)
    assert "Keep it and go on" in page
    assert screen_of(say(world, token, "open", position=0)) == ("pair", 1)
    say(world, token, "vote", "right", 0)
    assert votes(world, session) == [(0, "left"), (0, "right")]


def test_a_reload_goes_on_where_one_was(world, token):
    for position in range(3):
        say(world, token, "vote", "skip", position)
    assert screen_of(say(world, token)) == ("pair", 3)


def test_the_end_asks_then_reveals_and_stays_revealed(world, token):
    world.rate(token, ["tuned"] * 3 + ["base", "tie", "skip"], finish=False)
    page = say(world, token)
    assert screen_of(page)[0] == "guess"
    assert screen_of(say(world, token, "review")) == ("pair", 5)
    side = world.sides(token)[-1]
    told = say(world, token, "guess", side)
    assert "You preferred the tuned model 3 times and the base model once." in told
    assert "equally good once and both bad never" in told
    assert "You skipped 1." in told
    assert "guessed right" in told
    assert told.count("<li>") == 6
    for name in ("open", "vote", "back", "review", "guess"):
        assert "guessed right" in say(world, token, name, "left", 3)


def test_the_guess_can_be_wrong_or_missing(world, session):
    for guess, words in (("unsure", "could not tell"), ("left", "guessed"), ("right", "guessed")):
        token = world.seat(session, guess)
        world.rate(token, ["tie"] * 6, finish=False)
        assert words in say(world, token, "guess", guess)


def test_nobody_is_told_the_sides_before_the_end(world, token):
    world.rate(token, ["tuned"] * 2, finish=False)
    assert "Thank you" not in say(world, token, "guess", "left")
    assert (
        blind.raters(world.store, world.store.ratings.rater_of(blind.fingerprint(token)).session_id, "local")[0].revealed
        is False
    )


@pytest.mark.parametrize("seat", ["", "nonsense", "../../etc/passwd", "\ud800", "x" * 10_000])
def test_a_forged_link_says_so_and_nothing_else(world, session, seat):
    page = str(rate.answer(world.ctx, heard({"seat": seat, "name": "vote", "value": "left", "position": 0, "turn": "1"})))
    assert "does not lead to a rating" in page
    assert votes(world, session) == []


def test_a_closed_session_keeps_what_was_rated_and_takes_no_more(world, session, token):
    say(world, token, "vote", "left", 0)
    blind.close(world.store, session, "local")
    page = say(world, token, "vote", "left", 1)
    assert screen_of(page)[0] == "guess"
    assert "has been closed" in page
    assert votes(world, session) == [(0, "left")]
    assert "Change my last answer" not in page
    assert world.store.ratings.votes(session)[0].unblinded == 0


def test_a_session_closed_before_the_first_vote(world, session, token):
    blind.close(world.store, session, "local")
    assert "This session has been closed" in say(world, token)


@pytest.mark.parametrize(
    ("name", "value", "position"),
    [("vote", "tuned", 0), ("vote", "left", 99), ("vote", "left", -1), ("vote", "", 0), ("explode", "", 0), ("", "", -5)],
)
def test_odd_messages_change_nothing_and_name_nothing(world, session, token, name, value, position):
    page = say(world, token, name, value, position)
    assert votes(world, session) == []
    for word in ("Traceback", "studio", "comparison"):
        assert word not in page.replace("from the studio yet", "")


def test_a_fault_of_ours_is_said_without_details(world, token, monkeypatch, caplog):
    def broken(*_):
        raise ValueError("the tuned adapter of run-123")

    monkeypatch.setattr(blind, "item", broken)
    page = say(world, token)
    assert "adapter" not in page
    assert "made a mistake" in page
    assert "adapter" in caplog.text


def test_what_a_browser_sends_may_be_anything():
    assert heard(None) == Asked("", "", "", -1, "")
    assert heard({"seat": 5, "name": ["x"], "position": True, "turn": None}) == Asked("", "", "", -1, "")
    assert len(heard({"seat": "x" * 9_999}).seat) == 200


def test_hostile_text_is_text_and_both_sides_are_treated_alike(world):
    evil = "<script>alert(1)</script> ${alert(2)} `x` {{7*7}}"
    long = "م" * 20_000
    session = world.session(world.comparison(world.run("completed"), [(evil, long)], prompts=[evil]))
    page = say(world, world.seat(session))
    assert "<script>" not in page
    assert "${" not in page
    assert "{{" not in page
    assert page.count("&lt;script&gt;") == 2
    assert long in page
    side = r'<section class="rt-side rt-\w+" aria-label="Answer \w" tabindex="0"><h2>\w</h2><div class="rt-text" dir="auto">'
    assert len(re.findall(side, page)) == 2


def test_answers_to_more_questions_come_with_the_vote(world):
    comparison = world.comparison(world.run("completed"), PAIRS)
    options = blind.SessionOptions(criteria=("Tone",), comments=True, min_seconds=60)
    session = blind.open_session(world.store, comparison, "local", options=options).id
    token = world.seat(session)
    sent = {"seat": token, "name": "vote", "value": "left", "position": 0, "turn": "1"}
    said = {"criteria": {"Tone": "right", "x": 5}, "comment": "Warmer.", "seconds": 2.5}
    page = str(rate.answer(world.ctx, heard(sent | said)))
    assert screen_of(page) == ("pair", 1)
    (vote,) = world.store.ratings.votes(session)
    assert (vote.criteria_json, vote.comment, vote.seconds) == ('{"Tone": "right"}', "Warmer.", 2.5)
    early = str(rate.answer(world.ctx, heard(sent | {"position": 1})))
    assert screen_of(early) == ("pair", 1)
    assert "That was quick" in early
    assert len(world.store.ratings.votes(session)) == 1
    unknown = str(rate.answer(world.ctx, heard(sent | {"criteria": {"Taste": "left"}})))
    assert "This did not work" in unknown


def test_a_paused_session_says_so_and_goes_on_later(world, session, token):
    say(world, token, "vote", "left", 0)
    blind.pause(world.store, session, "local")
    for name in ("open", "vote", "guess"):
        assert "This session is paused" in say(world, token, name, "left", 1)
    blind.resume(world.store, session, "local")
    assert screen_of(say(world, token)) == ("pair", 1)
    assert votes(world, session) == [(0, "left")]


def test_what_was_compared_is_named_at_the_end(world):
    arms = [ArmRow("", name, 0, "", "imported", f"<b>{name}</b>") for name in ("file-1", "file-2")]
    session = world.session(world.comparison(world.run("completed"), PAIRS, arms=arms))
    token = world.seat(session)
    for position in range(6):
        page = say(world, token, "vote", "left", position)
    assert "It was A" in page
    assert "&lt;b&gt;file-2" in page
    told = say(world, token, "guess", "left")
    assert "“&lt;b&gt;file-1&lt;/b&gt;”" in told
    assert not re.search("<d[td]>(Tuned|Base)|tuned model", told)
    assert "<b>" not in told


# ---- what is asked beside, and how ----


def asked_more(world: World, **options) -> str:
    comparison = world.comparison(world.run("completed"), PAIRS)
    return blind.open_session(world.store, comparison, "local", options=blind.SessionOptions(**options)).id


def test_the_sessions_own_questions_stand_beside_the_answers_and_are_shown_again(world):
    token = world.seat(asked_more(world, criteria=("Tone", "<b>Facts</b>"), comments=True))
    page = say(world, token)
    assert re.findall(r'role="group" [^>]*data-criterion="([^"]*)" data-key="(\d)"', page) == [
        ("Tone", "1"),
        ("&lt;b&gt;Facts&lt;/b&gt;", "2"),
    ]
    assert page.count("data-answer=") == 6
    assert 'aria-pressed="true"' not in page.replace('data-toggle-keys aria-pressed="true"', "").replace(
        'data-show="both" aria-pressed="true"', ""
    )
    sent = {"seat": token, "name": "vote", "value": "left", "position": 0, "turn": "2"}
    rate.answer(world.ctx, heard(sent | {"criteria": {"Tone": "tie"}, "comment": "</textarea><script>"}))
    again = say(world, token, "back", position=1)
    assert re.findall(r'data-answer="(\w+)" aria-pressed="true"', again) == ["tie"]
    assert "&lt;/textarea&gt;&lt;script&gt;</textarea>" in again
    assert re.search(r'data-say="vote" data-value="left"><svg[^>]*>.*?</svg><span>Keep it and go on', again)


def test_who_is_asked_nothing_more_sees_nothing_more(world, token):
    page = say(world, token)
    assert "rt-beside" not in page
    assert "data-least" not in page


def test_keeping_an_answer_keeps_a_remark_that_was_changed_and_else_is_no_second_vote(world):
    session = asked_more(world, comments=True)
    token = world.seat(session)
    sent = {"seat": token, "name": "vote", "value": "left", "position": 0, "turn": "2", "comment": "One."}
    rate.answer(world.ctx, heard(sent))
    for comment, votes_now in (("One.", 1), ("Two.", 2)):
        assert screen_of(str(rate.answer(world.ctx, heard(sent | {"comment": comment})))) == ("pair", 1)
        assert len(votes(world, session)) == votes_now


def test_time_to_read_is_asked_for_before_a_first_answer_only(world):
    token = world.seat(asked_more(world, min_seconds=7))
    assert 'data-least="7.0"' in say(world, token)
    say(world, token, "vote", "left", 0)
    assert "data-least" not in say(world, token, "back", position=1)
    early = say(world, token, "vote", "left", 1)
    assert "That was quick" in early
    assert re.search(r'data-least="(6\.\d|7\.0)"', early)


def test_checks_are_named_at_the_end_only(world):
    known = [KnownPair('[{"role": "user", "content": "2 + 2?"}]', "Four.", "A fish.")]
    comparison = world.comparison(world.run("completed"), PAIRS[:2])
    session = blind.open_session(world.store, comparison, "local", known=known).id
    token = world.seat(session)
    for position, dealt in enumerate(blind.seat_of(world.store, token).deals):
        page = say(world, token, "vote", dealt.side_of("better") or "tie", position)
        assert "check" not in page
    told = say(world, token, "guess", "unsure")
    assert "One of your pairs was a check with a known better answer. You chose it." in told
    assert told.count("<li>") == 2


@pytest.mark.parametrize(("withdrawn", "words"), [(True, "This seat was taken back."), (False, "This link has expired.")])
def test_a_seat_that_is_gone_says_so_and_keeps_what_was_rated(world, session, withdrawn, words):
    guest = blind.invite(world.store, session, "local", "Ana")
    say(world, guest.token, "vote", "left", 0)
    if withdrawn:
        blind.withdraw(world.store, session, "local", guest.rater_id)
    else:
        with world.store.ratings.database.write() as con:
            con.execute("UPDATE raters SET expires_at = 1")
    for name in ("open", "vote", "back", "review", "guess"):
        page = say(world, guest.token, name, "right", 1)
        assert words in page
        assert "What you rated before is kept." in page
        assert "base 0" not in page
    assert votes(world, session) == [(0, "left")]


def test_a_press_that_came_after_a_pause_or_the_end_is_said_to_be_lost(world, session, token):
    say(world, token, "vote", "left", 0)
    blind.pause(world.store, session, "local")
    assert "Your last press came after that and was not taken." in say(world, token, "vote", "left", 1)
    assert "not taken" not in say(world, token)
    blind.close(world.store, session, "local")
    assert "before your last press came. The pair that you rated is kept." in say(world, token, "vote", "left", 1)
    assert votes(world, session) == [(0, "left")]


def test_more_pairs_are_said_and_come_before_the_last_question(world):
    comparison = world.comparison(world.run("completed"), PAIRS)
    session = blind.open_session(world.store, comparison, "local", prompts=2).id
    token = world.seat(session)
    for position in (0, 1):
        page = say(world, token, "vote", "tie", position)
    assert screen_of(page)[0] == "guess"
    blind.extend(world.store, session, "local", prompts=3)
    page = say(world, token, "guess", "left")
    assert screen_of(page) == ("pair", 2)
    assert 'data-total="5"' in page
    assert "The session has been extended: there are 5 pairs now." in page
    assert not blind.item(world.store, token).revealed


# ---- the turns of one page ----


def test_a_message_that_was_overtaken_does_not_take_back_what_came_after(world, session, token):
    turns, page = Turns[int](), gr.Request(session_hash="page")

    def act(turn: int, value: str, position: int) -> str:
        return str(rate.in_turn(world.ctx, turns, Asked(token, "vote", value, position, str(turn)), page))

    act(1, "left", 0)
    act(3, "right", 0)
    assert screen_of(act(2, "left", 0)) == ("pair", 1), "the second copy of the first message, late"
    assert screen_of(act(3, "right", 0)) == ("pair", 1), "a message that is sent again is answered again"
    assert votes(world, session) == [(0, "left"), (0, "right")]


def test_two_presses_of_one_page_at_once_are_done_one_after_the_other(world, session, token, monkeypatch):
    inside: list[str] = []
    real = rate.answer

    def slow(ctx, asked, login=""):
        inside.append("in")
        time.sleep(0.05)
        try:
            return real(ctx, asked, login)
        finally:
            inside.append("out")

    monkeypatch.setattr(rate, "answer", slow)
    turns, page = Turns[int](), gr.Request(session_hash="page")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: rate.in_turn(world.ctx, turns, Asked(token, "vote", "tie", at, "1"), page), range(4)))
    assert inside == ["in", "out"] * 4
    assert sorted(votes(world, session)) == [(at, "tie") for at in range(4)]


# ---- text as it is ----


@pytest.mark.parametrize(
    ("words", "blocks"),
    [
        ("plain `x` text", []),
        ("a\n```py\nx = 1\n```\nb", ["```py\nx = 1\n```"]),
        ("```\nnever\nends", ["```\nnever\nends"]),
        ("~~~\n```\n~~~\n```\ny\n````", ["~~~\n```\n~~~", "```\ny\n````"]),
        ("````\n```\nin\n```\n````", ["````\n```\nin\n```\n````"]),
        ("```a b`c``` is in the line", []),
    ],
)
def test_code_stands_in_its_own_type_and_nothing_is_left_out(words, blocks):
    page = html.unescape(str(text(words)))
    assert re.findall(r'<code class="rt-code" dir="ltr">(.*?)</code>', page, re.DOTALL) == blocks
    shown = re.sub(r"</?(code|div)[^>]*>", "", page.replace("</code>", "\n").replace("<code", "\n<code"))
    assert [line for line in shown.split("\n") if line] == [line for line in words.split("\n") if line]


def test_a_vote_right_after_the_pair_has_come_is_not_dropped(world):
    """Gradio drops what comes while it is still tidying up after the same listener, which is a moment after the pair shows."""
    assert {each.trigger_mode for each in rate.build(world.ctx).fns.values()} == {"multiple"}
