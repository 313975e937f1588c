"""What a visitor has decided so far: one small frozen value of ids and scalars.

Guarantees: hashable and cheap to compare, so that it can live in ``gr.State``; it never holds data, a key or a client; it
survives in the page's address, so ``Draft.from_query(draft.to_query()) == draft`` for every draft.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, Self, cast, get_args
from urllib.parse import parse_qsl, urlencode

StepId = Literal["goal", "data", "settings", "train", "compare", "verdict"]

#: The steps in the order they are walked.
STEPS: Final[tuple[StepId, ...]] = get_args(StepId)

TITLES: Final[dict[StepId, str]] = {
    "goal": "Goal",
    "data": "Data",
    "settings": "Settings",
    "train": "Train",
    "compare": "Compare",
    "verdict": "Verdict",
}

Pairs = tuple[tuple[str, str], ...]

_SCALARS: Final = ("method", "dataset", "model", "dial", "run", "comparison", "session", "view")
_PAIRS: Final = {"answers": "answer", "mapping": "map", "changes": "set"}
_DEFAULT_MODEL: Final = "nano"
#: The scalars that an address leaves out while they say what they say anyway.
_DEFAULTS: Final = {"model": _DEFAULT_MODEL, "dial": "standard"}
#: An address is short; anything longer was not written by us.
_LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Draft:
    """One visitor's way through the wizard.

    ``answers`` are question id and choice id of the goal tree; ``mapping`` is role and column when the person set it;
    ``changes`` are setting name and the text typed for it (a long one under the name it is kept under, see ``studio.kept``);
    ``dial`` is how thorough the recommendation is to be; ``run``, ``comparison`` and ``session`` are ids in the store.
    ``view`` is free for the step on screen and forgotten when the step changes.
    """

    step: StepId = "goal"
    answers: Pairs = ()
    method: str = ""
    dataset: str = ""
    mapping: Pairs = ()
    model: str = _DEFAULT_MODEL
    changes: Pairs = ()
    dial: str = "standard"
    run: str = ""
    comparison: str = ""
    session: str = ""
    view: str = ""

    def at(self, step: StepId) -> Self:
        """The same draft on another step."""
        return replace(self, step=step, view="") if step != self.step else self

    def with_change(self, name: str, value: str | None) -> Self:
        """Note a changed setting; ``None`` goes back to the recommended value."""
        kept = tuple(pair for pair in self.changes if pair[0] != name)
        return replace(self, changes=kept if value is None else (*kept, (name, value)))

    def to_query(self) -> str:
        """The address of this draft, without the question mark. Empty for a fresh draft."""
        pairs: list[tuple[str, str]] = []
        if self.run:
            pairs.append(("run", self.run))
        if self.step != "goal" or self.run:
            pairs.append(("step", self.step))
        for name in _SCALARS:
            value = cast(str, getattr(self, name))
            if value and name != "run" and value != _DEFAULTS.get(name):
                pairs.append((name, value))
        for name, key in _PAIRS.items():
            pairs.extend((key, f"{left}:{right}") for left, right in cast(Pairs, getattr(self, name)))
        return urlencode(pairs)

    @classmethod
    def from_query(cls, query: str) -> Self:
        """Read an address back. Unknown or broken parts are ignored: an old link still opens the studio."""
        scalars: dict[str, str] = {}
        pairs: dict[str, list[tuple[str, str]]] = {name: [] for name in _PAIRS}
        keys = {key: name for name, key in _PAIRS.items()}
        step: StepId | None = None
        for key, value in parse_qsl(query.removeprefix("?"), max_num_fields=200):
            if len(value) > _LONGEST:
                continue
            if key == "step" and value in STEPS:
                step = value
            elif key in _SCALARS:
                scalars[key] = value
            elif key in keys and ":" in value:
                left, _, right = value.partition(":")
                pairs[keys[key]].append((left, right))
        # A bare ?run=ID, as a person would write it down, means: show me that run.
        if step is None:
            step = "train" if scalars.get("run") else "goal"
        return cls(
            step,
            answers=tuple(pairs["answers"]),
            method=scalars.get("method", ""),
            dataset=scalars.get("dataset", ""),
            mapping=tuple(pairs["mapping"]),
            model=scalars.get("model", _DEFAULT_MODEL),
            changes=tuple(pairs["changes"]),
            dial=scalars.get("dial", _DEFAULTS["dial"]),
            run=scalars.get("run", ""),
            comparison=scalars.get("comparison", ""),
            session=scalars.get("session", ""),
            view=scalars.get("view", ""),
        )
