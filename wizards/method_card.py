"""What a way of training is, as a card: when it fits and when not, what it needs, how long, how steady, how much.

Guarantees: pure; says only what ``methods.yaml`` says; numbers of rows are compared with those of the file, where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence

from studio import methods
from studio.methods import Method
from wizards import widgets
from wizards.widgets import Html, tag


def html(method: Method, rows: int | None = None) -> Html:
    """The whole card. ``rows`` is how many the file holds, if there is one that fits."""
    facts = (
        ("You need", method.needs),
        ("How much", amount(method)),
        ("Time", method.time),
        ("How steady", method.stability),
        ("Cost", method.cost),
    )
    return tag(
        "section",
        tag("h2", method.name, tag("span", f" · {method.term}", cls="tf-remark")),
        tag("p", method.plain),
        tag(
            "div",
            _side("check", "It fits when", method.when),
            _side("cross", "It does not when", method.when_not),
            cls="tf-method-sides",
        ),
        widgets.facts(facts),
        tag("p", methods.readiness(method.id, rows).sentence, cls="tf-method-rows") if rows is not None else None,
        cls="tf-sheet tf-method",
        aria_label=f"About {method.name}",
    )


def amount(method: Method) -> str:
    """How many rows make a start and how many are comfortable."""
    return f"{method.minimum:,} {method.unit} make a start, {method.recommended:,} are comfortable."


def _side(sign: str, heading: str, text: str) -> Html:
    return tag("div", tag("h3", widgets.icon(sign, 16), tag("span", heading)), tag("p", text))


def every(found: Sequence[Method], chosen: str) -> Html:
    """All ways side by side, for somebody who knows which one they want."""
    cards = (
        tag(
            "li",
            tag("h3", each.name, tag("span", f" · {each.term}", cls="tf-remark")),
            tag("p", each.plain),
            tag("p", f"From {each.minimum:,} {each.unit}. {each.time}", cls="tf-remark"),
            tag("p", "This is your choice.", cls="tf-remark")
            if each.id == chosen
            else widgets.button(f"Choose {each.name}", "method", value=each.id, kind="secondary"),
        )
        for each in found
        if each.available
    )
    return tag("ul", *cards, cls="tf-ways-list")
