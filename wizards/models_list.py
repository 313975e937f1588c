"""The list of models: where to start, a search, a filter, and what is known of each. Settings and the page of models share it.

Guarantees: pure; a price comes with its day and source or is said to be unknown; what is searched for is only compared, never
run; the model in use is always on the list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, cast

from studio import models
from studio.models import ARCHITECTURES, KINDS, SIZES, Aim, Architecture, Kind, Model, Size, Start
from studio.models.prices import Price
from wizards import forms, widgets
from wizards.widgets import Html, tag

Prices = Mapping[str, Price | None]

#: What each piece of advice is for.
AIMS: Final[Mapping[Aim, str]] = {
    "prototyping": "To try things out",
    "quality": "For the best answers",
    "speed": "For speed and price",
}
_FILTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "kind": cast("Mapping[str, str]", KINDS),
    "architecture": cast("Mapping[str, str]", ARCHITECTURES),
    "size": cast("Mapping[str, str]", SIZES),
}
#: With fewer models than this there is nothing to search.
_FEW: Final = 4
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Sought:
    """What somebody looks for: words, and a kind, build or size. Empty means any."""

    text: str = ""
    kind: str = ""
    architecture: str = ""
    size: str = ""

    def looking(self, name: str, value: str) -> Self:
        """After an edit of ``models-text`` or one of the filters, such as ``models-kind``; anything else changes nothing."""
        if name == "models-text":
            return replace(self, text=" ".join(value.split())[:_LONGEST])
        one = name.removeprefix("models-")
        return replace(self, **{one: value if value in _FILTERS[one] else ""}) if one in _FILTERS else self

    def to_text(self) -> str:
        """For the address; empty while nothing is sought."""
        chosen = ".".join(each for each in (self.kind, self.architecture, self.size) if each)
        return f"{chosen}:{self.text}" if chosen or self.text else ""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What ``to_text`` wrote; any other text seeks nothing that is there."""
        chosen, _, words = text.partition(":")
        found = cls().looking("models-text", words)
        for each in chosen.split("."):
            for name, known in _FILTERS.items():
                if each in known:
                    found = found.looking(f"models-{name}", each)
        return found

    def among(self, offered: Sequence[Model]) -> tuple[Model, ...]:
        """Those that are sought, in their order."""
        return models.search(
            offered,
            self.text,
            kind=cast("Kind", self.kind) if self.kind else None,
            architecture=cast("Architecture", self.architecture) if self.architecture else None,
            size=cast("Size", self.size) if self.size else None,
        )


def html(offered: Sequence[Model], chosen: str, sought: Sought, prices: Prices) -> Html:
    """Search and filter, and the models that fit. ``prices`` is by name; a model without one has a price that is not known."""
    fit = sought.among(offered)
    found = [model for model in offered if model.name == chosen or model in fit]
    said = count(len(fit), len(offered)) if len(fit) != len(offered) else ""
    return tag(
        "div",
        _advice(offered, chosen) if len(offered) >= _FEW else None,
        search(sought) if len(offered) >= _FEW else None,
        tag("p", said, cls="tf-remark", role="status") if said else None,
        tag(
            "ul",
            *(_model(model, model.name == chosen, prices.get(model.name)) for model in found),
            cls="tf-models",
            aria_label="Models",
        ),
        cls="tf-models-list",
    )


def count(fit: int, of: int) -> str:
    """How many of the models are those that are sought."""
    return f"{fit:,} of {of:,} models fit."


def _advice(offered: Sequence[Model], chosen: str) -> Html:
    starts = models.start_here(offered)
    return tag("ul", *(_start(each, chosen) for each in starts), cls="tf-advice", aria_label="Where to start")


def _start(now: Start, chosen: str) -> Html:
    model = now.model
    act = (
        tag("p", "In use", cls="tf-remark")
        if model.name == chosen
        else widgets.button(f"Start with {model.label}", "model", value=model.name, kind="quiet")
    )
    return advised(now, act)


def advised(now: Start, act: Html) -> Html:
    """One piece of advice with what can be done about it."""
    why = tag("p", now.why, cls="tf-remark")
    return tag("li", tag("h3", AIMS[now.aim]), tag("p", tag("strong", now.model.label)), why, act)


def search(sought: Sought, *more: str) -> Html:
    """The fields to look with: words and a kind, and ``more`` of the filters (``architecture``, ``size``)."""
    text = forms.text("tf-models-text", sought.text, kind="search", data_field="models-text")
    chosen = {"kind": sought.kind, "architecture": sought.architecture, "size": sought.size}
    labels = {"kind": "Kind", "architecture": "Build", "size": "Size"}
    return tag(
        "div",
        forms.field("Search by name, family or size", text, ident="tf-models-text"),
        *(_filter(name, labels[name], chosen[name]) for name in ("kind", *more)),
        cls="tf-fields",
    )


def _filter(name: str, label: str, value: str) -> Html:
    options = [("", "Any"), *((each, f"{each}: {words}" if each != words else each) for each, words in _FILTERS[name].items())]
    control = forms.choice(f"tf-models-{name}", options, value, data_field=f"models-{name}")
    return forms.field(label, control, ident=f"tf-models-{name}")


def day(date: str) -> str:
    """A day (ISO) as people write it: "7 October 2026"."""
    found = dt.date.fromisoformat(date)
    return f"{found.day} {found:%B %Y}"


def _paid(price: Price | None) -> str:
    """US dollars for a million tokens, with the day and the place where they were read."""
    if price is None:
        return "price not known"
    if not price.date:
        return f"free: {price.source}"
    paid = f"read {price.prefill:g}, write {price.sample:g}, train {price.train:g} USD for a million tokens"
    return f"{paid} ({price.date}, {price.source})" + (", which may have changed since" if price.old() else "")


def _model(model: Model, chosen: bool, price: Price | None) -> Html:
    act = (
        widgets.pill("In use", "live")
        if chosen
        else widgets.button("Choose", "model", value=model.name, kind="secondary", phase="Reading your data for this model")
    )
    facts = (
        f"{model.size} parameters, {ARCHITECTURES[model.architecture]}",
        f"{model.kind}: {KINDS[model.kind]}",
        f"reads {model.context:,} tokens",
        model.licence,
        _paid(price),
    )
    return tag(
        "li",
        tag(
            "div",
            tag("h3", model.label),
            tag("ul", *(tag("li", each) for each in facts), cls="tf-model-facts"),
            tag("p", model.notes),
        ),
        tag("div", act, cls="tf-model-act"),
        cls="is-chosen" if chosen else None,
    )
