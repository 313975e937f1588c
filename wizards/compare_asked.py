"""What a person puts together before anything answers: who takes part, on which prompts. A part of the step *Compare*.

Guarantees: it lives in the address, so that a reload or a second tab shows the same; an address that says something else asks
for the usual comparison; files are named by the digest under which they were kept, never by a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Self, TypeVar, get_args
from urllib.parse import parse_qsl, urlencode

from studio.compare import generate
from studio.compare.generate import Imported, Others, PromptSource
from studio.compare.lists import answers_of
from studio.compare.packs import packs
from studio.compare.plan import Learned, SourceKind
from studio.errors import DataError, SettingError
from studio.settings import Settings
from wizards import forms
from wizards.draft import Draft
from wizards.shell import Context, Said, Visit

Bring = Literal["", "list", "answers"]
T = TypeVar("T")

#: What may become of a prompt that somebody was trained on: the value, its name, and what follows.
LEARNED: Final[tuple[tuple[Learned, str, str], ...]] = (
    ("refuse", "Refuse", "Nobody is asked; you see which prompt it was."),
    ("leave_out", "Leave it out", "Everybody answers the others."),
    ("stamp", "Ask all the same", "The verdict carries a stamp: not held out."),
)

_KEPT: Final = re.compile(r"([0-9a-f]{64}) (\d{1,6}) (.+)", re.DOTALL)
_RUN: Final = re.compile(r"run-[A-Za-z0-9_-]{1,40}")
_STEP: Final = re.compile(r"\d{1,9}")
_LONGEST_NAME: Final = 24
#: An address takes no more for what a step looks at (see ``Draft.from_query``).
_LONGEST_VIEW: Final = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was brought: under which digest it is kept, what it is called, and how many of its lines hold no prompt."""

    digest: str
    name: str
    left_out: int = 0

    def __str__(self) -> str:
        """As it stands in an address."""
        return f"{self.digest} {self.left_out} {_short(self.name)}"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """The file that an address names; ``None`` for anything else."""
        found = _KEPT.fullmatch(text)
        return cls(found[1], found[3], int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Asked:
    """Who takes part besides the run and its base model, and on which prompts.

    ``against`` are ids of runs and names of models. ``bring`` is what is being brought just now.
    """

    checkpoints: tuple[int, ...] = ()
    against: tuple[str, ...] = ()
    files: tuple[Kept, ...] = ()
    on: SourceKind = "held_out"
    packs: tuple[str, ...] = ()
    listed: Kept | None = None
    learned: Learned = "refuse"
    bring: Bring = ""

    @classmethod
    def from_view(cls, view: str) -> Self | None:
        """What the view asks for; ``None`` when it looks at something else."""
        pairs = parse_qsl(view, max_num_fields=60)
        if ("ask", "1") not in pairs:
            return None

        def all_of(key: str) -> Iterable[str]:
            return dict.fromkeys(value for name, value in pairs if name == key)

        def one_of(key: str, known: tuple[str, ...], usual: str) -> str:
            return next((value for value in all_of(key) if value in known), usual)

        known_packs = [one.name for one in packs()]
        on, learned = one_of("on", get_args(SourceKind), "held_out"), one_of("learned", get_args(Learned), "refuse")
        return cls(
            checkpoints=tuple(int(one) for one in all_of("step") if _STEP.fullmatch(one)),
            against=tuple(one[:120] for one in all_of("with")),
            files=tuple(kept for one in all_of("file") if (kept := Kept.of(one))),
            on=next(one for one in get_args(SourceKind) if one == on),
            packs=tuple(one for one in all_of("pack") if one in known_packs),
            listed=next((kept for one in all_of("list") if (kept := Kept.of(one))), None),
            learned=next(one for one in get_args(Learned) if one == learned),
            bring=next((one for one in get_args(Bring) if one == one_of("bring", ("list", "answers"), "")), ""),
        )

    def to_view(self) -> str:
        """As it stands in the address. Raises ``SettingError`` when that is too long for one."""
        view = urlencode(
            [
                ("ask", "1"),
                *(("step", one) for one in self.checkpoints),
                *(("with", one) for one in self.against),
                *(("file", str(one)) for one in self.files),
                *((("on", self.on),) if self.on != "held_out" else ()),
                *(("pack", one) for one in self.packs),
                *((("list", str(self.listed)),) if self.listed else ()),
                *((("learned", self.learned),) if self.learned != "refuse" else ()),
                *((("bring", self.bring),) if self.bring else ()),
            ]
        )
        if len(view) > _LONGEST_VIEW:
            raise SettingError(
                "This is more than one address holds.", where="Compare", next_step="Take one of the files or models out again."
            )
        return view

    @property
    def size(self) -> int:
        """How many take part besides the run and its base model."""
        return len(self.checkpoints) + len(self.against) + len(self.files)

    @property
    def may_know(self) -> bool:
        """Whether somebody may have been trained on a prompt, so that it has to be said what becomes of it."""
        return self.on != "held_out" or any(_RUN.match(one) for one in self.against)

    def toggled(self, value: str) -> Self:
        """With one of those that take part added, or taken out: ``step:N``, ``with:NAME`` or ``file:DIGEST``."""
        kind, _, name = value.partition(":")
        if kind == "step" and _STEP.fullmatch(name):
            return replace(self, checkpoints=_switched(self.checkpoints, int(name)))
        if kind == "with" and name:
            return replace(self, against=_switched(self.against, name[:120]))
        if kind == "file":
            return replace(self, files=tuple(one for one in self.files if one.digest != name))
        return self

    def with_pack(self, name: str) -> Self:
        """With a regression pack added, or taken out."""
        return replace(self, packs=_switched(self.packs, name)) if name in {one.name for one in packs()} else self

    def others(self, settings: Settings) -> Others:
        """Those who take part besides the run and its base model. Raises ``DataError`` when a file is gone."""
        files = (Imported(one.name, one.digest, len(answers_of(settings, one.digest))) for one in self.files)
        return Others(self.checkpoints, self.against, tuple(files))

    def source(self, settings: Settings) -> PromptSource | None:
        """Where the prompts come from; ``None`` for the held-out ones. Raises ``DataError`` when there are none yet."""
        match self.on:
            case "held_out":
                return None
            case "pack":
                if not self.packs:
                    raise DataError("No pack is chosen.", where="On which prompts?", next_step="Choose at least one.")
                return generate.keep_packs(settings, self.packs)
            case "list":
                if self.listed is None:
                    raise DataError(
                        "There is no list of prompts yet.",
                        where="On which prompts?",
                        next_step="Paste your prompts, or add a file of them.",
                    )
                return PromptSource("list", (self.listed.name,), self.listed.digest, self.listed.left_out)


def _switched(found: tuple[T, ...], one: T) -> tuple[T, ...]:
    return tuple(each for each in found if each != one) if one in found else (*found, one)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


# --- acts ------------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, asked: Asked, said: Said) -> Draft | None:
    """What a press on this part does; ``None`` for one that is not its own. Raises what reading a list raises."""
    after: Asked | None = None
    match said.name:
        case "side":
            after = asked.toggled(said.value)
        case "compare-model":
            after = asked.toggled(f"with:{said.value}") if said.value not in asked.against else asked
        case "bring":
            after = replace(asked, bring="answers" if said.value == "answers" else "")
        case "on":
            after = replace(asked, on=next((one for one in ("held_out", "list", "pack") if one == said.value), asked.on))
        case "pack":
            after = asked.with_pack(said.value)
        case "learned":
            after = replace(asked, learned=next((one for one, _, _ in LEARNED if one == said.value), asked.learned))
        case "unlist":
            after = replace(asked, listed=None)
        case "compare-paste":
            text = forms.sent(said.value).get("text", "")
            if not text.strip():
                raise DataError("There is no prompt yet.", where="Your prompts", next_step="Write or paste one prompt a line.")
            after = with_list(asked, generate.keep_pasted(ctx.settings, text))
        case _:
            return None
    return replace(visit.draft, view=after.to_view())


def brought(ctx: Context, visit: Visit, asked: Asked, path: Path, what: Bring) -> Draft:
    """A file has arrived: a list of prompts, or the answers of another system. Raises ``DataError`` as reading it does."""
    if what == "list":
        after = with_list(asked, generate.keep_prompts(ctx.settings, path, path.name))
    else:
        found = generate.keep_answers(ctx.settings, path, path.name)
        files = (*(one for one in asked.files if one.digest != found.digest), Kept(found.digest, found.name))
        after = replace(asked, files=files, bring="")
    return replace(visit.draft, view=after.to_view())


def with_list(asked: Asked, source: PromptSource) -> Asked:
    """With this list of prompts, which was kept."""
    return replace(asked, on="list", listed=Kept(source.digest, ", ".join(source.names), source.left_out))
