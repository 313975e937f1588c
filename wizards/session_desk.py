"""The owner's hand on a session: how far it is, who rates; inviting, pausing, extending, closing. A part of the verdict page.

Guarantees: nothing here says how the votes fall, so it may stand beside an owner who still rates; what cannot be undone asks
twice; every change is in the session's history, which is shown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio.compare import blind
from studio.compare.blind import SessionState
from studio.compare.sessions import MOST_PAIRS, SessionPlan
from studio.compare.standing import RaterProgress
from studio.errors import SettingError
from studio.store import SessionRow, Store
from studio.store.ratings import Event
from wizards import forms, judging, sign_in, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, Visit
from wizards.widgets import Html, State, tag


@dataclass(frozen=True, slots=True)
class Desk:
    """What the owner sees of a session besides the votes.

    ``prompts_left`` are prompts that an extension can still add; ``others`` are the run's other sessions, newest first, each
    with the votes in it; ``login`` is where signed-in people rate, empty where nobody can sign in.
    """

    state: SessionState
    prompts_left: int
    history: tuple[Event, ...]
    others: tuple[tuple[SessionRow, int], ...] = ()
    login: str = ""

    @property
    def seated(self) -> bool:
        """Whether the owner has a seat."""
        return any(one.is_owner for one in self.state.raters)

    @property
    def still_rating(self) -> int:
        """People who have begun and may go on."""
        return sum(one.seat == "rating" for one in self.state.raters)


def desk(store: Store, state: SessionState, owner: str) -> Desk:
    """Read it. Raises ``NotFoundError`` for somebody else's session."""
    row = blind.owned_session(store, state.id, owner)
    plan = SessionPlan.of(row)
    answered = len({one.prompt_id for one in store.comparisons.answers(row.comparison_id)})
    left = min(answered - len(plan.rated) - len(plan.automatic_ties), MOST_PAIRS - len(plan.rated))
    others = [one for one in _of_run(store, row, owner) if one.id != row.id]
    counted = tuple((one, len(store.ratings.votes(one.id))) for one in others)
    login = sign_in.seat_link(row.id) if plan.options.login and sign_in.here() else ""
    return Desk(state, max(0, left), store.ratings.events(row.id), counted, login)


def _of_run(store: Store, row: SessionRow, owner: str) -> Sequence[SessionRow]:
    run = store.comparisons.get(row.comparison_id, owner).run_id
    comparisons = [one.id for one in store.comparisons.of_run(run, owner)] if run else [row.comparison_id]
    return [one for comparison in comparisons for one in store.ratings.sessions(comparison, owner)]


# --- how far it is, and who rates ------------------------------------------------------------------------------------------


def standing(now: Desk) -> Html:
    """State, numbers and people. It changes with every vote."""
    return tag(
        "section",
        tag("div", tag("h2", "The session"), widgets.pill(*_state(now.state)), cls="tf-part-head"),
        _numbers(now),
        _people(now),
        _options(now.state),
        cls="tf-part tf-session",
    )


def _state(state: SessionState) -> tuple[str, State]:
    if not state.open:
        return "Closed", "quiet"
    if state.status == "paused":
        return "Paused", "warn"
    return ("Everybody has finished", "good") if state.ended else ("Open", "live")


def _numbers(now: Desk) -> Html:
    state = now.state
    people = len(state.raters)
    rating = f"{now.still_rating:,} in the middle of it" if now.still_rating else "nobody is in the middle of it"
    told = [
        ("Votes", f"{state.votes:,}", "each saved when it is made"),
        ("Pairs that count", f"{state.closed_pairs:,} of {state.pairs:,}", "all their ratings are in"),
        ("People", f"{people:,}", rating if state.open else "nobody can rate any more"),
    ]
    if state.gold:
        told.append(("Gold items", f"{state.gold:,}", "pairs with a known answer"))
    cells = (tag("div", tag("dt", name), tag("dd", tag("strong", value), tag("span", note))) for name, value, note in told)
    return tag("dl", *cells, cls="tf-gauges", style=f"--across:{len(told)}")


def _people(now: Desk) -> Html | None:
    if not now.state.raters:
        return tag("p", "Nobody has a seat yet.", cls="tf-remark")
    return tag("ul", *(_person(one, now.state) for one in now.state.raters), cls="tf-people", aria_label="Who rates")


