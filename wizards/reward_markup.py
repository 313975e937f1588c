"""The reward panel as markup: the sentence, the parts, the person's own rows, the model's answers.

Guarantees: everything that a person, a file or a model said is text; every field has a label; a score is never told by colour
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from studio.errors import StudioError
from studio.rewards import Part, Score, TaskRow
from studio.rewards.bench import Bench, Bin, Group, Note, Trial
from wizards import forms, widgets
from wizards.reward_forms import KINDS, Blank, Raw, parts_of, plain, shown
from wizards.widgets import Html, State, tag

_LONGEST_SHOWN: Final = 2_000
_STATES: Final[Mapping[str, State]] = {"bad": "bad", "warn": "warn", "good": "good"}


@dataclass(frozen=True, slots=True)
class Tried:
    """One of the person's own rows: what its reference scores as an answer, and what was typed scores."""

    row: TaskRow
    reference: Score | None
    typed: str
    score: Score | None


@dataclass(frozen=True, slots=True)
class Trying:
    """The bench as it stands. At most one of ``phase`` (it is at work), ``error`` and ``bench`` is there.

    ``stale``: what was tried is not the reward as it is now.
    """

    phase: str = ""
    error: StudioError | None = None
    bench: Bench | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole panel. ``problem`` is why ``raw`` cannot be used, ``field`` the field that it names."""

    raw: Mapping[str, Any]
    sentence: str
    reason: str
    sure: bool
    changed: bool
    cautions: tuple[str, ...]
    problem: StudioError | None
    tried: tuple[Tried, ...]
    preview_note: str
    trying: Trying
    yaml: str
    yaml_problem: str = ""


def html(now: Screen) -> Html:
    """The panel."""
    return tag("section", _head(now), _parts(now), _preview(now), _bench(now), _as_text(now), cls="tf-part tf-reward")


def _head(now: Screen) -> Html:
    undo = (
        widgets.button("Back to the suggested reward", "reward-suggested", kind="quiet", sign="undo") if now.changed else None
    )
    state = widgets.pill("yours", "quiet") if now.changed else widgets.pill("suggested", "good" if now.sure else "warn")
    why = "You built this reward yourself." if now.changed else now.reason
    return widgets.join(
        (
            tag("div", tag("h2", "What makes an answer good?"), undo, cls="tf-part-head"),
            tag(
                "p",
                "Each answer that the model tries gets a score (reward). What scores above the other tries is made likelier.",
                cls="tf-lead",
            ),
            tag(
                "div",
                tag("p", now.sentence, cls="tf-reward-sentence"),
                tag("p", state, tag("span", why, cls="tf-remark"), cls="tf-badge"),
                cls="tf-sheet",
            )
            if now.problem is None
            else widgets.problem(now.problem),
            *(widgets.notice(caution, state="warn") for caution in (now.cautions if now.problem is None else ())),
        )
    )


def _parts(now: Screen) -> Html:
    parts = parts_of(now.raw)
    more = widgets.button("Add another part", "reward-add", kind="secondary")
    return widgets.join(
        (
            *(_part(place, part, len(parts), now) for place, part in enumerate(parts)),
            tag(
                "div",
                more,
                tag("span", "The score is the sum of the parts, each times its weight.", cls="tf-remark"),
                cls="tf-acts",
            ),
        )
    )


def _part(place: int, part: Raw, total: int, now: Screen) -> Html:
    reward = cast("Raw", part["reward"])
    kind = next((each for each in KINDS if each.id == reward.get("kind")), None)
    ident = f"tf-reward-{place}-kind"
    choice = forms.choice(
        ident, [(each.id, each.label) for each in KINDS], str(reward.get("kind", "")), data_field=f"reward.{place}.kind"
    )
    weight = (
        forms.field(
            "Weight",
            forms.text(
                f"tf-reward-{place}-weight",
                plain(part["weight"]),
                inputmode="decimal",
                data_field=f"reward.{place}.weight",
            ),
            ident=f"tf-reward-{place}-weight",
        )
        if total > 1 or part["weight"] != 1
        else None
    )
    drop = (
        widgets.button("Leave this part out", "reward-remove", value=str(place), kind="quiet", sign="cross")
        if total > 1
        else None
    )
    title = f"Part {place + 1}: an answer is good when" if total > 1 else "An answer is good when"
    fields = _fields(place, reward, kind.blanks) if kind else tag("p", "This part is edited as text, below.", cls="tf-remark")
    return tag(
        "div",
        tag("div", forms.field(title, choice, ident=ident, note=kind.note if kind else ""), weight, cls="tf-reward-head"),
        fields,
        _named_wrong(now, place, total),
        drop,
        cls="tf-sheet tf-reward-part",
    )


def _named_wrong(now: Screen, place: int, total: int) -> Html | None:
    """The problem once more, at the part that it names."""
    if now.problem is None or not (total == 1 or now.problem.where.startswith(f"parts.{place}")):
        return None
    return tag("p", now.problem.what, cls="tf-field-problem")


def _fields(place: int, reward: Raw, blanks: Sequence[Blank]) -> Html:
    plain = [blank for blank in blanks if not blank.extra]
    extra = [blank for blank in blanks if blank.extra]
    return widgets.join(
        (
            _group(place, reward, plain),
            widgets.more("More", _group(place, reward, extra), keep=f"reward-more-{place}") if extra else None,
        )
    )


def _group(place: int, reward: Raw, blanks: Sequence[Blank]) -> Html:
    fields = [_field(place, reward, blank) for blank in blanks if blank.control != "flag"]
    flags = [_flag(place, reward, blank) for blank in blanks if blank.control == "flag"]
    return widgets.join(
        (
            tag("div", *fields, cls="tf-fields") if fields else None,
            tag("div", *flags, cls="tf-reward-flags") if flags else None,
        )
    )


def _field(place: int, reward: Raw, blank: Blank) -> Html:
    ident = f"tf-reward-{place}-{blank.name}"
    sends = f"reward.{place}.{blank.name}"
    text = shown(blank, reward)
    note = f"{ident}-note" if blank.note else None
    if blank.control == "choice":
        control = forms.choice(ident, blank.choices, text, data_field=sends, aria_describedby=note)
    elif blank.control in ("lines", "code"):
        rows = 8 if blank.control == "code" else 3
        control = forms.area(ident, text, rows=rows, data_field=sends, aria_describedby=note)
    else:
        mode = {"number": "decimal", "whole": "numeric"}.get(blank.control)
        control = forms.text(ident, text, inputmode=mode, data_field=sends, aria_describedby=note)
    made = forms.field(blank.label, control, ident=ident, note=blank.note)
    return tag("div", made, cls="tf-fields-whole tf-reward-wide") if blank.control == "code" else made


def _flag(place: int, reward: Raw, blank: Blank) -> Html:
    on = bool(reward.get(blank.name, blank.default))
    return tag(
        "button",
        tag("span", widgets.icon("check", 14) if on else None, cls="tf-reward-box"),
        tag("span", blank.label),
        type="button",
        role="switch",
        aria_checked="true" if on else "false",
        cls="tf-reward-flag",
        data_pick="reward-flip",
        data_value=f"{place}.{blank.name}",
    )


# --- the person's own rows -------------------------------------------------------------------------------------------------


def _preview(now: Screen) -> Html:
    body = (
        tag("p", now.preview_note, cls="tf-remark")
        if now.preview_note
        else tag("ul", *(_row(place, each) for place, each in enumerate(now.tried)), cls="tf-reward-rows")
    )
    return tag(
        "div",
        tag("h3", "On your own rows"),
        tag("p", "Type what a model might answer and see what it is worth.", cls="tf-remark"),
        body,
        cls="tf-reward-preview",
    )


def _row(place: int, now: Tried) -> Html:
    ident = f"tf-reward-answer-{place}"
    reference = (
        tag(
            "p",
            tag("span", "The reference "),
            tag("code", _cut(now.row.reference)),
            tag("span", " as an answer: "),
            _score(now.reference),
            cls="tf-reward-reference",
        )
        if now.reference is not None
        else None
    )
    return tag(
        "li",
        tag("pre", _cut(now.row.prompt), cls="tf-sample", tabindex="0", role="region", aria_label=f"Row {place + 1}"),
        reference,
        forms.field("An answer to try", forms.area(ident, now.typed, rows=2, data_field=f"reward.answer.{place}"), ident=ident),
        tag("p", _score(now.score), _why(now.score), cls="tf-reward-result", role="status") if now.score is not None else None,
    )


def _score(score: Score | None) -> Html:
    if score is None or score.value is None:
        return tag("strong", "not scored", cls="tf-score")
    return tag("strong", f"{score.value:.2f}", cls="tf-score")


def _why(score: Score | None) -> Html | None:
    if score is None:
        return None
    if score.error is not None:
        return tag("span", score.error, cls="tf-field-problem")
    return tag("span", "; ".join(_said(part, len(score.parts) > 1) for part in score.parts), cls="tf-remark")


def _said(part: Part, one_of_many: bool) -> str:
    if not one_of_many or part.value is None:
        return part.why
    return f"{part.name} {part.value:.2f} (weight {part.weight:g}): {part.why}"


# --- the model's answers ---------------------------------------------------------------------------------------------------


def _bench(now: Screen) -> Html:
    return tag(
        "div",
        tag("h3", "On the model's own answers"),
        tag(
            "p",
            "The model, as it is before training, answers five of your questions four times each. Training can only learn "
            "where answers to the same question score differently.",
            cls="tf-remark",
        ),
        *_outcome(now),
        cls="tf-reward-bench",
    )


def _outcome(now: Screen) -> tuple[Html, ...]:
    trying = now.trying
    if trying.phase:
        return (
            widgets.meter(0, 0, f"{trying.phase[:1].upper()}{trying.phase[1:]}"),
            tag("div", widgets.button("Cancel", "reward-cancel", kind="quiet"), cls="tf-acts"),
            widgets.heartbeat(1000, seen=f"reward:{trying.phase}"),
        )
    again = "Try it with the model" if trying.bench is None else "Try again"
    kind = "secondary" if trying.bench is not None and not trying.stale else "primary"
    press = tag(
        "div", widgets.button(again, "reward-try", kind=kind, phase="starting", disabled=now.problem is not None), cls="tf-acts"
    )
    if trying.error is not None:
        return (widgets.problem(trying.error), press)
    if trying.bench is None:
        return (press,)
    stale = widgets.notice(
        "The reward or the model has changed since this was tried.",
        next_step="Try again to see what it says now.",
        state="warn",
    )
    return (*((stale,) if trying.stale else ()), *_benched(trying.bench), press)


def _benched(bench: Bench) -> tuple[Html, ...]:
    mean = "none" if bench.mean is None else f"{bench.mean:.2f}"
    spread = "none" if bench.spread is None else f"{bench.spread:.2f}"
    signal = sum(not group.flat for group in bench.groups if len(group.scores) > 1)
    figures = (
        ("Mean score", mean),
        ("Spread inside a question", spread),
        ("Questions with differences", f"{signal} of {len(bench.groups)}"),
        ("Not scored", f"{bench.failed} of {bench.answers}"),
    )
    return (
        *(_note(note) for note in bench.notes),
        _histogram(bench.histogram, len(bench.scores)),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in figures), cls="tf-reward-figures"),
        *(_group_of(place, group) for place, group in enumerate(bench.groups)),
    )


def _note(note: Note) -> Html:
    return widgets.notice(note.sentence, next_step=note.next_step, state=_STATES[note.level])


def _histogram(bins: Sequence[Bin], total: int) -> Html:
    """How often each score came up: a bar for each tenth of the range, its count above it."""
    most = max((each.count for each in bins), default=0) or 1
    said = "; ".join(f"{each.count} from {each.low:g} to {each.high:g}" for each in bins if each.count) or "none"
    bars = (
        tag(
            "span",
            tag("b", each.count or ""),
            tag("i", style=f"height:{100 * each.count / most:.0f}%") if each.count else tag("i", cls="is-none"),
        )
        for each in bins
    )
    ends = (bins[0].low, (bins[0].low + bins[-1].high) / 2, bins[-1].high) if bins else ()
    return tag(
        "figure",
        tag("figcaption", f"Scores of {total} answers"),
        tag("p", f"How often each score came up: {said}.", cls="tf-unseen"),
        tag("div", *bars, cls="tf-reward-bars", aria_hidden="true"),
        tag("div", *(tag("span", f"{end:.2g}") for end in ends), cls="tf-reward-axis", aria_hidden="true"),
        cls="tf-reward-histogram",
    )


def _group_of(place: int, group: Group) -> Html:
    scores = ", ".join(f"{score:.2f}" for score in group.scores) or "not scored"
    flat = " (all the same)" if group.flat else ""
    return widgets.more(
        f"Question {place + 1}: {scores}{flat}",
        tag("pre", _cut(group.row.prompt), cls="tf-sample", tabindex="0", role="region", aria_label=f"Question {place + 1}"),
        tag("p", "The reference: ", tag("code", _cut(group.row.reference))) if group.row.reference else None,
        tag("ol", *(_trial(trial) for trial in group.trials), cls="tf-tried-answers"),
        keep=f"reward-group-{place}",
    )


def _trial(trial: Trial) -> Html:
    return tag(
        "li",
        tag("p", _score(trial.score), _why(trial.score), cls="tf-tried-score"),
        tag("pre", _cut(trial.answer) or "(an empty answer)", cls="tf-tried-text"),
    )


def _as_text(now: Screen) -> Html:
    return widgets.more(
        "The same as text (YAML)",
        forms.field(
            "The whole reward",
            forms.area(
                "tf-reward-yaml", now.yaml, rows=10, data_field="reward.yaml", aria_invalid="true" if now.yaml_problem else None
            ),
            ident="tf-reward-yaml",
            note=now.yaml_problem or "Change it here, or paste one. It is also what tuning-fork reward try takes as a file.",
        ),
        keep="reward-yaml",
    )


def _cut(text: str) -> str:
    return f"{text[:_LONGEST_SHOWN]}…" if len(text) > _LONGEST_SHOWN else text
