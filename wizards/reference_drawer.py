"""Textbook numbers beside the verdict, folded, under the warning that they carry everywhere: a part of the verdict page.

Guarantees: each number stands with its name and in words; a number that the votes do not determine is said to be undetermined.
"""

from __future__ import annotations

from studio.compare.reference import LABEL, Reference
from studio.compare.verdict import Verdict
from wizards import widgets
from wizards.widgets import Html, tag

_NONE = "not determined"


def drawer(verdict: Verdict) -> Html:
    """The folded part. Computing the numbers takes a tenth of a second the first time."""
    return widgets.more(
        f"Reference numbers: {LABEL}",
        tag(
            "p",
            "These are right for somebody who decided beforehand how many prompts to rate and looked once, at the end. On a "
            "page that people watch they name a winner too often. The verdict above does not use them.",
        ),
        widgets.table(("Number", "Value"), rows(verdict), caption="Reference numbers", cls="tf-reference"),
        keep="verdict-reference",
    )


def rows(verdict: Verdict) -> list[tuple[str, str]]:
    """Name and value of each number."""
    told = verdict.reference
    found = [
        ("Prompts that leaned towards tuned, of those that leaned", f"{told.leaned_tuned:,} of {told.leaned:,}"),
        ("Wilson interval of that share", _between(told.wilson95)),
        ("Sign test, two-sided", _p(told.sign_test_p)),
        ("t interval of the mean prompt score", _between(told.t95)),
        ("Bootstrap interval (BCa) over prompts", _between(told.bootstrap_bca95)),
        *_agreement(told),
        *_position(told),
    ]
    for one in verdict.raters if verdict.n_raters > 1 else ():
        without = _NONE if one.win_rate_without is None else f"{100 * one.win_rate_without:.0f} %"
        found.append(
            (
                f"{one.rater}: win rate on {one.n_prompts:,} prompts, and what is left without",
                f"{100 * one.win_rate:.0f} %, {without}",
            )
        )
    return found


def _agreement(told: Reference) -> list[tuple[str, str]]:
    if not told.agreement.n_pairs:
        return []
    return [
        ("Agreement of raters on the same prompt", _share(told.agreement.raw)),
        ("The same, of those who chose a side", _share(told.agreement.decisive)),
        ("Krippendorff's alpha", _NONE if told.agreement.alpha is None else f"{told.agreement.alpha:.2f}"),
    ]


def _position(told: Reference) -> list[tuple[str, str]]:
    left, decisive = told.position.left_chosen, told.position.decisive
    return [
        ("Votes for the left answer, of those for a side", f"{left:,} of {decisive:,}, {_p(told.position.p)}"),
        ("Win rate with the sides balanced", _share(told.position.side_balanced)),
    ]


def _between(ends: tuple[float, float] | None) -> str:
    return _NONE if ends is None else f"{100 * ends[0]:.0f} % to {100 * ends[1]:.0f} %"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.0f} %"


def _p(value: float | None) -> str:
    if value is None:
        return f"p {_NONE}"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
