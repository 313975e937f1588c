"""The prompts on which two arms differ most, both ways, by a measure of choice: a part of the step *Compare*.

Guarantees: nobody who still rates, or may yet rate, sees here who answered what; whoever looks knows beforehand that their own
votes would not be blind any more, and that is kept; both arms are treated alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode

from studio.compare import blind, generate
from studio.compare.generate import Column, Plan
from studio.compare.giveaways import shown
from studio.compare.looked import has_looked, note_look
from studio.compare.measures import Measure
from studio.errors import RunError, StudioError
from studio.store import AnswerRow, ComparisonRow
from wizards import forms, judging, measures_table, widgets
from wizards.draft import Draft
from wizards.shell import Context, Said, Visit
from wizards.widgets import Html, tag

#: The presses and choices that belong to this part.
PICKS: Final = ("rows", "rows-arm", "rows-measure")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt with both numbers and both answers."""

    prompt: str
    reference: str
    texts: tuple[str, str]
    scores: tuple[float, float]

    @property
    def change(self) -> float:
        """What the second arm has more."""
        return self.scores[1] - self.scores[0]


@dataclass(frozen=True, slots=True)
class Screen:
    """What is on show. ``state``: ``locked`` while the owner rates, ``closed`` until somebody asks, or ``open``.

    ``up`` and ``down`` are the prompts with the largest change, the largest first.
    """

    state: str = "closed"
    warns: bool = True
    arms: tuple[tuple[str, str], ...] = ()
    reference: str = ""
    arm: str = ""
    columns: tuple[Column, ...] = ()
    column: Column | None = None
    up: tuple[Row, ...] = ()
    down: tuple[Row, ...] = ()
    same: int = 0
    trouble: StudioError | None = None


def read(ctx: Context, visit: Visit, place: judging.Place, *, rating: bool, over: bool) -> Screen:
    """Look at the prompts that changed, if they may be seen. ``rating``: the owner still rates; ``over``: they have rated.

    What cannot be worked out any more, such as rows of a file that is gone, is said on the screen.
    """
    if place.comparison is None or rating:
        return Screen("locked")
    looked = has_looked(ctx.store, place.comparison.id, visit.owner)
    asked = _asked(visit.draft.view)
    if asked and judging.rates_the_same(ctx.store, place.comparison):
        return Screen("locked")
    if not asked or not (looked or over):
        return Screen("closed", warns=not (looked or over))
    try:
        return _opened(ctx, visit, place.comparison, asked)
    except StudioError as error:
        return Screen("open", trouble=error)


def _opened(ctx: Context, visit: Visit, comparison: ComparisonRow, asked: Mapping[str, str]) -> Screen:
    plan = Plan.of(comparison)
    arms = tuple((one.name, one.label) for one in plan.challengers)
    arm = asked.get("arm", "")
    arm = arm if arm in dict(arms) else arms[0][0]
    columns = _columns(_Changes(ctx.settings.database, comparison.id, visit.owner, arm, ctx))
    column = next((one for one in columns if one.name == asked.get("measure")), next(iter(columns), None))
    now = Screen("open", arms=arms, reference=plan.reference.label, arm=arm, columns=columns, column=column)
    if column is None:
        return now
    answers = ctx.store.comparisons.answers(comparison.id)
    rows = _rows(column, answers, plan.reference.name, arm)
    ranked = sorted(rows, key=lambda one: one.change)
    down = tuple(one for one in ranked[:_SHOWN] if one.change < 0)
    up = tuple(one for one in ranked[::-1][:_SHOWN] if one.change > 0)
    return replace(now, up=up, down=down, same=sum(one.change == 0 for one in rows))


@dataclass(frozen=True, slots=True)
class _Changes:
    """One arm of a complete comparison: its answers never change, so what is counted in them is counted once."""

    path: Path
    comparison_id: str
    owner: str
    arm: str
    ctx: Context = field(compare=False, repr=False)


@lru_cache(maxsize=16)
def _columns(of: _Changes) -> tuple[Column, ...]:
    return generate.changes_of(of.ctx.settings, of.ctx.store, of.comparison_id, of.owner, of.arm)[0]


def _asked(view: str) -> Mapping[str, str]:
    found = dict(parse_qsl(view, max_num_fields=10))
    return found if found.get("rows") == "1" else {}


def _rows(column: Column, answers: Sequence[AnswerRow], base: str, arm: str) -> list[Row]:
    told = {(one.prompt_id, one.arm): one for one in answers}
    found: list[Row] = []
    for prompt_id, before, after in column.scores:
        first, second = told[prompt_id, base], told[prompt_id, arm]
        prompt = blind.messages_of(first)[-1].content
        found.append(Row(prompt, first.reference, (shown(first.text), shown(second.text)), (before, after)))
    return found


# --- markup ----------------------------------------------------------------------------------------------------------------


