"""What the page of models looks like below its title: advice, fields to search with, the table, and where prices come from.

Guarantees: pure; every model has all its facts in words and units, also on a phone, where a row becomes a card; only a model
that the place can train has a way into a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from studio.models import ARCHITECTURES, KINDS, Model, Start
from studio.models.prices import Price, Storage
from studio.settings import Place
from wizards import forms, models_list, widgets
from wizards.draft import Draft
from wizards.models_list import Prices, Sought, day
from wizards.widgets import Html, tag

__all__ = ["about_prices", "day", "fields", "nothing", "start", "table"]

_COLUMNS: Final = ("Model", "Size", "Kind", "Hidden size", "Context", "Renderer", "USD per million tokens", "In a run")
_FAMILIES: Final = {"qwen": "Qwen", "llama": "Llama", "other": "Other family"}
#: Why a model that hosted Tinker has not retired leads into no run.
_ELSEWHERE: Final[Mapping[Place, str]] = {
    "embedded": "Needs hosted Tinker or a cluster.",
    "hosted": "Tinker does not list it.",
    "cluster": "Your server does not have it.",
}
_WHERE: Final[Mapping[Place, str]] = {"embedded": "this computer", "hosted": "hosted Tinker", "cluster": "your cluster"}
_EXAMPLE: Final = """\
models:
  - model: Qwen/Qwen3-8B
    date: 2026-11-21
    source: the page or contract that says so
    prefill: 0.195
    sample: 0.60
    train: 0.44
"""


def start(now: Start, href: str, draft: Draft) -> Html:
    """One piece of advice, with the way into a run."""
    return models_list.advised(now, _use(now.model, href, draft, f"Start with {now.model.label}", "quiet"))


def fields(sought: Sought, *, here: bool, place: Place) -> Html:
    """Words, kind, build, size, and whether only what can be trained here counts."""
    options = (("", "All models"), ("yes", f"Only what {_WHERE[place]} trains"))
    control = forms.choice("tf-models-here", options, "yes" if here else "", data_field="models-here")
    where = forms.field("Where", control, ident="tf-models-here")
    return tag(
        "section",
        tag("h2", "All models"),
        tag("div", models_list.search(sought, "architecture", "size"), where, cls="tf-sought"),
        cls="tf-part",
        role="search",
        aria_label="Models",
    )


def nothing() -> Html:
    """Nothing fits what is sought."""
    show = widgets.button("Show all models", "clear", kind="secondary")
    return widgets.empty("No model fits", "Fewer words or another filter will show more.", show)


def table(found: Sequence[Model], able: Mapping[str, str], prices: Prices, asked: Place, draft: Draft) -> Html:
    """The models, those that nobody can train any more folded away where there are others.

    ``able`` is where a run with each of those leads that can be trained at the place ``asked``, by name.
    """
    over = [model for model in found if model.retired and model.name not in able]
    rest = [model for model in found if model not in over]

    def drawn(some: Sequence[Model], caption: str) -> Html:
        head = tag("tr", *(tag("th", name, scope="col") for name in _COLUMNS))
        rows = (_row(each, prices.get(each.name), _act(each, able.get(each.name, ""), asked, draft)) for each in some)
        whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *rows))
        return tag("div", whole, cls="tf-table tf-runs tf-catalogue", tabindex="0", role="region", aria_label=caption)

    if not rest:
        return drawn(over, "Models")
    folded = f"{len(over)} more that hosted Tinker has retired" if len(over) > 1 else "1 more that hosted Tinker has retired"
    retired = widgets.more(folded, drawn(over, "Retired models"), keep="models-retired") if over else None
    return widgets.join((drawn(rest, "Models"), retired))


def _row(model: Model, paid: Price | None, act: Html) -> Html:
    def cell(column: int, *children: object, cls: str | None = None) -> Html:
        return tag("td", *children, data_label=_COLUMNS[column], cls=cls)

    def remark(text: str) -> Html:
        return tag("span", text, cls="tf-remark")

    name = tag("strong", model.label, cls="tf-runs-name")
    return tag(
        "tr",
        tag("td", name, tag("span", model.wire_name, cls="tf-runs-id"), remark(model.notes)),
        cell(1, tag("span", model.size), remark(ARCHITECTURES[model.architecture]), remark(_FAMILIES[model.family])),
        cell(2, tag("span", model.kind), remark(KINDS[model.kind])),
        cell(3, tag("span", f"{model.hidden_size:,}"), cls="tf-runs-number"),
        cell(4, tag("span", f"{model.context:,}"), remark("tokens"), cls="tf-runs-number"),
        cell(5, tag("code", model.renderer)),
        cell(6, *_paid(paid)),
        cell(7, act),
    )


def _paid(paid: Price | None) -> tuple[Html, ...]:
    """What reading, writing and training cost, with the day and the source."""
    if paid is None:
        return (tag("span", "not known", cls="tf-remark"),)
    if not paid.date:
        return (tag("span", "free"), tag("span", paid.source, cls="tf-remark"))
    amounts = (("read", paid.prefill), ("write", paid.sample), ("train", paid.train))
    kinds = (tag("span", tag("span", f"{name} "), f"{amount:g}") for name, amount in amounts)
    old = " It may have changed since." if paid.old() else ""
    return (
        tag("span", *kinds, cls="tf-amounts"),
        tag("span", f"{day(paid.date)}, {paid.source}.{old}", cls="tf-remark"),
    )


def _act(model: Model, href: str, place: Place, draft: Draft) -> Html:
    if href:
        return _use(model, href, draft, "Use this model", "secondary")
    if model.retired:
        return tag("span", f"Hosted Tinker retired it on {day(model.retired)}.", cls="tf-remark")
    return tag("span", _ELSEWHERE[place], cls="tf-remark")


def _use(model: Model, href: str, draft: Draft, label: str, kind: str) -> Html:
    if draft.dataset and draft.model == model.name:
        label = "Back to your run with it"
    name = label if model.label in label else f"{label}: {model.label}"
    return tag("a", label, href=href, aria_label=name, cls=f"tf-button tf-{kind}")


def about_prices(storage: Storage | None, own_table: str) -> Html:
    """What the numbers mean, where they come from, and how to give one that is missing."""
    kept = (
        f"Keeping checkpoints costs {storage.per_gb_month:.2f} USD for a gigabyte and month "
        f"({day(storage.date)}, {storage.source})."
        if storage is not None
        else "What keeping checkpoints costs is not known."
    )
    return tag(
        "section",
        tag("h2", "About prices"),
        tag(
            "p",
            "US dollars for a million tokens that the model reads (prefill), writes (sample) and learns from (train), as the "
            "source said on that day. Prices move: look there before a large run. Where no price is known, a run's cost is "
            "not known either, and no budget can end it. ",
            kept,
        ),
        widgets.more(
            "Add or correct a price",
            tag(
                "p", "Write it into ", tag("code", own_table), ". It adds to our table and wins over it, from the next look on."
            ),
            tag("pre", _EXAMPLE, cls="tf-sample"),
            keep="models-prices",
        ),
        cls="tf-part tf-about-prices",
    )
