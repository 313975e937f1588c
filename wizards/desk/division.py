"""The split card: three parts, what each is for, and how to divide differently.

Guarantees: pure; numbers before the split are said to be estimates; each choice says in one sentence what it means.
"""

from __future__ import annotations

from typing import Final

from studio import data
from studio.data import Inspection, SplitPlan
from wizards import forms, widgets
from wizards.desk.screen import Screen
from wizards.desk.words import different, splittable
from wizards.widgets import Html, Share, tag

_ORDERS: Final = (("", "well mixed"), ("length", "short examples first"))


def expected_shares(inspection: Inspection, plan: SplitPlan) -> tuple[Share, Share, Share]:
    """About how many rows each part will get, before the split is made."""
    rows = different(inspection)
    test, validation = round(rows * plan.test / 100), round(rows * plan.validation / 100)
    return _shares(max(0, rows - test - validation), validation, test)


def _shares(train: int, validation: int, test: int) -> tuple[Share, Share, Share]:
    return (
        Share("To learn from", train, "The model sees these (training)."),
        Share("To check on", validation, "It is measured on these while it learns (validation)."),
        Share("Sealed", test, "Nobody looks until the comparison (test)."),
    )


def card(now: Screen) -> Html | None:
    """How the rows will be, or were, divided."""
    inspection, plan = now.inspection, now.plan
    if inspection is None or plan is None or not splittable(inspection):
        return None
    if now.dataset is not None:
        parts = _shares(now.dataset.train.rows, now.dataset.validation.rows, now.dataset.test.rows)
        return widgets.sheet(
            tag("h2", "How it was divided"), widgets.shares(parts, unit="row"), _promise(), _told(now.dataset.plan)
        )
    if not now.fits:
        return None
    return widgets.sheet(
        tag("h2", "How it will be divided"),
        widgets.shares(expected_shares(inspection, plan), unit="row", about=True),
        _promise(),
        _told(plan),
        _choosing(now, plan),
    )


def _promise() -> Html:
    return tag("p", "Equal prompts always stay together, so the sealed part holds nothing that was learned.", cls="tf-remark")


def _told(plan: SplitPlan) -> Html | None:
    """What was chosen beyond the shares."""
    said = [
        f"Rows with the same “{plan.group}” stay together." if plan.group else "",
        f"Every part gets its share of each “{plan.stratify}”." if plan.stratify else "",
        "The model sees short examples first." if plan.order == "length" else "",
        f"The model sees the rows in the order of “{plan.order}”." if plan.order not in ("", "length") else "",
    ]
    words = " ".join(each for each in said if each)
    return tag("p", words) if words else None


def _choosing(now: Screen, plan: SplitPlan) -> Html:
    presets = tuple(_preset(other, other.name == plan.name) for other in data.PLANS)
    custom = forms.form(
        "shares",
        *(
            forms.field(
                words, forms.text(f"tf-share-{name}", f"{value:g}", name=name, inputmode="decimal"), ident=f"tf-share-{name}"
            )
            for name, words, value in (
                ("train", "To learn from, %", plan.train),
                ("validation", "To check on, %", plan.validation),
                ("test", "Sealed, %", plan.test),
            )
        ),
        forms.send("Use these shares", kind="secondary"),
        label="Shares of your own",
    )
    return widgets.more(
        "Divide differently",
        tag("div", *presets, role="group", aria_label="Shares", cls="tf-plans"),
        custom,
        tag(
            "p",
            "The sealed part is for the comparison at the end. Whatever was trained on cannot be compared on, so the studio "
            "remembers its prompts and refuses to mix them up.",
            cls="tf-field-note",
        ),
        _columns(now, plan) if now.groupable else None,
        keep="data-split",
    )


def _columns(now: Screen, plan: SplitPlan) -> Html:
    """Which columns decide. They are sent by their place, because a name may be longer than an address."""
    places = [(str(place), name) for place, name in enumerate(now.groupable)]
    back = {name: place for place, name in places}
    none = ("", "nothing")
    fields = (
        forms.field(
            "Keep together what shares",
            forms.choice("tf-split-group", (none, *places), back.get(plan.group, ""), data_field="group"),
            ident="tf-split-group",
            note="For example one customer or one document: all their rows go into the same part.",
        ),
        forms.field(
            "Share out evenly",
            forms.choice("tf-split-stratify", (none, *places), back.get(plan.stratify, ""), data_field="stratify"),
            ident="tf-split-stratify",
            note="For example the kind of task: each part then has its share of every kind.",
        ),
        forms.field(
            "The order in which the model sees the rows",
            forms.choice("tf-split-order", (*_ORDERS, *places), back.get(plan.order, plan.order), data_field="order"),
            ident="tf-split-order",
            note="Easy examples first can help (curriculum). Leave it well mixed when in doubt.",
        ),
    )
    return tag("div", *fields, cls="tf-fields tf-split-columns")


def _preset(plan: SplitPlan, chosen: bool) -> Html:
    return tag(
        "button",
        f"{plan.train:g} / {plan.validation:g} / {plan.test:g}",
        type="button",
        cls="tf-plan",
        aria_pressed="true" if chosen else "false",
        data_pick="plan",
        data_value=plan.name,
    )
