"""The list of models: where to start, a search, a filter, and what is known of each.

Guarantees: pure; a price comes with its day and source or is said to be unknown; what is searched for is only compared, never
run; the model in use is always on the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from studio.models import Kind, Model
from studio.models.prices import Price
from wizards import forms, widgets
from wizards.widgets import Html, tag

Prices = Mapping[str, Price | None]

_KINDS: Final[dict[Kind, str]] = {
    "instruct": "follows instructions",
    "hybrid": "can think aloud, or not",
    "reasoning": "always thinks aloud",
    "base": "only continues text",
}
_BUILT: Final = {"dense": "dense", "moe": "mixture of experts"}
#: With fewer models than this there is nothing to search.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Sought:
    """What somebody looks for: words in the name, and a kind. Empty means any."""

    text: str = ""
    kind: str = ""

    def looking(self, name: str, value: str) -> Self:
        """After an edit of ``models-text`` or ``models-kind``; anything else changes nothing."""
        if name == "models-text":
            return replace(self, text=" ".join(value.split())[:60])
        if name == "models-kind":
            return replace(self, kind=value if value in _KINDS else "")
        return self

    def to_text(self) -> str:
        """For the address; empty while nothing is sought."""
        return f"{self.kind}:{self.text}" if self.kind or self.text else ""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What ``to_text`` wrote; any other text seeks nothing that is there."""
        kind, _, words = text.partition(":")
        return cls().looking("models-kind", kind).looking("models-text", words)

    def fits(self, model: Model) -> bool:
        """Whether every word stands in what the list says of the model, and the kind is the one sought."""
        said = (model.name, model.label, model.family, model.kind, model.size, _KINDS[model.kind], _BUILT[model.architecture])
        told = " ".join(said).lower()
        return (not self.kind or model.kind == self.kind) and all(word in told for word in self.text.lower().split())


def html(models: Sequence[Model], chosen: str, sought: Sought, prices: Prices) -> Html:
    """Search and filter, and the models that fit. ``prices`` is by name; a model without one has a price that is not known."""
    found = [model for model in models if model.name == chosen or sought.fits(model)]
    hits = sum(sought.fits(model) for model in models)
    count = f"{hits:,} of {len(models):,} models fit." if hits != len(models) else ""
    return tag(
        "div",
        _advice(models, chosen) if len(models) >= _FEW else None,
        _search(sought) if len(models) >= _FEW else None,
        tag("p", count, cls="tf-remark", role="status") if count else None,
        tag(
            "ul",
            *(_model(model, model.name == chosen, prices.get(model.name)) for model in found),
            cls="tf-models",
            aria_label="Models",
        ),
        cls="tf-models-list",
    )


def advice(models: Sequence[Model]) -> tuple[tuple[str, Model, str], ...]:
    """Where to start: what for, which model, and why. The catalogue lists the best one to start with first."""
    able = [model for model in models if model.kind != "base"] or list(models)
    best = max(able, key=lambda model: model.parameters)
    quick = min(able, key=lambda model: model.active_parameters)
    return (
        ("To try things out", models[0], models[0].notes),
        ("For the best answers", best, f"The largest one here that answers by itself: {best.size} parameters."),
        ("For speed and price", quick, f"The fewest parameters at work on each token: {quick.size}."),
    )


def _advice(models: Sequence[Model], chosen: str) -> Html:
    return tag("ul", *(_start(*each, chosen) for each in advice(models)), cls="tf-advice", aria_label="Where to start")


def _start(what_for: str, model: Model, why: str, chosen: str) -> Html:
    act = (
        tag("p", "In use", cls="tf-remark")
        if model.name == chosen
        else widgets.button(f"Start with {model.label}", "model", value=model.name, kind="quiet")
    )
    return tag("li", tag("h3", what_for), tag("p", tag("strong", model.label)), tag("p", why, cls="tf-remark"), act)


def _search(sought: Sought) -> Html:
    kinds = [("", "Any kind"), *((name, f"{name}: {words}") for name, words in _KINDS.items())]
    text = forms.text("tf-models-text", sought.text, kind="search", data_field="models-text")
    kind = forms.choice("tf-models-kind", kinds, sought.kind, data_field="models-kind")
    return tag(
        "div",
        forms.field("Search by name, family or size", text, ident="tf-models-text"),
        forms.field("Kind", kind, ident="tf-models-kind"),
        cls="tf-fields",
    )


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
        f"{model.size} parameters, {_BUILT[model.architecture]}",
        f"{model.kind}: {_KINDS[model.kind]}",
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
