"""A model as one more judge of a session: asked about every pair in both orders, shown beside the people, never among them.

Guarantees: nothing that a model says is a vote, and no number of people changes by it; asking twice for the same thing goes on
where the first asking ended; how much will be asked is known before anything is; no key is stored. What came of it is read
by ``machine_desk``.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from studio import models
from studio.compare.machine_opinion import Rating, Section, as_section
from studio.compare.machine_words import WORDING, asked
from studio.compare.record import pair_of
from studio.compare.seeing import Message, messages_of
from studio.compare.sessions import SessionPlan, answered_by_all, owned_session
from studio.errors import RunError, SettingError
from studio.settings import Settings
from studio.store import AnswerRow, MachineJudgeRow, SessionRow, Store

_LONGEST_NAME: Final = 200
_MOST_TOKENS: Final = 32_768


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Who is asked, and how. Holds no key.

    ``endpoint`` is the address of an OpenAI-compatible server, up to what comes before ``/chat/completions``; empty for a
    model of the catalogue at the place where this studio trains. The most likely reply is taken (temperature 0).
    ``max_tokens`` is the longest reply; ``seconds`` how long one request may take, ``tries`` how often it is made, and
    ``at_once`` how many are under way together (endpoint only). Raises ``SettingError`` for a value that cannot work.
    """

    model: str
    endpoint: str = ""
    max_tokens: int = 1024
    seconds: float = 120.0
    tries: int = 4
    at_once: int = 4

    def __post_init__(self) -> None:
        plain = self.model.isprintable() and self.model == self.model.strip()
        _require(0 < len(self.model) <= _LONGEST_NAME and plain, "model", "Name the model as its server calls it.")
        _require(not self.endpoint or _is_address(self.endpoint), "endpoint", _ADDRESS)
        _require(1 <= self.max_tokens <= _MOST_TOKENS, "max_tokens", f"Use a whole number from 1 to {_MOST_TOKENS:,}.")
        _require(1 <= self.seconds <= 3600, "seconds", "Use a number from 1 to 3,600.")
        _require(1 <= self.tries <= 10, "tries", "Use a whole number from 1 to 10.")
        _require(1 <= self.at_once <= 64, "at_once", "Use a whole number from 1 to 64.")

    @classmethod
    def of(cls, row: MachineJudgeRow) -> Self:
        """The settings of a stored judging."""
        found: dict[str, Any] = json.loads(row.settings_json)
        return cls(**found["asked"])

    def to_json(self) -> str:
        """As it is stored: with the wording, because other words ask another question. Equal settings are equal texts."""
        return json.dumps({"asked": asdict(self), "temperature": 0.0, "wording": WORDING}, sort_keys=True)

    @property
    def place(self) -> str:
        """The server's name, empty for a model of the catalogue."""
        return urlsplit(self.endpoint).netloc


_ADDRESS: Final = "Give an address such as https://api.example.org/v1, without a user name, a key or a question mark in it."


@dataclass(frozen=True, slots=True)
class Question:
    """One pair in one order, ready to be asked. ``left`` is the arm that is shown first."""

    prompt_id: str
    left: str
    right: str
    messages: tuple[Message, ...]

    @property
    def characters(self) -> int:
        """How much is sent."""
        return sum(len(one.content) for one in self.messages)


@dataclass(frozen=True, slots=True)
class Work:
    """How much there is to ask: ``requests`` in all (each pair in both orders), and ``characters`` that are sent with them."""

    pairs: int
    requests: int
    characters: int


