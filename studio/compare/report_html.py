"""A report as one HTML file that anybody can open, keep and print, and that carries the votes it was computed from.

Guarantees: nothing is fetched, and a policy in the file forbids it; there is no script in it; every text from outside is text,
whatever it holds; the votes in it are the export itself, so that ``tuning-fork verdict REPORT.html`` computes the same numbers
as from the exported file; light and dark follow the reader, paper is always light.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from studio.assets import asset
from studio.compare import report_picture
from studio.compare.report_parts import SETTINGS
from studio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studio.compare.report import Report
    from studio.compare.report_parts import Part, Rows, Table

#: Nothing may be loaded from anywhere, and nothing may run.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:; base-uri 'none'; form-action 'none'"
)
_DATA: Final = "data:application/json;base64,"
_EMBEDDED: Final = re.compile(rf'<a class="votes" download="[^"]*" href="{re.escape(_DATA)}([A-Za-z0-9+/=]+)"')
_FONTS: Final = ("atkinson-hyperlegible-next", "atkinson-hyperlegible-mono")


def html(report: Report) -> str:
    """The whole file as text."""
    root = ET.Element("html", {"lang": "en"})
    head = ET.SubElement(root, "head")
    ET.SubElement(head, "meta", {"charset": "utf-8"})
    ET.SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY})
    ET.SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    ET.SubElement(head, "meta", {"name": "color-scheme", "content": "light dark"})
    ET.SubElement(head, "title").text = _text(f"{report.verdict.headline}: {report.title}")
    ET.SubElement(head, "style").text = _style()
    body = ET.SubElement(ET.SubElement(root, "body"), "main")
    _top(body, report)
    for part in report.parts:
        _part(body, part)
    _again(body, report)
    foot = ET.SubElement(body, "footer")
    _add(foot, "p", f"Made with Tuning Fork {report.version} on {report.made_on}.")
    return "<!doctype html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def votes_in(text: str) -> str | None:
    """The votes that a report carries, as the text that was exported; ``None`` when the text is no report.

    Raises ``DataError`` when they were damaged.
    """
    if not text.lstrip()[:15].lower().startswith("<!doctype html"):
        return None
    found = _EMBEDDED.search(text)
    try:
        return base64.b64decode(found[1], validate=True).decode("utf-8") if found else None
    except ValueError as error:
        raise DataError(
            "The votes in this report are damaged.", where="votes", next_step="Take the report again, or export the votes."
        ) from error


def _top(body: ET.Element, report: Report) -> None:
    head = ET.SubElement(body, "header")
    mark = ET.SubElement(head, "p", {"class": "mark"})
    mark.append(_mark())
    _add(mark, "span", "Tuning Fork")
    _add(mark, "span", "Report of a blind comparison", cls="soft")
    _add(head, "h1", report.verdict.headline)
    _add(head, "p", report.title, cls="soft")
    _add(head, "blockquote", report.verdict.paragraph)
    if report.verdict.win_rate is not None:
        figure = ET.SubElement(body, "figure")
        drawing = report_picture.picture(report.verdict)
        del drawing.attrib["xmlns"]
        figure.append(drawing)


def _part(body: ET.Element, part: Part) -> None:
    section = ET.SubElement(body, "section")
    _add(section, "h2", part.title)
    if part.label:
        _add(section, "p", f"{part.label[:1].upper()}{part.label[1:]}.", cls="label")
    for text in part.text:
        _add(section, "p", text)
    if part.points:
        listed = ET.SubElement(section, "ul")
        for text in part.points:
            _add(listed, "li", text)
    if part.facts:
        _facts(section, part.facts)
    for table in part.tables:
        _table(section, table, alone=len(part.tables) == 1 and table.caption in (part.title, ""))


def _facts(section: ET.Element, facts: Rows) -> None:
    listed = ET.SubElement(section, "dl")
    for name, value in facts:
        line = ET.SubElement(listed, "div")
        _add(line, "dt", name)
        _add(line, "dd", value)


def _table(section: ET.Element, table: Table, *, alone: bool) -> None:
    place = section
    if table.log:
        place = ET.SubElement(section, "details")
        _add(place, "summary", table.caption)
        _add(section, "p", "The list is long and is not printed; it stands in the file.", cls="paper")
    elif not alone:
        _add(section, "h3", table.caption)
    named = "table tight" if table.columns == SETTINGS else "table"
    frame = ET.SubElement(place, "div", {"class": named, "tabindex": "0", "role": "region", "aria-label": table.caption})
    whole = ET.SubElement(frame, "table")
    head = ET.SubElement(ET.SubElement(whole, "thead"), "tr")
    for at, name in enumerate(table.columns):
        _add(head, "th", name, cls="number" if at in table.numeric else "").set("scope", "col")
    rows = ET.SubElement(whole, "tbody")
    for row in table.rows:
        line = ET.SubElement(rows, "tr")
        for at, cell in enumerate(row):
            _add(line, "td", cell, cls="number" if at in table.numeric else "")


def _again(body: ET.Element, report: Report) -> None:
    section = ET.SubElement(body, "section")
    _add(section, "h2", "Compute it again")
    _add(
        section,
        "p",
        "This file carries every vote. On any computer with Tuning Fork, one command gives every number about votes:",
    )
    _add(section, "pre", f"tuning-fork verdict {report.file_name} --json")
    _add(section, "p", "It has to print these, letter for letter:")
    _facts(section, report.expected)
    line = ET.SubElement(section, "p")
    encoded = base64.b64encode(report.votes.encode("utf-8")).decode("ascii")
    link = ET.SubElement(line, "a", {"class": "votes", "download": report.votes_name, "href": f"{_DATA}{encoded}"})
    link.text = "Save the votes as JSON"


def _mark() -> ET.Element:
    """The sign of the studio, in the colour of the text around it."""
    found = ET.fromstring(asset("logo", "mark.svg").read_text("utf-8"))  # noqa: S314 - a file of ours
    for one in found.iter():
        one.tag = one.tag.rpartition("}")[2]
    found.attrib |= {"width": "22", "height": "22", "aria-hidden": "true"}
    for name in ("role", "aria-label"):
        found.attrib.pop(name, None)
    return found


def _add(parent: ET.Element, name: str, text: str, *, cls: str = "") -> ET.Element:
    """A child with text; text that is written from right to left stands so, and turns nothing around it."""
    child = ET.SubElement(parent, name, {"class": cls} if cls else {})
    child.text = _text(text)
    if name in ("td", "dd", "li", "p", "blockquote"):
        child.set("dir", "auto")
    return child


def _text(text: str) -> str:
    """Text that every HTML file may hold: without lone surrogates, and without control characters but line breaks."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in clean)


@cache
def _style() -> str:
    """Colours and letters of the studio, and what this page adds."""
    tokens = asset("theme", "tokens.css").read_text("utf-8")
    colours = (
        tokens[tokens.index(":root {") :].replace(".dark {", "@media screen and (prefers-color-scheme: dark) { :root {") + "}"
    )
    return "".join((*_faces(tokens), colours, asset("theme", "report.css").read_text("utf-8")))


def _faces(tokens: str) -> Sequence[str]:
    """The fonts with their files inside; letters beyond Western Europe come from the reader's own."""
    found: list[str] = []
    for face in re.findall(r"@font-face \{.*?\n\}", tokens, re.DOTALL):
        for name in _FONTS:
            file = f"../fonts/{name}.woff2"
            if file in face:
                held = base64.b64encode(asset("fonts", f"{name}.woff2").read_bytes()).decode("ascii")
                found.append(face.replace(file, f"data:font/woff2;base64,{held}"))
    return found
