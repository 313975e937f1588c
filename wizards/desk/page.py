"""The step put together: title, work, what has to be decided, and the desk with its tabs.

Guarantees: pure; one decision at a time stands above the desk, everything else is a tab or folded.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from studio import methods
from wizards import widgets
from wizards.desk import division, figures, findings, mapping, record, rows, seen, working
from wizards.desk.screen import Screen
from wizards.desk.view import TABS, Tab
from wizards.desk.words import counted, different, splittable, summary
from wizards.widgets import Html, tag

_TITLES: Final[dict[Tab, str]] = {
    "rows": "Rows",
    "findings": "Findings",
    "seen": "What the model sees",
    "figures": "Shape",
    "card": "Data card",
}
_BODIES: Final = {"rows": rows.tab, "findings": findings.tab, "seen": seen.tab, "figures": figures.tab, "card": record.tab}
_PHASES: Final[dict[Tab, str]] = {
    "rows": "Opening the rows",
    "findings": "Opening the findings",
    "seen": "Reading the row as the model does",
    "figures": "Drawing",
    "card": "Opening the card",
}


def drawn(now: Screen) -> str:
    """Names what is on screen beside the progress, so that a heartbeat redraws only what has changed."""
    stamp = "" if now.inspection is None else f"{now.inspection.fixes}{now.inspection.rows_usable}{now.inspection.shape}"
    counting = None if now.seen is None else (now.seen.counting, now.seen.loading)
    task = "" if now.work is None else now.work.task
    there = f"{now.first is not None}:{now.dataset is not None}"
    return f"{now.id}:{task}:{crc32(stamp.encode())}:{counting}:{there}:{now.problem}"


def arrived(now: Screen, seen: str) -> bool:
    """Whether the split that ``seen`` was waiting for is done, so that the page can go on by itself."""
    return now.dataset is not None and seen.startswith(f"{now.id}:split:")


def top(now: Screen) -> Html:
    """The statement of the screen."""
    inspection = now.inspection
    if inspection is None:
        if now.work is not None:
            return widgets.title(
                f"Reading {now.work.name}",
                "Every row is checked. You can close this page: the work goes on, and its address brings it back.",
            )
        return widgets.title(
            "Add your examples", "One row for each example: what you would ask, and the answer you would be glad to get."
        )
    if now.dataset is not None:
        return widgets.title(
            "Your data is ready", f"{now.dataset.name}: {counted(now.dataset.rows)} in three parts that share no prompt."
        )
    said = f"{inspection.file_name}: {summary(inspection)}"
    if inspection.shape is None:
        return widgets.title("Tell the studio what it sees", said)
    if not splittable(inspection):
        return widgets.title("This is too little to learn from" if inspection.rows_usable else "No row can be used yet", said)
    return widgets.title("Is this what you meant?", said)


def work(now: Screen, seen: str = "") -> Html | str:
    """What the studio is doing to the file, and a heartbeat while it does."""
    if arrived(now, seen):
        return widgets.onward("continue")
    if now.work is not None:
        return working.bar(now.work, drawn(now))
    if now.seen is not None and (now.seen.counting is not None or now.seen.loading):
        return widgets.heartbeat(working.PULSE, seen=drawn(now))
    return ""


def above(now: Screen) -> Html | str:
    """What has to be decided, from the columns to the split."""
    if now.inspection is None:
        return ""
    trouble = widgets.problem(now.problem) if now.problem is not None else None
    return widgets.join((trouble, mapping.card(now), findings.strip(now), _enough(now), division.card(now), _acts(now)))


def _enough(now: Screen) -> Html | None:
    inspection = now.inspection
    if inspection is None or now.dataset is not None or not splittable(inspection) or not now.fits:
        return None
    found = methods.readiness(now.method, different(inspection))
    if found.level == "enough":
        return None
    return widgets.notice(found.sentence, state="warn" if found.level == "too few" else "quiet")


def _acts(now: Screen) -> Html:
    other = widgets.button("Use another file", "another", kind="quiet", sign="undo")
    inspection, busy = now.inspection, now.work is not None
    if now.dataset is not None:
        go = widgets.button("Continue to settings", "continue", kind="primary", sign="arrow")
        again = widgets.button("Divide or repair it anew", "again", kind="quiet", phase="Opening it again")
        return tag("div", go, again, other, cls="tf-acts")
    if inspection is None or not splittable(inspection):
        return tag("div", other, cls="tf-acts")
    if not now.fits:
        return tag("div", *_other_ways(now, busy=busy), other, cls="tf-acts")
    label = "The columns are right: split and continue" if inspection.needs_confirmation else "Split and continue"
    split = widgets.button(label, "split", kind="primary", sign="arrow", phase="Splitting your rows", disabled=busy)
    return tag("div", split, other, cls="tf-acts")


def _other_ways(now: Screen, *, busy: bool) -> tuple[Html, ...]:
    """What can be done with data of another kind: train it another way, or take examples out of it."""
    trained = [
        widgets.button(
            f"Train it as {each.term}", "method", value=each.id, kind="secondary" if place else "primary", disabled=busy
        )
        for place, each in enumerate(now.others)
    ]
    shape = now.inspection.shape if now.inspection is not None else None
    words = ""
    if shape is not None and shape.training == "DPO" and "SL" in methods.method(now.method).data:
        words = "Learn from the better answers alone"
    elif shape is not None and shape.training == "RL" and mapping.answer_of(shape):
        words = "Learn from the answers as examples"
    better = (widgets.button(words, "better", disabled=busy, phase="Reading the rows anew"),) if words else ()
    return (*trained, *better)


def tabs(now: Screen) -> Html | str:
    """The desk: one tab is drawn, the others wait until they are asked for."""
    inspection = now.inspection
    if inspection is None:
        return "" if now.first is None else rows.first_look(now.first)
    order: tuple[Tab, ...] = TABS
    count = len(inspection.findings)
    heads = (
        tag(
            "button",
            _TITLES[each] + (f" ({count:,})" if each == "findings" and count else ""),
            type="button",
            role="tab",
            id=f"tf-tab-{each}",
            aria_controls="tf-tab-body",
            aria_selected="true" if each == now.view.tab else "false",
            tabindex="0" if each == now.view.tab else "-1",
            data_pick="tab",
            data_value=each,
            data_phase=_PHASES[each],
        )
        for each in order
    )
    body = tag(
        "div",
        _BODIES[now.view.tab](now),
        role="tabpanel",
        id="tf-tab-body",
        aria_labelledby=f"tf-tab-{now.view.tab}",
        cls="tf-tab-body",
    )
    return tag(
        "section",
        tag("div", *heads, role="tablist", aria_label="Your data"),
        body,
        cls="tf-tabs tf-desk",
        aria_label="Your data",
    )
