"""What a session came to: the verdict, the votes as a file that recomputes it, and the table of answers.

Guarantees: the verdict on the page is computed from the very document that is exported, so that the two cannot differ; raters
appear under neutral names; nothing that tells which side was which leaves while a rater is still at work; no cell of a CSV file
starts a formula in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from studio.compare import machine
from studio.compare.blind import Message, messages_of, tuned_side
from studio.compare.dealing import BETTER
from studio.compare.document import record_from_document
from studio.compare.giveaways import Flag, flags, shown
from studio.compare.record import Record
from studio.compare.reference import Blinding, blinding
from studio.compare.sessions import PairPlan, answered_by_all, owned_session
from studio.compare.standing import Book, book_of, closed_units, has_ended, labels
from studio.compare.verdict import Verdict, judge
from studio.compare.votes import Outcome, Vote, tally
from studio.errors import RunError
from studio.store import ArmRow, DealRow, PromptRow, Store, VoteRow

#: A spreadsheet takes a cell that starts with one of these for a formula or a command.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_STAMPS: Final = {
    "not held out": "{} of {} prompts were not held out from the data.",
    "trained on": "{} of {} prompts were trained on.",
    "not known": "Whether {} of {} prompts were trained on is not known.",
}


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One prompt with the answers of two arms as they were shown, what gives them away, and how the votes that count fell.

    ``base`` is the reference's answer and ``tuned`` the challenger's, whatever they are called: see the two labels.
    """

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
    base_label: str = "base"
    tuned_label: str = "tuned"


@dataclass(frozen=True, slots=True)
class TakeHome:
    """All that opens when a session is over: ``export``, ``export_csv``, ``answers_table`` and ``answers_csv``, read once."""

    document: dict[str, Any]
    votes_csv: str
    answers: tuple[AnswerLine, ...]
    answers_csv: str

    @property
    def verdict(self) -> Verdict:
        """The verdict, from the exported document."""
        return judge(record_from_document(self.document))


def verdict_of(store: Store, session_id: str, owner: str) -> Verdict:
    """The verdict so far; it may be looked at after every vote. Raises ``NotFoundError``."""
    return judge(record_of(store, session_id, owner))


def record_of(store: Store, session_id: str, owner: str) -> Record:
    """All that the verdict rests on, as plain values. Raises ``NotFoundError``."""
    return record_from_document(_document(store, book_of(store, owned_session(store, session_id, owner))))


def blinding_of(store: Store, session_id: str, owner: str) -> Blinding:
    """How well the raters who have finished could tell the sides. Raises ``NotFoundError``."""
    return _blinding(record_of(store, session_id, owner))


def export(store: Store, session_id: str, owner: str) -> dict[str, Any]:
    """The votes and all that is needed to recompute and to judge them, as plain JSON values; see ``tuning-fork verdict FILE``.

    Raises ``NotFoundError``; ``RunError`` while somebody is still rating, because the file says which side was which.
    """
    return _exported(store, _open_book(store, session_id, owner))


def take_home(store: Store, session_id: str, owner: str) -> TakeHome:
    """All four files of a session that is over. Raises as ``export`` does."""
    book = _open_book(store, session_id, owner)
    document, lines = _exported(store, book), _lines(store, book)
    return TakeHome(document, _votes_csv(document), lines, _answers_csv(lines, several=len(book.plan.pairs) > 1))


def export_csv(store: Store, session_id: str, owner: str) -> str:
    """The votes as CSV, one line each. Raises as ``export`` does."""
    return _votes_csv(export(store, session_id, owner))


def _exported(store: Store, book: Book) -> dict[str, Any]:
    said = machine.sections(store, book.session)
    return _document(store, book) | ({"machine": said} if said else {})


def _votes_csv(document: dict[str, Any]) -> str:
    items: list[dict[str, Any]] = document["items"]
    columns = ("prompt_id", "rater", "choice", "left", "right", "unblinded", "criteria", "comment")
    return _csv(columns, ([_cell(one.get(column, "")) for column in columns] for one in items))


