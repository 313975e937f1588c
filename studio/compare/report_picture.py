"""The picture of a verdict as SVG: a ruler from 0 to 100, the interval as a band, the win rate as a needle.

Guarantees: it stands alone (no font, image or style from elsewhere), is right in light and dark, and says in its title what it
shows; every challenger has a ruler of its own on the same scale; the arms are told apart by place and words, not by colour.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from studio.assets import asset
from studio.compare.sentences import percent, plain, start

if TYPE_CHECKING:
    from studio.compare.verdict import Verdict

_WIDTH: Final = 720
_LEFT: Final = 24
_RIGHT: Final = 696
_ROW: Final = 104
_STROKES: Final = 72
#: Letters of a name that fit beside its numbers, and below one end of the ruler.
_LONGEST: Final = 28
_AT_AN_END: Final = 32
_BLOCK: Final = re.compile(r"^(:root|\.dark) \{(.*?)^\}", re.DOTALL | re.MULTILINE)


def picture(verdict: Verdict) -> ET.Element:
    """The drawing as one ``svg`` element, without a picture of anything where nobody has voted."""
    rows = [one.verdict for one in verdict.checkpoints] if verdict.challengers > 1 else [verdict]
    rows = [one for one in rows if one.win_rate is not None]
    alone = len(rows) == 1
    height = 36 + _ROW * len(rows) + (_STROKES if alone else 0)
    svg = ET.Element("svg", {"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "class": "tf-drawing"})
    svg.set("xmlns", "http://www.w3.org/2000/svg")
    ET.SubElement(svg, "title").text = words(verdict)
    ET.SubElement(svg, "style").text = style()
    for at, one in enumerate(rows):
        _ruler(svg, one, 8 + at * _ROW, named=not alone, numbered=one is rows[-1])
    if rows:
        _ends(svg, rows[0], 20 + _ROW * len(rows), alone=alone)
    if alone:
        _strokes(svg, rows[0], 46 + _ROW)
    return svg


def words(verdict: Verdict) -> str:
    """The picture in sentences, one for each challenger."""
    every = [one.verdict for one in verdict.checkpoints] if verdict.challengers > 1 else [verdict]
    told = [
        f"Win rate of {one.about.challenger} against {one.about.reference}: {percent(one.win_rate)}, interval from "
        f"{percent(one.low)} to {percent(one.high)}."
        for one in every
        if one.win_rate is not None
    ]
    return " ".join((*told, "50 % would be no difference.")) if told else "Nobody has voted."


def standalone(verdict: Verdict) -> str:
    """The same as a file of its own."""
    return ET.tostring(picture(verdict), encoding="unicode") + "\n"


@cache
def style() -> str:
    """The studio's own colours, light and dark, for this drawing alone."""
    found = dict(_BLOCK.findall(asset("theme", "tokens.css").read_text("utf-8")))
    names = ("ink", "ink-soft", "line", "line-strong", "accent", "accent-wash")

    def colours(block: str) -> str:
        values = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", block))
        return "".join(f"--{name}:{values[name]};" for name in names)

    return (
        f".tf-drawing{{{colours(found[':root'])}font-family:system-ui,sans-serif;font-size:13px}}"
        f"@media screen and (prefers-color-scheme:dark){{.tf-drawing{{{colours(found['.dark'])}}}}}"
        ".tf-drawing text{fill:var(--ink-soft)}.tf-drawing .strong{fill:var(--ink);font-weight:700}"
        ".tf-drawing .rate{fill:var(--accent);font-weight:700;font-size:20px}"
        ".tf-drawing .tick{stroke:var(--line-strong)}.tf-drawing .middle{stroke:var(--ink);stroke-width:2}"
        ".tf-drawing .band{fill:var(--accent-wash);stroke:var(--accent)}"
        ".tf-drawing .needle,.tf-drawing .tuned{stroke:var(--accent);stroke-width:4}"
        "@media(max-width:560px){.tf-drawing{font-size:24px}.tf-drawing .rate{font-size:36px}.tf-drawing .long{display:none}}"
        ".tf-drawing .base{stroke:var(--ink);stroke-width:4}.tf-drawing .even{stroke:var(--line-strong);stroke-width:2}"
    )


