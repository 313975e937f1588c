"""One curve of a run: a figure for Plotly, and the same in words and numbers for those who do not see it.

Guarantees: the figure asks for nothing from anywhere (no template, no logo, no tools); its colours are readable on light and on
dark paper; a value that is not a number leaves a gap; the scale of an empty curve is not invented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from gradio.components.plot import PlotData

from studio.runs.diagnosis import smooth, window_for
from studio.runs.progress import Point, Progress
from wizards import charts, widgets
from wizards.charts import Chart, Line, Look, Mark
from wizards.theme import CHART
from wizards.widgets import Html, tag

#: Pixels, the same as in the style sheet: the page must not jump when the figure is drawn anew.
HEIGHT: Final = 360
#: Rows of the table of numbers.
_ROWS: Final = 12
#: A mark is drawn once the curve has come this near to it, as a share of its height.
_NEAR: Final = 0.3
_KEYS: Final[Mapping[Look, str]] = {"main": "tf-key-train", "other": "tf-key-other", "check": "tf-key-validation"}


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart with its points: what was measured, and the same with less noise, for each of its lines."""

    chart: Chart
    total: int
    raw: tuple[tuple[Point, ...], ...]
    smoothed: tuple[tuple[Point, ...], ...]

    @property
    def lines(self) -> tuple[tuple[Line, tuple[Point, ...], tuple[Point, ...]], ...]:
        """Each line with its raw and its smoothed points; those of a check are not smoothed."""
        return tuple(zip(self.chart.lines, self.raw, self.smoothed, strict=True))

    @property
    def empty(self) -> bool:
        """Whether no line has a point."""
        return not any(self.raw)

    @property
    def main(self) -> tuple[Point, ...]:
        """The points of the line to read first: the first one that has any, smoothed."""
        return next((points for points in self.smoothed if points), ())


def of(now: Progress, chart: Chart) -> Curve:
    """The points of a chart as they stand."""
    total = charts.total_of(now, chart)
    raw = tuple(chart.points(now.series, line) for line in chart.lines)
    smoothed = tuple(
        points if line.look == "check" else smooth(points, window_for(total))
        for line, points in zip(chart.lines, raw, strict=True)
    )
    return Curve(chart, total, raw, smoothed)


def figure(curve: Curve) -> PlotData:
    """Raw values faint, smoothed strong, checks as points; the whole stage on the horizontal axis from the start."""
    import plotly.graph_objects as go

    traces: list[go.Scatter] = []
    for line, raw, smoothed in curve.lines:
        if line.look == "check":
            traces.append(go.Scatter(_points(curve.chart, raw, line.label)))
            continue
        colour = CHART.train if line.look == "main" else CHART.right
        if line.look == "main":
            traces.append(go.Scatter(_line(curve.chart, raw, "each step", CHART.train_faint, 1.2)))
        dash = "solid" if line.look == "main" else "dash"
        traces.append(go.Scatter(_line(curve.chart, smoothed, line.label, colour, 3.0, dash)))
    drawn = go.Figure(data=traces, layout=_layout(curve))
    plain = cast("dict[str, Any]", json.loads(cast(str, drawn.to_json())))
    plain["config"] = {"displayModeBar": False, "displaylogo": False, "scrollZoom": False, "doubleClick": False}
    return PlotData(type="plotly", plot=json.dumps(plain))


def _line(chart: Chart, points: Sequence[Point], name: str, colour: str, width: float, dash: str = "solid") -> dict[str, Any]:
    return {
        **_places(chart, points, name),
        "name": name,
        "mode": "lines",
        "line": {"color": colour, "width": width, "dash": dash},
        "connectgaps": False,
    }


def _points(chart: Chart, points: Sequence[Point], name: str) -> dict[str, Any]:
    return {
        **_places(chart, points, name),
        "name": name,
        "mode": "markers",
        "marker": {"color": CHART.validation, "size": 11, "symbol": "diamond"},
        # The first one stands on the axis and must not be cut in half.
        "cliponaxis": False,
    }


def _places(chart: Chart, points: Sequence[Point], name: str) -> dict[str, Any]:
    value = {"percent": "%{y:.0%}", "tokens": "%{y:,.0f} tokens", "number": "%{y:.3f}"}[chart.form]
    return {
        "x": [float(point.step) for point in points],
        "y": [point.value if math.isfinite(point.value) else None for point in points],
        "hovertemplate": "step %{x:,}: " + value + "<extra>" + name + "</extra>",
    }


