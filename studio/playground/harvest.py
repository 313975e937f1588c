"""Thumbs become data: the preference pairs that the opinions on a run's answers make, and a data set of them.

Guarantees: both answers of a pair belong to the same turns, word for word; an answer that got thumbs both ways is in no pair of
thumbs; what makes no pair is counted by its reason; nothing here reads a vote or is read by a verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from studio.compare.giveaways import visible
from studio.compare.preferences import Pair, Preferences, known, make_dataset
from studio.playground.asking import turns_of
from studio.settings import Settings
from studio.store import Store
from studio.store.talks import OpinionRow, TalkAnswerRow

#: What is said of the rule, on the page and on the data card.
RULE: Final = (
    "an answer with thumbs up beats one with thumbs down to the same turns; a typed answer beats the one it is typed for"
)


@dataclass(frozen=True, slots=True)
class Harvest:
    """What the opinions are worth. ``judged`` counts answers with an opinion.

    ``alone`` counts answers with a thumb whose question has none that points the other way, ``both`` those that got both,
    ``cut`` those that were to be learned and were cut off at the limit, ``empty`` those with nothing in them. ``dataset`` is
    the data set that was made of exactly these pairs, empty while there is none.
    """

    found: Preferences
    judged: int
    alone: int
    both: int
    cut: int
    empty: int
    dataset: str = ""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs, in the order in which their questions were asked."""
        return self.found.pairs


@dataclass(frozen=True, slots=True)
class _Judged:
    """One answer with what is thought of it."""

    row: TalkAnswerRow
    opinion: OpinionRow

    @property
    def text(self) -> str:
        return visible(self.row.text)


def harvest(store: Store, run_id: str, owner: str) -> Harvest:
    """The pairs of this owner's opinions on the answers of one run's conversations. Raises ``NotFoundError``."""
    run = store.runs.get(run_id, owner)
    answers = {(one.question_id, one.side): one for one in store.talks.answers(run_id, owner)}
    order = {one.id: place for place, one in enumerate(store.talks.questions(run_id, owner))}
    judged = [
        _Judged(answers[one.question_id, one.side], one)
        for one in store.talks.opinions(run_id, owner)
        if one.thumb or one.better
    ]
    judged.sort(key=lambda one: (order[one.row.question_id], one.row.position))
    by_prompt: dict[str, list[_Judged]] = defaultdict(list)
    for one in judged:
        by_prompt[one.row.prompt_json].append(one)
    pairs: list[Pair] = []
    counts: dict[str, int] = dict.fromkeys(("alone", "both", "cut", "empty"), 0)
    for group in by_prompt.values():
        pairs += _of_prompt(group, counts)
    # The same pair may come about twice, when the same question got the same answers again.
    told = Preferences(f"Thumbs on {run.name}.jsonl", tuple(dict.fromkeys(pairs)), {}, _provenance(run_id, pairs, judged))
    return Harvest(told, len(judged), **counts, dataset=known(store, told, owner))


def keep(settings: Settings, store: Store, run_id: str, owner: str) -> str:
    """Make the data set, or find the one made before; its id. Raises ``DataError`` when there are too few pairs to split."""
    return make_dataset(settings, store, harvest(store, run_id, owner).found, owner)


def _of_prompt(group: Sequence[_Judged], counts: dict[str, int]) -> list[Pair]:
    """The pairs of one prompt: what was typed first, then thumbs against thumbs."""
    turns = turns_of(group[0].row.prompt_json)
    whole = [one for one in group if one.text]
    counts["empty"] += len(group) - len(whole)
    pairs = [
        Pair(turns, one.opinion.better, one.text, origin="written", chosen_by="typed", rejected_by=one.row.label)
        for one in whole
        if one.opinion.better and one.opinion.better != one.text
    ]
    ups, downs = (
        _once(one for one in whole if one.opinion.thumb == "up"),
        _once(one for one in whole if one.opinion.thumb == "down"),
    )
    torn = ups.keys() & downs.keys()
    counts["both"] += len(torn)
    cut = {text for text, one in ups.items() if one.row.stop_reason == "length"} - torn
    counts["cut"] += len(cut)
    good = [one for text, one in ups.items() if text not in torn | cut]
    bad = [one for text, one in downs.items() if text not in torn]
    if not (good and bad):
        counts["alone"] += sum(1 for one in (*good, *bad) if not one.opinion.better)
    pairs += [
        Pair(turns, up.text, down.text, origin="thumbs", chosen_by=up.row.label, rejected_by=down.row.label)
        for up in good
        for down in bad
    ]
    return pairs


def _once(judged: Iterable[_Judged]) -> dict[str, _Judged]:
    """Each text once, the first that said it."""
    found: dict[str, _Judged] = {}
    for one in judged:
        found.setdefault(one.text, one)
    return found


def _provenance(run_id: str, pairs: Sequence[Pair], judged: Sequence[_Judged]) -> Mapping[str, Any]:
    return {
        "made from": "thumbs and typed answers in the playground; the person saw which model answered",
        "run": run_id,
        "judged answers": len(judged),
        "pairs of thumbs": sum(one.origin == "thumbs" for one in pairs),
        "typed answers": sum(one.origin == "written" for one in pairs),
        "people": 1,
        "rule": RULE,
    }