def _x(share: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * share


def _ruler(svg: ET.Element, one: Verdict, top: int, *, named: bool, numbered: bool) -> None:
    """One row: the rate above its needle, the band, the scale below. ``named`` writes whose it is, ``numbered`` the scale."""
    rate, line = one.win_rate or 0.0, top + 58
    if named:
        _text(svg, _LEFT, top + 12, _short(start(one.about.challenger)), "strong")
        told = f"{percent(rate)} ({percent(one.low)} to {percent(one.high)})"
        _text(svg, _RIGHT, top + 12, told, "", anchor="end")
    else:
        place = min(max(_x(rate), _LEFT + 24), _RIGHT - 24)
        _text(svg, place, top + 16, percent(rate), "rate", anchor="middle")
    band = {"x": f"{_x(one.low):.2f}", "y": str(line - 26), "height": "18", "class": "band"}
    ET.SubElement(svg, "rect", {**band, "width": f"{_x(one.high) - _x(one.low):.2f}"})
    _line(svg, _x(0), line, _x(1), line, "tick")
    for at in range(0, 101, 5):
        _line(svg, _x(at / 100), line, _x(at / 100), line + (8 if at % 25 else 12), "tick")
    _line(svg, _x(0.5), line - 34, _x(0.5), line + 14, "middle")
    _line(svg, _x(rate), line - 34, _x(rate), line, "needle")
    for at in (0, 25, 50, 75, 100) if numbered else ():
        _text(svg, _x(at / 100), line + 34, str(at), "strong" if at == 50 else "", anchor="middle")


def _ends(svg: ET.Element, one: Verdict, top: int, *, alone: bool) -> None:
    right = f"{_short(one.about.challenger, _AT_AN_END)} preferred" if alone else "challenger preferred"
    _text(svg, _LEFT, top, f"{_short(one.about.reference, _AT_AN_END)} preferred", "")
    _text(svg, _RIGHT, top, right, "", anchor="end")


def _strokes(svg: ET.Element, one: Verdict, top: int) -> None:
    """One stroke for each prompt, by which way it leaned; groups stand apart."""
    groups = (("base", one.leaned_base), ("even", one.leaned_even), ("tuned", one.leaned_tuned))
    shown = [(name, count) for name, count in groups if count]
    step = (_RIGHT - _LEFT) / (one.n_items + 2 * (len(shown) - 1) + 1)
    at = _LEFT + step
    for name, count in shown:
        for _ in range(count):
            ends = (top + 12, top + 14) if name == "even" else (top, top + 24)
            _line(svg, at, ends[0], at, ends[1], name, width=min(4.0, 0.7 * step))
            at += step
        at += 2 * step
    told = f"One stroke for each of {one.n_items:,} prompts: {one.leaned_base:,} leaned left, {one.leaned_even:,} to neither, "
    _text(svg, _LEFT, top + 44, f"{told}{one.leaned_tuned:,} right.", "long")


def _text(svg: ET.Element, x: float, y: float, text: str, cls: str, *, anchor: str = "start") -> None:
    ET.SubElement(svg, "text", {"x": f"{x:.2f}", "y": f"{y:.2f}", "class": cls, "text-anchor": anchor}).text = text


def _line(svg: ET.Element, x1: float, y1: float, x2: float, y2: float, cls: str, *, width: float = 0.0) -> None:
    ends = {"x1": f"{x1:.2f}", "y1": f"{y1:.2f}", "x2": f"{x2:.2f}", "y2": f"{y2:.2f}", "class": cls}
    ET.SubElement(svg, "line", ends | ({"style": f"stroke-width:{width:.2f}"} if width else {}))


def _short(text: str, most: int = _LONGEST) -> str:
    line = plain(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"
