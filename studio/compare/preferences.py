"""Judgements become data: from votes or thumbs to pairs of a better and a worse answer, as a data set to train on.

Guarantees: a pair is made only where more than half of the people who judged it preferred the same answer while they were
blind; what is left out is counted by its reason; every row says how many people judged it and how many of them agreed, and the
data set's card says where the pairs come from; the same pairs make the same file, and asking twice makes nothing twice.

The prompts of a session were mostly held out. Who trains on the pairs trains on them, so the new run's seal holds them, and a
comparison of that run refuses or stamps them like everything else that it was trained on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from studio import datasets
from studio.compare import outcome
from studio.compare.document import record_from_document
from studio.compare.giveaways import flags, shown
from studio.compare.record import Record, pair_of
from studio.compare.sessions import answered_by_all
from studio.compare.votes import Vote, tally
from studio.data.splitting.stored import plain
from studio.data.types import Message, messages_from
from studio.errors import DataError
from studio.origins import FromFile
from studio.settings import Settings
from studio.shelf import folder_of
from studio.store import AnswerRow, Store
from studio.work.files import write_json
from studio.work.tasks import PROVENANCE

Reason = Literal["unrated", "equal", "both_bad", "split", "same", "cut_off", "empty"]

#: Why something that was judged is no pair, as it goes on after a number of prompts.
WHY: Final[Mapping[Reason, str]] = {
    "unrated": "nobody judged, or everybody skipped",
    "equal": "were called equally good",
    "both_bad": "were called bad on both sides",
    "split": "had no majority for either answer",
    "same": "had the same answer twice",
    "cut_off": "had a better answer that was cut off at the limit",
    "empty": "had an answer with nothing in it",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A better and a worse answer to the same turns.

    ``raters`` people judged it, ``agreed`` of them preferred ``chosen``. ``origin`` says in a word where the judgement comes
    from (``votes``, ``thumbs``, ``written``); ``chosen_by`` and ``rejected_by`` name the systems that answered, where known.
    Raises ``DataError`` for a pair that says nothing.
    """

    prompt_messages: tuple[Message, ...]
    chosen: str
    rejected: str
    raters: int = 1
    origin: str = "votes"
    agreed: int = 1
    chosen_by: str = ""
    rejected_by: str = ""

    def __post_init__(self) -> None:
        if not self.prompt_messages:
            raise DataError("A pair needs a prompt.", where="prompt_messages")
        if self.chosen.strip() == self.rejected.strip():
            raise DataError("The better and the worse answer are the same.", where="chosen")


@dataclass(frozen=True, slots=True)
class Preferences:
    """Pairs with their history. ``left_out`` counts what was judged and is no pair; ``provenance`` is told on the data card."""

    name: str
    pairs: tuple[Pair, ...]
    left_out: Mapping[Reason, int] = field(default_factory=dict[Reason, int])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out and why, each in a few words; most frequent first."""
        listed = sorted(self.left_out.items(), key=lambda one: -one[1])
        return tuple(f"{many:,} {WHY[reason]}" for reason, many in listed if many)

    def to_jsonl(self) -> str:
        """The file of pairs: one object a line, in the form that readers of preferences know, and what is known beside."""
        return "".join(json.dumps(_line(one), ensure_ascii=False, sort_keys=True) + "\n" for one in self.pairs)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file: equal pairs have equal ones."""
        return hashlib.sha256(_encoded(self)).hexdigest()


def of_session(store: Store, session_id: str, owner: str) -> Preferences:
    """The pairs that a session's votes decide: one for each prompt and each two arms with a majority.

    Raises ``NotFoundError``; ``RunError`` while somebody is still rating, because a pair says whose answer was better.
    """
    document = outcome.export(store, session_id, owner)
    record = record_from_document(document)
    answers = answered_by_all(store.comparisons.answers(document["comparison"]), [arm.name for arm in record.arms])
    labels = {arm.name: arm.label or arm.name for arm in record.arms}
    left_out: Counter[Reason] = Counter()
    pairs: list[Pair] = []
    for one, other in ((each["challenger"], each["reference"]) for each in document["matchups"]):
        ties = record.automatic_ties.get(pair_of(one, other), ())
        left_out["same"] += len(ties)
        by_prompt = _by_prompt(record, one, other, ties)
        pairs += _decided(by_prompt, answers, (one, other), labels, left_out)
        rated = next(each["rated"] for each in document["matchups"] if (each["challenger"], each["reference"]) == (one, other))
        left_out["unrated"] += max(0, rated - len(by_prompt))
    about = labels[record.challengers[0].name]
    provenance = {
        "made from": "votes of a blind rating session",
        "session": document["session"],
        "comparison": document["comparison"],
        "run": document["run"] or "",
        "arms": [labels[arm.name] for arm in record.arms],
        "people": len({vote.rater for vote in record.ballots if not vote.unblinded}),
        "rule": "more than half of the blind votes on a prompt prefer the same answer; ties and both-bad count against",
        "left out": {WHY[reason]: many for reason, many in left_out.items() if many},
        "fingerprint of the data that the prompts were held out from": document["dataset_fingerprint"],
        "mind": "A run that trains on these pairs has seen their prompts. A comparison of it refuses or stamps them.",
    }
    return Preferences(f"Votes on {about}.jsonl", tuple(pairs), dict(left_out), provenance)


