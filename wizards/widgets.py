"""The parts that pages are made of: HTML built in Python, escaped in one place, and the panel that shows it.

Guarantees: text from a person, a file or a model is never markup and never a template. ``tag`` escapes every child that is
not ``Html`` itself, including ``${…}``, back-ticks and braces, which Gradio's templates would run. No other module writes HTML.

A part that can be pressed carries ``data-pick`` (its name) and ``data-value``; a field carries ``data-field``. A panel turns
them into the events ``pick``, ``edit`` and ``tick``, which arrive in Python as a ``Said`` (see ``shell``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import gradio as gr
from markupsafe import Markup, escape

from studio.errors import StudioError

#: Text that is already safe markup. Only ``tag``, ``esc`` and ``join`` make it.
Html = Markup

State = Literal["good", "warn", "bad", "quiet", "live"]

_TEMPLATE_SIGNS: Final = str.maketrans({"$": "&#36;", "`": "&#96;", "{": "&#123;", "}": "&#125;"})
#: Every sign that means something to a browser or to a template.
_SIGNS: Final = re.compile(r"[&<>\"'$`{}]")
_VOID: Final = frozenset({"br", "hr", "img", "input"})


def esc(value: object) -> Html:
    """``value`` as text that no browser and no template engine takes for code. ``Html`` passes through."""
    return value if isinstance(value, Markup) else Markup(_escaped(value))  # noqa: S704 - escaped right here


def _escaped(value: object) -> str:
    """What ``esc`` says, as a plain string: most pieces of a page hold no sign at all, and a page has hundreds."""
    text = str(value)
    if isinstance(value, Markup) or not _SIGNS.search(text):
        return text
    return str(escape(text)).translate(_TEMPLATE_SIGNS)


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element. ``cls`` is the class, ``for_`` is for, ``_`` in a name is ``-``; ``None`` and ``False`` leave one out."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = {"cls": "class", "for_": "for"}.get(key, key.replace("_", "-"))
        parts.append(f" {attribute}" if value is True else f' {attribute}="{_escaped(value)}"')
    parts.append(">")
    if name not in _VOID:
        parts.extend(_escaped(child) for child in children if child is not None and child != "")
        parts.append(f"</{name}>")
    return Markup("".join(parts))  # noqa: S704 - every part is a name of ours or escaped


def join(children: Iterable[object], between: str = "") -> Html:
    """Escape and string together; ``None`` and the empty string leave nothing."""
    escaped = _escaped(between).join(_escaped(child) for child in children if child is not None and child != "")
    return Markup(escaped)  # noqa: S704 - escaped in the line above


_ICONS: Final[dict[str, str]] = {
    "check": "M4 12.5l5 5L20 6.5",
    "cross": "M6 6l12 12M18 6L6 18",
    "warn": "M12 3.5 22 20.5H2zM12 10v4.5M12 17.4v.1",
    "info": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5.5M12 7.7v.1",
    "arrow": "M4 12h15M13 6l6 6-6 6",
    "back": "M20 12H5M11 6l-6 6 6 6",
    "file": "M6 3h8l5 5v13H6zM14 3v5h5",
    "undo": "M4 9h10a6 6 0 0 1 0 12H9M4 9l5-5M4 9l5 5",
    "sun": "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22"
    "M5 5l1.8 1.8M17.2 17.2 19 19M19 5l-1.8 1.8M6.8 17.2 5 19",
    "moon": "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
    "place": "M3 5h18v11H3zM8 20h8M12 16v4",
    "up": "M5 15l7-7 7 7",
    "thumb": "M3 11h4v9H3zM7 12l4-8.5c1.7 0 2.8 1.2 2.5 3L13 10h6c1.3 0 2.2 1.2 1.9 2.4l-1.5 6c-.2 1-1 1.6-2 1.6H7",
    "fork": "M4 13.5 8 2.5v8a4 4 0 0 0 4 4V22v-7.5a4 4 0 0 0 4-4v-8h1.6a2.6 2.6 0 0 1 0 5.2H16h2.1a2.9 2.9 0 0 1 0 5.8",
}


def icon(name: str, size: int = 18) -> Html:
    """A line drawing in the colour of the text around it, silent for screen readers: a word always stands beside it."""
    return tag(
        "svg",
        tag("path", d=_ICONS[name]),
        cls=f"tf-icon tf-icon-{name}",
        width=size,
        height=size,
        viewBox="0 0 24 24",
        fill="none",
        stroke="currentColor",
        stroke_width="1.8",
        stroke_linecap="round",
        stroke_linejoin="round",
        aria_hidden="true",
        focusable="false",
    )


def button(
    label: str,
    pick: str,
    *,
    value: str = "",
    kind: Literal["primary", "secondary", "quiet"] = "secondary",
    phase: str = "",
    sign: str = "",
    disabled: bool = False,
) -> Html:
    """A real button. ``phase`` is what the page says while the studio works on it; ``sign`` is an icon's name."""
    children = (icon(sign) if sign and sign != "arrow" else None, tag("span", label), icon(sign) if sign == "arrow" else None)
    return tag(
        "button",
        *children,
        type="button",
        cls=f"tf-button tf-{kind}",
        data_pick=pick,
        data_value=value or None,
        data_phase=phase or None,
        disabled=disabled,
    )


