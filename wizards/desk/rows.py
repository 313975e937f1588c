"""The *Rows* tab: a page of rows with search, filters and line numbers.

Guarantees: pure; a page stays small whatever the file; a row that was set aside says why and shows what stands in the file;
text of the file is shown as text, in its own direction.
"""

from __future__ import annotations

from collections.abc import Sequence

from studio.data import Inspection, Preview, desk
from wizards import forms, widgets
from wizards.desk.findings import TITLES, reason
from wizards.desk.screen import Screen
from wizards.desk.view import LONGEST_SEARCH, View
from wizards.desk.words import KINDS, clip, counted, head, pairs
from wizards.widgets import Html, tag

#: Columns of the file that are shown beside the parts of its form; the rest is on the row's own page.
_EXTRAS = 3
#: A table with more columns is not taken apart on a narrow screen.
_STACKED = 6
#: Characters and lines of a cell before it folds.
_FOLD = 280
_FOLD_LINES = 5
_SHOWS = (("all", "All rows"), ("usable", "Rows that can be used"), ("aside", "Rows set aside"))
#: The sealed part is not on the list: nobody looks at it before the comparison.
_DIVIDED = (("", "All parts"), ("train", "To learn from"), ("validation", "To check on"))


def tab(now: Screen) -> Html:
    """The whole tab."""
    inspection, page = now.inspection, now.page
    if inspection is None:
        return widgets.join(())
    if inspection.shape is None:
        return _as_in_file(inspection)
    if page is None or not inspection.rows_total:
        return widgets.empty(
            "No rows", "The file holds a heading but nothing under it, or nothing that could be read as a row."
        )
    return widgets.join((_tools(now, inspection), _told(now.view, page, inspection), _table(page, inspection), _pages(page)))


def _tools(now: Screen, inspection: Inspection) -> Html:
    view = now.view
    codes = [finding.code for finding in inspection.findings if has_rows(finding.code, finding.lines)]
    if view.finding and view.finding not in codes:
        codes.append(view.finding)
    fields = [
        forms.field(
            "Search in every text",
            forms.text("tf-search", view.text, kind="search", maxlength=LONGEST_SEARCH, data_field="search"),
            ident="tf-search",
        ),
        forms.field("Show", forms.choice("tf-show", _SHOWS, view.show, data_field="show"), ident="tf-show"),
    ]
    if codes:
        options = (("", "Any"), *((code, TITLES.get(code, code.replace("_", " "))) for code in codes))
        fields.append(
            forms.field("Finding", forms.choice("tf-finding", options, view.finding, data_field="finding"), ident="tf-finding")
        )
    if now.dataset is not None:
        fields.append(forms.field("Part", forms.choice("tf-part", _DIVIDED, view.part, data_field="part"), ident="tf-part"))
    return tag("div", *fields, cls="tf-tools", role="search")


def has_rows(code: str, lines: tuple[int, ...]) -> bool:
    """Whether the rows of a finding can be shown: it must speak of some."""
    return bool(code and lines)


def _told(view: View, page: desk.Page, inspection: Inspection) -> Html:
    """How many rows these are, and the way back to all of them."""
    if not view.look.filtered:
        words = "The only row of the file." if page.matched == 1 else f"All {page.matched:,} rows, in the order of the file."
        return tag("p", words, cls="tf-remark tf-told")
    words = f"{counted(page.matched)} of {inspection.rows_total:,}."
    like = {"copies": "copies of one row", "near": "nearly the same", "answer": "with the same answer"}
    kind = view.like.partition(":")[0]
    if kind:
        words = f"{words[:-1]}, {like.get(kind, 'with the same ' + head(kind, inspection))}."
    return tag(
        "p", tag("span", words), " ", widgets.button("Show all rows", "everything", kind="quiet", sign="undo"), cls="tf-told"
    )


def _table(page: desk.Page, inspection: Inspection) -> Html:
    if not page.lines:
        return widgets.empty("No row fits", "No row has this text or this finding.")
    parts = [at for at, name in enumerate(page.columns) if not name.startswith("x")]
    extras = [at for at, name in enumerate(page.columns) if name.startswith("x")]
    shown = [*parts, *extras[:_EXTRAS]]
    names = [head(page.columns[at], inspection) for at in shown]
    heads = tag("tr", tag("th", "Line", scope="col", cls="is-number"), *(tag("th", name, scope="col") for name in names))
    body = (_row(line, shown, names, page.columns) for line in page.lines)
    said = f"Rows {page.lines[0].line:,} to {page.lines[-1].line:,} by line"
    whole = tag("table", tag("caption", said), tag("thead", heads), tag("tbody", *body))
    note = tag("p", _hidden(len(extras) - _EXTRAS, inspection), cls="tf-remark tf-under") if len(extras) > _EXTRAS else None
    framed = tag("div", whole, cls="tf-table tf-rows", tabindex="0", role="region", aria_label=said)
    return widgets.join((framed, note))


def _hidden(count: int, inspection: Inspection) -> str:
    """Where the columns are that the table has no room for."""
    more = "1 more column is" if count == 1 else f"{count:,} more columns are"
    used = len(inspection.shape.columns) if inspection.shape is not None else 0
    left = len(inspection.columns) - used - len(inspection.extras)
    rest = f" The last {left:,} columns of the file are not kept: they play no part." if left > 0 else ""
    return f"{more} shown with the row itself: press its line number.{rest}"


