"""Fields and forms: labels that belong to their fields, and a button that sends all of them at once.

Guarantees: every field has a label; a form is no ``<form>``, so nothing that is typed can end up in an address; a password
leaves the field as soon as it is sent. A panel turns ``send`` into the event ``pick``, whose value ``sent`` reads back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from wizards import widgets
from wizards.widgets import Html, tag

#: With more choices than this a field offers what fits to what is typed, in the place of one long list.
_LONG_LIST: Final = 200


def field(label: str, control: Html, *, ident: str, note: str = "") -> Html:
    """A control below its label, with a sentence that explains it."""
    return tag(
        "div",
        tag("label", label, for_=ident),
        control,
        tag("p", note, cls="tf-field-note", id=f"{ident}-note") if note else None,
        cls="tf-field",
    )


def choice(ident: str, options: Sequence[tuple[str, str]], value: str, **attributes: object) -> Html:
    """A list to choose from, as value and words. ``value`` that is not on the list asks for a choice."""
    known = value in {each for each, _ in options}
    first = None if known else tag("option", "Choose one", value="", selected=True)
    rest = (tag("option", words, value=each, selected=each == value) for each, words in options)
    return tag("select", first, *rest, id=ident, value=value if known else "", **attributes)


def column(ident: str, columns: Sequence[str], value: str, *, sends: str, optional: bool = False) -> Html:
    """One of the columns of a file, however many there are; the choice arrives as the edit ``sends``."""
    if len(columns) <= _LONG_LIST:
        none = (("", "None"),) if optional else ()
        return choice(ident, (*none, *((each, each or "(no name)") for each in columns)), value, data_field=sends)
    listed = tag("datalist", *(tag("option", value=each) for each in columns), id=f"{ident}-all")
    hint = f"type a part of one of {len(columns):,} names"
    return widgets.join((text(ident, value, list=f"{ident}-all", placeholder=hint, data_field=sends), listed))


def text(ident: str, value: str = "", *, kind: str = "text", **attributes: object) -> Html:
    """One line to type into. The browser keeps no list of what was typed."""
    return tag("input", type=kind, id=ident, value=value, autocomplete="off", spellcheck="false", **attributes)


def area(ident: str, value: str = "", *, rows: int = 8, **attributes: object) -> Html:
    """Many lines to type or to paste into."""
    # A browser swallows the first line break inside a text area.
    shown = f"\n{value}" if value.startswith("\n") else value
    return tag("textarea", shown, id=ident, rows=rows, autocomplete="off", spellcheck="false", **attributes)


def form(name: str, *children: object, label: str) -> Html:
    """Fields that are sent together; each has a ``name``."""
    return tag("div", *children, cls="tf-form", role="group", aria_label=label, data_form=name)


def send(label: str, *, phase: str = "", kind: str = "primary") -> Html:
    """The button of the form that it stands in."""
    return tag(
        "button", tag("span", label), type="button", cls=f"tf-button tf-{kind}", data_send=True, data_phase=phase or None
    )


def sent(value: str) -> Mapping[str, str]:
    """What a form sent: the text of each field by its name. Anything else is nothing."""
    try:
        found: object = json.loads(value)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): str(text) for name, text in cast("dict[Any, Any]", found).items()}