def title(text: str, lead: str = "") -> Html:
    """The one question or statement of a screen, which takes the focus when the screen appears."""
    return tag(
        "header",
        tag("h1", text, tabindex="-1", data_step_title=True),
        tag("p", lead, cls="tf-lead") if lead else None,
        cls="tf-title",
    )


@dataclass(frozen=True, slots=True)
class ChoiceCard:
    """One answer to the question on screen, with one concrete example under it."""

    id: str
    label: str
    example: str
    quiet: bool = False
    note: str = ""


def choices(
    name: str, cards: Sequence[ChoiceCard], *, pick: str = "choose", chosen: str = "", phase: str = "", small: bool = False
) -> Html:
    """Answers as cards: real buttons in a labelled group, so that keyboard and screen reader find them as such."""
    return tag(
        "div",
        *(_choice(card, pick, card.id == chosen, phase) for card in cards),
        cls=f"tf-choices{' is-small' if small else ''}",
        role="group",
        aria_label=name,
    )


def _choice(card: ChoiceCard, pick: str, chosen: bool, phase: str) -> Html:
    return tag(
        "button",
        tag("span", tag("span", card.label), icon("check" if chosen else "arrow"), cls="tf-choice-label"),
        tag("span", card.example, cls="tf-choice-example"),
        tag("span", card.note, cls="tf-choice-note") if card.note else None,
        type="button",
        cls=f"tf-choice{' is-quiet' if card.quiet else ''}{' is-chosen' if chosen else ''}",
        aria_pressed="true" if chosen else None,
        data_pick=pick,
        data_value=card.id,
        data_phase=phase or None,
    )


_STATE_ICON: Final[dict[State, str]] = {"good": "check", "warn": "warn", "bad": "cross", "quiet": "info", "live": "fork"}


def pill(text: str, state: State = "quiet") -> Html:
    """A state in one or two words, never by colour alone."""
    return tag("span", icon(_STATE_ICON[state], 14), tag("span", text), cls=f"tf-pill is-{state}")


def notice(what: str, *, where: str = "", next_step: str = "", state: State = "bad", details: str = "") -> Html:
    """What happened, where, and the next step. ``details`` are folded and can be copied."""
    folded = (
        tag(
            "details",
            tag("summary", "Details"),
            tag("pre", details, id="tf-notice-details"),
            tag("button", "Copy", type="button", cls="tf-button tf-quiet", data_copy="tf-notice-details"),
            data_keep="notice",
        )
        if details
        else None
    )
    return tag(
        "div",
        icon(_STATE_ICON[state], 20),
        tag(
            "div",
            tag("p", tag("strong", what), cls="tf-notice-what"),
            tag("p", where, cls="tf-notice-where") if where else None,
            tag("p", next_step) if next_step else None,
            folded,
        ),
        cls=f"tf-notice is-{state}",
        role="alert" if state == "bad" else "status",
    )


