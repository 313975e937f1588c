"""A model's opinion of a session: asked for, watched, stopped, read. A part of the verdict page.

Guarantees: how much will be asked is said before anything is; a key that is typed goes to the process that needs it and is in
no address, file or table; while the owner still rates, nothing tells what the model said; its numbers stand under their own
label and in no sentence about people.

The page calls ``part`` to show it and hands every press to ``pressed`` first, which answers ``None`` for what is not its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from studio.compare import machine, machine_desk
from studio.compare.machine import JudgeSettings, Work
from studio.compare.machine_desk import Judging
from studio.compare.machine_opinion import LABEL, Opinion
from studio.compare.sentences import odds
from studio.compare.standing import SessionState
from studio.compare.verdict import Verdict
from studio.settings import Secret
from studio.store import Store, new_id
from wizards import forms, judging, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, Visit
from wizards.widgets import Html, State, tag

_ASK: Final = "machine_ask"
_AGAIN: Final = "machine_again"
_STOP: Final = "machine_stop"
_PILLS: Final[Mapping[str, tuple[str, State]]] = {
    "queued": ("Waiting", "quiet"),
    "stopped": ("Stopped", "quiet"),
    "completed": ("Asked", "good"),
    "failed": ("Failed", "bad"),
    "interrupted": ("Interrupted", "bad"),
}
_REASONS: Final = {"failed": "had no answer", "refused": "were declined", "unreadable": "named no verdict"}


@dataclass(frozen=True, slots=True)
class Screen:
    """What the part shows."""

    work: Work
    listed: tuple[Judging, ...]
    sealed: bool


def part(store: Store, session: SessionState, owner: str) -> Html | None:
    """The part with its heading, or ``None`` when there is no pair that a model could be asked about."""
    now = read(store, session, owner)
    return html(now) if now.work.requests else None


def busy(store: Store, session_id: str, owner: str) -> bool:
    """Whether a model is being asked, so that the page has something to follow."""
    return any(not store.jobs.get(one.id).ended for one in store.machine.of_session(session_id, owner))


def read(store: Store, session: SessionState, owner: str) -> Screen:
    """What there is to show. Raises ``NotFoundError``."""
    work = machine.work_of(store, session.id, owner)
    return Screen(work, machine_desk.judgings(store, session.id, owner), machine_desk.owner_rates(store, session.id, owner))


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The part as markup."""
    asking = widgets.more("Ask a model" if not now.listed else "Ask another model", *_form(now.work), keep="machine-ask")
    return tag(
        "section",
        tag("h2", "What a model thinks"),
        tag("p", f"This is {LABEL}: it changes no number above.", cls="tf-remark"),
        *(_one(one) for one in now.listed),
        asking,
        cls="tf-part tf-machine",
    )


def _form(work: Work) -> tuple[Html, ...]:
    return (
        tag(
            "p",
            f"A model is asked about {_count(work.pairs, 'pair')}, each in both orders: {work.requests:,} requests with "
            f"{work.characters:,} characters in all, and its replies. What that costs is up to its server. "
            "The prompts and answers leave this computer when the server is somewhere else.",
        ),
        forms.form(
            _ASK,
            forms.field(
                "Address of an OpenAI-compatible server",
                forms.text("tf-machine-endpoint", name="endpoint", placeholder="https://api.example.org/v1"),
                ident="tf-machine-endpoint",
                note="Leave it empty to ask a model that this studio can train, such as nano.",
            ),
            forms.field("Model", forms.text("tf-machine-model", name="model"), ident="tf-machine-model"),
            _key_field("tf-machine-key"),
            forms.send("Ask the model", phase="Preparing the questions"),
            label="Ask a model",
        ),
    )


def _key_field(ident: str) -> Html:
    note = "Only the process that asks gets it, and it is not kept."
    return forms.field("Key, if the server wants one", forms.text(ident, kind="password", name="key"), ident=ident, note=note)


def _one(found: Judging) -> Html:
    word, mood = _PILLS.get(found.job.status, ("Asking", "live"))
    where = found.asked.place or "where this studio trains"
    heading = tag("h3", found.asked.model, " ", widgets.pill(word, mood))
    shown = found.opinion
    return tag(
        "article",
        heading,
        tag("p", f"Asked at {where}.", _tokens(found), cls="tf-remark"),
        _progress(found),
        tag("p", "You are still rating, so what it said stays sealed.") if found.sealed and found.done else None,
        *(_told(shown) if shown is not None and not found.sealed else ()),
        cls="tf-machine-one",
    )