def answers_table(store: Store, session_id: str, owner: str) -> tuple[AnswerLine, ...]:
    """Every prompt of the session with the answers of each two arms, in the order of the prompts. Raises as ``export`` does."""
    return _lines(store, _open_book(store, session_id, owner))


def answers_csv(store: Store, session_id: str, owner: str) -> str:
    """``answers_table`` as CSV. Raises as ``export`` does."""
    book = _open_book(store, session_id, owner)
    return _answers_csv(_lines(store, book), several=len(book.plan.pairs) > 1)


def _answers_csv(answers: Iterable[AnswerLine], *, several: bool) -> str:
    """``several``: more than two arms, so that each line has to say which two it is about."""
    columns = ("prompt", "reference", "base", "tuned", "base_flags", "tuned_flags", "tuned_won", "base_won", "ties", "both_bad")
    lines = (
        [
            "\n".join(f"{turn.role}: {turn.content}" for turn in line.messages),
            *(line.reference, line.base, line.tuned, " ".join(line.base_flags), " ".join(line.tuned_flags)),
            *map(str, (line.tuned_won, line.base_won, line.ties, line.both_bad)),
            *((line.base_label, line.tuned_label) if several else ()),
        ]
        for line in answers
    )
    return _csv((*columns, "base_is", "tuned_is") if several else columns, lines)


def _document(store: Store, book: Book) -> dict[str, Any]:
    """The session as version 2 of the file of votes."""
    session, plan = book.session, book.plan
    comparison = store.comparisons.get(session.comparison_id, session.owner)
    arms, settings = _arms_of(store, book), json.loads(comparison.settings_json)
    names, guesses = labels(book.raters), _guesses(book)
    matchups = [_matchup(book, pair) for pair in plan.pairs]
    part = {*plan.rated, *plan.automatic_ties}
    prompts = [one for one in store.comparisons.prompts(comparison.id) if one.prompt_id in part]
    run = store.runs.get(comparison.run_id, session.owner) if comparison.run_id else None
    document: dict[str, Any] = {
        "format": "tuning-fork-votes",
        "version": 2,
        "session": session.id,
        "comparison": comparison.id,
        "run": comparison.run_id,
        "settings": settings,
        "seal": settings.get("run_seal", ""),
        "dataset_fingerprint": store.datasets.get(run.dataset_id, session.owner).fingerprint if run else "",
        "prompt_source": _source(settings),
        "plan": asdict(plan.options),
        "arms": [{"name": one.name, "kind": one.kind, "label": one.label, "reference": one.reference} for one in arms],
        "pairs": len(plan.units),
        "matchups": matchups,
        "automatic_ties_drawn": list(plan.automatic_ties),
        "items": [_item(book, one, names) for one in book.log if _dealt(book, one).kind == "pair"],
        "raters": [guesses[one.id] for one in sorted(book.raters, key=lambda one: names[one.id])],
        "gold": {"items": len(store.ratings.gold(session.id)), "votes": _gold(book, names)},
        "slices": {one.prompt_id: json.loads(one.slices_json) for one in prompts if one.slices_json != "{}"},
        "stamps": _stamps(prompts, len(part), arms),
        "history": [{"at": round(one.at), "text": one.text} for one in store.ratings.events(session.id)],
    }
    if len(arms) == 2:
        document |= {"automatic_ties": matchups[0]["automatic_ties"], "cap": matchups[0]["cap"]}
    if not has_ended(book):
        document["closed"] = [{"prompt_id": one.prompt_id, "arms": sorted(one.arms)} for one in sorted(closed_units(book))]
    document |= _texts(store, book, part)
    found = _blinding(record_from_document(document))
    return document | {"blinding": {"right": found.right, "wrong": found.wrong, "unsure": found.unsure, "index": found.index}}


def _arms_of(store: Store, book: Book) -> tuple[ArmRow, ...]:
    return store.comparisons.arms(book.session.comparison_id)


