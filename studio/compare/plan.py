"""What decides the answers of a comparison: who answers, which prompts, on which terms. Stored before the first answer.

Guarantees: a plan is a plain value; equal plans are equal texts, so that asking twice for the same makes nothing twice; plans
of earlier versions read as what they meant. Nothing here reads a file or a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, Self, cast

from studio.errors import SettingError
from studio.store import ArmKind, ArmRow, ComparisonRow

#: More prompts than this settle little that this many do not, and cost sampling and patience.
MOST_PROMPTS: Final = 200
#: Arms of one comparison. Each one more asks for more evidence, and for the same patience of raters again.
MOST_ARMS: Final = 8

SourceKind = Literal["held_out", "list", "pack"]
#: What becomes of a prompt that one of the arms was trained on.
Learned = Literal["refuse", "leave_out", "stamp"]


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What a person may choose. The same values go to all arms.

    ``temperature`` 0 by default: each model then gives its most likely answer, so that a difference between the two is the
    tuning and not the luck of the draw, and a repeated comparison gives the same answers. ``top_p`` and ``top_k`` matter only
    above 0. ``max_tokens`` of ``None`` leaves room for twice the longest answer in the data. ``seed`` also draws the prompts
    when there are more than ``max_prompts``. ``learned`` is about prompts that an arm was trained on, where they are not the
    held-out ones: refused, left out, or asked and stamped. Raises ``SettingError`` for a value that cannot work.
    """

    max_prompts: int = MOST_PROMPTS
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = None
    seed: int = 0
    learned: Learned = "refuse"

    def __post_init__(self) -> None:
        _require(1 <= self.max_prompts <= MOST_PROMPTS, "max_prompts", f"Use a whole number from 1 to {MOST_PROMPTS}.")
        _require(0 <= self.temperature <= 2, "temperature", "Use a number from 0 to 2.")
        _require(0 < self.top_p <= 1, "top_p", "Use a number above 0 and up to 1.")
        _require(self.top_k == -1 or self.top_k >= 1, "top_k", "Use -1 for no limit, or a whole number from 1.")
        _require(self.max_tokens is None or self.max_tokens >= 1, "max_tokens", "Use a whole number from 1.")
        _require(0 <= self.seed < 2**31, "seed", "Use a whole number from 0.")
        _require(self.learned in ("refuse", "leave_out", "stamp"), "learned", "Use refuse, leave_out or stamp.")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """Where the prompts come from.

    ``names`` are those of the packs, or what the person calls the list; ``digest`` (SHA-256) names the list as it was kept, or
    the packs as they ship. ``left_out`` counts lines of the list that hold no prompt.
    """

    kind: SourceKind = "held_out"
    names: tuple[str, ...] = ()
    digest: str = ""
    left_out: int = 0

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The source that ``asdict`` wrote."""
        fields: dict[str, Any] = {**value, "names": tuple(value["names"])}
        return cls(**fields)

    @property
    def words(self) -> str:
        """Where the prompts come from, as it goes on after their number. The names are a person's own text."""
        if self.kind == "held_out":
            return "held out at the split; the model never trained on them"
        named = ", ".join(self.names)
        return f"from a list of your own: {named}" if self.kind == "list" else f"that show what was forgotten: {named}"