def work_of(store: Store, session_id: str, owner: str) -> Work:
    """What asking a model about this session would take. Raises ``NotFoundError``."""
    listed = _questions(store, owned_session(store, session_id, owner), "")
    return Work(len(listed) // 2, len(listed), sum(one.characters for one in listed))


def start_judging(
    settings: Settings, store: Store, session_id: str, owner: str, wanted: JudgeSettings, *, judge_id: str = ""
) -> MachineJudgeRow:
    """A judging with a queued job of the same id; ``Supervisor.submit`` sets it going.

    The same settings again give the same judging: queued when something is left to ask, otherwise as it is. ``judge_id`` is an
    id for a new one that was chosen before (``new_id("jdg")``), where a key has to be lent to it first.
    Raises ``NotFoundError``; ``SettingError`` for a model that is not served here; ``RunError`` when there is nothing to ask.
    """
    session = owned_session(store, session_id, owner)
    if not wanted.endpoint and wanted.model not in {one.name for one in models.catalogue(settings)}:
        raise SettingError(
            f"{wanted.model} cannot be asked where this studio trains ({settings.place}).",
            where="model",
            next_step="Choose a model of the catalogue, or give the address of a server that has it.",
        )
    if not work_of(store, session_id, owner).requests:
        raise RunError("This session has no pair that differs, so there is nothing to ask.")
    known = find(store, session_id, owner, wanted)
    if known is None:
        return store.machine.add(owner=owner, session_id=session.id, settings_json=wanted.to_json(), judge_id=judge_id)
    if store.jobs.get(known.id).ended and questions_left(store, known):
        store.jobs.move(known.id, "queued", event="You asked it to go on.")
    return known


def find(store: Store, session_id: str, owner: str, wanted: JudgeSettings) -> MachineJudgeRow | None:
    """The judging of this session with the very same settings."""
    known = store.machine.of_session(session_id, owner)
    return next((one for one in known if one.settings_json == wanted.to_json()), None)


def questions_left(store: Store, judge: MachineJudgeRow) -> tuple[Question, ...]:
    """Every pair and order that has no rating yet, or one that failed on the way, in the order of the prompts."""
    listed = _questions(store, owned_session(store, judge.session_id, judge.owner), judge.id)
    rated = store.machine.ratings(judge.id)
    done = {(one.prompt_id, one.left_arm, one.right_arm) for one in rated if one.missing != "failed"}
    return tuple(one for one in listed if (one.prompt_id, one.left, one.right) not in done)


def _questions(store: Store, session: SessionRow, seed: str) -> tuple[Question, ...]:
    """Every pair of the session in both orders."""
    plan, told = SessionPlan.of(session), _answers(store, session)
    found: list[Question] = []
    for unit in plan.units:
        by_arm = told[unit.prompt_id]
        for left, right in ((unit.challenger, unit.against), (unit.against, unit.challenger)):
            mark = f"{seed}/{unit.prompt_id}/{left}/{right}"
            messages = asked(mark, messages_of(by_arm[left]), by_arm[left].text, by_arm[right].text)
            found.append(Question(unit.prompt_id, left, right, messages))
    return tuple(found)


def _answers(store: Store, session: SessionRow) -> dict[str, dict[str, AnswerRow]]:
    arms = [arm.name for arm in store.comparisons.arms(session.comparison_id)]
    return answered_by_all(store.comparisons.answers(session.comparison_id), arms)


def sections(store: Store, session: SessionRow) -> list[dict[str, Any]]:
    """What models said, for the file of votes; empty when none was asked. The caller sees to it that the file may be read."""
    return [as_section(section(store, session, row)) for row in store.machine.of_session(session.id, session.owner)]


def section(store: Store, session: SessionRow, row: MachineJudgeRow) -> Section:
    """One judging as the plain values that its numbers rest on."""
    plan, wanted = SessionPlan.of(session), JudgeSettings.of(row)
    ties = {pair_of(pair.challenger, pair.against): plan.ties_of(pair) for pair in plan.pairs}
    sizes = Counter(pair_of(unit.challenger, unit.against) for unit in plan.units)
    ratings = tuple(Rating.of(one) for one in store.machine.ratings(row.id))
    caps = {pair: max(1, sizes[pair] + len(same)) for pair, same in ties.items()}
    return Section(row.id, wanted.model, ratings, ties, caps, json.loads(row.settings_json))


def _is_address(text: str) -> bool:
    try:
        found = urlsplit(text)
        named = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        return False
    return (
        named and "@" not in found.netloc and not found.query and not found.fragment and text.isprintable() and " " not in text
    )


def _require(holds: bool, name: str, advice: str) -> None:
    if not holds:
        raise SettingError("This value cannot work.", where=name, next_step=advice)
