"""The picture of a verdict: the win rate with its interval on a scale from 0 to 100, and one stroke for each prompt.

Guarantees: everything in it is also said in one sentence, for those who do not see it; the two sides are told apart by place
and words, not by colour alone, and go by the names that the verdict gives them.
"""

from __future__ import annotations

from studio.compare.sentences import percent, start
from studio.compare.verdict import Verdict
from wizards.verdict_charts import ends_of, short, unbroken
from wizards.widgets import Html, tag


def picture(now: Verdict) -> Html:
    """Scale and strokes with the sentence below that says the same. Needs a win rate."""
    assert now.win_rate is not None  # noqa: S101 - the caller has votes
    return tag(
        "figure",
        tag("figcaption", words(now), cls="tf-unseen"),
        _scale(now, now.win_rate),
        _strokes(now),
        tag("p", unbroken(now.sentence), cls="tf-sentence"),
        cls="tf-scale",
    )


def words(now: Verdict) -> str:
    """The picture in one sentence."""
    assert now.win_rate is not None  # noqa: S101 - the caller has votes
    return (
        f"{start(now.about.challenger)}'s win rate: {percent(now.win_rate)}, interval from {percent(now.low)} to "
        f"{percent(now.high)}; 50 % would be no difference. Of {now.n_items:,} prompts, {now.leaned_tuned:,} leaned towards "
        f"{now.about.challenger}, {now.leaned_base:,} towards {now.about.reference} and {now.leaned_even:,} towards neither."
    )


def _ruler(rate: float, low: float, high: float) -> Html:
    """A ruler with the middle marked through everything, a band for the interval, a needle for the rate."""
    ticks = [
        tag(
            "line",
            x1=at,
            x2=at,
            y1=34,
            y2=46 if at % 10 else 52,
            stroke="currentColor",
            stroke_width="1",
            vector_effect="non-scaling-stroke",
        )
        for at in range(0, 101, 5)
    ]
    band = tag("rect", x=f"{100 * low:.2f}", y="14", width=f"{100 * (high - low):.2f}", height="16", cls="tf-band")
    ends = [
        tag(
            "line",
            x1=f"{100 * end:.2f}",
            x2=f"{100 * end:.2f}",
            y1=10,
            y2=34,
            cls="tf-band-end",
            vector_effect="non-scaling-stroke",
        )
        for end in (low, high)
    ]
    middle = tag("line", x1=50, x2=50, y1=0, y2=60, cls="tf-middle", vector_effect="non-scaling-stroke")
    needle = tag(
        "line", x1=f"{100 * rate:.2f}", x2=f"{100 * rate:.2f}", y1=4, y2=40, cls="tf-needle", vector_effect="non-scaling-stroke"
    )
    return tag(
        "svg",
        tag("line", x1=0, x2=100, y1=34, y2=34, stroke="currentColor", stroke_width="1", vector_effect="non-scaling-stroke"),
        *ticks,
        band,
        *ends,
        middle,
        needle,
        viewBox="0 0 100 60",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )


def _scale(now: Verdict, rate: float) -> Html:
    """The ruler with its flag above, its numbers and words below."""
    left, right = ends_of(now.about)
    flag = tag("span", tag("strong", percent(rate)), cls=f"tf-flag{_side(rate)}", style=f"left:{100 * rate:.2f}%")
    numbers = (
        tag("span", text, style=f"left:{at}%", cls="is-middle" if at == 50 else None)
        for at, text in ((0, "0"), (25, "25"), (50, "50"), (75, "75"), (100, "100"))
    )
    return tag(
        "div",
        tag("div", flag, cls="tf-scale-flag"),
        _ruler(rate, now.low, now.high),
        tag("div", *numbers, cls="tf-scale-numbers"),
        tag(
            "div",
            tag("span", left),
            tag("span", "no difference"),
            tag("span", right),
            cls="tf-scale-words",
        ),
        cls="tf-scale-ruler",
        aria_hidden="true",
    )


def _side(rate: float) -> str:
    """Near an end the number must not hang over it."""
    return " is-left" if rate < 0.08 else " is-right" if rate > 0.92 else ""


def _strokes(now: Verdict) -> Html:
    groups = (
        ("is-base", short(now.about.reference), now.leaned_base),
        ("is-even", "neither", now.leaned_even),
        ("is-tuned", short(now.about.challenger), now.leaned_tuned),
    )
    cuts = (
        tag("span", tag("span", *(tag("i") for _ in range(count)), cls="tf-strokes"), style=f"flex-grow:{count}", cls=name)
        for name, _, count in groups
        if count
    )
    keys = (
        tag("li", tag("span", cls=f"tf-stroke-key {name}"), tag("strong", f"{count:,}"), f" {word}")
        for name, word, count in groups
    )
    many = "1 prompt" if now.n_items == 1 else f"{now.n_items:,} prompts"
    return tag(
        "div",
        tag("div", *cuts, cls="tf-strokes-row"),
        tag("p", f"{many}, one stroke each. Preferred was:"),
        tag("ul", *keys, cls="tf-strokes-keys"),
        cls="tf-strokes-figure",
        aria_hidden="true",
    )