def _person(one: RaterProgress, state: SessionState) -> Html:
    share = 100 * one.done / one.total if one.total else 0
    return tag(
        "li",
        tag("span", tag("strong", one.name), tag("span", one.label, cls="tf-remark"), cls="tf-person-name"),
        tag("span", tag("span", style=f"width:{share:.1f}%"), cls="tf-person-bar", aria_hidden="true"),
        tag("span", f"{one.done:,} of {one.total:,}", cls="tf-person-done"),
        tag("span", judging.how_far(one, state), tag("span", _until(one, state), cls="tf-remark"), cls="tf-person-state"),
        _take_back(one, state),
    )


def _until(one: RaterProgress, state: SessionState) -> str | None:
    if one.expires_at is None or not state.open or one.seat not in ("waiting", "rating"):
        return None
    return f"until {judging.day(one.expires_at)}"


def _take_back(one: RaterProgress, state: SessionState) -> Html | None:
    if one.is_owner or not state.open or one.seat not in ("waiting", "rating"):
        return None
    return tag(
        "details",
        tag("summary", "Take back", tag("span", f" the seat of {one.name}", cls="tf-unseen")),
        tag(
            "p",
            "The link stops working, for good. The votes that are in stay and count; pairs not rated yet are free for others.",
        ),
        widgets.button(f"Take back the seat of {one.name}", "withdraw", value=one.rater_id, phase="Taking the seat back"),
        cls="tf-more tf-take-back",
        data_keep=f"withdraw-{one.rater_id}",
    )


def _options(state: SessionState) -> Html | None:
    """What was chosen when the session was opened, as far as it differs from the plain way."""
    told, chosen = list[str](), state.options
    if chosen.ratings_per_prompt is not None:
        times = "1 person" if chosen.ratings_per_prompt == 1 else f"{chosen.ratings_per_prompt:,} people"
        told.append(f"each prompt is rated by {times}")
    if chosen.overlap:
        told.append(f"{100 * chosen.overlap:.0f} % of the prompts are seen by everybody")
    if chosen.per_rater is not None:
        told.append(f"at most {chosen.per_rater:,} pairs per person")
    if chosen.criteria:
        told.append(f"also asked: {', '.join(chosen.criteria)}")
    if chosen.comments:
        told.append("comments are asked for")
    if chosen.min_seconds:
        told.append(f"at least {chosen.min_seconds:g} s between two votes")
    if chosen.pairs == "all":
        told.append("all are compared with each other")
    if chosen.login:
        told.append("signed-in people may take a seat")
    return tag("p", f"In this session {'; '.join(told)}.", cls="tf-remark tf-under-acts") if told else None


# --- what the owner can do -------------------------------------------------------------------------------------------------


def acts(now: Desk) -> Html:
    """Everything that can be done with the session now. It changes only when one of these was done."""
    state = now.state
    if not state.open:
        again = widgets.button("Open another session", "another", sign="arrow")
        return tag("section", tag("div", again, cls="tf-acts"), _record(now), cls="tf-session-acts")
    quick = [widgets.button("Invite somebody else", "invite", phase="Making a link")]
    if not now.seated:
        quick.append(widgets.button("Rate yourself", "rate", phase="Opening your rating page"))
    if state.status == "paused":
        quick.append(widgets.button("Go on", "resume", phase="Taking votes again"))
    else:
        quick.append(widgets.button("Pause", "pause", phase="Pausing the session"))
    return tag(
        "section",
        tag("div", *quick, cls="tf-acts"),
        _login(now.login) if now.login else None,
        _invite_form(state),
        _extend_form(now),
        _close(state),
        _record(now),
        cls="tf-session-acts",
    )


def _login(href: str) -> Html:
    """The address for everybody who can sign in. It holds no secret, so it stays on the page."""
    return tag(
        "div",
        tag("p", "Whoever signs in with their Hugging Face account can rate here, each in one seat of their own:"),
        tag("p", tag("code", href, id="tf-login-seat", data_origin=True, cls="tf-link-text")),
        tag("button", "Copy the address", type="button", cls="tf-button tf-quiet", data_copy="tf-login-seat"),
        cls="tf-login-seat",
    )


def _invite_form(state: SessionState) -> Html:
    fields = tag(
        "div",
        forms.field("Name", forms.text("invite-name", "", name="name", maxlength=80), ident="invite-name", note=_NAME_NOTE),
        forms.field(
            "Days",
            forms.text("invite-days", f"{state.options.expires_days:g}", kind="number", name="days", min=1, max=366),
            ident="invite-days",
            note="The link leads in for so many days from now.",
        ),
        cls="tf-fields",
    )
    form = forms.form("invite", fields, _row(forms.send("Make the link", phase="Making a link")), label="Invite by name")
    return widgets.more("Invite by name, for some days", form, keep="session-invite")