def _matchup(book: Book, pair: PairPlan) -> dict[str, Any]:
    """What one pair of arms covers: rated prompts, and those with the same answer twice."""
    units, ties = book.plan.units_of(pair), book.plan.ties_of(pair)
    cap = len(units) + len(ties)
    if has_ended(book):
        # What was rated is all there will be. Of the ties, only as many belong to it as its share of the pairs: all of them
        # beside a few rated pairs would look like a session without a difference.
        votes = tuple(_votes(book, pair))
        ties = ties[: len(ties) * len({one.prompt_id for one in votes}) // max(1, len(units))]
        cap = max(1, len(tally(votes).rated) + len(ties))
    return {
        "challenger": pair.challenger,
        "reference": pair.against,
        "rated": len(units),
        "automatic_ties": list(ties),
        "cap": cap,
    }


def _votes(book: Book, pair: PairPlan) -> Iterable[Vote]:
    names = labels(book.raters)
    for one in book.log:
        dealt = _dealt(book, one)
        if dealt.kind == "pair" and frozenset((dealt.left_arm, dealt.right_arm)) == pair.arms:
            side = tuned_side(dealt, pair.challenger)
            yield Vote(one.prompt_id, names[one.rater_id], one.choice, side, bool(one.unblinded))


def _item(book: Book, one: VoteRow, names: dict[str, str]) -> dict[str, Any]:
    dealt = _dealt(book, one)
    item: dict[str, Any] = {
        "prompt_id": one.prompt_id,
        "rater": names[one.rater_id],
        "choice": one.choice,
        "left": dealt.left_arm,
        "right": dealt.right_arm,
        "unblinded": bool(one.unblinded),
        "at": round(one.at),
    }
    if len(book.plan.pairs) == 1:
        item["tuned_side"] = tuned_side(dealt, book.plan.pairs[0].challenger)
    if one.criteria_json != "{}":
        item["criteria"] = json.loads(one.criteria_json)
    if one.comment:
        item["comment"] = one.comment
    if one.seconds is not None:
        item["seconds"] = one.seconds
    return item


def _guesses(book: Book) -> dict[str, dict[str, Any]]:
    """Rater id → what they said at the end about the last pair of their order."""
    names = labels(book.raters)
    found: dict[str, dict[str, Any]] = {}
    for one in book.raters:
        told: dict[str, Any] = {"rater": names[one.id], "guess": one.guess if one.revealed_at is not None else ""}
        if book.deals[one.id]:
            last = book.deals[one.id][-1]
            told["arms"] = {"left": last.left_arm, "right": last.right_arm}
            if len(book.plan.pairs) == 1:
                told["tuned_side"] = tuned_side(last, book.plan.pairs[0].challenger)
        found[one.id] = told
    return found


def _gold(book: Book, names: dict[str, str]) -> list[dict[str, Any]]:
    """What raters said about gold items, each once; ``right`` is null for a skip."""
    found: list[dict[str, Any]] = []
    for one in book.answered.values():
        dealt = _dealt(book, one)
        if dealt.kind == "gold":
            right = None if one.choice == "skip" else one.choice == dealt.side_of(BETTER)
            found.append({"rater": names[one.rater_id], "gold_id": dealt.prompt_id, "right": right})
    return found


def _texts(store: Store, book: Book, part: set[str]) -> dict[str, Any]:
    """What of the answers belongs into the file: how long they were as shown, and how many gave their model away."""
    names = _model_names(store, book)
    lengths: dict[str, dict[str, int]] = defaultdict(dict)
    giveaways: dict[str, Counter[Flag]] = {arm.name: Counter() for arm in _arms_of(store, book)}
    for one in store.comparisons.answers(book.session.comparison_id):
        if one.prompt_id in part:
            lengths[one.prompt_id][one.arm] = len(shown(one.text))
            giveaways[one.arm].update(flags(one, names))
    return {"lengths": dict(lengths), "giveaways": {arm: dict(found) for arm, found in giveaways.items()}}


def _model_names(store: Store, book: Book) -> tuple[str, ...]:
    """Names that tell which model wrote an answer, besides those that everybody knows."""
    found: set[str] = set()
    for arm in _arms_of(store, book):
        found |= {str(json.loads(arm.details_json).get("model", "")), arm.label if arm.kind in ("base", "model") else ""}
        if arm.run_id:
            found.add(store.runs.get(arm.run_id, book.session.owner).model)
    return tuple(sorted(found - {""}))


def _stamps(prompts: Sequence[PromptRow], total: int, arms: Sequence[ArmRow]) -> list[dict[str, Any]]:
    """What prompts and arms are not, in sentences."""
    counts = Counter(one.stamp for one in prompts if one.stamp)
    found: list[dict[str, Any]] = [
        {"code": stamp, "prompts": many, "text": _STAMPS.get(stamp, f"{stamp}: {{}} of {{}} prompts.").format(many, total)}
        for stamp, many in sorted(counts.items())
    ]
    for arm in arms:
        found += [{"code": "arm", "arm": arm.name, "text": str(one)} for one in json.loads(arm.details_json).get("stamps", ())]
    return found


def _source(settings: dict[str, Any]) -> dict[str, str]:
    source: dict[str, Any] = settings.get("source") or {}
    kind = str(source.get("kind") or ("held_out" if settings.get("held_out_seal") else ""))
    return {"kind": kind, "name": ", ".join(str(one) for one in source.get("names", ()))}


def _lines(store: Store, book: Book) -> tuple[AnswerLine, ...]:
    arms = {arm.name: arm for arm in _arms_of(store, book)}
    told = answered_by_all(store.comparisons.answers(book.session.comparison_id), list(arms))
    names, plan = _model_names(store, book), book.plan
    part = {*plan.rated, *plan.automatic_ties}
    outcomes: dict[tuple[str, str, str], Counter[Outcome]] = defaultdict(Counter)
    for pair in plan.pairs:
        for one in tally(_votes(book, pair), automatic_ties=plan.ties_of(pair)).votes:
            outcomes[one.prompt_id, pair.challenger, pair.against][one.outcome] += 1
    lines: list[AnswerLine] = []
    for prompt_id, by_arm in told.items():
        for pair in plan.pairs if prompt_id in part else ():
            base, tuned = by_arm[pair.against], by_arm[pair.challenger]
            votes = outcomes[prompt_id, pair.challenger, pair.against]
            lines.append(
                AnswerLine(
                    prompt_id=prompt_id,
                    messages=messages_of(base),
                    reference=base.reference,
                    base=shown(base.text),
                    tuned=shown(tuned.text),
                    identical=shown(base.text) == shown(tuned.text),
                    base_flags=flags(base, names),
                    tuned_flags=flags(tuned, names),
                    tuned_won=votes["tuned"],
                    base_won=votes["base"],
                    ties=votes["tie"],
                    both_bad=votes["both_bad"],
                    base_label=arms[pair.against].label,
                    tuned_label=arms[pair.challenger].label,
                )
            )
    return tuple(lines)


def _dealt(book: Book, one: VoteRow) -> DealRow:
    return book.deals[one.rater_id][one.position]


def _open_book(store: Store, session_id: str, owner: str) -> Book:
    """The record, once nobody can be influenced by it any more."""
    book = book_of(store, owned_session(store, session_id, owner))
    finished = any(one.revealed_at is not None for one in book.raters) and not any(map(book.at_work, book.raters))
    if book.session.state != "closed" and not finished:
        raise RunError(
            "The answers stay sealed while people are rating.",
            next_step="Wait until every rater has finished, or close the session.",
        )
    return book


def _blinding(record: Record) -> Blinding:
    told = Counter(one.right for one in record.guesses)
    return blinding(right=told[True], wrong=told[False], unsure=told[None])


def _cell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _csv(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_harmless(cell) for cell in line] for line in lines)
    return text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
