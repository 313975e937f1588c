"""When the data and the goal contradict each other: what the file holds, what the goal needs, and the ways out.

Guarantees: pure; says nothing while nothing is known about the file; every way out is a button, and none is taken unasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from studio import fitting, methods
from studio.data import TrainingType
from studio.methods import MethodId
from wizards import widgets
from wizards.draft import Draft
from wizards.widgets import Html, tag

#: What can be made of data of another kind, so that it can be learned from as examples.
_AS_EXAMPLES: Final[dict[TrainingType, str]] = {
    "DPO": "Use the better answers as examples",
    "RL": "Use the right answers as examples",
}


@dataclass(frozen=True, slots=True)
class Clash:
    """A file of another kind than the goal needs. ``ways`` are the methods that can train on it, the best one first."""

    method: MethodId
    training: TrainingType
    ways: tuple[MethodId, ...]

    @property
    def sentence(self) -> str:
        """The contradiction in plain words."""
        chosen = methods.method(self.method)
        holds = fitting.HOLDS[self.training]
        return f"Your file holds {holds}. {chosen.name} training needs something else: {_lower(chosen.needs)}"

    @property
    def words(self) -> str:
        """The same, as short as a button."""
        return "Your file and your goal do not fit"


def of(method: str, training: TrainingType | None) -> Clash | None:
    """The contradiction between a method and what a file holds, or ``None``. Raises ``NotFoundError`` for no method at all."""
    if not method or training is None:
        return None
    chosen = methods.method(method).id
    ways = methods.ways(training)
    return None if chosen in ways else Clash(chosen, training, ways)


def switched(draft: Draft, method: str) -> Draft:
    """The draft with another method, because the data asks for it. What was changed for the old one says nothing now."""
    return replace(draft, method=methods.method(method).id, answers=(), changes=())


def html(found: Clash) -> Html:
    """The contradiction, with a button for each way out."""
    acts: list[Html] = [
        widgets.button(f"Train it as {_lower(methods.method(way).name)}", "method", value=way, kind=_kind(at))
        for at, way in enumerate(found.ways)
    ]
    if found.training in _AS_EXAMPLES and found.method == "sl":
        acts.append(widgets.button(_AS_EXAMPLES[found.training], "data", kind="secondary"))
    acts.append(widgets.button("Use another file", "data", kind="quiet", sign="undo"))
    return widgets.join(
        (
            widgets.notice(found.sentence, next_step=_explained(found.ways), state="warn"),
            tag("div", *acts, cls="tf-acts tf-ways"),
        )
    )


def _kind(at: int) -> Literal["primary", "secondary"]:
    return "primary" if at == 0 else "secondary"


def _explained(ways: Sequence[MethodId]) -> str:
    told = (f"{methods.method(way).name}: {_lower(methods.method(way).plain)}" for way in ways)
    return "It can be trained another way. " + " ".join(told)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
