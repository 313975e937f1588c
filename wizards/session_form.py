"""How a session is to run, for those who want it otherwise: folded away on the step *Compare*, with what the choice can show.

Guarantees: nobody has to open it, and what it leaves alone stays as usual; what was typed stays typed when something is wrong
with it; nothing is promised that the rule of the verdict does not hold, and time is given as a least. Pure but for ``pressed``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from studio.compare import blind, planning
from studio.compare.blind import SessionOptions
from studio.compare.sentences import percent
from studio.errors import RunError, SettingError, StudioError
from wizards import forms, judging, sign_in, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, Visit
from wizards.widgets import Html, tag

#: The name under which the form sends what was typed.
FORM: Final = "session-options"
#: The name of the press that unfolds them.
DOOR: Final = "session-door"
_FIELDS: Final = (
    "prompts",
    "raters",
    "ratings",
    "overlap",
    "criteria",
    "comments",
    "seconds",
    "gold",
    "days",
    "pairs",
    "login",
)
_LABELS: Final = {
    "prompts": "Prompts to rate",
    "raters": "People who will rate",
    "ratings": "Ratings for each prompt",
    "ratings_per_prompt": "Ratings for each prompt",
    "per_rater": "People who will rate",
    "overlap": "Share that everybody sees (%)",
    "criteria": "Further questions",
    "seconds": "Least seconds between votes",
    "min_seconds": "Least seconds between votes",
    "gold": "Test pairs",
    "days": "Days that an invite lasts",
    "expires_days": "Days that an invite lasts",
}
_LONGEST_VIEW: Final = 1_000


@dataclass(frozen=True, slots=True)
class Offered:
    """What there is to rate: prompts with different answers, challengers, and the words of one pair, prompt included.

    ``pairs`` counts the pairs of answers that differ, each challenger against the reference.
    ``references`` says whether the data has right answers, of which test pairs can be made.
    """

    prompts: int
    challengers: int
    words: float
    references: bool
    pairs: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed, read: the options, and how many people are expected (``None``: not said)."""

    options: SessionOptions
    raters: int | None


def typed(view: str) -> Mapping[str, str]:
    """What was typed so far, by the name of the field; nothing when the view looks at something else."""
    pairs = dict(parse_qsl(view, keep_blank_values=True, max_num_fields=20))
    return {name: pairs[name] for name in _FIELDS if name in pairs} if pairs.get("options") == "1" else {}


def wanted(text: Mapping[str, str], offered: Offered) -> Wanted:
    """Read the fields. Raises ``SettingError`` that names the field."""
    raters, ratings = _whole(text, "raters"), _whole(text, "ratings")
    prompts = _whole(text, "prompts")
    overlap = _number(text, "overlap", 0.0) / 100
    per_rater: int | None = None
    if ratings is not None and raters is not None and raters > ratings:
        shown = min(prompts or offered.prompts, offered.prompts)
        shared = round(overlap * shown) * offered.challengers
        per_rater = planning.pairs_for_each(shown * offered.challengers, raters, ratings, shared)
    options = SessionOptions(
        prompts=prompts,
        ratings_per_prompt=ratings,
        per_rater=per_rater,
        overlap=overlap,
        criteria=tuple(line.strip() for line in text.get("criteria", "").splitlines() if line.strip()),
        comments=text.get("comments") == "yes",
        gold=_whole(text, "gold") or 0,
        min_seconds=_number(text, "seconds", 0.0),
        pairs="all" if text.get("pairs") == "all" else "reference",
        expires_days=_number(text, "days", 30.0),
        login=text.get("login") == "yes",
    )
    return Wanted(options, raters)


def _whole(text: Mapping[str, str], name: str) -> int | None:
    written = text.get(name, "").strip().replace(",", "")
    if not written:
        return None
    if not (written.isascii() and written.isdecimal()) or len(written) > 6:
        raise SettingError("This is not a whole number.", where=name, next_step="Type a whole number, such as 30.")
    return int(written)


def _number(text: Mapping[str, str], name: str, usual: float) -> float:
    written = text.get(name, "").strip().removesuffix("%").strip()
    if not written:
        return usual
    try:
        found = float(written)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise SettingError("This is not a number.", where=name, next_step="Type a number, such as 20.")
    return found