def _row(line: desk.Line, shown: list[int], names: list[str], columns: tuple[str, ...]) -> Html:
    number = tag(
        "td",
        tag(
            "button",
            f"{line.line:,}",
            type="button",
            cls="tf-line-number",
            data_pick="row",
            data_value=line.row_id,
            data_phase="Opening the row",
            aria_label=f"Open the row on line {line.line:,}",
        ),
        cls="is-number",
        data_label="Line",
    )
    if line.reason:
        why = tag("p", widgets.pill("Set aside", "bad"), tag("span", reason(line.reason, line.detail)), cls="tf-aside-why")
        raw = _cell(line.cells[0], f"{line.row_id}-raw") if line.cells and line.cells[0] else None
        return tag("tr", number, tag("td", why, raw, colspan=len(shown), cls="tf-aside"), cls="is-aside")
    cells = (
        tag(
            "td",
            _cell(line.cells[at], f"{line.row_id}-{columns[at]}"),
            data_label=name,
            cls="is-extra" if columns[at].startswith("x") else None,
        )
        for at, name in zip(shown, names, strict=True)
    )
    return tag("tr", number, *cells)


def _cell(cell: desk.Cell | None, keep: str) -> Html:
    if cell is None:
        return tag("span", "nothing", cls="tf-undecided")
    start = "\n".join(cell.text[:_FOLD].split("\n")[:_FOLD_LINES]).rstrip()
    if cell.length <= _FOLD and cell.text.count("\n") < _FOLD_LINES:
        return tag("div", cell.text, cls="tf-cell", dir="auto")
    rest = "press the line number for all of it" if cell.length > len(cell.text) else ""
    return tag(
        "details",
        tag(
            "summary",
            tag("span", start + " …", cls="tf-cell", dir="auto"),
            tag("span", f"{cell.length:,} characters", cls="tf-long-count"),
        ),
        tag("div", clip(cell.text, desk.CELL, length=cell.length), cls="tf-cell", dir="auto"),
        tag("p", rest, cls="tf-remark") if rest else None,
        cls="tf-long",
        data_keep=f"cell-{keep}",
    )


def _pages(page: desk.Page) -> Html | None:
    if page.pages == 1:
        return None
    return tag(
        "nav",
        _turn("First", 1, page, "back"),
        _turn("Before", page.page - 1, page, ""),
        tag(
            "span",
            tag("label", "Page ", for_="tf-page"),
            forms.text("tf-page", str(page.page), data_field="page", inputmode="numeric", cls="tf-page-number"),
            f" of {page.pages:,}",
            cls="tf-remark",
        ),
        _turn("Next", page.page + 1, page, ""),
        _turn("Last", page.pages, page, "arrow"),
        cls="tf-pages",
        aria_label="Pages of rows",
    )


def _turn(words: str, target: int, page: desk.Page, sign: str) -> Html:
    off = not 1 <= target <= page.pages or target == page.page
    return widgets.button(words, "page", value=str(target), kind="quiet", sign=sign, disabled=off)


def _as_in_file(inspection: Inspection) -> Html:
    """The first rows as they stand in the file, while nobody knows which column is what."""
    if not inspection.preview:
        return widgets.empty(
            "No rows", "The file holds a heading but nothing under it, or nothing that could be read as a row."
        )
    count = len(inspection.preview)
    said = (
        ("The only row, as it stands in the file." if count == 1 else f"All {count:,} rows, as they stand in the file.")
        if count == inspection.rows_total
        else f"The first {count:,} of {counted(inspection.rows_total)}, as they stand in the file."
    )
    return _plain_table(inspection.preview_columns, inspection.preview, said, len(inspection.columns))


def first_look(first: Preview) -> Html:
    """What the start of a file shows while all of it is still being checked."""
    shape = first.shape
    seems = (
        "Which column is what, you will be asked when every row is checked."
        if shape is None
        else f"It seems to hold {KINDS[shape.kind][:1].lower()}{KINDS[shape.kind][1:]}: {pairs(shape)}."
    )
    said = f"The first {counted(len(first.rows))}, as they stand in the file."
    return tag(
        "section",
        tag("h2", "A first look"),
        tag("p", f"Only the start of the file was looked at. {seems}", cls="tf-remark"),
        _plain_table(first.preview_columns, first.rows, said, len(first.columns)),
        cls="tf-desk tf-first",
        aria_label="A first look",
    )


def _plain_table(names: Sequence[str], rows: Sequence[Sequence[str]], said: str, columns: int) -> Html:
    """Rows as they stand in the file under the names of their columns; ``columns`` is how many the file has."""
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    body = (
        tag(
            "tr",
            *(
                tag("td", _cell(desk.Cell(cell, len(cell)), f"{at}-{place}"), data_label=name)
                for place, (name, cell) in enumerate(zip(names, row, strict=True))
            ),
        )
        for at, row in enumerate(rows)
    )
    whole = tag("table", tag("caption", said), tag("thead", head), tag("tbody", *body))
    # Many columns, one below the other on a phone, would be a page without an end: those scroll sideways in their frame.
    kind = "tf-rows" if len(names) <= _STACKED else "tf-cells"
    hidden = columns - len(names)
    note = f"The file has {columns:,} columns; the first {len(names):,} are shown." if hidden > 0 else ""
    return widgets.join(
        (
            tag("p", said, cls="tf-remark tf-told"),
            tag("div", whole, cls=f"tf-table {kind}", tabindex="0", role="region", aria_label=said),
            tag("p", note, cls="tf-remark tf-under") if note else None,
        )
    )
