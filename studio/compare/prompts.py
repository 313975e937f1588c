"""Which prompts are asked, what is known of each, and whether one of the arms was trained on it.

Guarantees: each prompt once; when there are more than wanted, the hash of seed and prompt draws them, which depends neither on
the order of a file nor on anything a model did; a held-out prompt that an arm was trained on is refused, and one of another
list is refused, left out or stamped, as the plan says; nothing is called unseen without a seal that says so.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from studio import data
from studio.compare import lists
from studio.compare.labels import are_labels
from studio.compare.plan import ArmPlan, Plan
from studio.data import Dataset, Message
from studio.data.splitting.seal import keys_of
from studio.errors import DataError
from studio.rewards.kinds import TaskRow
from studio.rewards.rows import asked, task_row
from studio.runs import seal
from studio.settings import Settings
from studio.store import checked_id

#: The stamp of a prompt that an arm was trained on.
TRAINED_ON: Final = "trained on"

_PAGE: Final = 5_000
#: Rows with equal prompts share this many first characters of their ids (see ``data.prompt_ids``).
_PROMPT_PART: Final = 16
#: Characters of a prompt up to which it counts as short, and as of middle length.
_BANDS: Final = ((200, "up to 200 characters"), (1_000, "201 to 1,000 characters"))
_LONG_BAND: Final = "over 1,000 characters"


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt: the turns that all arms are given, and the answer that the data holds.

    The answer is the example's, the better one of a pair, or the right one of a task; empty where the data has none. ``more``
    is what it carries beside its text, such as tool calls. ``worse`` is the other answer of a pair. ``task`` is the row as a
    reward sees it where there is a row, ``check`` a reward that belongs to this very prompt, as JSON. ``slices`` maps the name
    of a slice to this prompt's value; ``stamp`` is empty or ``TRAINED_ON``.
    """

    position: int
    prompt_id: str
    messages: tuple[Message, ...]
    reference: str
    more: str = ""
    task: TaskRow | None = None
    worse: str = ""
    check: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    stamp: str = ""


def questions(settings: Settings, plan: Plan) -> tuple[Question, ...]:
    """The prompts of a plan, each once, in the order of their file.

    Raises ``DataError`` when the held-out part is not the one that was sealed, when a list is gone, or when a prompt was
    trained on that must not be; ``RunError`` when nothing says what a run was trained on.
    """
    found = _held_out(settings, plan) if plan.source.kind == "held_out" else _listed(settings, plan)
    found = _sliced(found)
    return tuple(replace(one, position=place) for place, one in enumerate(_screened(settings, plan, found)))


def matched(settings: Settings, digest: str, conversations: Sequence[Sequence[Message]]) -> tuple[str | None, ...]:
    """The imported answer to each of these prompts, ``None`` where the file has none.

    Prompts are equal as they are everywhere: up to case, white space and Unicode form, a system turn aside. Raises
    ``DataError`` when the file is gone.
    """
    known = lists.answers_of(settings, digest)
    keys = keys_of([*conversations, *(messages for messages, _ in known)])
    there = {key: answer for key, (_, answer) in zip(keys[len(conversations) :][::-1], known[::-1], strict=True)}
    return tuple(there.get(key) for key in keys[: len(conversations)])


def held_out_rows(dataset: Dataset) -> Iterator[data.Row]:
    """The held-out rows; of rows with equal prompts the first, because a prompt is rated once however often it stands there."""
    seen: set[str] = set()
    for offset in range(0, dataset.test.rows, _PAGE):
        for row in data.rows(dataset.test.path, _PAGE, offset):
            prompt = row.prompt_id[:_PROMPT_PART]
            if prompt not in seen:
                seen.add(prompt)
                yield row


def _held_out(settings: Settings, plan: Plan) -> list[Question]:
    dataset = data.load(settings.datasets / checked_id(plan.dataset_id))
    rows = list(_answered(settings, plan, list(held_out_rows(dataset))))
    chosen = sorted(
        heapq.nsmallest(plan.max_prompts, rows, key=lambda row: _drawn(plan, row.prompt_id)), key=lambda row: row.line
    )
    if data.held_out_seal(dataset) != plan.held_out_seal or not dataset.test.rows:
        raise DataError(
            "The held-out rows are not the ones that were put aside when this data set was split.",
            where=str(dataset.test.path),
            next_step="Load the file again and train on it; what was held out must never change.",
        )
    # The last word have the texts that would be asked, whatever the ids beside them say.
    learned = sum(seal.trained_on(settings, plan.run_id, plan.run_seal, [asked(row) for row in chosen]))
    if learned:
        raise DataError(
            f"{learned:,} of {len(chosen):,} held-out prompts {'was' if learned == 1 else 'were'} trained on, so the answers "
            "would show what was memorised and not what was learned.",
            where=str(dataset.test.path),
            next_step="Load the file again and train on it; what was held out must never change.",
        )
    labels = data.labels(dataset.test.path, dataset.inspection)
    return [replace(question_of(place, row), slices=labels.get(row.prompt_id, {})) for place, row in enumerate(chosen)]