# --- markup ----------------------------------------------------------------------------------------------------------------


def is_open(view: str) -> bool:
    """Whether the options are unfolded."""
    return dict(parse_qsl(view, keep_blank_values=True, max_num_fields=20)).get("options") == "1"


def door(view: str) -> Html:
    """The button that unfolds the options, and folds them again."""
    on = is_open(view)
    return tag(
        "button",
        tag("span", "Session options"),
        type="button",
        cls="tf-button tf-quiet",
        data_pick=DOOR,
        data_value="" if on else "open",
        data_phase=None if on else "Working out what a session can show",
        aria_expanded="true" if on else "false",
        aria_controls="tf-session-options",
    )


def part(offered: Offered, view: str) -> Html:
    """The form, with the plan for what is typed; an empty place while it is folded: the plan takes a second at first."""
    if not is_open(view):
        return tag("section", id="tf-session-options", hidden=True)
    text = typed(view)
    return tag(
        "section",
        tag("h2", "Session options"),
        tag(
            "p",
            "None of this is needed. Without it everybody rates every pair, with one question and no clock.",
            cls="tf-remark",
        ),
        tag("div", _plan(offered, text), cls="tf-session-plan"),
        forms.form(FORM, *_fields(offered, text), _acts(), label="Session options"),
        cls="tf-part",
        id="tf-session-options",
    )


def _plan(offered: Offered, text: Mapping[str, str]) -> Html:
    """What so many prompts can show, and what that asks of each person."""
    try:
        found = wanted(text, offered)
    except SettingError:
        found = Wanted(SessionOptions(), None)  # the press has said what is wrong; the plan is for the usual session
    prompts = max(1, min(found.options.prompts or offered.prompts, offered.prompts))
    plan = planning.plan_session(prompts, challengers=offered.challengers)
    rows = [
        (percent(one.win_rate), "over 2,000" if one.prompts_needed is None else f"{one.prompts_needed:,}", percent(one.chance))
        for one in plan.rows
    ]
    return widgets.join(
        (
            tag("h3", "What this session can show"),
            tag("p", plan.sentence),
            widgets.table(
                ("If the true win rate is", "prompts needed", f"chance with {prompts:,}"),
                rows,
                caption="How many prompts it takes",
                numeric=(1, 2),
                cls="tf-session-needed",
            ),
            tag("p", _patience(offered, found, prompts)),
            tag(
                "p",
                "Needed means: in 8 of 10 such sessions the better side is named by then. Worked out for the rule that ends a "
                "session, with no ties and one rating for each prompt. More people make a prompt's score steadier; by how much "
                "nobody knows before they have voted.",
                cls="tf-remark",
            ),
        )
    )


