"""The answers of each step of practice, and of each check: written while it is at work, read by whoever shows them.

Guarantees: a group is on disk as soon as it is scored, as one line of its step's file; a step that a resumed run does again
replaces what it left before; half a line of a process that was killed is passed over; reading one step reads one file. Steps
count as metrics do: what the first step learned from is step 1.

An answer that could not be scored has no reward and no advantage, and says why: it is shown, and the step learned nothing from
it. Where nobody scores answers (a teacher gives no reward) there is neither reward nor error.

Answers to held-out questions lie in a folder of their own, ``HELD_OUT``, in files numbered by the steps that were finished when
they were given: 0 is the model before training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

#: Beside a stage's files: what stands here is read with this folder in the place of the stage's.
HELD_OUT: Final = "held-out"
_FOLDER: Final = "rollouts"
_END: Final = ".jsonl"
#: Characters of a text that are kept. A run samples a hundred answers a step, and nobody reads longer ones here.
MOST_CHARACTERS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a reward on one answer, before its weight; ``None`` when it could not be worked out."""

    name: str
    value: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One sampled answer. ``tokens`` counts its tokens, ``cut`` says that it reached the longest answer without ending.

    ``advantage`` is the reward less the mean of the group: above zero is learned, below zero unlearned.
    """

    text: str
    reward: float | None
    parts: tuple[Part, ...]
    tokens: int
    advantage: float | None
    cut: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One question (of ``prompt_tokens`` tokens) and the answers that were sampled for it.

    ``compared`` is the answer that each of them was weighed against, where a judge did so.
    """

    prompt: str
    answers: tuple[Answer, ...]
    reference: str = ""
    prompt_tokens: int = 0
    compared: str = ""

    @property
    def flat(self) -> bool:
        """Whether all answers scored the same: then there is nothing to learn from this group."""
        rewards = {answer.reward for answer in self.answers if answer.reward is not None}
        return len(rewards) < 2


@dataclass(frozen=True, slots=True)
class Summary:
    """A step in numbers. Shares are from 0 to 1; ``reward`` and ``spread`` (standard deviation) leave missing scores out.

    Both are ``nan`` when nothing could be scored. ``signal`` is the share of groups that are not flat.
    """

    reward: float
    spread: float
    signal: float
    answer_tokens: float
    cut: float
    missing: float


def summary(groups: Sequence[Group]) -> Summary | None:
    """The numbers of a step, ``None`` without answers."""
    answers = [answer for group in groups for answer in group.answers]
    if not answers:
        return None
    rewards = [answer.reward for answer in answers if answer.reward is not None]
    mean = math.fsum(rewards) / len(rewards) if rewards else math.nan
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in rewards) / len(rewards)) if rewards else math.nan
    return Summary(
        reward=mean,
        spread=spread,
        signal=sum(not group.flat for group in groups) / len(groups),
        answer_tokens=sum(answer.tokens for answer in answers) / len(answers),
        cut=sum(answer.cut for answer in answers) / len(answers),
        missing=1 - len(rewards) / len(answers),
    )


def begin(folder: Path, step: int) -> None:
    """Forget what an earlier process left of this step. Raises ``OSError``."""
    _file(folder, step).unlink(missing_ok=True)


def add(folder: Path, step: int, group: Group) -> None:
    """Keep one group of a step. Raises ``OSError``."""
    path = _file(folder, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = asdict(group)
    for name in ("prompt", "reference", "compared"):
        record[name] = _short(record[name])
    for answer in record["answers"]:
        answer["text"] = _short(answer["text"])
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def steps(folder: Path) -> tuple[int, ...]:
    """The steps that have answers to show, in order."""
    found = [path.name.removesuffix(_END) for path in (folder / _FOLDER).glob(f"*{_END}")]
    return tuple(sorted(int(name) for name in found if name.isdecimal()))


def read(folder: Path, step: int) -> tuple[Group, ...]:
    """The groups of one step, in the order in which they were scored; none when the step left nothing."""
    try:
        lines = _file(folder, step).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ()
    return tuple(group for line in lines if (group := _group(line)) is not None)


def _file(folder: Path, step: int) -> Path:
    return folder / _FOLDER / f"{step:06d}{_END}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"


def _group(line: str) -> Group | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None  # half a line, or the empty one at the end
    if not isinstance(found, dict):
        return None
    record = cast("dict[str, Any]", found)
    answers = tuple(_answer(answer) for answer in record.pop("answers"))
    return Group(answers=answers, **record)


def _answer(record: Mapping[str, Any]) -> Answer:
    fields: dict[str, Any] = {**record, "parts": tuple(Part(**part) for part in record["parts"])}
    return Answer(**fields)