def _layout(curve: Curve) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "color": CHART.ink,
        "gridcolor": CHART.grid,
        "zeroline": not curve.chart.floor,
        "zerolinecolor": CHART.ink,
        "fixedrange": True,
        "ticks": "",
        "automargin": True,
    }
    return {
        "template": "none",
        "height": HEIGHT,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": CHART.font, "size": 13, "color": CHART.ink},
        "margin": {"l": 8, "r": 16, "t": 16, "b": 8},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": axis | {"zeroline": False} | _steps(curve.total),
        "yaxis": axis | _heights(curve),
        **_marks(curve),
    }


def _steps(total: int) -> dict[str, Any]:
    return {
        "ticklabelstandoff": 6,
        "range": [0, max(total, 1) * 1.01],
        # Steps are whole: a short run must not be cut into fractions, and none is marked before their number is known.
        "nticks": min(7, total + 1),
        "showticklabels": total > 0,
        "title": {"text": "step"},
        "showgrid": False,
        "tickformat": ",d",
    }


def _heights(curve: Curve) -> dict[str, Any]:
    share = curve.chart.form == "percent"
    return {
        **({"range": [0, 1.04]} if share else {"rangemode": "tozero" if curve.chart.floor else "normal"}),
        "tickformat": ".0%" if share else None,
        "title": {"text": curve.chart.term},
        "nticks": 6,
        "ticksuffix": " ",
        "showticklabels": not curve.empty,
    }


def _marks(curve: Curve) -> dict[str, Any]:
    """Heights worth knowing as dotted lines, once the curve is near enough for them not to flatten it."""
    values = [point.value for points in curve.raw for point in points if math.isfinite(point.value)]
    top = max(values, default=0.0)
    near = [mark for mark in curve.chart.marks if values and top >= _NEAR * mark.at]
    return {"shapes": [_dotted(mark.at) for mark in near], "annotations": [_named(mark) for mark in near]}


def _dotted(height: float) -> dict[str, Any]:
    line = {"color": CHART.ink, "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height, "line": line}


def _named(mark: Mark) -> dict[str, Any]:
    place = {"xref": "paper", "x": 1, "xanchor": "right", "y": mark.at, "yanchor": "bottom"}
    return {**place, "text": mark.label, "showarrow": False, "font": {"size": 12, "color": CHART.ink}}


def legend(curve: Curve) -> Html:
    """What the lines are, in the page's own type, so that it follows light and dark."""
    keys: list[tuple[str, str]] = []
    if any(line.look == "main" for line in curve.chart.lines):
        keys.append(("tf-key-raw", "Each step"))
    for line, raw, _ in curve.lines:
        if line.look != "check" or raw:
            keys.append((_KEYS[line.look], line.label))
    return tag("ul", *(tag("li", tag("span", cls=f"tf-key {cls}"), text) for cls, text in keys), cls="tf-legend")


def words(curve: Curve) -> str:
    """The curve in one sentence."""
    if curve.empty:
        return "No step is finished yet, so there is no curve."
    chart, parts = curve.chart, list[str]()
    for line, _, points in curve.lines:
        if points:
            first, last = points[0], points[-1]
            moved = f"from {chart.say(first.value)} at step {first.step:,} to {chart.say(last.value)} at step {last.step:,}"
            single = f"{chart.say(first.value)} at step {first.step:,}"
            parts.append(f"{line.label.lower()} {moved if len(points) > 1 else single}")
    better = "" if chart.better == "neither" else f" {chart.better.capitalize()} is better."
    return f"{chart.title} ({chart.term}): {'; '.join(parts)}.{better}"


def numbers(curve: Curve) -> Html:
    """A dozen places of the curve as a table."""
    steps: set[int] = set()
    for _, _, points in curve.lines:
        stride = max(1, math.ceil(len(points) / _ROWS))
        steps |= {point.step for point in (*points[::stride], *points[-1:])}
    known = [{point.step: point.value for point in points} for points in curve.smoothed]
    rows = [
        (f"{step:,}", *(curve.chart.say(values[step]) if step in values else "" for values in known)) for step in sorted(steps)
    ]
    columns = ("Step", *(line.label for line in curve.chart.lines))
    return widgets.table(columns, rows, caption="The curve as numbers", numeric=tuple(range(len(columns))))