def _patience(offered: Offered, found: Wanted, prompts: int) -> str:
    raters, options = found.raters or 1, found.options
    pairs = round(offered.pairs * prompts / offered.prompts)
    if options.pairs == "all":
        # Each two of the challengers meet as well; on how many prompts they differ is counted when the session opens.
        pairs += prompts * math.comb(offered.challengers, 2)
    shared = round(options.overlap * pairs)
    each = planning.pairs_for_each(pairs, raters, options.ratings_per_prompt, shared) + options.gold
    minutes = planning.reading_minutes(each * offered.words)
    if minutes < 1:
        told = "less than a minute of reading, and the time to decide"
    else:
        told = f"at least {_count(round(minutes), 'minute')} of reading, at 238 words a minute, and the time to decide"
    who = "One person" if raters == 1 else f"Each of {raters:,} people"
    return f"{who} rates {'up to ' if options.pairs == 'all' else ''}{_count(each, 'pair')}: {told}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _fields(offered: Offered, text: Mapping[str, str]) -> tuple[Html | None, ...]:
    def line(name: str, label: str, note: str, usual: str) -> Html:
        ident = f"tf-session-{name}"
        field = forms.text(
            ident,
            text.get(name, ""),
            name=name,
            placeholder=usual,
            inputmode="decimal",
            aria_describedby=f"{ident}-note",
        )
        return forms.field(label, field, ident=ident, note=note)

    def pick(name: str, label: str, note: str, options: tuple[tuple[str, str], ...]) -> Html:
        ident = f"tf-session-{name}"
        known = text.get(name, options[0][0])
        chosen = forms.choice(ident, options, known, name=name, aria_describedby=f"{ident}-note")
        return forms.field(label, chosen, ident=ident, note=note)

    most = min(offered.prompts, blind.MOST_PAIRS)
    numbers = (
        line("prompts", _LABELS["prompts"], f"Of {most:,} with different answers.", f"all {most:,}"),
        line("raters", _LABELS["raters"], "Their work is shared out by it.", "1"),
        line("ratings", _LABELS["ratings"], "A prompt counts once it has them.", "everybody"),
        line("overlap", _LABELS["overlap"], "So that agreement can be measured.", "0"),
        line("seconds", _LABELS["seconds"], "Faster votes are turned down.", "0"),
        line("days", _LABELS["days"], "Then the link no longer leads in.", "30"),
    )
    gold = line("gold", _LABELS["gold"], "The right answer beside one to another prompt, to see who reads.", "0")
    choices = (
        pick(
            "comments",
            "Comments",
            "A rater may write one with each vote.",
            (("no", "No comments"), ("yes", "Raters may comment")),
        ),
        pick(
            "pairs",
            "Who meets whom",
            "All against all takes more votes and ranks more finely.",
            (("reference", "Each against the reference"), ("all", "All against all")),
        )
        if offered.challengers > 1
        else None,
        pick(
            "login",
            "People signed in on the Hub",
            "Whoever signs in there gets a seat without a link.",
            (("no", "By invite only"), ("yes", "May take a seat")),
        )
        if sign_in.here()
        else None,
    )
    return (
        tag("div", *numbers, gold if offered.references else None, *choices, cls="tf-fields"),
        _criteria(text.get("criteria", "")),
    )


def _criteria(typed: str) -> Html:
    area = forms.area(
        "tf-session-criteria",
        typed,
        rows=3,
        name="criteria",
        placeholder="Correct\nFriendly",
        aria_describedby="tf-session-criteria-note",
    )
    note = "One a line, at most five. Each is asked beside “Which answer is better?” and counts on its own."
    return forms.field(_LABELS["criteria"], area, ident="tf-session-criteria", note=note)


def _acts() -> Html:
    def send(label: str, name: str, kind: str, phase: str) -> Html:
        return tag(
            "button", tag("span", label), type="button", cls=f"tf-button tf-{kind}", data_send=name, data_phase=phase or None
        )

    return tag(
        "div",
        send("Open this session", "open", "secondary", "Opening the session"),
        send("Work out what it can show", "plan", "quiet", "Working it out"),
        cls="tf-acts",
    )


# --- acts ------------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said, offered: Offered | None) -> Draft | Once | None:
    """A press on the form; ``None`` for one that is not its own. ``offered`` is ``None`` while there is nothing to rate."""
    if said.name == DOOR:
        return replace(visit.draft, view=urlencode({"options": "1"}) if said.value else "")
    if said.name != FORM:
        return None
    if offered is None:
        raise RunError("There are no answers to rate yet.", next_step="Let the models answer first.")
    sent = forms.sent(said.value)
    kept = {name: sent[name] for name in _FIELDS if sent.get(name, "").strip()}
    view = urlencode({"options": "1", **kept})
    if len(view) > _LONGEST_VIEW:
        raise SettingError("This is too much text.", where=_LABELS["criteria"], next_step="Make the questions shorter.")
    draft = replace(visit.draft, view=view)
    try:
        found = wanted(kept, offered)
        if sent.get("pressed") != "open":
            return draft
        place = judging.place_of(ctx.store, visit.draft, visit.owner)
        if place.comparison is None:
            raise RunError("There are no answers to rate yet.", next_step="Let the models answer first.")
        session = blind.open_session(ctx.store, place.comparison.id, visit.owner, options=found.options)
    except StudioError as error:
        where = _LABELS.get(error.where, error.where)
        said_so = widgets.notice(error.what, where=where, next_step=error.next_step)
        return Once(draft, said=said_so)
    return replace(visit.draft, comparison=session.comparison_id, session=session.id, view="")
