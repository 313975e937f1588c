"""The *What the model sees* tab: one row token by token, what is learned of it, and how long all rows are.

Guarantees: pure; learned and not learned differ by a line and by a word for screen readers, not by colour alone; the marks of
the chat format are visible; what would be cut off is shown as cut off; a number that was not counted for every row says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from studio.data import Inspection, desk
from studio.models.rendering import Rendering, Token
from studio.recipe import FIELDS
from studio.tokens import TokenProfile
from wizards import bars, forms, widgets
from wizards.desk.findings import reason
from wizards.desk.mapping import turn
from wizards.desk.screen import Screen, Seen
from wizards.desk.words import PARTS, clip, head
from wizards.widgets import Html, tag

#: Tokens of one example on the page.
_MOST: Final = 1_500
_LONG_TEXT: Final = 20_000


def tab(now: Screen) -> Html:
    """The whole tab."""
    inspection, seen = now.inspection, now.seen
    if inspection is None or seen is None or inspection.shape is None or not inspection.rows_usable:
        return widgets.empty("Nothing to show yet", "Once the columns are known, your rows stand here as the model reads them.")
    return widgets.join(
        (
            _learning(seen),
            _statistics(seen),
            tag("h3", "One row", cls="tf-seen-head"),
            _picker(seen, changeable=now.dataset is None and now.work is None),
            _row(seen, inspection),
        )
    )


def _learning(seen: Seen) -> Html:
    """What is learned from: the choice that the recipe offers."""
    options = (
        tag(
            "button",
            words,
            type="button",
            cls="tf-plan tf-learning",
            aria_pressed="true" if value == seen.train_on else "false",
            data_pick="train-on",
            data_value=value,
            data_phase="Marking what is learned",
        )
        for value, words in FIELDS["train_on"].choices
    )
    return tag(
        "div",
        tag("p", tag("strong", "What the model learns to write"), id="tf-learn-from"),
        tag("div", *options, cls="tf-plans tf-learnings", role="group", aria_labelledby="tf-learn-from"),
        cls="tf-learn-from",
    )


def _statistics(seen: Seen) -> Html | None:
    if seen.counting is not None:
        return tag(
            "div",
            tag("p", f"Counting the tokens of every row for {seen.model.label}. {seen.counting}".strip()),
            cls="tf-notice is-quiet",
            role="status",
        )
    profile = seen.profile
    if profile is None:
        return None
    numbers = (
        ("A usual row", f"{profile.p50:,}", "tokens; half of the rows have no more"),
        ("A long row", f"{profile.p95:,}", "tokens; 95 rows in 100 have no more"),
        ("The longest", f"{profile.max:,}", f"tokens; {_fits(profile)}"),
        ("Learned", f"{100 * profile.share_trained:.0f} %", f"of {profile.total:,} tokens in all"),
    )
    gauges = tag("dl", *(_number(*each) for each in numbers), cls="tf-gauges")
    picture = bars.histogram(
        [(bar.low, bar.high, bar.count) for bar in profile.bars],
        unit="tokens",
        said=f"Tokens per row for {seen.model.label}: half have at most {profile.p50:,}, the longest has {profile.max:,}.",
    )
    return widgets.join(
        (gauges, _cut(profile), widgets.more("All lengths", picture, tag("p", profile.note), keep="data-token-lengths"))
    )


def _fits(profile: TokenProfile) -> str:
    return f"{profile.max_length:,} fit"


def _number(name: str, value: str, remark: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", tag("strong", value), tag("span", remark)))


def _cut(profile: TokenProfile) -> Html | None:
    if not profile.too_long:
        return None
    rows = "1 row is" if profile.too_long == 1 else f"{profile.too_long:,} rows are"
    nothing = f" {profile.nothing_left:,} of them would have nothing left to learn from." if profile.nothing_left else ""
    return widgets.notice(
        f"{rows} longer than {profile.max_length:,} tokens and would be cut at the end.{nothing}",
        next_step="Shorten them, leave them out, or raise the longest example in the settings.",
        state="warn",
    )


def _picker(seen: Seen, *, changeable: bool) -> Html | None:
    if seen.row is None:
        return None
    out = (
        widgets.button(
            "Leave this row out",
            "leave-out",
            value=str(seen.row.row_id),
            kind="quiet",
            sign="cross",
            phase="Leaving the row out",
        )
        if changeable and not seen.row.reason
        else None
    )
    return tag(
        "nav",
        widgets.button(
            "Before",
            "row",
            value=str(seen.before),
            kind="quiet",
            sign="back",
            disabled=seen.before is None,
            phase="Opening the row",
        ),
        tag(
            "span",
            tag("label", "Line ", for_="tf-line"),
            forms.text("tf-line", str(seen.row.line), data_field="line", inputmode="numeric", cls="tf-page-number"),
            cls="tf-remark",
        ),
        widgets.button(
            "Next",
            "row",
            value=str(seen.after),
            kind="quiet",
            sign="arrow",
            disabled=seen.after is None,
            phase="Opening the row",
        ),
        widgets.button("Back to the rows", "tab", value="rows", kind="quiet"),
        out,
        cls="tf-pages",
        aria_label="Choose a row",
    )


def _row(seen: Seen, inspection: Inspection) -> Html:
    row = seen.row
    if row is None:
        return widgets.join(())
    parts: list[Html | None] = []
    if row.reason:
        parts.append(widgets.notice(f"This row is set aside. {reason(row.reason, row.detail)}.", state="warn"))
    elif seen.trouble is not None:
        parts.append(widgets.problem(seen.trouble))
    if seen.views:
        parts.append(_legend())
        parts.extend(_view(title, rendering, alone=len(seen.views) == 1) for title, rendering in seen.views)
    elif not row.reason and seen.loading:
        parts.append(tag("p", f"Loading what {seen.model.label} reads with. This takes some seconds, once.", role="status"))
    elif row.messages and not row.reason:
        parts.append(tag("div", *(turn(each.role, each.content, learned=False) for each in row.messages), cls="tf-turns"))
    parts.append(_texts(row, inspection, open_=bool(row.reason) or not seen.views))
    return widgets.join(parts)


def _legend() -> Html:
    keys = (
        ("is-trained", "learned", "The model learns to write this."),
        ("", "read", "It reads this, and does not learn to write it."),
        ("is-special", "mark", "A mark of the chat format."),
        ("is-cut", "cut", "Too long: it never sees this."),
    )
    items = (tag("li", tag("span", word, cls=f"tf-token {cls}".strip()), tag("span", says)) for cls, word, says in keys)
    return tag("ul", *items, cls="tf-token-keys")


def _view(title: str, rendering: Rendering, *, alone: bool) -> Html:
    shown = rendering.tokens[:_MOST]
    rest = len(rendering.tokens) - len(shown)
    cut = f", {rendering.cut:,} cut off" if rendering.cut else ""
    said = f"{len(rendering.tokens):,} tokens, {rendering.trained:,} of them learned{cut}."
    return tag(
        "figure",
        None if alone else tag("h4", title),
        tag(
            "div", *_runs(shown), cls="tf-tokens", dir="auto", tabindex="0", role="group", aria_label=f"{title}, token by token"
        ),
        tag("figcaption", f"{said} {f'{rest:,} more are not shown here.' if rest else ''}".strip(), cls="tf-remark"),
        cls="tf-token-view",
    )


def _runs(tokens: Sequence[Token]) -> Iterator[Html]:
    """Neighbours that are learned, or not, together: a screen reader says so once."""
    for trained, run in groupby(tokens, key=lambda token: token.trained):
        pieces = tuple(_token(token) for token in run)
        if trained:
            yield tag("mark", tag("span", " learned: ", cls="tf-unseen"), *pieces, tag("span", " (end) ", cls="tf-unseen"))
        else:
            yield widgets.join(pieces)


def _token(token: Token) -> Html:
    marks = [name for name, on in (("is-trained", token.trained), ("is-special", token.special), ("is-cut", token.cut)) if on]
    # A line end that belongs to a token has to be seen, and a token that is only the beginning of a letter too.
    text = token.text.replace("\n", "↵\n") or "·"
    return tag("span", text, cls=" ".join(("tf-token", *marks)), title=f"token {token.id}")


def _texts(row: desk.Whole, inspection: Inspection, *, open_: bool) -> Html | None:
    """The whole row in plain text, other columns included."""
    if not row.texts:
        return None
    pairs = [
        (
            PARTS.get(name, head(name, inspection)) if name != "raw" else "As it stands in the file",
            tag("pre", clip(cell.text, _LONG_TEXT, length=cell.length), cls="tf-sample", dir="auto", tabindex="0"),
        )
        for name, cell in row.texts
        if name != "raw" or row.reason
    ]
    body = tag("dl", *(tag("div", tag("dt", name), tag("dd", text)) for name, text in pairs), cls="tf-row-texts")
    if open_:
        return body
    return widgets.more("The whole row in plain text", body, keep="data-row-texts")