def _tokens(found: Judging) -> str:
    if found.tokens is None:
        return ""
    return f" Its server counted {found.tokens[0]:,} tokens in and {found.tokens[1]:,} out."


def _progress(found: Judging) -> Html | None:
    job, stop = found.job, widgets.button("Stop asking", _STOP, value=found.id, phase="Stopping")
    if not job.ended:
        bar = widgets.meter(found.done, found.requests, f"{found.done:,} of {found.requests:,} replies")
        return tag("div", bar, tag("p", job.phase, cls="tf-remark"), stop)
    notice = widgets.notice(job.reason, next_step=job.next_step) if job.status in ("failed", "interrupted") else None
    if found.done >= found.requests:
        return notice
    left = f"{found.requests - found.done:,} of {found.requests:,} questions have no answer yet."
    again = forms.form(
        f"{_AGAIN}:{found.id}",
        _key_field(f"tf-machine-key-{found.id}") if found.asked.endpoint else None,
        forms.send("Ask the model again", phase="Asking again", kind="secondary"),
        label=f"Ask {found.asked.model} again",
    )
    return tag("div", notice, tag("p", left), again)


def _told(found: Opinion) -> tuple[Html | None, ...]:
    lines = [_line(one.arm.label or one.arm.name, one.verdict) for one in found.checkpoints]
    table = widgets.table(
        ("Compared", "Win rate", "95 % interval", "Evidence", "Prompts"),
        lines,
        caption=f"How often the model preferred it, {LABEL}",
        numeric=(1, 2, 3, 4),
    )
    return (table if found.judged else None, tag("ul", *(tag("li", one) for one in _notes(found)), cls="tf-notes"))


def _line(name: str, found: Verdict) -> tuple[str, ...]:
    rate = "none yet" if found.win_rate is None else _percent(found.win_rate)
    return name, rate, f"{100 * found.low:.0f} to {_percent(found.high)}", odds(found.evidence), f"{found.n_items:,}"


def _notes(found: Opinion) -> list[str]:
    told = [_agreement(found)]
    if found.judged:
        told.append(
            f"On {found.contradicted:,} of {_count(found.judged, 'pair')} its choice changed with the order of the answers. "
            "These count as ties."
        )
    if found.decisive:
        told.append(f"Of {found.decisive:,} choices, {found.first:,} went to the answer that was shown first.")
    told += [
        f"{many:,} questions {_REASONS[reason]}: no score is made of them." for reason, many in found.missing.items() if many
    ]
    return told


def _agreement(found: Opinion) -> str:
    agreed = found.agreement
    if agreed.raw is None:
        return "There is no pair yet that both the model and people have judged, so nothing is known of how far they agree."
    both = _count(agreed.n_pairs, "pair")
    told = f"It agrees with the majority of the people on {_percent(agreed.raw)} of {both} that both judged"
    if agreed.decisive is not None:
        told += f", and on {_percent(agreed.decisive)} of the {found.n_decisive:,} on which both took a side"
    return told + (f" (Krippendorff's alpha {agreed.alpha:.2f})." if agreed.alpha is not None else ".")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(many: int, what: str) -> str:
    return f"{many:,} {what}{'' if many == 1 else 's'}"


# --- acts ------------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once | None:
    """What a press on this part does, ``None`` for a press on something else. Raises what the domain raises."""
    name, _, judge_id = said.name.partition(":")
    if name not in (_ASK, _AGAIN, _STOP):
        return None
    draft = judging.placed(ctx, visit)
    if name == _STOP:
        ctx.supervisor.stop(ctx.store.machine.get(said.value, visit.owner).id)
        return draft
    sent = forms.sent(said.value)
    if name == _AGAIN:
        known = ctx.store.machine.get(judge_id, visit.owner)
        _start(ctx, known.session_id, visit.owner, JudgeSettings.of(known), sent.get("key", ""))
        return draft
    wanted = JudgeSettings(sent.get("model", "").strip(), sent.get("endpoint", "").strip())
    _start(ctx, draft.session, visit.owner, wanted, sent.get("key", ""))
    return draft


def _start(ctx: Context, session_id: str, owner: str, wanted: JudgeSettings, key: str) -> None:
    known = machine.find(ctx.store, session_id, owner, wanted)
    judge_id = known.id if known is not None else new_id("jdg")
    if key.strip():
        ctx.supervisor.lend(judge_id, Secret(key.strip()))
    machine.start_judging(ctx.settings, ctx.store, session_id, owner, wanted, judge_id=judge_id)
    ctx.supervisor.submit(judge_id)
