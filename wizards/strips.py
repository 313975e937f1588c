"""Rows with a small ruler from 0 to 100: a share, its interval, and words. For rankings, parts of a session, and raters.

Guarantees: what a ruler shows is said in the row's own words; the middle is marked in every row, in the same place; a mark at
an end stays inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wizards.widgets import Html, join, tag


@dataclass(frozen=True, slots=True)
class Strip:
    """One row. ``value`` is its number in words, ``remark`` what else belongs to it.

    ``rate`` is the mark, ``low`` and ``high`` the band, ``other`` a second, hollow mark; all are shares, or ``None``.
    """

    name: Html | str
    value: str
    remark: Html | str = ""
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    other: float | None = None
    mark: Html | None = None


def strips(rows: Sequence[Strip], *, name: str, ends: tuple[str, str], ranked: bool = False) -> Html:
    """The rows over one scale. ``ends`` say what 0 and 100 mean; ``ranked`` numbers them."""
    listed = tag("ol" if ranked else "ul", *map(_row, rows), cls="tf-strips-rows", aria_label=name)
    numbers = (tag("span", str(at), style=f"left:{at}%", cls="is-middle" if at == 50 else None) for at in (0, 25, 50, 75, 100))
    foot = tag(
        "div",
        tag(
            "div",
            tag("div", *numbers, cls="tf-scale-numbers"),
            tag("div", tag("span", ends[0]), tag("span", ends[1]), cls="tf-strips-ends"),
        ),
        cls="tf-strips-foot",
        aria_hidden="true",
    )
    return tag("div", listed, foot, cls=f"tf-strips{' is-ranked' if ranked else ''}")


def _row(row: Strip) -> Html:
    return tag(
        "li",
        tag("span", tag("strong", row.name), row.mark, cls="tf-strip-name"),
        _track(row),
        tag("span", row.value, cls="tf-strip-value"),
        tag("span", row.remark, cls="tf-strip-remark") if row.remark else None,
    )


def _track(row: Strip) -> Html:
    marks: list[Html] = [tag("i", cls="tf-track-middle")]
    if row.low is not None and row.high is not None:
        left, width = 100 * row.low, 100 * (row.high - row.low)
        marks.append(tag("i", cls="tf-track-band", style=f"left:{left:.2f}%;width:{width:.2f}%"))
    if row.other is not None:
        marks.append(tag("i", cls="tf-track-other", style=f"left:{100 * row.other:.2f}%"))
    if row.rate is not None:
        marks.append(tag("i", cls="tf-track-mark", style=f"left:{100 * row.rate:.2f}%"))
    return tag("span", join(marks), cls="tf-track", aria_hidden="true")
