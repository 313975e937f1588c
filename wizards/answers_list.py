"""Every prompt with both answers, once the session is over: a part of the verdict page.

Guarantees: at most a page of them at a time, whatever their number and length; both answers are treated alike; what a person
picks to see is in the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio.compare.giveaways import Flag
from studio.compare.outcome import AnswerLine
from wizards import widgets
from wizards.draft import Draft
from wizards.widgets import Html, tag

PAGE: Final = 10
_KINDS: Final = (("all", "All"), ("base", "Base preferred"), ("tuned", "Tuned preferred"), ("neither", "Neither"))


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is on show: which kind, which page of how many."""

    kind: str
    page: int
    pages: int
    lines: tuple[AnswerLine, ...]
    counts: tuple[tuple[str, str, int], ...]


def kind_of(line: AnswerLine) -> str:
    """``tuned``, ``base`` or ``neither``: which way the votes on this prompt fell."""
    if line.tuned_won == line.base_won:
        return "neither"
    return "tuned" if line.tuned_won > line.base_won else "base"


def shelf(lines: Sequence[AnswerLine], view: str) -> Shelf:
    """The lines that ``view`` (``kind:page``) asks for; anything it cannot mean is the first page of all."""
    kind, _, page = view.partition(":")
    known = {name for name, _ in _KINDS}
    kind = kind if kind in known else "all"
    chosen = tuple(line for line in lines if kind in ("all", kind_of(line)))
    pages = max(1, -(-len(chosen) // PAGE))
    at = min(int(page), pages) if page.isdecimal() and int(page[:6]) > 0 else 1
    counts = tuple((name, words, sum(name in ("all", kind_of(line)) for line in lines)) for name, words in _KINDS)
    return Shelf(kind, at, pages, chosen[(at - 1) * PAGE : at * PAGE], counts)


def viewed(draft: Draft, view: str) -> Draft:
    """The draft with this view."""
    return replace(draft, view=view[:24])


def part(lines: Sequence[AnswerLine], view: str) -> Html:
    """The part of the page with its heading."""
    now = shelf(lines, view)
    kinds = (
        tag(
            "button",
            tag("span", words),
            tag("span", f"{count:,}", cls="tf-count"),
            type="button",
            cls="tf-plan",
            data_pick="view",
            data_value=name,
            aria_pressed="true" if name == now.kind else "false",
            disabled=not count and name != now.kind,
        )
        for name, words, count in now.counts
    )
    return tag(
        "section",
        tag("h2", "The answers"),
        tag("div", *kinds, cls="tf-kinds", role="group", aria_label="Which answers"),
        tag("ol", *(_line(line) for line in now.lines), cls="tf-answers") if now.lines else tag("p", "None.", cls="tf-remark"),
        _pages(now),
        cls="tf-part",
    )


def _line(line: AnswerLine) -> Html:
    kind = kind_of(line)
    prompt = line.messages[-1].content if line.messages else ""
    return tag(
        "li",
        tag(
            "div",
            tag("h3", "Prompt", cls="tf-unseen"),
            tag("p", prompt, cls="tf-model-text", dir="auto", tabindex="0"),
            cls="tf-answers-prompt",
        ),
        tag(
            "div",
            _arm("Base", line.base, line.base_flags, kind == "base"),
            _arm("Tuned", line.tuned, line.tuned_flags, kind == "tuned"),
            cls="tf-answers-pair",
        ),
        tag(
            "details",
            tag("summary", "The answer in your data"),
            tag("p", line.reference or "(none)", cls="tf-model-text", dir="auto", tabindex="0"),
            cls="tf-more",
            data_keep=f"reference-{line.prompt_id}",
        ),
        tag("p", result(line), cls="tf-answers-result"),
    )


def _arm(name: str, text: str, flags: Sequence[Flag], preferred: bool) -> Html:
    told = ", ".join(_FLAGS[flag] for flag in flags)
    mark = widgets.pill("preferred", "live") if preferred else None
    return tag(
        "div",
        tag("h3", tag("span", name), mark),
        tag("p", text, cls="tf-model-text", dir="auto", tabindex="0", role="group", aria_label=f"{name} answer"),
        tag("p", told, cls="tf-remark") if told else None,
        cls="tf-answers-arm",
    )


_FLAGS: Final[dict[Flag, str]] = {
    "names_model": "names a model",
    "special_tokens": "held special tokens, not shown",
    "thinking": "held thinking aloud, not shown",
    "truncated": "cut off at the limit",
    "empty": "empty",
}


def result(line: AnswerLine) -> str:
    """How the votes on this prompt fell, in words."""
    if line.identical:
        return "Both models gave the same answer: an automatic tie."
    parts = [
        f"{count:,} {words}"
        for count, words in (
            (line.tuned_won, "for tuned"),
            (line.base_won, "for base"),
            (line.ties, "equally good"),
            (line.both_bad, "both bad"),
        )
        if count
    ]
    return f"Votes: {', '.join(parts)}." if parts else "Not rated."


def _pages(now: Shelf) -> Html | None:
    if now.pages == 1:
        return None
    turns = (
        widgets.button("Before", "view", value=f"{now.kind}:{now.page - 1}", kind="quiet", sign="back", disabled=now.page == 1),
        tag("span", f"Page {now.page:,} of {now.pages:,}", cls="tf-remark"),
        widgets.button(
            "Next", "view", value=f"{now.kind}:{now.page + 1}", kind="quiet", sign="arrow", disabled=now.page == now.pages
        ),
    )
    return tag("nav", *turns, cls="tf-acts", aria_label="Pages of answers")
