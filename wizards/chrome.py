"""What stands around every step, as markup: header, dial, the address the page copies, and the words for our own mistakes.

Guarantees: pure; knows no Gradio, no store and no step's module. ``shell`` puts these on the page.
"""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Final

from studio.settings import Settings
from wizards import widgets
from wizards.draft import STEPS, TITLES, Draft, StepId
from wizards.widgets import Html, tag

NAV: Final = (("Studio", "/"), ("Runs", "/runs"), ("Models", "/models"))
_PLACES: Final = {"embedded": "this computer", "hosted": "Tinker, hosted", "cluster": "your cluster"}


def header(settings: Settings, here: str) -> Html:
    """Mark, name, pages, theme and place. ``here`` is the address of the page it stands on."""
    pages = (tag("a", name, href=href, aria_current="page" if href == here else None, cls="tf-nav-link") for name, href in NAV)
    place = tag(
        "span",
        widgets.icon("place", 16),
        tag("span", "Place: ", cls="tf-place-label"),
        _PLACES[settings.place],
        cls="tf-place",
    )
    brand = tag("a", widgets.icon("fork", 28), tag("span", "Tuning Fork"), href="/", cls="tf-brand")
    skip = tag("a", "Skip to the content", href="#tf-main", cls="tf-skip")
    return tag("header", skip, brand, tag("nav", *pages, aria_label="Pages"), widgets.theme_toggle(), place, cls="tf-header")


def dial(at: StepId, reachable: frozenset[StepId]) -> Html:
    """The six steps as the scale of an instrument; the needle stands at the step on screen."""
    here = STEPS.index(at)
    marks: list[Html] = []
    for index, step in enumerate(STEPS):
        done = index < here
        label = (
            tag("span", str(index + 1), cls="tf-dial-number"),
            tag("span", TITLES[step], cls="tf-dial-name"),
            tag("span", " (done)", cls="tf-unseen") if done else None,
        )
        marks.append(
            tag(
                "li",
                tag(
                    "button",
                    *label,
                    type="button",
                    data_pick="go",
                    data_value=step,
                    disabled=step not in reachable,
                    aria_current="step" if index == here else None,
                ),
                tag("span", cls="tf-dial-scale", aria_hidden="true"),
                cls="is-here" if index == here else "is-done" if done else None,
            )
        )
    brief = tag("p", tag("strong", TITLES[at]), f" {here + 1} of {len(STEPS)}", cls="tf-dial-brief", aria_hidden="true")
    return tag("nav", brief, tag("ol", *marks), cls="tf-dial", aria_label="Steps")


def reachable(draft: Draft) -> frozenset[StepId]:
    """The steps that have something to show for this draft. Later ones open as their ids appear."""
    open_steps: set[StepId] = {"goal"}
    if draft.method:
        open_steps.add("data")
    if draft.method and draft.dataset:
        open_steps.add("settings")
    if draft.run:
        open_steps.update(("train", "compare"))
    if draft.run and draft.comparison:
        open_steps.add("verdict")
    open_steps.add(draft.step)
    return frozenset(open_steps)


def address(draft: Draft, before: Draft | None, leave: str = "", back: str = "") -> Html:
    """A hidden element from which the page copies its address and title; a new serial tells it that an answer has come."""
    return tag(
        "span",
        hidden=True,
        data_serial=time.time_ns(),
        data_query=draft.to_query(),
        data_push="yes" if before is not None and _place(before) != _place(draft) else "no",
        data_step=draft.step,
        data_title=f"{TITLES[draft.step]} · Tuning Fork",
        data_leave=leave or None,
        data_back=back or None,
    )


def _place(draft: Draft) -> tuple[str, ...]:
    """What the browser's way back goes through: steps, runs, data, and what is looked at."""
    return (draft.step, draft.run, draft.dataset, draft.view)


def fault(error: Exception) -> Html:
    """Our own mistake, said plainly; the traceback is folded."""
    return widgets.notice(
        "The studio made a mistake.",
        where="This is a fault of the studio, not of your file or your settings.",
        next_step="Nothing that was saved is lost. Try again; if it comes back, report it with the details below.",
        details=_trace(error),
    )


def _trace(error: Exception) -> str:
    """Where it happened, for a report: the kind of error and the lines of ours, never its text, which may hold data."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return "\n".join((type(error).__name__, *(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in frames)))