def part(now: Screen) -> Html | None:
    """The part with its heading; nothing while the owner rates."""
    if now.state == "locked":
        return None
    inner = _closed(now) if now.state == "closed" else _open(now)
    return tag("section", tag("h2", "Which rows changed most"), *inner, cls="tf-part", id="tf-changed")


def _closed(now: Screen) -> tuple[Html | None, ...]:
    warning = (
        "Both answers to the prompts that changed most, with the names of those who gave them. Rate first, if you want to "
        "rate: once you have looked, your own votes would not be blind, and the studio offers you no seat in this comparison."
        if now.warns
        else "Both answers to the prompts that changed most, by a measure of your choice."
    )
    label = "Look, and do not rate myself" if now.warns else "Show the rows"
    return (
        tag("p", warning, cls="tf-remark"),
        tag("div", widgets.button(label, "rows", phase="Comparing the answers"), cls="tf-acts"),
    )


def _open(now: Screen) -> tuple[Html | None, ...]:
    column = now.column
    if now.trouble is not None:
        return (widgets.problem(now.trouble),)
    if column is None:
        return (tag("p", "Nothing can be counted for single prompts here.", cls="tf-remark"),)
    arms = forms.choice("tf-rows-arm", now.arms, now.arm, data_field="rows-arm")
    measures = forms.choice(
        "tf-rows-measure", [(one.name, one.label) for one in now.columns], column.name, data_field="rows-measure"
    )
    fields = (
        forms.field("Compare the reference with", arms, ident="tf-rows-arm") if len(now.arms) > 1 else None,
        forms.field("Sort by", measures, ident="tf-rows-measure"),
    )
    up, down = _headings(column)
    name = dict(now.arms)[now.arm]
    sides = (now.reference, name)
    parts = [_list(up, now.up, column, sides), _list(down, now.down, column, sides)]
    if column.better == "lower":
        parts.reverse()
    same = f"{now.same:,} of {len(column.scores):,} prompts did not change."
    return (
        tag("div", *fields, cls="tf-fields tf-rows-fields"),
        *parts,
        tag("p", same, cls="tf-remark tf-rows-same") if now.same else None,
    )


def _headings(column: Column) -> tuple[str, str]:
    if column.better == "neither":
        return "Largest increase", "Largest decrease"
    return ("Better by most", "Worse by most") if column.better == "higher" else ("Worse by most", "Better by most")


def _list(heading: str, rows: Sequence[Row], column: Column, sides: tuple[str, str]) -> Html:
    if not rows:
        return tag("div", tag("h3", heading), tag("p", "None.", cls="tf-remark"), cls="tf-rows-part")
    listed = tag("ol", *(_line(one, column, sides) for one in rows), cls="tf-answers")
    return tag("div", tag("h3", heading), listed, cls="tf-rows-part")


def _line(one: Row, column: Column, sides: tuple[str, str]) -> Html:
    unit = Measure(column.name, column.label, *one.scores, None, None, 1, column.better, column.unit)
    first, second = (measures_table.value(unit, score) for score in one.scores)
    change = tag("p", tag("span", f"{column.label}: "), tag("strong", f"{first} → {second}"), cls="tf-answers-result")
    return tag(
        "li",
        change,
        tag("p", one.prompt, cls="tf-model-text tf-rows-prompt", dir="auto", tabindex="0", role="group", aria_label="Prompt"),
        tag("div", *(_arm(name, text) for name, text in zip(sides, one.texts, strict=True)), cls="tf-answers-pair"),
        tag("p", tag("span", "Your data: "), one.reference, cls="tf-remark tf-rows-reference", dir="auto")
        if one.reference
        else None,
    )


def _arm(name: str, text: str) -> Html:
    body = tag("p", text, cls="tf-model-text", dir="auto", tabindex="0", role="group", aria_label=f"{name}: answer")
    return tag("div", tag("h4", name), body, cls="tf-answers-arm")


# --- acts ------------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said, now: Screen) -> Draft | None:
    """A press or a choice in this part; ``None`` for one that is not its own. A first look is kept before it is shown."""
    if said.name not in PICKS:
        return None
    place = judging.place_of(ctx.store, visit.draft, visit.owner)
    if now.state == "locked" or place.comparison is None or judging.rates_the_same(ctx.store, place.comparison):
        raise RunError(
            "You still rate these answers, so who gave them stays sealed.", next_step="Finish your own pairs first, then look."
        )
    if now.warns and now.state == "closed":
        note_look(ctx.store, place.comparison.id, visit.owner)
    asked = {"arm": now.arm, "measure": now.column.name if now.column else ""}
    if said.name == "rows-arm":
        asked["arm"] = said.value
    if said.name == "rows-measure":
        asked["measure"] = said.value
    view = urlencode({"rows": "1", **{name: value[:80] for name, value in asked.items() if value}})
    return replace(visit.draft, view=view)