def question_of(position: int, row: data.Row) -> Question:
    """A row of a data set as a question."""
    turns = asked(row)
    if len(turns) < len(row.messages):
        answer = row.messages[-1]
        return Question(position, row.prompt_id, turns, answer.content, answer.more, task_row(row))
    # A task's written answer with a score beside it is what somebody said, and not what should be said.
    answer = row.reference or ("" if row.reward is not None else row.completion)
    return Question(position, row.prompt_id, turns, answer, task=task_row(row), worse=row.rejected)


def _answered(settings: Settings, plan: Plan, rows: Sequence[data.Row]) -> Iterator[data.Row]:
    """The rows to which every imported arm has an answer."""
    left = list(rows)
    for arm in _imported(plan):
        answers = matched(settings, arm.digest, [asked(row) for row in left])
        left = [row for row, answer in zip(left, answers, strict=True) if answer is not None]
        _require_some(len(left), arm)
    yield from left


def _listed(settings: Settings, plan: Plan) -> list[Question]:
    entries = list(lists.entries_of(settings, plan.source.digest))
    for arm in _imported(plan):
        answers = matched(settings, arm.digest, [one.messages for one in entries])
        entries = [one for one, answer in zip(entries, answers, strict=True) if answer is not None]
        _require_some(len(entries), arm)
    drawn = {one.prompt_id for one in heapq.nsmallest(plan.max_prompts, entries, key=lambda one: _drawn(plan, one.prompt_id))}
    chosen = [one for one in entries if one.prompt_id in drawn]
    return [
        Question(place, one.prompt_id, one.messages, one.reference, check=one.check, slices=one.slices)
        for place, one in enumerate(chosen)
    ]


def _imported(plan: Plan) -> list[ArmPlan]:
    return [arm for arm in plan.arms if not arm.asked]


def _require_some(left: int, arm: ArmPlan) -> None:
    if not left:
        raise DataError(
            "This file answers none of the prompts that the other arms can be asked.",
            where=arm.label,
            next_step="Ask the other system exactly these prompts, or compare on the prompts of the file.",
        )


def _drawn(plan: Plan, prompt_id: str) -> bytes:
    return hashlib.sha256(f"{plan.seed}:{prompt_id}".encode()).digest()


def _screened(settings: Settings, plan: Plan, found: Sequence[Question]) -> list[Question]:
    """What may be asked: prompts that an arm was trained on are refused, left out or stamped."""
    learned: set[str] = set()
    for run_id, run_seal, label in dict.fromkeys((arm.run_id, arm.run_seal, arm.label) for arm in plan.arms if arm.trained):
        if plan.source.kind == "held_out" and run_id == plan.run_id:
            continue  # looked at already, and more strictly
        known = seal.trained_on(settings, run_id, run_seal, [one.messages for one in found])
        mine = {one.prompt_id for one, was in zip(found, known, strict=True) if was}
        if mine and plan.learned == "refuse":
            raise DataError(
                f"{label} was trained on {len(mine):,} of these {len(found):,} prompts, so its answers would show what it "
                "memorised.",
                where=_shortened(next(one for one in found if one.prompt_id in mine)),
                next_step="Leave these prompts out, or compare on them all the same and have the verdict stamped.",
            )
        learned |= mine
    if plan.learned == "leave_out":
        found = [one for one in found if one.prompt_id not in learned]
        if not found:
            raise DataError("Every prompt was trained on.", next_step="Bring prompts that none of the models has seen.")
    return [replace(one, stamp=TRAINED_ON) if one.prompt_id in learned else one for one in found]


def _shortened(question: Question) -> str:
    text = question.messages[-1].content
    return text if len(text) <= 80 else f"{text[:79]}…"


def _sliced(found: Sequence[Question]) -> list[Question]:
    """Each question with the slices that follow from it and the others: label, length of the prompt, number of turns."""
    labelled = are_labels([one.reference for one in found])
    several = len({_is_chat(one) for one in found}) > 1
    return [replace(one, slices=_slices(one, labelled=labelled, several=several)) for one in found]


def _slices(one: Question, *, labelled: bool, several: bool) -> dict[str, str]:
    size = sum(len(turn.content) for turn in one.messages)
    found = {**one.slices, "prompt length": next((name for most, name in _BANDS if size <= most), _LONG_BAND)}
    if labelled:
        found.setdefault("right answer", one.reference)
    if several:
        found["turns"] = "a conversation" if _is_chat(one) else "one question"
    return found


def _is_chat(one: Question) -> bool:
    return sum(turn.role != "system" for turn in one.messages) > 1
