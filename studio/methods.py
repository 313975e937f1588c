"""Which way of training fits a goal: the questions, the endings, and what each method needs, read from ``methods.yaml``.

Guarantees: the tree is plain data; every path through it ends in a method that trains, or in honest advice not to train yet,
with what to do instead and a file to begin with; every question helps the person who is not sure. A test walks every path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from studio.errors import NotFoundError, SettingError

MethodId = Literal["sl", "rl", "dpo", "rlhf", "distill"]
Level = Literal["too few", "few", "enough"]

_TREE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True, slots=True)
class Method:
    """A way of training. ``minimum`` and ``recommended`` count ``unit``; below the minimum it seldom helps.

    ``plain`` explains it in one sentence, ``needs`` names the data, ``when`` and ``when_not`` say where it fits; ``time``,
    ``stability`` and ``cost`` are one sentence each. ``data`` lists the kinds of data that it can train on.
    """

    id: MethodId
    name: str
    term: str
    plain: str
    when: str
    when_not: str
    needs: str
    unit: str
    minimum: int
    recommended: int
    time: str
    stability: str
    cost: str
    data: tuple[str, ...]
    available: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to a question, with one concrete example. ``next`` is the id of a question or an ending."""

    id: str
    label: str
    example: str
    next: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question in plain words; ``text`` explains what is meant."""

    id: str
    title: str
    text: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A small file to start collecting with."""

    file_name: str
    text: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a path leads. ``available`` says that the wizard can go on to training from here.

    ``because`` continues the sentence "<method>, because …"; ``prepare`` lists what to do next, in order; ``preset`` pairs
    settings of the recipe with the values that this ending fixes.
    """

    id: str
    method: MethodId | None
    title: str
    because: str
    advice: str
    available: bool
    prepare: tuple[str, ...] = ()
    template: Template | None = None
    preset: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether there is enough data for a method, in one word and in one sentence."""

    level: Level
    sentence: str


def _load() -> tuple[tuple[Method, ...], str, dict[str, Question], dict[str, Ending]]:
    """The tree of ``methods.yaml`` as values. A key that is missing or unknown there stops the import."""
    tree = cast("dict[str, Any]", yaml.safe_load(_TREE.read_text(encoding="utf-8")))
    methods = tuple(_method(row) for row in tree["methods"])
    templates = {name: Template(**row) for name, row in tree["templates"].items()}
    ready = {found.id for found in methods if found.available}
    questions = (_question(row) for row in tree["questions"])
    endings = (_ending(row, templates, available=row["method"] in ready) for row in tree["endings"])
    return (
        methods,
        tree["first"],
        {question.id: question for question in questions},
        {ending.id: ending for ending in endings},
    )


def _method(row: dict[str, Any]) -> Method:
    values: dict[str, Any] = {**row, "data": tuple(row["data"])}
    return Method(**values)


def _question(row: dict[str, Any]) -> Question:
    return Question(
        id=row["id"], title=row["title"], text=row["text"], choices=tuple(Choice(**choice) for choice in row["choices"])
    )


def _ending(row: dict[str, Any], templates: Mapping[str, Template], *, available: bool) -> Ending:
    return Ending(
        id=row["id"],
        method=row["method"],
        title=row["title"],
        because=row["because"],
        advice=row["advice"],
        available=available,
        prepare=tuple(row.get("prepare", ())),
        template=templates[row["template"]] if "template" in row else None,
        preset=tuple(row.get("preset", {}).items()),
    )


#: All methods, the id of the question every path starts with, and every question and every ending by id.
METHODS, FIRST, QUESTIONS, ENDINGS = _load()


def method(name: str) -> Method:
    """The method with this id. Raises ``NotFoundError`` for any other name."""
    for candidate in METHODS:
        if candidate.id == name:
            return candidate
    known = ", ".join(candidate.id for candidate in METHODS)
    raise NotFoundError(f"There is no method called {name!r}.", where="method", next_step=f"Choose one of: {known}.")


def ways(training: str) -> tuple[MethodId, ...]:
    """The methods that can train on data of this kind (``SL``, ``DPO``, ``RL``), the simplest first."""
    return tuple(candidate.id for candidate in METHODS if training in candidate.data)


def walk(answers: Mapping[str, str]) -> Question | Ending:
    """Where these answers (question id to choice id) lead: the next open question, or the ending.

    Answers to questions that are not on the way are ignored, so any earlier answer can be changed. Raises ``SettingError``
    when an answer is not among the choices of its question.
    """
    way = path(answers)
    return _node(way[-1][1].next if way else FIRST)


def path(answers: Mapping[str, str]) -> tuple[tuple[Question, Choice], ...]:
    """The questions on the way with the choices taken, first to last. Raises as ``walk`` does."""
    taken: list[tuple[Question, Choice]] = []
    node = _node(FIRST)
    while isinstance(node, Question) and node.id in answers:
        choice = _choice(node, answers[node.id])
        taken.append((node, choice))
        node = _node(choice.next)
    return tuple(taken)


def paths(start: str = FIRST) -> Iterator[tuple[tuple[tuple[Question, Choice], ...], Ending]]:
    """Every way through the tree from ``start``, with its ending."""
    node = _node(start)
    if isinstance(node, Ending):
        yield (), node
        return
    for choice in node.choices:
        for rest, ending in paths(choice.next):
            yield ((node, choice), *rest), ending


def document() -> dict[str, Any]:
    """The whole tree as plain values for JSON: methods, first question, questions, endings, and every path as ids."""
    return {
        "methods": [asdict(one) for one in METHODS],
        "first": FIRST,
        "questions": [asdict(one) for one in QUESTIONS.values()],
        "endings": [{**asdict(one), "preset": dict(one.preset)} for one in ENDINGS.values()],
        "paths": [
            {"answers": {question.id: choice.id for question, choice in way}, "ending": ending.id} for way, ending in paths()
        ],
    }


def readiness(name: str, count: int) -> Readiness:
    """Whether ``count`` rows are enough for a method. Raises ``NotFoundError`` for an unknown one."""
    found = method(name)
    have = f"{count:,} {found.unit.removesuffix('s') if count == 1 else found.unit}"
    if count < found.minimum:
        more = found.minimum - count
        return Readiness(
            "too few",
            f"You have {have}. Below {found.minimum:,} the result is a matter of luck; {more:,} more would make a real start.",
        )
    if count < found.recommended:
        return Readiness("few", f"You have {have}, enough to start. {found.recommended:,} would be comfortable.")
    return Readiness("enough", f"You have {have}, which is plenty to start with.")


def _node(name: str) -> Question | Ending:
    return QUESTIONS[name] if name in QUESTIONS else ENDINGS[name]


def _choice(question: Question, answer: str) -> Choice:
    for choice in question.choices:
        if choice.id == answer:
            return choice
    known = ", ".join(choice.id for choice in question.choices)
    raise SettingError(
        f"{answer!r} is no answer to «{question.title}».", where=question.id, next_step=f"Choose one of: {known}."
    )
