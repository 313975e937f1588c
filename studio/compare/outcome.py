"""What a session came to: the verdict, the votes as a file that recomputes it, and the table of answers.

Guarantees: the exported file gives ``verdict_from_document`` exactly the numbers that ``verdict_of`` shows; raters appear under
neutral names; nothing that tells which side was which leaves while a rater is still at work; no cell of a CSV file starts a
formula in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from studio.compare.blind import (
    Message,
    SessionPlan,
    answer_pairs,
    has_ended,
    labels,
    messages_of,
    owned_session,
    tuned_side,
)
from studio.compare.giveaways import Flag, flags, shown
from studio.compare.reference import Blinding, blinding
from studio.compare.verdict import Verdict, Vote, verdict
from studio.compare.votes import Outcome, tally
from studio.errors import RunError
from studio.store import DealRow, RaterRow, SessionRow, Store, VoteRow

#: A spreadsheet takes a cell that starts with one of these for a formula or a command.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One prompt with both answers as they were shown, what gives them away, and how the votes that count fell."""

    prompt_id: str
    messages: tuple[Message, ...]
    reference: str
    base: str
    tuned: str
    identical: bool
    base_flags: tuple[Flag, ...]
    tuned_flags: tuple[Flag, ...]
    tuned_won: int
    base_won: int
    ties: int
    both_bad: int


def verdict_of(store: Store, session_id: str, owner: str) -> Verdict:
    """The verdict so far; it may be looked at after every vote. Raises ``NotFoundError``."""
    record = _record(store, owned_session(store, session_id, owner))
    return verdict(record.votes, automatic_ties=record.ties, closed=record.closed, cap=record.cap)


def blinding_of(store: Store, session_id: str, owner: str) -> Blinding:
    """How well the raters who have finished could tell the sides. Raises ``NotFoundError``."""
    return _blinding(_record(store, owned_session(store, session_id, owner)))


def export(store: Store, session_id: str, owner: str) -> dict[str, Any]:
    """The votes and all that is needed to recompute and to judge them, as plain JSON values; see ``tuning-fork verdict FILE``.

    Raises ``NotFoundError``; ``RunError`` while somebody is still rating, because the file says which side was which.
    """
    record = _open_book(store, session_id, owner)
    session = record.session
    comparison = store.comparisons.get(session.comparison_id, owner)
    run = store.runs.get(comparison.run_id or "", owner)
    guesses, lines = _blinding(record), answers_table(store, session_id, owner)
    return {
        "format": "tuning-fork-votes",
        "version": 1,
        "session": session.id,
        "comparison": comparison.id,
        "run": run.id,
        "settings": json.loads(comparison.settings_json),
        "dataset_fingerprint": store.datasets.get(run.dataset_id, owner).fingerprint,
        "pairs": len(record.plan.rated),
        "cap": record.cap,
        "automatic_ties": list(record.ties),
        "automatic_ties_drawn": list(record.plan.automatic_ties),
        "items": [
            {
                "prompt_id": one.prompt_id,
                "rater": one.rater,
                "choice": one.choice,
                "tuned_side": one.tuned_side,
                "unblinded": one.unblinded,
            }
            for one in record.votes
        ],
        "raters": [
            {"rater": record.labels[one.id], "guess": one.guess, "tuned_side": tuned_side(record.deals[one.id][-1])}
            for one in sorted(record.raters, key=lambda one: record.labels[one.id])
        ],
        "giveaways": {
            "base": Counter(flag for line in lines for flag in line.base_flags),
            "tuned": Counter(flag for line in lines for flag in line.tuned_flags),
        },
        "blinding": {"right": guesses.right, "wrong": guesses.wrong, "unsure": guesses.unsure, "index": guesses.index},
    }


def export_csv(store: Store, session_id: str, owner: str) -> str:
    """The votes as CSV, one line each. Raises as ``export`` does."""
    items: list[dict[str, Any]] = export(store, session_id, owner)["items"]
    columns = ("prompt_id", "rater", "choice", "tuned_side", "unblinded")
    return _csv(columns, ([str(one[column]) for column in columns] for one in items))


