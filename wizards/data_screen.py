"""The pure half of step 2: what the data step shows, from plain values to markup.

Guarantees: knows no Gradio and no store; text of the file is shown as text, whatever it contains; numbers are said with what
they count, and line numbers are those of an editor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from studio import data, methods
from studio.data import Dataset, Example, Finding, Inspection, Shape, SplitPlan
from studio.samples import Sample
from studio.store import DatasetRow
from wizards import widgets
from wizards.widgets import ChoiceCard, Html, Share, State, Tab, tag

_ROLES: Final = {
    "prompt": "What you ask (prompt)",
    "completion": "The good answer (completion)",
    "instruction": "The instruction",
    "input": "The input",
    "output": "The good answer (output)",
    "messages": "The conversation (messages)",
    "system": "The standing instruction (system)",
}
_SPEAKERS: Final = {"system": "Standing instruction", "user": "Question", "assistant": "Answer"}
_SIGNS: Final[dict[str, State]] = {"error": "bad", "warning": "warn", "info": "quiet"}
_CELL: Final = 400


@dataclass(frozen=True, slots=True)
class Screen:
    """One of three places: nothing yet, a checked file, a file that is split. ``dataset`` implies ``inspection``."""

    inspection: Inspection | None = None
    dataset: Dataset | None = None
    plan: SplitPlan | None = None
    samples: tuple[Sample, ...] = ()
    earlier: tuple[DatasetRow, ...] = ()
    chosen_columns: tuple[tuple[str, str], ...] = ()
    limit_bytes: int = 0
    place: str = ""


def size(count: int) -> str:
    """Bytes as people say them."""
    for unit, step in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= step:
            return f"{count / step:.0f} {unit}" if count >= 10 * step or count % step == 0 else f"{count / step:.1f} {unit}"
    return f"{count} bytes"


def counted(rows: int) -> str:
    """In words: "1 row", "1,204 rows"."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def lines(finding: Finding) -> str:
    """In words: "line 3", "lines 3, 17 and 20", "lines 3, 17, 20 and 41 more"."""
    if not finding.lines:
        return ""
    if len(finding.lines) == 1 and finding.count == 1:
        return f"line {finding.lines[0]:,}"
    shown = [f"{line:,}" for line in finding.lines[:8]]
    rest = finding.count - len(shown)
    last = f"{rest:,} more" if rest > 0 else shown.pop()
    return f"lines {', '.join(shown)} and {last}" if shown else f"lines {last}"


def summary(inspection: Inspection) -> str:
    """The whole file in one sentence."""
    if inspection.shape is None and inspection.rows_total:
        return f"{counted(inspection.rows_total)}, and columns whose names say nothing to the studio."
    if inspection.rows_total == 1 and inspection.rows_usable == 1:
        return "1 row, and it can be used."
    if not inspection.rows_total:
        return "It has column names, but no rows."
    rows = f"{inspection.rows_usable:,} of {inspection.rows_total:,} rows can be used"
    if not inspection.rows_rejected and inspection.rows_usable:
        rows = f"All {inspection.rows_usable:,} rows can be used"
    aside = f", {inspection.rows_rejected:,} set aside" if inspection.rows_rejected and inspection.rows_usable else ""
    return f"{rows}{aside}."


def splittable(inspection: Inspection) -> bool:
    """Whether three parts can be filled: the columns are known, and there are enough different rows.

    Rows that differ in their answers only can still be too few prompts; the split itself then says so.
    """
    return inspection.ready and inspection.rows_usable - inspection.duplicate_rows >= data.FEWEST_PROMPTS


def expected_shares(inspection: Inspection, plan: SplitPlan) -> tuple[Share, Share, Share]:
    """About how many rows each part will get, before the split is made."""
    rows = inspection.rows_usable - inspection.duplicate_rows
    test, validation = round(rows * plan.test / 100), round(rows * plan.validation / 100)
    return _shares(max(0, rows - test - validation), validation, test)


def _shares(train: int, validation: int, test: int) -> tuple[Share, Share, Share]:
    return (
        Share("To learn from", train, "The model sees these (training)."),
        Share("To check on", validation, "It is measured on these while it learns (validation)."),
        Share("Sealed", test, "Nobody looks until the comparison (test)."),
    )


def top(now: Screen) -> Html:
    """The statement of the screen."""
    if now.inspection is None:
        return widgets.title(
            "Add your examples", "One row for each example: what you would ask, and the answer you would be glad to get."
        )
    if now.dataset is not None:
        return widgets.title(
            "Your data is ready", f"{now.dataset.name}: {counted(now.dataset.rows)} in three parts that share no prompt."
        )
    if now.inspection.shape is None:
        return widgets.title("Tell the studio what it sees", f"{now.inspection.file_name}: {summary(now.inspection)}")
    if not splittable(now.inspection):
        heading = "This is too little to learn from" if now.inspection.rows_usable else "No row can be used yet"
        return widgets.title(heading, f"{now.inspection.file_name}: {summary(now.inspection)}")
    return widgets.title("Is this what you meant?", f"{now.inspection.file_name}: {summary(now.inspection)}")


