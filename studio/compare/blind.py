"""Blind rating: who may rate, what they see, and when they learn which side was which.

Guarantees, whatever a browser sends:
- nothing that ``item``, ``vote`` or ``progress`` returns knows of base or tuned, and each does the same work for both sides;
- only the hash of an invite is kept; a token reaches its own rater's pairs and nobody else's;
- an order once dealt never changes; a vote is on disk when ``vote`` returns, and the same vote twice is one vote;
- a rater learns the sides once every pair has an answer from them (or the session is closed), and what they vote afterwards is
  kept, marked and left out of every number.
What the votes add up to is in ``studio.compare.outcome``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, cast, get_args

from studio.compare.dealing import deal, draw
from studio.compare.giveaways import shown
from studio.data.types import messages_from
from studio.errors import NotFoundError, RunError, SettingError
from studio.models.rendering import spoken
from studio.store import CHOICES, AnswerRow, Choice, ComparisonRow, DealRow, RaterRow, SessionRow, Side, Store, VoteRow

Guess = Literal["left", "right", "unsure"]

GUESSES: Final[tuple[Guess, ...]] = get_args(Guess)
#: A session shows at most this many pairs: beyond it, more raters are worth more than more prompts.
MOST_PAIRS: Final = 200


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What a session is about, fixed when it opens: prompts that people rate, and prompts with the same answer twice."""

    rated: tuple[str, ...]
    automatic_ties: tuple[str, ...]

    @classmethod
    def of(cls, session: SessionRow) -> SessionPlan:
        """The plan of a stored session."""
        found = json.loads(session.settings_json)
        return cls(tuple(found["rated"]), tuple(found["automatic_ties"]))


@dataclass(frozen=True, slots=True)
class Invite:
    """A way in for one rater. ``token`` is shown once: the store keeps only its hash."""

    token: str
    rater_id: str
    name: str


@dataclass(frozen=True, slots=True)
class RaterProgress:
    """How far one rater is, without what they said. ``label`` is the name that votes carry in numbers and exports."""

    label: str
    name: str
    done: int
    total: int
    revealed: bool


