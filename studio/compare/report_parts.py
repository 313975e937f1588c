"""What a report says, part by part, as plain values that a page and a Markdown file are made of.

Guarantees: every number comes from the verdict that the file of votes gives, so that who recomputes it finds the same; textbook
numbers, parts and points stand under their labels; raters have neutral names; text from outside is text here, and becomes safe
where it is written (``report_html``, ``report_markdown``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from studio.compare import reference, slices, strengths
from studio.compare.machine_opinion import LABEL as MACHINE
from studio.compare.machine_opinion import opinions_of
from studio.compare.sentences import HEADLINES, called, people, percent, prompts

if TYPE_CHECKING:
    from studio.compare.measures import Measure
    from studio.compare.record import Record
    from studio.compare.verdict import Verdict

Rows = tuple[tuple[str, ...], ...]
Document = Mapping[str, Any]

#: The columns of a list of settings.
SETTINGS: Final = ("setting", "value")
#: What a file calls itself that a session of this studio was exported to. Nobody vouches for one that was made by hand.
FORMAT: Final = "tuning-fork-votes"
_BLIND: Final = "The answers were there before anybody rated. Each rater had an own order and own sides, and was told nothing."
_NONE: Final = "not determined"
_KINDS: Final[Mapping[str, str]] = {
    "base": "a model as it was made",
    "run": "a tuned model",
    "checkpoint": "a tuned model on its way",
    "model": "a model of the catalogue",
    "imported": "answers from a file",
}
_SAYS: Final[Mapping[str, str]] = {
    "tuned": "the challenger is better",
    "base": "the reference is better",
    "undecided": "not settled",
}
#: A settled state, said in a row that names the challenger already.
_BESIDE: Final[Mapping[str, str]] = {"tuned_better": "Better", "base_better": "Worse"}
_CHOICES: Final[Mapping[str, str]] = {"tie": "equally good", "both_bad": "both bad", "skip": "skipped"}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under names. ``numeric`` columns are set to the right; ``log`` is a long one, for the file and not for paper."""

    caption: str
    columns: tuple[str, ...]
    rows: Rows
    numeric: tuple[int, ...] = ()
    log: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One part: sentences, then points, then names with values, then tables. ``label`` says how its numbers are to be taken."""

    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    facts: Rows = ()
    tables: tuple[Table, ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Background:
    """What the file of votes does not hold: how the tuned model was made, and what a program counted beside."""

    run_name: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    measures: tuple[Measure, ...] = ()


def parts(document: Document, verdict: Verdict, record: Record, background: Background) -> Iterator[Part]:
    """All parts in their order; one that would be empty is left out."""
    found = (
        _compared(document, verdict, record),
        _came_out(verdict),
        _challengers(verdict),
        _people(document, verdict),
        _limits(verdict),
        _apart(verdict),
        _counted(background),
        _models(document, record),
        _textbook(verdict),
        _settings(document, background),
        _history(document),
        _votes(record),
    )
    yield from (one for one in found if one is not None)


def dates(document: Document) -> str:
    """From the first to the last vote, as days in UTC; empty without votes."""
    times = [float(one["at"]) for one in _objects(document.get("items")) if isinstance(one.get("at"), int | float)]
    if not times:
        return ""
    first, last = (_day(at) for at in (min(times), max(times)))
    return first if first == last else f"{first} to {last}"


def number(value: float | None) -> str:
    """A number as a terminal prints it, with six digits that count."""
    return _NONE if value is None else f"{value:.6g}"


def _compared(document: Document, verdict: Verdict, record: Record) -> Part:
    settings = _mapping(document.get("settings"))
    arms = {str(one.get("name")): one for one in _objects(settings.get("arms"))}
    rows: list[tuple[str, ...]] = []
    for arm in sorted(record.arms, key=lambda one: one.name != record.reference):
        known = arms.get(arm.name, settings if arm.name in ("base", "tuned") else {})
        role = "reference" if arm.name == record.reference else "challenger"
        kind = _KINDS.get(arm.kind, arm.kind or "not said")
        rows.append(
            (
                called(arm),
                "" if called(arm) == f"“{arm.label}”" else arm.label or arm.name,
                role,
                kind,
                str(known.get("model") or ""),
                str(known.get("renderer") or ""),
            )
        )
    invited = len(_objects(document.get("raters")))
    facts = [
        ("prompts", f"{prompts(verdict.n_rated)}{f' {record.source}' if record.source else ''}"),
        ("same answer twice", f"{prompts(verdict.n_automatic_ties)}, counted as ties and shown to nobody"),
        ("people", f"{people(verdict.n_raters)} with a vote that counts{f', of {invited:,} invited' if invited else ''}"),
        ("votes", f"{verdict.n_votes:,} that count, {verdict.n_skipped:,} skipped, {verdict.n_unblinded:,} after a reveal"),
        ("days", dates(document)),
        ("blind", _BLIND if document.get("format") == FORMAT else ""),
    ]
    if not verdict.n_automatic_ties:
        del facts[1]
    columns = ("called here", "name", "role", "what it is", "model", "template")
    return Part("What was compared", facts=_told(facts), tables=(_filled("Who answered", columns, rows),))


def _came_out(verdict: Verdict) -> Part | None:
    if verdict.win_rate is None:
        return None
    to_either = f"{verdict.leaned_tuned:,} to the challenger, {verdict.leaned_base:,} to the reference"
    facts = [
        ("win rate", f"{percent(verdict.win_rate)} for {verdict.about.challenger}, ties as one half"),
        ("interval", f"{percent(verdict.low)} to {percent(verdict.high)}, 95 %, valid however often one looks"),
        ("evidence", f"{verdict.odds} against “no difference”; it takes {verdict.threshold:,.0f} : 1"),
        ("state", HEADLINES[verdict.state] if verdict.state not in ("tuned_better", "base_better") else verdict.headline),
        ("prompts leaned", f"{to_either}, {verdict.leaned_even:,} to neither"),
        ("equally good", "" if verdict.tie_share is None else f"{percent(verdict.tie_share)} of the votes"),
        ("both bad", "" if verdict.both_bad_share is None else f"{percent(verdict.both_bad_share)} of the votes"),
        ("to settle it", f"about {verdict.more_prompts_needed:,} more prompts" if verdict.more_prompts_needed else ""),
    ]
    whose = f" for {verdict.about.challenger}" if verdict.challengers > 1 else ""
    return Part(f"What came out{whose}", facts=_told(facts))


def _challengers(verdict: Verdict) -> Part | None:
    if verdict.challengers < 2:
        return None
    ranked = sorted(verdict.checkpoints, key=lambda one: -(one.verdict.win_rate or 0.0))
    rows = tuple(
        (
            one.arm.label or one.arm.name,
            _share(one.verdict.win_rate),
            _between((one.verdict.low, one.verdict.high)),
            one.verdict.odds,
            _BESIDE.get(one.verdict.state, HEADLINES[one.verdict.state]),
            f"{one.strength.elo:,.0f}" if one.strength.elo is not None else f"not estimable: {one.strength.missing}",
        )
        for one in ranked
    )
    columns = ("challenger", "win rate", "95 % interval", "evidence", "state", "points")
    tried = f"{verdict.challengers:,} were tried, so each needs evidence of {verdict.threshold:,.0f} : 1."
    text = (f"Each was compared with {verdict.about.reference}. {tried} Points are {strengths.LABEL}.",)
    return Part("All challengers", text=text, tables=(Table("All challengers", columns, rows, numeric=(1, 2)),))


def _people(document: Document, verdict: Verdict) -> Part:
    rows = tuple(
        (
            one.rater,
            f"{one.n_prompts:,}",
            percent(one.win_rate),
            _share(one.win_rate_without),
            _SAYS[one.verdict_without],
        )
        for one in verdict.raters
    )
    told, blind, gold = verdict.reference.agreement, verdict.blinding, verdict.gold
    asked = blind.right + blind.wrong + blind.unsure
    facts = [
        ("agreement", f"{percent(told.raw)} of the pairs of votes on one prompt say the same" if told.raw is not None else ""),
        ("Krippendorff's alpha", f"{told.alpha:.2f} (1 is perfect, 0 is chance)" if told.alpha is not None else ""),
        ("blinding", f"Asked at the end which side was which: {blind.right:,} right, {blind.wrong:,} wrong, {blind.unsure:,} "
         f"unsure; index {blind.index:.2f} (0 is blind, 1 means everybody knew)" if asked and blind.index is not None else ""),
        ("checks", f"{gold.right:,} of {gold.n:,} pairs with a known better answer were seen right; they count in no number"
         if gold is not None else ""),
    ]  # fmt: skip
    columns = ("rater", "prompts", "own win rate", "win rate without", "verdict without")
    comments = sum(bool(one.get("comment")) for one in _objects(document.get("items")))
    text = (f"{comments:,} votes have a comment. Comments stand in the file as people wrote them.",) if comments else ()
    table = Table("Each rater, and what is left without them", columns, rows, numeric=(1, 2, 3))
    return Part("Who judged", text=text, facts=_told(facts), tables=(table,) if rows else ())


def _limits(verdict: Verdict) -> Part:
    fixed = (
        "It is about prompts like these. On others the two may compare differently.",
        "It says what these people prefer. It does not say which answers are true, safe or useful to others.",
    )
    held = verdict.length_controlled
    length = (
        f"With the length of the answers held equal, the win rate would be {percent(held.win_rate)} ({reference.LABEL})."
        if held.win_rate is not None
        else ""
    )
    return Part("What it does not say", points=tuple(one for one in (*verdict.notes, length, *fixed) if one))


def _apart(verdict: Verdict) -> Part | None:
    found = [(f"{one.name}: {one.value}", one.part) for one in verdict.slices if one.part]
    found += [(f"asked beside: {one.name}", one.part) for one in verdict.criteria if one.part]
    if not found:
        return None
    rows = tuple((name, f"{one.n:,}", percent(one.win_rate), _between((one.low, one.high))) for name, one in found)
    columns = ("part", "prompts", "win rate", "95 % interval")
    return Part("Parts of it", tables=(Table("Parts of it", columns, rows, numeric=(1, 2, 3)),), label=slices.LABEL)


def _counted(background: Background) -> Part | None:
    if not background.measures:
        return None
    rows = tuple(
        (one.label, one.unit, number(one.base), number(one.tuned), _ends(one), f"{one.n:,}") for one in background.measures
    )
    columns = ("measure", "unit", "reference", "challenger", "difference, 95 % interval", "prompts")
    text = ("These numbers compare texts with the data. Whether people prefer the answers is said above.",)
    return Part("What a program counted", text=text, tables=(Table("What a program counted", columns, rows, (2, 3, 4, 5)),))


def _models(document: Document, record: Record) -> Part | None:
    """What models said that were asked beside the people."""
    found = opinions_of(document, record)
    if not found:
        return None
    rows = tuple(
        (
            str(one["model"]),
            _share(one["win_rate"]),
            _between((one["low"], one["high"])),
            f"{one['n_judged']:,} of {one['n_pairs']:,}",
            f"{one['n_contradicted']:,}",
            _share(one["agreement_with_people"]["raw"]),
        )
        for one in found
    )
    columns = ("model", "win rate", "95 % interval", "judged in both orders", "contradicted itself", "agrees with people")
    text = ("Each pair was shown in both orders. Contradictions count as ties, and a missing reply is no score.",)
    table = Table("What models said", columns, rows, numeric=(1, 2, 3, 4, 5))
    return Part("What models said", text=text, tables=(table,), label=MACHINE)


def _textbook(verdict: Verdict) -> Part:
    told = verdict.reference
    facts = [
        ("leaned to the challenger", f"{told.leaned_tuned:,} of {told.leaned:,} prompts that leaned"),
        ("Wilson interval", _between(told.wilson95)),
        ("sign test, two-sided", _p(told.sign_test_p)),
        ("t interval", _between(told.t95)),
        ("bootstrap (BCa) over prompts", _between(told.bootstrap_bca95)),
        ("left answer chosen", f"{told.position.left_chosen:,} of {told.position.decisive:,} votes for a side"),
        ("win rate, sides balanced", _share(told.position.side_balanced)),
    ]
    text = ("For somebody who decided beforehand how many prompts to rate and looked once. The verdict does not use them.",)
    return Part("Reference numbers", text=text, facts=_told(facts), label=reference.LABEL)


def _settings(document: Document, background: Background) -> Part:
    settings = {name: value for name, value in _mapping(document.get("settings")).items() if name != "arms"}
    groups = (("Asking", settings), ("Rating", _mapping(document.get("plan"))), ("Training", background.recipe))
    facts = [
        ("run", f"{background.run_name} {document.get('run') or ''}".strip()),
        ("comparison", str(document.get("comparison") or "")),
        ("session", str(document.get("session") or "")),
        ("data fingerprint", str(document.get("dataset_fingerprint") or "")),
        ("seal of the run", str(document.get("seal") or "")),
        ("seal of the held-out part", str(settings.get("held_out_seal") or "")),
    ]
    tables = tuple(
        Table(caption, SETTINGS, tuple(_flat(values))) for caption, values in groups if values and list(_flat(values))
    )
    return Part("Settings and data", facts=_told(facts), tables=tables)


def _history(document: Document) -> Part | None:
    rows = tuple((_moment(one.get("at")), str(one.get("text", ""))) for one in _objects(document.get("history")))
    return Part("What happened to the session", tables=(Table("History", ("when, UTC", "what"), rows),)) if rows else None


def _votes(record: Record) -> Part:
    labels = {arm.name: called(arm) for arm in record.arms}
    rows: list[tuple[str, ...]] = []
    for at, one in enumerate(record.ballots, start=1):
        side = one.left if one.choice == "left" else one.right if one.choice == "right" else ""
        said = labels.get(side) or _CHOICES.get(one.choice, one.choice)
        beside = ", ".join(f"{name}: {choice}" for name, choice in one.criteria.items())
        counts = "no, after the reveal" if one.unblinded else ""
        rows.append(
            (f"{at:,}", one.prompt_id, one.rater, labels[one.left], labels[one.right], said, beside, one.comment, counts)
        )
    columns = ("", "prompt", "rater", "left", "right", "preferred", "beside", "comment", "left out")
    text = ("Raters have neutral names. The answers themselves are not in this file.",)
    table = replace(_filled(f"All {len(rows):,} presses, oldest first", columns, rows), numeric=(0,), log=True)
    return Part("The votes", text=text, tables=(table,) if rows else ())


def _filled(caption: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table without the columns in which nothing stands."""
    kept = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    return Table(caption, tuple(columns[at] for at in kept), tuple(tuple(row[at] for at in kept) for row in rows))


def _flat(value: object, before: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of every leaf; nested names are joined."""
    if isinstance(value, Mapping):
        for name, one in cast("Mapping[str, object]", value).items():
            yield from _flat(one, f"{before} {name}".strip())
    elif isinstance(value, list | tuple):
        yield before, ", ".join(str(one) for one in cast("Sequence[object]", value)) or "none"
    else:
        yield before, "none" if value in (None, "") else str(value)


def _told(facts: Sequence[tuple[str, str]]) -> Rows:
    return tuple(one for one in facts if one[1])


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [_mapping(one) for one in listed if isinstance(one, Mapping)]


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %B %Y}".removeprefix("0")


def _moment(at: object) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" if isinstance(at, int | float) else ""


def _share(value: float | None) -> str:
    return _NONE if value is None else percent(value)


def _between(ends: tuple[float, float] | None) -> str:
    return _NONE if ends is None else f"{percent(ends[0])} to {percent(ends[1])}"


def _ends(one: Measure) -> str:
    if one.low is None or one.high is None:
        return f"{number(one.difference)}, alike everywhere"
    return f"{number(one.low)} to {number(one.high)}"


def _p(value: float | None) -> str:
    return _NONE if value is None else "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
