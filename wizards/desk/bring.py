"""The ways of bringing data: a file, a pasted table, the Hub, a path, a sample, an earlier data set, a mixture.

Guarantees: pure; what may be dropped, and how large it may be, is said before anything is sent; a token has a password field
and is never part of what this module draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio.samples import Sample
from studio.store import DatasetRow
from wizards import forms, widgets
from wizards.desk.screen import Screen
from wizards.desk.view import Way
from wizards.desk.words import counted, size
from wizards.widgets import ChoiceCard, Html, tag

#: How much of a data set goes into a mixture: the value that is sent, and its words.
PORTIONS: Final = (
    ("", "leave out"),
    ("1", "all of it"),
    ("2", "twice"),
    ("3", "three times"),
    ("0.5", "every second row"),
    ("0.25", "every fourth row"),
    ("replay 0.1", "10 %, so that it is not forgotten"),
    ("replay 0.25", "25 %, so that it is not forgotten"),
)
_LONGEST_LIST: Final = 8


def note(now: Screen) -> Html:
    """What may be dropped."""
    return tag(
        "p",
        f"CSV, JSON, JSONL or Parquet, also packed as .gz, up to {size(now.limit_bytes)}. ",
        f"Any encoding, any separator. {now.place}",
        cls="tf-drop-note",
    )


def start(now: Screen) -> Html:
    """Everything under the drop zone while there is no data yet."""
    return widgets.join((_told(now), _ways(now), _samples(now.samples, now.method), _earlier(now), _fits()))


def _told(now: Screen) -> Html | None:
    """Why there is nothing here, when somebody may wonder."""
    if now.problem is not None:
        return widgets.problem(now.problem)
    if now.view.way == "stopped":
        return widgets.notice("Stopped. Nothing of the file was kept.", next_step="Add it again when you like.", state="quiet")
    if now.gone:
        return widgets.notice(
            "The file of this address is not here any more.",
            next_step="It was stopped, or added long ago and never divided. Add it again.",
            state="quiet",
        )
    return None


def _ways(now: Screen) -> Html:
    ways: list[tuple[Way, str]] = [("paste", "Paste a table"), ("hub", "From the Hugging Face Hub")]
    if now.paths:
        ways.append(("path", "A large file on this computer"))
    if len(now.earlier) > 1:
        ways.append(("mix", "Mix what you added before"))
    heads = (
        tag(
            "button",
            words,
            type="button",
            cls="tf-plan tf-way",
            data_pick="way",
            data_value="" if now.view.way == way else way,
            aria_expanded="true" if now.view.way == way else "false",
            aria_controls="tf-way",
        )
        for way, words in ways
    )
    opened = next((way for way, _ in ways if way == now.view.way), "")
    body = {"paste": _paste, "hub": _hub, "path": _path, "mix": lambda: _mix(now.earlier)}
    return tag(
        "section",
        tag("div", *heads, cls="tf-ways", role="group", aria_label="Other ways to bring data"),
        tag("div", body[opened]() if opened else None, id="tf-way", cls="tf-way-body" if opened else None),
        cls="tf-part tf-part-near",
    )


def _paste() -> Html:
    control = forms.area("tf-paste", rows=8, name="text", aria_describedby="tf-paste-note")
    return forms.form(
        "paste",
        forms.field(
            "Your rows",
            control,
            ident="tf-paste",
            note="Copied cells from a spreadsheet, or the text of a CSV, JSON or JSONL file. The first line names the columns.",
        ),
        forms.send("Read these rows"),
        label="Paste a table",
    )


def _hub() -> Html:
    fields = (
        forms.field("Name", forms.text("tf-hub-name", name="name", placeholder="owner/name"), ident="tf-hub-name"),
        forms.field(
            "Configuration", forms.text("tf-hub-config", name="config", placeholder="the usual one"), ident="tf-hub-config"
        ),
        forms.field("Split", forms.text("tf-hub-split", name="split", placeholder="train"), ident="tf-hub-split"),
        forms.field(
            "Access token",
            forms.text("tf-hub-token", kind="password", name="token", placeholder="only for private data"),
            ident="tf-hub-token",
            note="Used once for this download and never stored.",
        ),
    )
    return forms.form(
        "hub",
        tag("div", *fields, cls="tf-fields"),
        forms.send("Fetch and check", phase="Asking the Hub"),
        tag("p", "This is the only act here that asks another computer: huggingface.co.", cls="tf-field-note"),
        label="From the Hugging Face Hub",
    )


def _path() -> Html:
    control = forms.text("tf-path", name="path", placeholder="/home/you/examples.jsonl")
    note = "It is read where it lies and never changed. Up to 5 GB, and nothing has to be uploaded."
    return forms.form(
        "path",
        forms.field("Path of the file", control, ident="tf-path", note=note),
        forms.send("Read this file"),
        label="A file on this computer",
    )


def _mix(earlier: Sequence[DatasetRow]) -> Html:
    rows = [
        (
            tag("label", row.name, for_=f"tf-mix-{place}"),
            f"{row.rows:,}",
            forms.choice(f"tf-mix-{place}", PORTIONS, "", name=row.id),
        )
        for place, row in enumerate(earlier)
    ]
    order = forms.choice(
        "tf-mix-order",
        (("", "well mixed"), ("source", "one data set after the other"), ("length", "short examples first")),
        "",
        name="order",
    )
    return forms.form(
        "mix",
        widgets.table(("Data set", "Rows", "How much of it"), rows, caption="What goes into the mixture", numeric=(1,)),
        tag(
            "p",
            "Rows that were held out stay held out. A small share of an earlier data set keeps what it taught (replay).",
            cls="tf-field-note",
        ),
        tag(
            "div",
            forms.field("Name", forms.text("tf-mix-name", "Mixture", name="name"), ident="tf-mix-name"),
            forms.field("In which order the model sees them", order, ident="tf-mix-order"),
            cls="tf-fields",
        ),
        forms.send("Mix them", phase="Mixing"),
        label="Mix data sets",
    )


def _samples(samples: Sequence[Sample], method: str) -> Html:
    """Those for the chosen method first."""
    fitting = sorted(samples, key=lambda sample: sample.method != method)
    cards = [ChoiceCard(sample.name, sample.title, sample.description, note=sample.file.name) for sample in fitting]
    return tag(
        "section",
        tag("h2", "Or try a sample"),
        widgets.choices("Samples", cards, pick="sample", small=True),
        cls="tf-part",
    )


def _earlier(now: Screen) -> Html | None:
    if not now.earlier:
        return None
    first, rest = now.earlier[:_LONGEST_LIST], now.earlier[_LONGEST_LIST:]
    more = (
        widgets.more(
            f"{len(rest):,} more", tag("ul", *(tag("li", _row(row)) for row in rest), cls="tf-earlier"), keep="data-earlier"
        )
        if rest
        else None
    )
    return tag(
        "section",
        tag("h2", "Or use a file you added before"),
        tag("ul", *(tag("li", _row(row)) for row in first), cls="tf-earlier"),
        more,
        cls="tf-part",
    )


def _row(row: DatasetRow) -> Html:
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


def _fits() -> Html:
    rows = (
        ("CSV, TSV", tag("code", "prompt,completion"), "A header line, then one example in each line."),
        ("JSONL", tag("code", '{"prompt": "…", "completion": "…"}'), "One object in each line."),
        (
            "JSONL",
            tag("code", '{"messages": [{"role": "user", "content": "…"}, …]}'),
            "Conversations, as OpenAI files have them, with or without tool calls. ShareGPT files work too.",
        ),
        ("JSON", tag("code", '[{"instruction": "…", "input": "…", "output": "…"}, …]'), "A list, as Alpaca files have it."),
        (
            "any",
            tag("code", '{"prompt": "…", "chosen": "…", "rejected": "…"}'),
            "A better and a worse answer to one question: for preference training.",
        ),
        (
            "any",
            tag("code", '{"prompt": "…", "answer": "…"}'),
            "A question and a result that can be checked, or points in “reward”: for training by reward.",
        ),
        ("Parquet", tag("code", "any of these columns"), "As data sets on the Hub have it."),
    )
    return widgets.more(
        "Which files fit?",
        widgets.table(("Format", "Looks like", ""), rows, caption="File formats that are recognised"),
        tag("p", "Other column names are fine: you say which is which on the next screen."),
        tag("p", "An Excel workbook has to be saved as “CSV UTF-8” first; a PDF or a Word file holds no rows."),
        keep="data-forms",
    )
