"""The end of one rater's work: the question which side was which, and then the telling.

Guarantees: pure; what names a side is made from a ``Reveal`` alone, which exists only for somebody who is done.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from studio.compare.blind import Question, Reveal, RevealedItem
from wizards import widgets
from wizards.rate_screens import Asked, page, prompt, side, text
from wizards.widgets import Html, tag


def last_question(asked: Asked, told: Question, done: int, *, late: bool = False) -> Html:
    """The question that comes before the sides are told: could they be told apart. ``late``: a vote came after the close."""
    last, closed = told.item, None
    words, left, right = _question(told)
    if last.status == "closed":
        kept = f"The {done:,} pairs that you rated are kept." if done != 1 else "The pair that you rated is kept."
        closed = f"This session has been closed{', before your last press came' if late else ''}. {kept}"
    return page(
        asked,
        "guess",
        tag("h1", "One last question", tabindex="-1", data_focus=True),
        tag("p", closed, cls="tf-lead") if closed else None,
        tag("p", words, cls="tf-lead", dir="auto"),
        prompt(last.messages),
        tag("div", side("A", "left", last.left), side("B", "right", last.right), cls="rt-pair", data_view="both"),
        tag(
            "div",
            *(
                tag("button", tag("span", label), type="button", cls="rt-button", data_say="guess", data_value=value)
                for value, label in (("left", left), ("right", right), ("unsure", "I cannot tell"))
            ),
            cls="rt-buttons rt-three",
        ),
        _back() if last.open else None,
        position=last.position,
        total=last.total,
    )


def _back() -> Html:
    return tag(
        "button",
        widgets.icon("back"),
        tag("span", "Change my last answer"),
        type="button",
        cls="tf-button tf-quiet",
        data_say="review",
    )


def _question(told: Question) -> tuple[str, str, str]:
    """The question, and the words on the two buttons that name a side."""
    if told.base_and_tuned:
        words = (
            "One of the two answers to each prompt came from a base model, the other from the same model after it was tuned. "
            "On this pair, which one do you think came from the tuned model?"
        )
        return words, "A is tuned", "B is tuned"
    words = (
        f"On this pair, one answer came from “{told.challenger}” and the other from “{told.against}”. "
        f"Which one do you think came from “{told.challenger}”?"
    )
    return words, "It was A", "It was B"


def reveal(asked: Asked, told: Reveal) -> Html:
    """What this person preferred, now that nothing can be influenced any more."""
    checks = _checks(told)
    return page(
        asked,
        "reveal",
        tag("h1", "Thank you", tabindex="-1", data_focus=True),
        tag("p", _summary(told), cls="tf-lead"),
        tag("p", _guessed(told), cls="tf-lead"),
        tag("p", checks, cls="tf-lead") if checks else None,
        tag(
            "div",
            tag(
                "a", "See the verdict", widgets.icon("arrow"), href="/", hidden=True, data_back=True, cls="tf-button tf-primary"
            ),
            cls="tf-acts",
        ),
        tag(
            "details",
            tag("summary", f"Which answer was which, on all {len(told.items):,} pairs"),
            tag("ol", *(_revealed(one, told.base_and_tuned) for one in told.items), cls="rt-list"),
            cls="tf-more",
            data_keep="reveal",
        ),
    )


def _summary(told: Reveal) -> str:
    if told.base_and_tuned:
        parts = [f"You preferred the tuned model {_times(told.tuned_won)} and the base model {_times(told.base_won)}."]
    else:
        won = Counter(one.left_label if one.choice == "left" else one.right_label for one in told.items if one.choice in _SIDES)
        names = sorted({label for one in told.items for label in (one.left_label, one.right_label)})
        parts = ["You preferred " + ", ".join(f"“{name}” {_times(won[name])}" for name in names) + "."]
    if told.ties or told.both_bad:
        parts.append(f"You found them equally good {_times(told.ties)} and both bad {_times(told.both_bad)}.")
    if told.skipped:
        parts.append(f"You skipped {told.skipped:,}.")
    return " ".join(parts)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _guessed(told: Reveal) -> str:
    if told.guessed_right is None:
        which = "tuned" if told.base_and_tuned else "which"
        return f"You could not tell which one was {which}. The verdict counts that beside the votes."
    right = "right" if told.guessed_right else "wrong"
    return f"On the last pair you guessed {right}. One guess says little; it is counted with the others."


def _checks(told: Reveal) -> str:
    """What there was among the pairs that no model wrote."""
    if not told.gold:
        return ""
    if told.gold == 1:
        chose = "You chose it." if told.gold_right else "You did not choose it."
        return f"One of your pairs was a check with a known better answer. {chose} Checks count in no verdict."
    among = f"Among your pairs were {told.gold:,} checks with a known better answer."
    return f"{among} You chose the better one in {told.gold_right:,} of them. Checks count in no verdict."


_SIDES: Final = ("left", "right")
_SAID: Final[dict[str, str]] = {"tie": "equally good", "both_bad": "both bad", "skip": "skipped"}


def _revealed(one: RevealedItem, base_and_tuned: bool) -> Html:
    (tuned, label), (base, other) = (one.left, one.left_label), (one.right, one.right_label)
    if one.tuned_side == "right":
        (tuned, label), (base, other) = (base, other), (tuned, label)
    said = "not rated" if one.choice is None else _SAID.get(one.choice, "")
    if not said and base_and_tuned:
        said = f"you preferred the {'tuned' if one.choice == one.tuned_side else 'base'} model"
    elif not said:
        said = f"you preferred “{label if one.choice == one.tuned_side else other}”"
    names = ("Tuned", "Base") if base_and_tuned else (label, other)
    asked = one.messages[-1].content if one.messages else ""
    return tag(
        "li",
        text(asked, "rt-text rt-list-prompt", tabindex="0"),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", text(words, tabindex="0")))
                    for name, words in zip(names, (tuned, base), strict=True))),
        tag("p", said, cls="tf-remark"),
    )  # fmt: skip