_NAME_NOTE: Final = "Only you see it. In numbers and files people have neutral names."


def _extend_form(now: Desk) -> Html:
    most = now.prompts_left
    note = f"{most:,} are left." if most else "Every prompt with answers is in already, or the session is as long as it may be."
    fields = tag(
        "div",
        forms.field(
            "More prompts",
            forms.text("extend-prompts", "0", kind="number", name="prompts", min=0, max=most, disabled=not most),
            ident="extend-prompts",
            note=note,
        ),
        forms.field(
            "Days from now",
            forms.text("extend-days", "0", kind="number", name="days", min=0, max=366),
            ident="extend-days",
            note="Until then the links that are out lead in; 0 leaves them as they are.",
        ),
        cls="tf-fields",
    )
    why = tag("p", "New prompts come at the end of everybody's order. Adding them does not weaken the verdict: it stays valid.")
    form = forms.form("extend", fields, _row(forms.send("Extend the session", phase="Extending")), label="Extend the session")
    return widgets.more("Add prompts or days", why, form, keep="session-extend")


def _close(state: SessionState) -> Html:
    what = "Closing is for good: nobody can rate in this session after it."
    if not state.votes:
        what += " It stays in the record, without votes."
    button = widgets.button("Close the session and open the answers", "close", phase="Closing the session")
    return widgets.more("Close the session", tag("p", what), _row(button), keep="session-close")


def _row(*acts: Html) -> Html:
    return tag("div", *acts, cls="tf-acts")


def _record(now: Desk) -> Html:
    lines = [(_when(one.at), one.text) for one in now.history]
    history = widgets.table(("When", "What happened"), lines, caption="History of the session")
    count = "1 entry" if len(now.history) == 1 else f"{len(now.history):,} entries"
    told = widgets.more(f"History of this session, {count}", history, keep="session-history")
    if not now.others:
        return told
    rows = [(_link(one), one.state, f"{votes:,}") for one, votes in now.others]
    others = widgets.table(("Opened", "State", "Votes"), rows, caption="Other sessions of this run", numeric=(2,))
    why = tag("p", "Each has a verdict of its own. None is thrown away: to open many and show the best one is no evidence.")
    more = widgets.more(f"Other sessions of this run, {len(now.others):,}", why, others, keep="session-others")
    return widgets.join((told, more))


def _when(at: float) -> Html:
    return tag("span", f"{judging.day(at)}, {time.strftime('%H:%M', time.localtime(at))}", cls="tf-unbroken")


def _link(one: SessionRow) -> Html:
    name = f"{judging.day(one.created_at)}, {one.id}"
    return widgets.button(name, "session", value=f"{one.comparison_id}/{one.id}", kind="quiet")


# --- presses ---------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once | None:
    """What a press on this part does, ``None`` for a press on something else. Raises what the domain raises."""
    match said.name:
        case "invite":
            sent = forms.sent(said.value)
            days = number(sent["days"], "days") if "days" in sent else None
            return judging.invite_guest(ctx, visit, name=sent.get("name", ""), days=days)
        case "close":
            return judging.close(ctx, visit)
        case "another":
            return replace(visit.draft, session="").at("compare")
        case "session":
            comparison, _, session = said.value.partition("/")
            return replace(visit.draft, comparison=comparison[:80], session=session[:80], view="")
        case "pause" | "resume" | "extend" | "withdraw":
            return _changed(ctx, visit, said)
        case _:
            return None


def _changed(ctx: Context, visit: Visit, said: Said) -> Draft:
    draft = judging.placed(ctx, visit)
    match said.name:
        case "pause":
            blind.pause(ctx.store, draft.session, visit.owner)
        case "resume":
            blind.resume(ctx.store, draft.session, visit.owner)
        case "withdraw":
            blind.withdraw(ctx.store, draft.session, visit.owner, said.value)
        case _:
            sent = forms.sent(said.value)
            prompts, days = number(sent.get("prompts", ""), "prompts"), number(sent.get("days", ""), "days")
            blind.extend(ctx.store, draft.session, visit.owner, prompts=int(prompts), days=days)
    return draft


def number(typed: str, field: str) -> float:
    """A number of prompts or days as typed; nothing is 0. Raises ``SettingError``."""
    text = typed.strip() or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise SettingError(f"“{text[:20]}” is not a whole number.", where=field, next_step="Type a whole number, or 0.")
    return float(text)