def problem(error: StudioError) -> Html:
    """An error of our tree as the person reads it."""
    return notice(error.what, where=error.where, next_step=error.next_step)


def facts(pairs: Sequence[tuple[str, object]]) -> Html:
    """Names and values, as a description list."""
    rows = (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs)
    return tag("dl", *rows, cls="tf-facts")


def more(summary: str, *children: object, keep: str) -> Html:
    """Folded text that stays as the person left it; ``keep`` names it on this page."""
    return tag("details", tag("summary", summary), *children, cls="tf-more", data_keep=keep)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str, numeric: Sequence[int] = (), cls: str = ""
) -> Html:
    """A table that scrolls inside its own frame. ``numeric`` columns are set in tabular figures, to the right."""
    marks = ["is-number" if index in numeric else None for index in range(len(columns))]
    head = tag("tr", *(tag("th", name, scope="col", cls=mark) for name, mark in zip(columns, marks, strict=True)))
    body = (tag("tr", *(tag("td", cell, cls=mark) for cell, mark in zip(row, marks, strict=True))) for row in rows)
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, cls=f"tf-table {cls}".strip(), tabindex="0", role="region", aria_label=caption)


@dataclass(frozen=True, slots=True)
class Tab:
    """One of several views of the same thing."""

    id: str
    label: str
    body: Html


def tabs(name: str, items: Sequence[Tab], *, group: str) -> Html:
    """Views behind tabs, switched by the page itself; ``group`` tells the page which tab to keep open after a redraw."""
    heads = (
        tag(
            "button",
            item.label,
            type="button",
            role="tab",
            id=f"{group}-{item.id}-tab",
            aria_controls=f"{group}-{item.id}",
            aria_selected="true" if index == 0 else "false",
            tabindex="0" if index == 0 else "-1",
        )
        for index, item in enumerate(items)
    )
    bodies = (
        tag(
            "div",
            item.body,
            role="tabpanel",
            id=f"{group}-{item.id}",
            aria_labelledby=f"{group}-{item.id}-tab",
            hidden=index > 0,
        )
        for index, item in enumerate(items)
    )
    return tag("div", tag("div", *heads, role="tablist", aria_label=name), *bodies, cls="tf-tabs", data_tabs=group)


@dataclass(frozen=True, slots=True)
class Share:
    """One part of a whole, for ``shares``."""

    label: str
    count: int
    note: str = ""


def shares(parts: Sequence[Share], *, unit: str, about: bool = False) -> Html:
    """A bar cut in proportion, with the numbers written under each part. ``about`` says that they are not counted yet."""
    total = max(1, sum(part.count for part in parts))
    near = "about " if about else ""
    cuts = (
        tag("span", style=f"flex-grow:{part.count}", cls=f"tf-share-{index}") for index, part in enumerate(parts) if part.count
    )
    keys = (
        tag(
            "li",
            tag("span", cls=f"tf-swatch tf-share-{index}"),
            tag("strong", f"{part.label}: {near}{part.count:,} {unit}{'' if part.count == 1 else 's'}"),
            tag("span", f" {100 * part.count / total:.0f} %. {part.note}"),
        )
        for index, part in enumerate(parts)
    )
    return tag("div", tag("div", *cuts, cls="tf-shares-bar", aria_hidden="true"), tag("ul", *keys), cls="tf-shares")


def meter(done: int, total: int, label: str) -> Html:
    """Progress with its numbers. ``total`` of zero means: not known yet."""
    share = 100 * done / total if total else 0
    bar = tag(
        "div",
        tag("span", style=f"width:{share:.1f}%"),
        cls="tf-meter",
        role="progressbar",
        aria_label=label,
        aria_valuemin="0",
        aria_valuemax=str(total or 1),
        aria_valuenow=str(done),
    )
    return tag("div", tag("p", label, cls="tf-meter-label"), bar)


def empty(what: str, teach: str, *actions: Html) -> Html:
    """An empty place that says what will be here and offers one act."""
    return tag("div", icon("fork", 34), tag("p", tag("strong", what)), tag("p", teach), *actions, cls="tf-empty")


def sheet(*children: object, cls: str = "") -> Html:
    """A card with a hairline around it."""
    return tag("section", *children, cls=f"tf-sheet {cls}".strip())


