"""What stands folded below a verdict: parts of the session, other questions, length, gold items, planning, textbook numbers.

Guarantees: each number stands with its name, in words, under the label that says what it cannot carry; a number that the votes
do not determine is said to be undetermined; nothing here is used by the verdict above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studio.compare.gold import GoldShare
from studio.compare.lengths import LengthControlled
from studio.compare.planning import Planning
from studio.compare.reference import LABEL, Reference
from studio.compare.sentences import odds, percent, plain, prompts, start
from studio.compare.slices import FEWEST as FEWEST_IN_SLICE
from studio.compare.slices import LABEL as EXPLORATORY
from studio.compare.slices import Criterion, Part, Slice
from studio.compare.verdict import Verdict
from wizards import widgets
from wizards.strips import Strip, strips
from wizards.verdict_charts import ends_of
from wizards.widgets import Html, tag

_NONE = "not determined"


def drawer(verdict: Verdict, names: Mapping[str, str] | None = None, *, keep: str = "verdict") -> Html:
    """All folded parts of one challenger. ``names`` tells who a rater is; ``keep`` tells several drawers on a page apart.

    Computing the numbers takes a tenth of a second the first time.
    """
    return widgets.join(
        (
            _slices(verdict, keep),
            _criteria(verdict, keep),
            _gold(verdict, names or {}, keep),
            _reference(verdict, keep),
        )
    )


# --- parts and other questions ---------------------------------------------------------------------------------------------


def _slices(verdict: Verdict, keep: str) -> Html | None:
    found = verdict.slices
    shown = [one for one in found if one.part is not None]
    if not found:
        return None
    small = len(found) - len(shown)
    hidden = "" if not small else f"{small:,} more with fewer than {FEWEST_IN_SLICE} rated prompts {_are(small)} not shown."
    return widgets.more(
        f"Part by part ({EXPLORATORY})",
        tag(
            "p",
            "The same win rate on some of the prompts only. Look here for what to try next, not for a result: among twenty "
            "parts one looks special by chance.",
        ),
        strips([_slice(one) for one in shown], name="Win rate by part", ends=ends_of(verdict.about)) if shown else None,
        tag("p", hidden, cls="tf-remark") if hidden else None,
        keep=f"{keep}-slices",
    )


def _slice(one: Slice) -> Strip:
    assert one.part is not None  # noqa: S101 - the caller has looked
    return _part(f"{plain(one.name)}: {plain(one.value)}", one.part)


def _criteria(verdict: Verdict, keep: str) -> Html | None:
    found: Sequence[Criterion] = verdict.criteria
    if not found:
        return None
    shown = [_part(plain(one.name), one.part) for one in found if one.part is not None]
    few = [f"“{plain(one.name)}” has {prompts(one.n)}" for one in found if one.part is None]
    hidden = f"{start('; '.join(few))}: shown from {FEWEST_IN_SLICE} on." if few else ""
    return widgets.more(
        f"The other questions ({EXPLORATORY})",
        tag("p", "What people said to the questions beside the overall one. The verdict is about the overall one alone."),
        strips(shown, name="Win rate by question", ends=ends_of(verdict.about)) if shown else None,
        tag("p", hidden, cls="tf-remark") if hidden else None,
        keep=f"{keep}-criteria",
    )


def _part(name: str, part: Part) -> Strip:
    remark = f"{percent(part.low)} to {percent(part.high)} · {prompts(part.n)} · evidence {odds(part.evidence)}"
    return Strip(name, percent(part.win_rate), remark, part.win_rate, part.low, part.high)


# --- gold items ------------------------------------------------------------------------------------------------------------


def _gold(verdict: Verdict, names: Mapping[str, str], keep: str) -> Html | None:
    found = verdict.gold
    if found is None:
        return None
    whole = f"{found.right:,} of {found.n:,} right"
    if found.share is not None:
        whole += f", {percent(found.share)} ({_between(found.wilson95)})"
    rows = [(_who(one, names), f"{one.right:,} of {one.n:,}", f"{one.skipped:,}") for one in found.raters]
    return widgets.more(
        f"How carefully people read: {whole}",
        tag(
            "p",
            "Some pairs had a better answer that is known, and looked like every other. They count in no verdict, and nobody "
            "is left out because of them: judge for yourself. A tie or both bad is not right. The interval is Wilson's, "
            f"{LABEL}.",
        ),
        widgets.table(("Who", "Right", "Skipped"), rows, caption="Pairs with a known answer", numeric=(1, 2)),
        keep=f"{keep}-gold",
    )


def _who(one: GoldShare, names: Mapping[str, str]) -> str:
    return f"{plain(names[one.rater])} ({one.rater})" if one.rater in names else plain(one.rater)


# --- textbook numbers ------------------------------------------------------------------------------------------------------


def _reference(verdict: Verdict, keep: str) -> Html:
    return widgets.more(
        f"Reference numbers: {LABEL}",
        tag(
            "p",
            "These are right for somebody who decided beforehand how many prompts to rate and looked once, at the end. On a "
            "page that people watch they name a winner too often. The verdict above does not use them.",
        ),
        widgets.table(("Number", "Value"), rows(verdict), caption="Reference numbers", cls="tf-reference"),
        keep=f"{keep}-reference",
    )


def rows(verdict: Verdict) -> list[tuple[str, str]]:
    """Name and value of each number."""
    told, name = verdict.reference, verdict.about.challenger
    return [
        (f"Prompts that leaned towards {name}, of those that leaned", f"{told.leaned_tuned:,} of {told.leaned:,}"),
        ("Wilson interval of that share", _between(told.wilson95)),
        ("Sign test, two-sided", _p(told.sign_test_p)),
        ("t interval of the mean prompt score", _between(told.t95)),
        ("Bootstrap interval (BCa) over prompts", _between(told.bootstrap_bca95)),
        *_lengths(verdict.length_controlled),
        *_agreement(told),
        *_position(told),
        *_blinding(verdict),
    ]


def _lengths(told: LengthControlled) -> list[tuple[str, str]]:
    if told.win_rate is None or told.low is None or told.high is None:
        found = [("Win rate with length held equal (length-controlled)", f"{_NONE}. {told.missing}")]
    else:
        value = f"{percent(told.win_rate)} ({percent(told.low)} to {percent(told.high)})"
        found = [("Win rate with length held equal (length-controlled)", value)]
    if told.longer_of:
        found.append(("Votes for the longer answer, of those for a side", f"{told.longer_won:,} of {told.longer_of:,}"))
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
        ("Win rate while the answer stood left, and right", _both_sides(told)),
        ("Win rate with the sides balanced", _share(told.position.side_balanced)),
    ]


def _both_sides(told: Reference) -> str:
    return f"{_share(told.position.win_rate_tuned_left)}, {_share(told.position.win_rate_tuned_right)}"


def _blinding(verdict: Verdict) -> list[tuple[str, str]]:
    told = verdict.blinding
    if told.index is None:
        return []
    named = told.right + told.wrong
    return [
        ("Blinding index (Bang); 0 is blind, 1 means everybody knew", f"{told.index:.2f}"),
        ("Who named a side and named the right one", f"{told.right:,} of {named:,}, {_p(told.p)}"),
    ]


# --- planning --------------------------------------------------------------------------------------------------------------


def planning(told: Planning, ties: str) -> Html:
    """What so many prompts can show. ``ties`` says which share of ties is taken for granted."""
    each = [
        (
            percent(one.win_rate),
            "over 2,000" if one.prompts_needed is None else f"{one.prompts_needed:,}",
            _chance(one.chance),
        )
        for one in told.rows
    ]
    same = "more than 8,000" if told.prompts_for_no_difference is None else f"about {told.prompts_for_no_difference:,}"
    return tag(
        "div",
        tag("h3", "How many prompts it takes"),
        tag("p", told.sentence),
        tag("p", f"{ties} To show that two models do not differ by anything worth having takes {same} prompts."),
        widgets.table(
            ("If the true win rate is", "Prompts that probably show it", f"Chance that {prompts(told.prompts)} do"),
            each,
            caption="How many prompts it takes",
            numeric=(1, 2),
        ),
        cls="tf-planning",
    )


def _chance(share: float) -> str:
    """In whole percent, and nothing is certain."""
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _between(ends: tuple[float, float] | None) -> str:
    return _NONE if ends is None else f"{100 * ends[0]:.0f} % to {100 * ends[1]:.0f} %"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.0f} %"


def _p(value: float | None) -> str:
    if value is None:
        return f"p {_NONE}"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