def answers_table(store: Store, session_id: str, owner: str) -> tuple[AnswerLine, ...]:
    """Every prompt of the session with both answers, in the order of the prompts. Raises as ``export`` does."""
    record = _open_book(store, session_id, owner)
    comparison = store.comparisons.get(record.session.comparison_id, owner)
    names = (store.runs.get(comparison.run_id or "", owner).model,)
    outcomes: dict[str, Counter[Outcome]] = defaultdict(Counter)
    for one in tally(record.votes, automatic_ties=record.plan.automatic_ties).votes:
        outcomes[one.prompt_id][one.outcome] += 1
    part = {*record.plan.rated, *record.plan.automatic_ties}
    pairs = answer_pairs(store.comparisons.answers(comparison.id)).items()
    return tuple(
        AnswerLine(
            prompt_id=prompt_id,
            messages=messages_of(base),
            reference=base.reference,
            base=shown(base.text),
            tuned=shown(tuned.text),
            identical=shown(base.text) == shown(tuned.text),
            base_flags=flags(base, names),
            tuned_flags=flags(tuned, names),
            tuned_won=outcomes[prompt_id]["tuned"],
            base_won=outcomes[prompt_id]["base"],
            ties=outcomes[prompt_id]["tie"],
            both_bad=outcomes[prompt_id]["both_bad"],
        )
        for prompt_id, (base, tuned) in pairs
        if prompt_id in part
    )


def answers_csv(store: Store, session_id: str, owner: str) -> str:
    """``answers_table`` as CSV. Raises as ``export`` does."""
    columns = ("prompt", "reference", "base", "tuned", "base_flags", "tuned_flags", "tuned_won", "base_won", "ties", "both_bad")
    lines = (
        [
            "\n".join(f"{turn.role}: {turn.content}" for turn in line.messages),
            *(line.reference, line.base, line.tuned, " ".join(line.base_flags), " ".join(line.tuned_flags)),
            *map(str, (line.tuned_won, line.base_won, line.ties, line.both_bad)),
        ]
        for line in answers_table(store, session_id, owner)
    )
    return _csv(columns, lines)


@dataclass(frozen=True, slots=True)
class _Record:
    """A session as the verdict needs it. ``votes`` is the whole log, oldest first."""

    session: SessionRow
    plan: SessionPlan
    raters: tuple[RaterRow, ...]
    labels: dict[str, str]
    deals: dict[str, tuple[DealRow, ...]]
    votes: tuple[Vote, ...]
    ties: tuple[str, ...]
    closed: frozenset[str] | None
    cap: int


def _record(store: Store, session: SessionRow) -> _Record:
    plan, invited, log = SessionPlan.of(session), store.ratings.raters(session.id), store.ratings.votes(session.id)
    names = labels(invited)
    deals = {one.id: store.ratings.deals(one.id) for one in invited}
    votes = tuple(
        Vote(one.prompt_id, names[one.rater_id], one.choice, tuned_side(deals[one.rater_id][one.position]), bool(one.unblinded))
        for one in log
    )
    ties, closed, cap = plan.automatic_ties, None, len(plan.rated) + len(plan.automatic_ties)
    if has_ended(session, plan, invited, log):
        # What was rated is all there will be. Of the ties, only as many belong to it as its share of the pairs: all of them
        # beside a few rated pairs would look like a session without a difference.
        ties = ties[: len(ties) * len({one.prompt_id for one in log}) // len(plan.rated)]
        cap = max(1, len(tally(votes).rated) + len(ties))
    else:
        closed = _rated_by_everyone_at_work(log)
    return _Record(session, plan, invited, names, deals, votes, ties, closed, cap)


def _rated_by_everyone_at_work(log: Sequence[VoteRow]) -> frozenset[str]:
    """Prompts on which everybody who has begun has said something; who was invited and never came holds nothing up."""
    at_work = {one.rater_id for one in log}
    seen: dict[str, set[str]] = defaultdict(set)
    for one in log:
        seen[one.prompt_id].add(one.rater_id)
    return frozenset(prompt_id for prompt_id, who in seen.items() if who == at_work)


def _open_book(store: Store, session_id: str, owner: str) -> _Record:
    """The record, once nobody can be influenced by it any more."""
    record = _record(store, owned_session(store, session_id, owner))
    finished = record.raters and all(one.revealed_at is not None for one in record.raters)
    if record.session.state == "open" and not finished:
        raise RunError(
            "The answers stay sealed while people are rating.",
            next_step="Wait until every rater has finished, or close the session.",
        )
    return record


def _blinding(record: _Record) -> Blinding:
    told: Counter[str] = Counter()
    for one in record.raters:
        if one.revealed_at is not None:
            told["unsure" if one.guess == "unsure" else str(one.guess == tuned_side(record.deals[one.id][-1]))] += 1
    return blinding(right=told["True"], wrong=told["False"], unsure=told["unsure"])


def _csv(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_harmless(cell) for cell in line] for line in lines)
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