def drop_note(now: Screen) -> Html:
    """What may be dropped."""
    return tag(
        "p",
        f"CSV, JSON or JSONL, up to {size(now.limit_bytes)}. Any encoding, any separator. {now.place}",
        cls="tf-drop-note",
    )


def below(now: Screen) -> Html:
    """Everything under the drop zone."""
    if now.inspection is None:
        return _start(now)
    if now.dataset is not None:
        return widgets.join((_split_card(now), _acts(now), _tabs(now.inspection)))
    return widgets.join((_mapping(now), _enough(now.inspection), _split_card(now), _acts(now), _tabs(now.inspection)))


def _start(now: Screen) -> Html:
    cards = [ChoiceCard(sample.name, sample.title, sample.description, note=sample.file.name) for sample in now.samples]
    tries = tag(
        "section",
        tag("h2", "Or try a sample"),
        widgets.choices("Samples", cards, pick="sample", phase="Reading the sample and checking every row", small=True),
        cls="tf-part",
    )
    earlier = (
        tag(
            "section",
            tag("h2", "Or use a file you added before"),
            tag("ul", *(tag("li", _earlier(row)) for row in now.earlier), cls="tf-earlier"),
            cls="tf-part",
        )
        if now.earlier
        else None
    )
    return widgets.join((tries, earlier, _forms()))


def _earlier(row: DatasetRow) -> Html:
    return tag(
        "button",
        widgets.icon("file"),
        tag("strong", row.name),
        tag("span", counted(row.rows), cls="tf-remark"),
        type="button",
        cls="tf-earlier-row",
        data_pick="earlier",
        data_value=row.id,
    )


def _forms() -> Html:
    rows = (
        ("CSV", tag("code", "prompt,completion"), "A header line, then one example in each line."),
        ("JSONL", tag("code", '{"prompt": "…", "completion": "…"}'), "One object in each line."),
        (
            "JSONL",
            tag("code", '{"messages": [{"role": "user", "content": "…"}, …]}'),
            "Conversations, as OpenAI files have them.",
        ),
        ("JSON", tag("code", '[{"instruction": "…", "input": "…", "output": "…"}, …]'), "A list, as Alpaca files have it."),
    )
    return widgets.more(
        "Which files fit?",
        widgets.table(("Format", "Looks like", ""), rows, caption="File formats that are recognised"),
        tag("p", "Other column names are fine: you say which is which on the next screen."),
        keep="data-forms",
    )


def _mapping(now: Screen) -> Html | None:
    inspection = now.inspection
    if inspection is None:
        return None
    shape = inspection.shape
    if shape is not None and shape.exact and not now.chosen_columns:
        pairs = ", ".join(f"{role} is “{column}”" for role, column in shape.columns)
        return tag("p", widgets.pill("Columns recognised", "good"), tag("span", pairs, cls="tf-remark"), cls="tf-mapped")
    if shape is None and not inspection.columns:
        return None
    roles = ("prompt", "completion") if shape is None else tuple(role for role, _ in shape.columns)
    known = dict(shape.columns if shape is not None else ()) | dict(now.chosen_columns)
    state, why = _mapping_state(shape)
    fields = (_column_field(role, inspection.columns, known.get(role, "")) for role in roles)
    return widgets.sheet(
        tag("div", tag("h2", "Which column is what?"), state, cls="tf-sheet-head"),
        tag("p", why),
        tag("div", *fields, cls="tf-fields"),
    )


def _mapping_state(shape: Shape | None) -> tuple[Html, str]:
    if shape is None:
        return widgets.pill("Please choose", "warn"), "The names of your columns do not tell which is which."
    if shape.exact:
        return widgets.pill("Chosen by you", "good"), "You can still choose otherwise; every row is then checked again."
    return widgets.pill("Please confirm", "warn"), shape.why


def _column_field(role: str, columns: Sequence[str], value: str) -> Html:
    options = (
        tag("option", "Choose a column", value="") if not value else None,
        *(tag("option", column, value=column, selected=column == value) for column in columns),
    )
    ident = f"tf-map-{role}"
    return tag(
        "div",
        tag("label", _ROLES.get(role, role), for_=ident),
        tag("select", *(option for option in options if option), id=ident, data_field=role, value=value),
        cls="tf-field",
    )


def _enough(inspection: Inspection) -> Html | None:
    if not splittable(inspection):
        return None
    found = methods.readiness("sl", inspection.rows_usable - inspection.duplicate_rows)
    if found.level == "enough":
        return None
    return widgets.notice(found.sentence, state="warn" if found.level == "too few" else "quiet")