def heartbeat(milliseconds: int, seen: str = "") -> Html:
    """While this is in a panel, the panel ticks at this pace: not while the tab is hidden, at once when it is shown again.

    Each tick brings ``seen`` back, so that the answer may leave out what is on screen already.
    """
    return tag("span", hidden=True, data_tick=milliseconds, data_seen=seen or None)


def choice(label: str, says: str, *, chosen: bool, **attributes: object) -> Html:
    """A large button that is one of several; ``attributes`` say what pressing it sends (``data_pick``, ``data_send``, ...)."""
    return tag(
        "button",
        tag("span", tag("span", label), icon("check") if chosen else None, cls="tf-choice-label"),
        tag("span", says, cls="tf-choice-example"),
        type="button",
        cls=f"tf-choice{' is-chosen' if chosen else ''}",
        aria_pressed="true" if chosen else "false",
        **attributes,
    )


def onward(pick: str) -> Html:
    """Presses itself as soon as it is on the page, once: for work that the person has asked to go on from."""
    return tag("span", hidden=True, data_onward=pick)


_PANEL_SCRIPT: Final = """
const say = (event, said) => trigger(event, {...said, ...window.tuningFork.order(event)});
element.addEventListener('click', (event) => {
  const b = event.target.closest('[data-pick]');
  if (!b || b.disabled || !element.contains(b)) return;
  if (b.tagName === 'A') event.preventDefault();
  say('pick', {name: b.dataset.pick, value: b.dataset.value || ''});
});
const send = (node) => {
  const form = node.closest('[data-form]');
  const sent = {};
  for (const f of form.querySelectorAll('[name]')) {
    sent[f.name] = f.value;
    if (f.type === 'password') f.value = '';
  }
  if (node.dataset.send) sent.pressed = node.dataset.send;
  say('pick', {name: form.dataset.form, value: JSON.stringify(sent)});
};
element.addEventListener('click', (event) => {
  const b = event.target.closest('[data-send]');
  if (b && !b.disabled && element.contains(b)) send(b);
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && event.target.matches('[data-form] input')) send(event.target);
});
element.addEventListener('change', (event) => {
  const f = event.target.closest('[data-field]');
  if (f) window.tuningFork.left(f, () => say('edit', {name: f.dataset.field, value: f.value}));
});
let last = Date.now();
const beat = () => {
  if (!element.isConnected) { clearInterval(clock); document.removeEventListener('visibilitychange', wake); return; }
  const on = element.querySelector('[data-onward]');
  if (on) { const name = on.dataset.onward; on.remove(); say('pick', {name, value: ''}); return; }
  const t = element.querySelector('[data-tick]');
  if (!t || document.hidden || element.offsetParent === null) return;
  if (Date.now() - last < Number(t.dataset.tick)) return;
  last = Date.now();
  trigger('tick', {name: 'tick', value: t.dataset.seen || ''});
};
window.addEventListener('popstate', () => {
  if (element.isConnected && element.querySelector('[data-serial]')) say('pick', {name: 'address', value: location.search});
});
const wake = () => { last = 0; beat(); };
const clock = setInterval(beat, 200);
document.addEventListener('visibilitychange', wake);
"""


def panel(
    value: Html | None = None, *, elem_id: str | None = None, classes: Sequence[str] = (), visible: bool = True
) -> gr.HTML:
    """A place for ``Html`` with the events ``pick`` (a press), ``edit`` (a field left changed) and ``tick`` (the heartbeat)."""
    return gr.HTML(
        "" if value is None else str(value),
        html_template="${value}",
        js_on_load=_PANEL_SCRIPT,
        apply_default_css=False,
        padding=False,
        elem_id=elem_id,
        elem_classes=["tf-panel", *classes],
        visible=visible,
    )


def theme_toggle() -> Html:
    """The button in the header that changes between light and dark."""
    return tag(
        "button",
        icon("sun"),
        icon("moon"),
        type="button",
        cls="tf-theme",
        data_theme_toggle=True,
        aria_label="Dark theme",
        aria_pressed="false",
    )
