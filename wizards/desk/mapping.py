"""The mapping card: which form the file has, which column is what, which training fits and why, and one row to prove it.

Guarantees: pure; what was only guessed is said to be a guess, and says so until the person has confirmed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio import fitting, methods
from studio.data import Example, Inspection, Shape
from wizards import forms, widgets
from wizards.desk.screen import Screen
from wizards.desk.words import KINDS, PARTS, SPEAKERS, clip, pairs, parts_of
from wizards.widgets import Html, tag

_TRAINING: Final = {
    "SL": "Supervised learning (SL)",
    "DPO": "Preference training (DPO)",
    "RL": "Reinforcement learning (RL)",
}
_FIRST_LINE: Final = (("names", "names the columns"), ("data", "is the first row already"))
#: Turns of the example on the card, and characters of each.
_TURNS: Final = 4
_LONGEST: Final = 320


def card(now: Screen) -> Html | None:
    """The card. Folded to one line when the columns were recognised beyond doubt."""
    inspection = now.inspection
    if inspection is None or (inspection.shape is None and not inspection.columns):
        return None
    shape = inspection.shape
    if shape is not None and shape.exact and not now.chosen_columns:
        line = tag("p", widgets.pill("Columns recognised", "good"), tag("span", pairs(shape), cls="tf-remark"), cls="tf-mapped")
        other = (
            widgets.more("Choose otherwise", *_choosing(now, inspection), keep="data-mapping") if now.dataset is None else None
        )
        return widgets.join((line, _other_training(now), _example(inspection.example), other))
    state, why = _state(inspection)
    return widgets.join(
        (
            widgets.sheet(
                tag("div", tag("h2", "Which column is what?"), state, cls="tf-sheet-head"),
                tag("p", why),
                *(_choosing(now, inspection) if now.dataset is None else ()),
                _example(inspection.example),
                cls="tf-mapping",
            ),
            _other_training(now),
        )
    )


def _state(inspection: Inspection) -> tuple[Html, str]:
    shape = inspection.shape
    if shape is None:
        return widgets.pill("Please choose", "warn"), _unknown(inspection)
    if shape.exact:
        return widgets.pill("Chosen by you", "good"), "You can still choose otherwise; every row is then checked again."
    return widgets.pill("Please confirm", "warn"), shape.why


def _unknown(inspection: Inspection) -> str:
    if inspection.header is False:
        return "Your columns have no names, because the first line is read as the first row."
    return "The names of your columns do not tell which is which."


def _first_line(inspection: Inspection) -> Html | None:
    """What the first line of a table is; nothing for a file that has no such line."""
    if inspection.header is None:
        return None
    return forms.field(
        "The first line",
        forms.choice("tf-map-header", _FIRST_LINE, "names" if inspection.header else "data", data_field="header"),
        ident="tf-map-header",
    )


def _choosing(now: Screen, inspection: Inspection) -> tuple[Html, ...]:
    """The fields: what the file holds, then one column for each part of that form."""
    shape = inspection.shape
    known = dict(shape.columns if shape is not None else ()) | dict(now.chosen_columns)
    kind = known.pop("kind", "") or (shape.kind if shape is not None else "prompt_completion")
    needed, optional = parts_of(kind)
    form = forms.field(
        "What the file holds",
        forms.choice("tf-map-kind", tuple(KINDS.items()), kind, data_field="kind"),
        ident="tf-map-kind",
    )
    must = (_part(part, known.get(part, ""), inspection.columns) for part in needed)
    may = [_part(part, known.get(part, ""), inspection.columns, optional=True) for part in optional if part not in needed]
    why = (
        tag("p", tag("strong", _TRAINING[shape.training]), " fits. ", shape.method_why or "", cls="tf-remark")
        if shape is not None
        else None
    )
    more = widgets.more("More columns", tag("div", *may, cls="tf-fields"), keep="data-parts") if may else None
    whole = tag("div", form, _first_line(inspection), cls="tf-fields tf-fields-whole")
    return tuple(each for each in (whole, tag("div", *must, cls="tf-fields"), more, why) if each is not None)


def _part(part: str, column: str, columns: Sequence[str], *, optional: bool = False) -> Html:
    """The field that says which column plays this part."""
    words, ident = PARTS.get(part, part), f"tf-map-{part}"
    return forms.field(
        f"{words}, if there is one" if optional else words,
        forms.column(ident, columns, column, optional=optional, sends=f"part:{part}"),
        ident=ident,
    )


def _other_training(now: Screen) -> Html | None:
    """The file holds something else than the chosen method learns from: say so, and what it is good for."""
    inspection = now.inspection
    if inspection is None or inspection.shape is None or now.fits or now.dataset is not None:
        return None
    chosen = methods.method(now.method)
    fits = " or ".join(each.term for each in now.others)
    steps = (
        f"You chose {chosen.term}. It needs: {chosen.needs}",
        f"What you have fits {fits}." if fits else "",
        _instead(now, inspection.shape),
    )
    return tag(
        "div",
        widgets.notice(f"Your file holds {fitting.holds(inspection)}.", next_step=" ".join(filter(None, steps)), state="warn"),
        cls="tf-other-training",
    )


def _instead(now: Screen, shape: Shape) -> str:
    """How the chosen method can still learn something from the file."""
    if shape.training == "DPO" and "SL" in methods.method(now.method).data:
        return "Or learn from the better answers alone: that teaches what good looks like, but not what to avoid."
    if shape.training == "RL" and answer_of(shape):
        return "Or learn from the answers in the file as examples, whatever points they got."
    return ""


def answer_of(shape: Shape) -> str | None:
    """The column whose texts could be learned as answers, in a file that was made for another training."""
    return shape.column("answer") or shape.column("completion")


def _example(example: Example | None) -> Html | None:
    """One row as a conversation, clipped: enough to see that the columns are right."""
    if example is None or not example.messages:
        return None
    last = max((at for at, turn in enumerate(example.messages) if turn.role == "assistant"), default=-1)
    shown = list(enumerate(example.messages))
    skipped = len(shown) - _TURNS
    if skipped > 0:
        shown = [*shown[:1], *shown[-(_TURNS - 1) :]]
    turns = [turn(message.role, message.content, learned=at == last, longest=_LONGEST) for at, message in shown]
    if skipped > 0:
        turns.insert(1, tag("p", f"{skipped:,} turns are not shown here.", cls="tf-remark"))
    said = f"One row as the model will see it: line {example.line:,}. It learns to write the marked part."
    return tag("div", tag("p", said, cls="tf-remark"), tag("div", *turns, cls="tf-turns"), cls="tf-example")


def turn(role: str, content: str, *, learned: bool, longest: int = 4_000) -> Html:
    """One turn of a conversation; the part that is learned is marked by a word as well as by colour."""
    mark = tag("span", "learned", cls="tf-learned") if learned else None
    head = tag("p", tag("strong", SPEAKERS.get(role, role)), " " if mark else None, mark)
    return tag("div", head, tag("pre", clip(content, longest), dir="auto"), cls=f"tf-turn{' is-learned' if learned else ''}")
