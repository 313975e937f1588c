"""The *Shape* tab: how long the texts are, which labels there are, and which rows are copies of each other.

Guarantees: pure; every number counts every usable row; each label and each cluster leads to its rows.
"""

from __future__ import annotations

from studio.data import Inspection, Lengths, desk
from studio.histograms import Bar
from wizards import bars, widgets
from wizards.desk.screen import Screen
from wizards.desk.words import clip, counted, head
from wizards.widgets import Html, tag


def tab(now: Screen) -> Html:
    """The whole tab."""
    inspection, figures = now.inspection, now.figures
    if inspection is None or figures is None or not inspection.rows_usable:
        return widgets.empty("Nothing to draw yet", "Lengths, labels and copies stand here once rows can be used.")
    lengths = tag(
        "div",
        _lengths("What is asked", figures.prompt, inspection.lengths.prompt, "prompt"),
        _lengths("The answer", figures.completion, inspection.lengths.completion, "completion"),
        cls="tf-pair",
    )
    return widgets.join(
        (
            lengths,
            *(_labels(each, inspection) for each in figures.labels),
            _copies(figures),
        )
    )


def _lengths(name: str, steps: tuple[Bar, ...], lengths: Lengths, keep: str) -> Html:
    said = f"Half have at most {lengths.p50:,} characters, 95 in 100 at most {lengths.p95:,}; the longest has {lengths.max:,}."
    picture = bars.histogram([(bar.low, bar.high, bar.count) for bar in steps], unit="characters", said=said, keep=keep)
    return tag("section", tag("h3", name), picture or tag("p", "No text.", cls="tf-remark"), cls="tf-sheet")


def _labels(labels: desk.Labels, inspection: Inspection) -> Html:
    heading = "The answers are labels" if labels.column == "completion" else f"“{head(labels.column, inspection)}”"
    shown = [bars.Bar(clip(each.text, 120), each.count, "like", each.like) for each in labels.values]
    total = sum(each.count for each in labels.values) + labels.others
    most = labels.values[0].count / max(1, total)
    said = f"{labels.distinct:,} different values. "
    said += (
        "One of them makes up most rows, so a model that always says it would look good."
        if most > 0.8 and labels.column == "completion"
        else "Press one to see its rows."
    )
    others = tag("p", f"{counted(labels.others)} more with other values.", cls="tf-remark") if labels.others else None
    return tag(
        "section",
        tag("h3", heading),
        tag("p", said, cls="tf-remark"),
        bars.labelled(shown, name=heading, total=total),
        others,
        cls="tf-sheet",
    )


def _copies(figures: desk.Figures) -> Html:
    if not figures.copies:
        return tag("section", tag("h3", "Copies"), widgets.pill("No row is a copy of another", "good"), cls="tf-sheet")
    near = f"{figures.near:,} groups of questions are nearly the same" if figures.near else ""
    exact = f"{figures.exact:,} rows have exact copies" if figures.exact != 1 else "1 row has exact copies"
    said = "; ".join(each for each in (exact if figures.exact else "", near) if each)
    rows = [
        (
            tag(
                "button",
                f"{each.count:,} rows",
                type="button",
                cls="tf-button tf-quiet",
                data_pick="like",
                data_value=each.like,
            ),
            "nearly the same" if each.near else "exact copies",
            f"{each.first_line:,}",
            tag("div", clip(each.text, 160), cls="tf-cell", dir="auto"),
        )
        for each in figures.copies
    ]
    return tag(
        "section",
        tag("h3", "Copies"),
        tag("p", f"{said}. Exact copies are kept once; what is nearly the same stays in one part.", cls="tf-remark"),
        widgets.table(
            ("Show", "Kind", "First line", "What is asked"), rows, caption="The largest groups of copies", numeric=(2,)
        ),
        cls="tf-sheet",
    )
