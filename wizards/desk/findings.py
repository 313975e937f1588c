"""The *Findings* tab: what was noticed, worst first, with the rows, the repairs on offer, and the repairs that were made.

Guarantees: pure; a repair shows a text before and after; one that needs a look says so; each can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio.data import Finding, FixOffer, Inspection
from studio.data.staging.fixes import describe
from wizards import widgets
from wizards.desk.screen import Screen
from wizards.desk.words import clip, counted, lines
from wizards.widgets import Html, State, tag

_SIGNS: Final[dict[str, State]] = {"error": "bad", "warning": "warn", "info": "quiet"}
_ORDER: Final = {"error": 0, "warning": 1, "info": 2}
#: These stand above the desk in words of their own.
_SAID_ELSEWHERE: Final = frozenset({"training_type_mismatch", "few_for_method", "columns_not_recognised"})
_FIXING: Final = "Making the repair and checking every row again"

#: What a code is called on a list.
TITLES: Final = {
    "broken_json": "Broken lines",
    "not_an_object": "Bare values",
    "missing_field": "Something missing",
    "empty_value": "Empty cells",
    "wrong_type": "No plain text",
    "wrong_column_count": "Too many or too few cells",
    "bad_quotes": "Quotation marks",
    "bad_encoding": "Unreadable characters",
    "repeated_header": "Repeated headings",
    "bad_conversation": "No conversation",
    "identical_pair": "Two equal answers",
    "bad_reward": "Points that are no number",
    "images_not_supported": "Pictures",
    "thumbs_down": "Marked as bad",
    "unsupported_tools": "Tool calls",
    "file_cut_off": "Cut off",
    "too_big_row": "Too long to read",
    "left_out": "Left out by a repair",
    "duplicates": "Exact copies",
    "near_duplicates": "Nearly the same",
    "conflicting_answers": "Different answers",
    "personal_data": "Personal data",
    "secrets": "Passwords and keys",
    "special_tokens": "Chat markers",
    "control_characters": "Invisible characters",
    "truncated_cell": "Cut by Excel",
    "null_like_text": "“N/A” and the like",
    "non_text_value": "Numbers as text",
    "odd_turn_order": "Odd order of speakers",
    "completion_equals_prompt": "Answer repeats the question",
    "mojibake": "Damaged letters",
    "too_long": "Too long for the model",
    "length_outliers": "Unusually long",
}


def reason(code: str, detail: str) -> str:
    """Why a row was set aside, in a few words."""
    title = TITLES.get(code, code.replace("_", " "))
    return f"{title}: {TITLES.get(detail, detail)}" if detail else title


def sorted_findings(inspection: Inspection) -> tuple[Finding, ...]:
    """Errors first, then warnings, then what is good to know."""
    return tuple(sorted(inspection.findings, key=lambda finding: _ORDER[finding.severity]))


def safe_fixes(inspection: Inspection) -> tuple[FixOffer, ...]:
    """The best repair of each finding, when it needs no look. What is only good to know is left alone."""
    best = (finding.fixes[0] for finding in sorted_findings(inspection) if finding.fixes and finding.severity != "info")
    return tuple(offer for offer in best if not offer.ask)


def strip(now: Screen) -> Html | None:
    """The findings in one line above the tabs, with one press for all that can be repaired safely."""
    inspection = now.inspection
    if inspection is None or now.dataset is not None:
        return None
    told = [finding for finding in inspection.findings if finding.code not in _SAID_ELSEWHERE]
    counts = {kind: sum(finding.severity == kind for finding in told) for kind in _ORDER}
    if not counts["error"] and not counts["warning"] and not inspection.fixes:
        return None
    said = [
        f"{counts['error']:,} {'thing keeps' if counts['error'] == 1 else 'things keep'} rows from being used"
        if counts["error"]
        else "",
        f"{counts['warning']:,} to look at" if counts["warning"] else "",
        f"{len(inspection.fixes):,} {'repair' if len(inspection.fixes) == 1 else 'repairs'} made" if inspection.fixes else "",
    ]
    words = ", ".join(each for each in said if each)
    safe = safe_fixes(inspection)
    repair = (
        widgets.button(
            f"Make {'the safe repair' if len(safe) == 1 else f'the {len(safe):,} safe repairs'}", "fix-safe", phase=_FIXING
        )
        if safe
        else None
    )
    look = widgets.button("Look at the findings", "tab", value="findings", kind="quiet")
    state: State = "bad" if counts["error"] else "warn" if counts["warning"] else "good"
    return tag(
        "div",
        widgets.pill("Findings", state),
        tag("span", words[:1].upper() + words[1:] + "."),
        tag("span", repair, look, cls="tf-strip-acts"),
        cls="tf-strip",
    )


def tab(now: Screen) -> Html:
    """The whole tab."""
    inspection = now.inspection
    if inspection is None:
        return widgets.join(())
    fixed = _applied(inspection, changeable=now.dataset is None)
    found = sorted_findings(inspection)
    if not found:
        return widgets.join(
            (fixed, widgets.notice("Nothing to report.", next_step="Every row was read and checked.", state="good"))
        )
    items = (tag("li", _finding(finding, changeable=now.dataset is None)) for finding in found)
    return widgets.join((fixed, tag("ul", *items, cls="tf-findings")))


def _applied(inspection: Inspection, *, changeable: bool) -> Html | None:
    """The repairs that were made, in their order. The last one can be taken back, or all of them."""
    if not inspection.fixes:
        return None
    last = len(inspection.fixes) - 1
    items = (
        tag(
            "li",
            tag("span", describe(fix)),
            widgets.button("Undo", "undo", value="1", kind="quiet", sign="undo", phase="Taking the repair back")
            if changeable and at == last
            else None,
        )
        for at, fix in enumerate(inspection.fixes)
    )
    every = (
        widgets.button(
            "Back to the file as it is", "undo", value=str(len(inspection.fixes)), kind="quiet", phase="Taking the repairs back"
        )
        if changeable and last
        else None
    )
    return tag(
        "section",
        tag("div", tag("h3", "Repairs that were made"), every, cls="tf-part-head"),
        tag("ol", *items, cls="tf-applied"),
        tag("p", "Your file itself is never changed.", cls="tf-remark"),
        cls="tf-sheet tf-fixed",
    )


def _kind(finding: Finding) -> str:
    if finding.severity == "error":
        return "Set aside" if finding.lines else "Needs you"
    return "Look" if finding.severity == "warning" else "Good to know"


def _finding(finding: Finding, *, changeable: bool) -> Html:
    where = lines(finding)
    show = (
        widgets.button(
            "Show the row" if finding.count == 1 else f"Show {counted(finding.count)}",
            "rows-of",
            value=finding.code,
            kind="quiet",
        )
        if finding.lines
        else None
    )
    best, others = _ways(finding) if changeable else (None, ())
    return tag(
        "div",
        widgets.pill(_kind(finding), _SIGNS[finding.severity]),
        tag(
            "div",
            tag("p", tag("strong", finding.message)),
            tag("p", where[0].upper() + where[1:] + ".", cls="tf-lines") if where else None,
            tag("p", finding.next_step) if finding.next_step else None,
            _change(best) if best is not None and best.before else _sample(finding),
            tag("div", _fix_button(best, finding.code) if best is not None else None, show, cls="tf-finding-acts"),
            _others(others, finding.code, "Another way" if best is not None else "Read it differently"),
        ),
        cls="tf-finding",
    )


def _sample(finding: Finding) -> Html | None:
    return tag("pre", clip(finding.example), cls="tf-sample", dir="auto") if finding.example else None


def _change(offer: FixOffer) -> Html:
    """One text before and after."""
    after = tag("pre", clip(offer.after, 240), cls="tf-sample", dir="auto") if offer.after else tag("p", "The row is left out.")
    return tag(
        "div",
        tag("div", tag("h4", "Before"), tag("pre", clip(offer.before, 240), cls="tf-sample", dir="auto")),
        tag("div", tag("h4", "After"), after),
        cls="tf-change",
    )


def _fix_button(offer: FixOffer, code: str) -> Html:
    del code
    button = widgets.button(
        f"{offer.label} ({counted(offer.rows)})" if offer.rows else offer.label,
        "fix",
        value=f"{offer.fix.id}\n{offer.fix.value}",
        phase=_FIXING,
    )
    look = tag("span", "Look at the rows before you agree.", cls="tf-remark") if offer.ask else None
    return widgets.join((button, look))


def _ways(finding: Finding) -> tuple[FixOffer | None, tuple[FixOffer, ...]]:
    """The repair to put first, and the others. Another encoding is only for those who see that this one is wrong."""
    if not finding.fixes or finding.fixes[0].fix.id == "encoding":
        return None, finding.fixes
    return finding.fixes[0], finding.fixes[1:]


def _others(offers: Sequence[FixOffer], code: str, label: str) -> Html | None:
    if not offers:
        return None
    items = (
        tag("li", _change(offer) if offer.before else None, tag("div", _fix_button(offer, code), cls="tf-finding-acts"))
        for offer in offers
    )
    return widgets.more(label, tag("ul", *items, cls="tf-other-fixes"), keep=f"fixes-{code}")