def _split_card(now: Screen) -> Html | None:
    inspection, plan = now.inspection, now.plan
    if inspection is None or plan is None or not splittable(inspection):
        return None
    if now.dataset is not None:
        parts = _shares(now.dataset.train.rows, now.dataset.validation.rows, now.dataset.test.rows)
        return widgets.sheet(tag("h2", "How it was divided"), widgets.shares(parts, unit="row"), _promise())
    fields = (_plan_button(other, other.name == plan.name) for other in data.PLANS)
    choose = widgets.more(
        "Divide differently", tag("div", *fields, role="group", aria_label="Shares", cls="tf-plans"), keep="data-split"
    )
    return widgets.sheet(
        tag("h2", "How it will be divided"),
        widgets.shares(expected_shares(inspection, plan), unit="row", about=True),
        _promise(),
        choose,
    )


def _promise() -> Html:
    return tag("p", "Equal prompts always stay together, so the sealed part holds nothing that was learned.", cls="tf-remark")


def _plan_button(plan: SplitPlan, chosen: bool) -> Html:
    label = f"{plan.train:g} / {plan.validation:g} / {plan.test:g}"
    return tag(
        "button",
        label,
        type="button",
        cls="tf-plan",
        aria_pressed="true" if chosen else "false",
        data_pick="plan",
        data_value=plan.name,
    )


def _acts(now: Screen) -> Html:
    other = widgets.button("Use another file", "another", kind="quiet", sign="undo")
    if now.dataset is not None:
        return tag(
            "div", widgets.button("Continue to settings", "continue", kind="primary", sign="arrow"), other, cls="tf-acts"
        )
    inspection = now.inspection
    if inspection is None or not splittable(inspection):
        return tag("div", other, cls="tf-acts")
    label = "The columns are right: split and continue" if inspection.needs_confirmation else "Split and continue"
    split = widgets.button(label, "split", kind="primary", sign="arrow", phase="Splitting your rows")
    return tag("div", split, other, cls="tf-acts")


def _tabs(inspection: Inspection) -> Html:
    count = len(inspection.findings)
    views = [
        Tab("rows", "Rows", _rows(inspection)),
        Tab("findings", f"Findings ({count})" if count else "Findings", _findings(inspection.findings)),
        Tab("seen", "What the model sees", _seen(inspection.example)),
    ]
    if not splittable(inspection):
        views = [views[1], views[0]]
    return tag("section", widgets.tabs("Your data", views, group="data"), cls="tf-part")


def _rows(inspection: Inspection) -> Html:
    if not inspection.preview:
        return widgets.empty(
            "No rows", "The file holds a heading but nothing under it, or nothing that could be read as a row."
        )
    body = [[clip(cell, whole=len(cell) < data.PREVIEW_CHARACTERS) for cell in row] for row in inspection.preview]
    shown = (
        ("The only row, as it stands in the file." if len(body) == 1 else f"All {len(body):,} rows, as they stand in the file.")
        if len(body) == inspection.rows_total
        else f"The first {len(body):,} of {counted(inspection.rows_total)}, as they stand in the file."
    )
    return widgets.join(
        (tag("p", shown, cls="tf-remark"), widgets.table(inspection.preview_columns, body, caption=shown, cls="tf-cells"))
    )


def clip(text: str, longest: int = _CELL, *, whole: bool = True) -> str:
    """A long cell cut short, saying how much is left; when ``text`` is not the whole cell, how much at least."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]} … ({'' if whole else 'at least '}{len(text) - longest:,} more characters)"


def _findings(findings: Sequence[Finding]) -> Html:
    if not findings:
        return widgets.notice("Nothing to report.", where="", next_step="Every row was read and checked.", state="good")
    return tag("ul", *(tag("li", _finding(finding)) for finding in findings), cls="tf-findings")


def _kind(finding: Finding) -> str:
    if finding.severity == "error":
        return "Set aside" if finding.lines else "Needs you"
    return "Look" if finding.severity == "warning" else "Good to know"


def _finding(finding: Finding) -> Html:
    where = lines(finding)
    return tag(
        "div",
        widgets.pill(_kind(finding), _SIGNS[finding.severity]),
        tag(
            "div",
            tag("p", tag("strong", finding.message)),
            tag("p", where[0].upper() + where[1:] + ".", cls="tf-lines") if where else None,
            tag("p", finding.next_step) if finding.next_step else None,
            tag("pre", clip(finding.example), cls="tf-sample") if finding.example else None,
        ),
        cls="tf-finding",
    )


def _seen(example: Example | None) -> Html:
    if example is None:
        return widgets.empty(
            "Nothing to show yet", "Once the columns are known, one example stands here as the model reads it."
        )
    last = max((index for index, message in enumerate(example.messages) if message.role == "assistant"), default=-1)
    turns = (_turn(message.role, message.content, index == last) for index, message in enumerate(example.messages))
    said = f"The example on line {example.line:,}. The model reads all of it and learns to write the marked part."
    return widgets.join((tag("p", said, cls="tf-remark"), tag("div", *turns, cls="tf-turns")))


def _turn(role: str, content: str, learned: bool) -> Html:
    head = tag("p", tag("strong", _SPEAKERS.get(role, role)), tag("span", " learned", cls="tf-learned") if learned else None)
    return tag("div", head, tag("pre", clip(content, 4000)), cls=f"tf-turn{' is-learned' if learned else ''}")