@dataclass(frozen=True, slots=True)
class SessionState:
    """How far a session is. ``ended``: closed by the owner, or everyone who was invited has finished."""

    id: str
    comparison_id: str
    open: bool
    ended: bool
    pairs: int
    automatic_ties: int
    votes: int
    raters: tuple[RaterProgress, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One pair as a rater sees it. ``choice`` is what this rater said about it before, if anything."""

    position: int
    total: int
    done: int
    messages: tuple[Message, ...]
    left: str
    right: str
    choice: Choice | None
    revealed: bool
    open: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rater is. ``saved`` is ``False`` when the same vote was there already."""

    done: int
    total: int
    finished: bool
    saved: bool = False


@dataclass(frozen=True, slots=True)
class RevealedItem:
    """One pair with the side on which this rater saw the tuned model's answer."""

    position: int
    messages: tuple[Message, ...]
    left: str
    right: str
    choice: Choice | None
    tuned_side: Side


@dataclass(frozen=True, slots=True)
class Reveal:
    """Which side was which, and this rater's own votes. ``guessed_right`` is ``None`` for ``unsure``."""

    items: tuple[RevealedItem, ...]
    guess: Guess
    guessed_right: bool | None
    tuned_won: int
    base_won: int
    ties: int
    both_bad: int
    skipped: int


# ---- the owner's side -------------------------------------------------------------------------------------------------------


def open_session(store: Store, comparison_id: str, owner: str, *, prompts: int | None = None) -> SessionRow:
    """Open a rating session over complete answers, on ``prompts`` pairs (all by default, at most ``MOST_PAIRS``).

    Raises ``NotFoundError`` for somebody else's comparison, ``SettingError`` for a number below 1, ``RunError`` while answers
    are missing or when both models gave the same answer everywhere.
    """
    comparison = store.comparisons.get(comparison_id, owner)
    if prompts is not None and prompts < 1:
        raise SettingError("A session needs at least one pair.", where="prompts", next_step="Choose 1 or more.")
    if store.jobs.get(comparison.id).status != "completed":
        raise RunError("The answers are not complete yet.", next_step="Wait until both models have answered every prompt.")
    _require_sealed(store, comparison)
    pairs = answer_pairs(store.comparisons.answers(comparison.id))
    identical = {prompt_id for prompt_id, (base, tuned) in pairs.items() if shown(base.text) == shown(tuned.text)}
    drawn = draw(tuple(pairs), identical, min(prompts or MOST_PAIRS, MOST_PAIRS))
    if not drawn.rated:
        raise RunError(
            "Both models gave the same answer to every prompt, so there is nothing to rate.",
            next_step="Train longer, or with more or different examples, and compare again.",
        )
    plan = SessionPlan(drawn.rated, drawn.automatic_ties)
    return store.ratings.open_session(owner=owner, comparison_id=comparison.id, settings_json=json.dumps(asdict(plan)))


def invite(store: Store, session_id: str, owner: str, name: str) -> Invite:
    """Let one more person rate, with an own order and own sides. Raises ``NotFoundError``, ``RunError`` when closed."""
    session = owned_session(store, session_id, owner)
    if session.state != "open":
        raise RunError("This session is closed.", next_step="Open a new session over the same answers.")
    token = secrets.token_urlsafe(32)
    known_as = name.strip()[:80] or "Rater"
    rater = store.ratings.add_rater(session, known_as, fingerprint(token), deal(SessionPlan.of(session).rated))
    return Invite(token, rater.id, known_as)


def raters(store: Store, session_id: str, owner: str) -> tuple[RaterProgress, ...]:
    """Everyone who was invited, in order of invitation, and how far they are."""
    return state(store, session_id, owner).raters


def state(store: Store, session_id: str, owner: str) -> SessionState:
    """How far the session is; says nothing about who is winning. Raises ``NotFoundError``."""
    session = owned_session(store, session_id, owner)
    plan, invited, log = SessionPlan.of(session), store.ratings.raters(session_id), store.ratings.votes(session_id)
    rated: dict[str, set[int]] = defaultdict(set)
    for one in log:
        rated[one.rater_id].add(one.position)
    names = labels(invited)
    listed = tuple(
        RaterProgress(names[one.id], one.name, len(rated[one.id]), len(plan.rated), one.revealed_at is not None)
        for one in invited
    )
    return SessionState(
        id=session.id,
        comparison_id=session.comparison_id,
        open=session.state == "open",
        ended=has_ended(session, plan, invited, log),
        pairs=len(plan.rated),
        automatic_ties=len(plan.automatic_ties),
        votes=sum(map(len, rated.values())),
        raters=listed,
    )


def close(store: Store, session_id: str, owner: str) -> None:
    """Take no more votes, for good; the session stays in the record. Twice is once. Raises ``NotFoundError``."""
    store.ratings.close_session(owned_session(store, session_id, owner).id)


def _require_sealed(store: Store, comparison: ComparisonRow) -> None:
    """Answers count only under the seal of their run: it is what says that no prompt was trained on."""
    if comparison.run_id is None:
        return
    sealed = store.runs.get(comparison.run_id, comparison.owner).seal
    # Answers of a version without seals say nothing about them.
    answered_under = json.loads(comparison.settings_json).get("run_seal", "")
    if answered_under and answered_under != sealed:
        raise RunError(
            "These answers were made under another seal of the run, so some prompts may have been trained on.",
            where=comparison.id,
            next_step="Ask both models again.",
        )


# ---- the rater's side: a token is all they have -----------------------------------------------------------------------------


def item(store: Store, token: str, position: int | None = None) -> Item:
    """The pair at ``position`` in this rater's order, or by default the first without a vote (the last when all have one).

    Raises ``NotFoundError`` for an unknown token or position.
    """
    seat = _seat(store, token)
    where = seat.next_position if position is None else position
    dealt = seat.deal_at(where)
    messages, left, right = _as_dealt(store, seat.session, dealt)
    return Item(
        position=where,
        total=len(seat.deals),
        done=len(seat.choices),
        messages=messages,
        left=left,
        right=right,
        choice=seat.choices.get(where),
        revealed=seat.rater.revealed_at is not None,
        open=seat.session.state == "open",
    )


def vote(store: Store, token: str, position: int, choice: str) -> Progress:
    """Record one vote; it is on disk when this returns. The last vote on a pair is the one that counts.

    Raises ``NotFoundError`` for an unknown token or position, ``SettingError`` for an unknown choice, ``RunError`` when the
    session is closed.
    """
    seat = _seat(store, token)
    dealt = seat.deal_at(position)
    if choice not in CHOICES:
        raise SettingError("This is not one of the five answers.", where="choice", next_step="Press one of the five buttons.")
    saved = store.ratings.vote(seat.rater, dealt, choice)
    done = len({*seat.choices, position})
    return Progress(done, len(seat.deals), done == len(seat.deals), saved)


def progress(store: Store, token: str) -> Progress:
    """How far this rater is. Raises ``NotFoundError``."""
    seat = _seat(store, token)
    return Progress(len(seat.choices), len(seat.deals), len(seat.choices) == len(seat.deals))


def finish(store: Store, token: str, guess: str) -> Reveal:
    """Reveal the sides to a rater who is done, and record what they guessed before.

    ``guess`` is about the last pair of this rater's order (sides change from pair to pair): on which side the tuned model's
    answer was. The first guess stays; asking again reveals again. Raises ``RunError`` while pairs are open in an open session,
    ``SettingError`` for an unknown guess, ``NotFoundError`` for an unknown token.
    """
    seat = _seat(store, token)
    missing = len(seat.deals) - len(seat.choices)
    if missing and seat.session.state == "open" and seat.rater.revealed_at is None:
        raise RunError(f"You have {missing} left to rate.", next_step="Rate or skip them first.")
    if guess not in GUESSES:
        raise SettingError("This is not an answer to the question.", where="guess", next_step="Say left, right or not sure.")
    store.ratings.reveal(seat.rater.id, guess)
    return _reveal(store, _seat(store, token))


# ---- shared with the outcome ------------------------------------------------------------------------------------------------


def owned_session(store: Store, session_id: str, owner: str) -> SessionRow:
    """The session, if it is this owner's; somebody else's looks the same as none. Raises ``NotFoundError``."""
    session = store.ratings.session(session_id)
    if session.owner != owner:
        raise NotFoundError(f"There is no session {session_id!r}.", next_step="Open the link that you were given.")
    return session


def answer_pairs(answers: Sequence[AnswerRow]) -> dict[str, tuple[AnswerRow, AnswerRow]]:
    """Prompt id → (base, tuned), for the prompts that both models answered, in the order of the prompts."""
    arms: dict[str, dict[str, AnswerRow]] = defaultdict(dict)
    for answer in answers:
        arms[answer.prompt_id][answer.arm] = answer
    return {prompt_id: (both["base"], both["tuned"]) for prompt_id, both in arms.items() if len(both) == 2}


def messages_of(answer: AnswerRow) -> tuple[Message, ...]:
    """The prompt of an answer, turn by turn, tool calls in words."""
    return tuple(Message(turn.role, spoken(turn)) for turn in messages_from(json.loads(answer.prompt_json)))


def labels(invited: Sequence[RaterRow]) -> dict[str, str]:
    """Rater id → the neutral name that votes carry in exports. Not in the order of invitation, and the same each time."""
    order = sorted(invited, key=lambda one: hashlib.sha256(one.id.encode()).digest())
    return {one.id: f"rater-{number}" for number, one in enumerate(order, start=1)}


def has_ended(session: SessionRow, plan: SessionPlan, invited: Sequence[RaterRow], log: Sequence[VoteRow]) -> bool:
    """Whether no vote is to be expected: the session is closed, or everybody who was invited has answered every pair."""
    if session.state != "open":
        return True
    rated = {(one.rater_id, one.position) for one in log}
    return bool(invited) and len(rated) == len(invited) * len(plan.rated)


@dataclass(frozen=True, slots=True)
class _Seat:
    """One rater at work: what they were dealt, and what they said while blind, by position."""

    rater: RaterRow
    session: SessionRow
    deals: tuple[DealRow, ...]
    choices: Mapping[int, Choice]

    @property
    def next_position(self) -> int:
        return next((dealt.position for dealt in self.deals if dealt.position not in self.choices), self.deals[-1].position)

    def deal_at(self, position: int) -> DealRow:
        if isinstance(position, bool) or not 0 <= position < len(self.deals):
            raise NotFoundError("There is no such pair.", next_step="Reload the page.")
        return self.deals[position]


def _seat(store: Store, token: str) -> _Seat:
    rater = store.ratings.rater_of(fingerprint(token))
    if rater is None:
        raise NotFoundError("This link does not lead to a rating.", next_step="Ask for a new link.")
    blind: dict[int, Choice] = {one.position: one.choice for one in store.ratings.votes_of(rater.id) if not one.unblinded}
    return _Seat(rater, store.ratings.session(rater.session_id), store.ratings.deals(rater.id), blind)


def fingerprint(token: str) -> str:
    """What the store keeps of a token."""
    # "replace": a browser can send halves of characters, and a token with one is simply not known.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _as_dealt(store: Store, session: SessionRow, dealt: DealRow) -> tuple[tuple[Message, ...], str, str]:
    answers = {one.arm: one for one in store.comparisons.pair(session.comparison_id, dealt.prompt_id)}
    left, right = answers[dealt.left_arm], answers[dealt.right_arm]
    return messages_of(left), shown(left.text), shown(right.text)


def _reveal(store: Store, seat: _Seat) -> Reveal:
    items: list[RevealedItem] = []
    for dealt in seat.deals:
        messages, left, right = _as_dealt(store, seat.session, dealt)
        choice = seat.choices.get(dealt.position)
        items.append(RevealedItem(dealt.position, messages, left, right, choice, tuned_side(dealt)))
    counts = Counter(outcome_of(one.choice, one.tuned_side) for one in items if one.choice)
    guess = cast("Guess", seat.rater.guess)
    return Reveal(
        items=tuple(items),
        guess=guess,
        guessed_right=None if guess == "unsure" else guess == tuned_side(seat.deals[-1]),
        tuned_won=counts["tuned"],
        base_won=counts["base"],
        ties=counts["tie"],
        both_bad=counts["both_bad"],
        skipped=counts["skip"],
    )


def tuned_side(dealt: DealRow) -> Side:
    """On which side the tuned model's answer stands."""
    return "left" if dealt.left_arm == "tuned" else "right"


def outcome_of(choice: Choice, tuned_side: Side) -> str:
    """``tuned``, ``base``, or the choice itself where no side was chosen."""
    if choice in ("left", "right"):
        return "tuned" if choice == tuned_side else "base"
    return choice