@dataclass(frozen=True, slots=True)
class Imported:
    """Answers that came from a file: what the person calls it, and the name (SHA-256) under which they are kept."""

    name: str
    digest: str
    answers: int


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One system that answers, and how it is reached.

    ``name`` is neutral and unique; ``label`` is for people who may know. ``path`` are the tuned weights, empty for a model of
    the catalogue. ``digest`` names imported answers. ``run_seal`` says what a tuned arm was trained on.
    """

    name: str
    kind: ArmKind
    label: str
    model: str = ""
    wire_name: str = ""
    renderer: str = ""
    path: str = ""
    run_id: str = ""
    run_seal: str = ""
    step: int | None = None
    digest: str = ""

    @property
    def asked(self) -> bool:
        """Whether a model has to answer; the others have answered already."""
        return self.kind != "imported"

    @property
    def trained(self) -> bool:
        """Whether this studio trained it, so that a seal says on what."""
        return self.kind in ("run", "checkpoint")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the answers of one comparison; stored verbatim as its ``settings_json``.

    The first fields are about the run that is compared, and empty where there is none. The arm that stands first is the
    reference. Without ``arms`` they are that run and the model that it tuned.
    """

    model: str
    wire_name: str
    renderer: str
    sampler_path: str
    dataset_id: str
    dataset_fingerprint: str
    held_out_seal: str
    max_prompts: int
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    run_id: str = ""
    run_seal: str = ""
    arms: tuple[ArmPlan, ...] = ()
    source: PromptSource = PromptSource()
    learned: Learned = "refuse"

    def to_json(self) -> str:
        """JSON with sorted keys, so that equal plans are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, comparison: ComparisonRow) -> Self:
        """The plan of a stored comparison. Those of the first version do not name their run, nor their arms."""
        fields: dict[str, Any] = {"run_id": comparison.run_id or "", **json.loads(comparison.settings_json)}
        arms: list[dict[str, Any]] = fields.pop("arms", [])
        source = cast("dict[str, Any] | None", fields.pop("source", None))
        found = cls(**fields, source=PromptSource.from_dict(source) if source else PromptSource())
        return replace(found, arms=tuple(ArmPlan(**arm) for arm in arms) or found.base_and_tuned())

    def base_and_tuned(self, label: str = "") -> tuple[ArmPlan, ArmPlan]:
        """The two arms that every comparison of a run has; ``label`` is the run's name."""
        base = ArmPlan("base", "base", self.model, self.model, self.wire_name, self.renderer)
        tuned = replace(base, name="tuned", kind="run", label=label or self.run_id, path=self.sampler_path)
        return base, replace(tuned, run_id=self.run_id, run_seal=self.run_seal)

    def same_as(self, other: Plan) -> bool:
        """Whether the other plan leads to the same answers, whatever its arms are called by people."""
        return self._unlabelled() == other._unlabelled()

    def _unlabelled(self) -> Plan:
        return replace(self, arms=tuple(replace(arm, label="") for arm in self.arms))

    def rows(self) -> tuple[ArmRow, ...]:
        """The arms as the store keeps them; it fills in whose they are."""
        return tuple(self._row(arm) for arm in self.arms)

    def _row(self, arm: ArmPlan) -> ArmRow:
        details: dict[str, Any] = {"model": arm.model, "renderer": arm.renderer, "step": arm.step, "file": arm.digest}
        details["stamps"] = list(self.remarks(arm))
        kept = {key: value for key, value in details.items() if value not in ("", None, [])}
        run, told = arm.run_id or None, json.dumps(kept, ensure_ascii=False, sort_keys=True)
        return ArmRow("", arm.name, 0, "", arm.kind, arm.label, run, arm.path, told)

    def remarks(self, arm: ArmPlan) -> tuple[str, ...]:
        """What a reader of the verdict should know about how this arm differs from the reference, in sentences."""
        found: list[str] = []
        if arm.kind == "model":
            found.append(f"Nothing says whether {arm.label} was trained on these prompts.")
        if not arm.asked:
            found.append(f"Nothing says with which settings {arm.label} was asked, or whether it was trained on these prompts.")
        first = self.reference
        if arm.asked and first.asked and arm.renderer != first.renderer:
            found.append(f"{arm.label} was asked in its own template ({arm.renderer}), {first.label} in {first.renderer}.")
        return tuple(found)

    @property
    def reference(self) -> ArmPlan:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def challengers(self) -> tuple[ArmPlan, ...]:
        """All the others."""
        return self.arms[1:]


def _require(holds: bool, field: str, advice: str) -> None:
    if not holds:
        raise SettingError("This value cannot work.", where=field, next_step=advice)