def known(store: Store, found: Preferences, owner: str) -> str:
    """The id of the data set that was made of exactly these pairs already; empty when there is none."""
    digest = found.fingerprint
    return next((row.id for row in store.datasets.all(owner) if row.fingerprint == digest), "")


def make_dataset(settings: Settings, store: Store, found: Preferences, owner: str, *, tell: datasets.Tell | None = None) -> str:
    """Check, split and record the pairs as a data set of this owner; its id. Made once, however often it is asked for.

    Takes a few seconds, in a process of its own. Raises ``DataError`` when there are too few pairs to split, ``StoreError``.
    """
    before = known(store, found, owner)
    if before:
        return before
    if not found.pairs:
        raise DataError(
            "No pair can be made of these judgements.",
            where=found.name,
            next_step=f"Of what was judged, {_listed(found.remarks)}." if found.remarks else "Judge some answers first.",
        )
    with tempfile.TemporaryDirectory(prefix="pairs-", dir=_home(settings)) as folder:
        file = Path(folder) / "pairs.jsonl"
        file.write_bytes(_encoded(found))
        staged_id, _ = datasets.stage(settings, FromFile(file, by_path=True), found.name, owner, tell=tell)
    write_json(folder_of(settings, staged_id) / PROVENANCE, dict(found.provenance))
    datasets.settle(settings, store, staged_id, owner, tell=tell)
    return staged_id


def _home(settings: Settings) -> Path:
    settings.datasets.mkdir(parents=True, exist_ok=True)
    return settings.datasets


def _by_prompt(record: Record, challenger: str, against: str, ties: Sequence[str]) -> dict[str, list[Vote]]:
    """The votes that count on each prompt: blind, the last of each person, no skips, no gold."""
    found: dict[str, list[Vote]] = defaultdict(list)
    for vote in tally(record.votes(challenger, against), automatic_ties=ties).votes:
        found[vote.prompt_id].append(vote)
    return found


def _decided(
    by_prompt: Mapping[str, Sequence[Vote]],
    answers: Mapping[str, Mapping[str, AnswerRow]],
    arms: tuple[str, str],
    labels: Mapping[str, str],
    left_out: Counter[Reason],
) -> list[Pair]:
    """A pair for each prompt that is decided between challenger and reference; the others are counted in ``left_out``."""
    pairs: list[Pair] = []
    for prompt_id, by_arm in answers.items():
        votes = by_prompt.get(prompt_id)
        if not votes:
            continue
        counts = Counter(vote.outcome for vote in votes)
        winner = next((side for side in ("tuned", "base") if 2 * counts[side] > len(votes)), None)
        if winner is None:
            left_out[_undecided(counts, len(votes))] += 1
            continue
        better, worse = arms if winner == "tuned" else arms[::-1]
        marks = flags(by_arm[better]), flags(by_arm[worse])
        if "empty" in marks[0] or "empty" in marks[1]:
            left_out["empty"] += 1
        elif "truncated" in marks[0]:
            # A model that learns from it learns to stop in the middle of a sentence.
            left_out["cut_off"] += 1
        else:
            pairs.append(
                Pair(
                    messages_from(json.loads(by_arm[better].prompt_json)),
                    shown(by_arm[better].text),
                    shown(by_arm[worse].text),
                    raters=len(votes),
                    agreed=counts[winner],
                    chosen_by=labels[better],
                    rejected_by=labels[worse],
                )
            )
    return pairs


def _undecided(counts: Counter[Any], many: int) -> Reason:
    if counts["tuned"] or counts["base"]:
        return "split"
    return "both_bad" if 2 * counts["both_bad"] > many else "equal"


def _line(one: Pair) -> dict[str, Any]:
    """A pair as conversations throughout: an answer that is JSON itself is then never taken for one."""
    beside = {"judged_by": one.raters, "agreed": one.agreed, "came_from": one.origin}
    named = {"chosen_by": one.chosen_by, "rejected_by": one.rejected_by} if one.chosen_by or one.rejected_by else {}
    return {
        "prompt": [plain(turn) for turn in one.prompt_messages],
        "chosen": [{"role": "assistant", "content": one.chosen}],
        "rejected": [{"role": "assistant", "content": one.rejected}],
        **beside,
        **named,
    }


def _encoded(found: Preferences) -> bytes:
    return found.to_jsonl().encode("utf-8", "replace")


def _listed(words: Sequence[str]) -> str:
    return "; ".join(words)
