"""The table *setting, value, why, source*: one line for each setting, a field for each value, and a mark on what was changed.

Guarantees: pure; every value stands with its reason, its source and how far to trust it; what was typed stays in its field
while it has a problem, and the sentence about it stands right there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from studio.recipe import Badge, Setting
from wizards import forms, widgets
from wizards.widgets import Html, State, tag

#: How far a value can be trusted, as a colour; the word always stands with it.
BADGES: Final[dict[Badge, State]] = {
    "calibrated": "good",
    "measured by us": "good",
    "borrowed": "warn",
    "not calibrated": "warn",
    "rule": "quiet",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line. ``text`` is what stands in the field: the typed text while it has a problem.

    ``choices`` pairs values with words; ``long`` takes several lines; ``needed`` is what only the person can give.
    """

    setting: Setting
    text: str
    choices: tuple[tuple[str, str], ...]
    changed: bool
    problem: str
    warning: str
    long: bool = False
    needed: bool = False


def badge(found: Badge) -> Html:
    """How far to trust a value."""
    return widgets.pill(found, BADGES[found])


def table(rows: Sequence[Row], caption: str) -> Html:
    """The lines under their heads."""
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Setting", "Value", "Why", "Source")))
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *(_line(row) for row in rows)))
    return tag("div", whole, cls="tf-table tf-settings")


def _line(row: Row) -> Html:
    ident = f"tf-set-{row.setting.name}"
    return tag(
        "tr",
        tag("th", _label(row, ident), _mark(row), scope="row"),
        tag("td", control(row), back(row), data_label="Value"),
        tag("td", row.setting.reason, data_label="Why"),
        tag("td", badge(row.setting.badge), tag("span", row.setting.source), cls="tf-source", data_label="Source"),
        cls="is-changed" if row.changed else None,
    )


def card(row: Row) -> Html:
    """The same as a block of its own, for what a run is made of: its texts and lists need the whole width."""
    ident = f"tf-set-{row.setting.name}"
    return tag(
        "div",
        tag("div", _label(row, ident), _mark(row), cls="tf-made-head"),
        control(row),
        tag("p", row.setting.reason, cls="tf-field-note") if row.setting.reason else None,
        tag("p", badge(row.setting.badge), tag("span", row.setting.source), back(row), cls="tf-made-source"),
        cls="tf-made is-changed" if row.changed else "tf-made",
    )


def _label(row: Row, ident: str) -> Html:
    setting = row.setting
    return tag("label", tag("strong", setting.label), tag("span", f" ({setting.term})", cls="tf-remark"), for_=ident)


def _mark(row: Row) -> Html | None:
    if row.needed:
        return tag("span", "needed", cls="tf-changed")
    return tag("span", "changed", cls="tf-changed") if row.changed else None


def back(row: Row) -> Html | None:
    """One press to the recommended value."""
    if not row.changed:
        return None
    text = dict(row.choices or row.setting.choices).get(row.setting.text, row.setting.text)
    label = "Back to what is recommended" if row.long or not text or len(text) > 40 else f"Back to {text}"
    return widgets.button(label, "reset", value=row.setting.name, kind="quiet", sign="undo")


def control(row: Row) -> Html:
    """The field, its unit, and what is wrong with what stands in it."""
    ident = f"tf-set-{row.setting.name}"
    says = row.problem or row.warning
    about_it = f"{ident}-says" if says else None
    shared: dict[str, Any] = {
        "data_field": row.setting.name,
        "aria_describedby": about_it,
        "aria_invalid": "true" if row.problem else None,
    }
    if row.long:
        field = forms.area(ident, row.text, rows=6, **shared)
    elif row.choices:
        field = forms.choice(ident, row.choices, row.text, **shared)
    else:
        field = forms.text(ident, row.text, **shared)
    unit = tag("span", row.setting.unit, cls="tf-unit") if row.setting.unit else None
    note = tag("p", says, id=about_it, cls="tf-field-problem" if row.problem else "tf-field-warning") if says else None
    return tag("div", tag("div", field, unit, cls="tf-input"), note, cls="tf-field")
