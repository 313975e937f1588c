"""The loss curve: a figure for Plotly, and the same in words and numbers for those who do not see it.

Guarantees: the figure asks for nothing from anywhere (no template, no logo, no tools); its colours are readable on light and on
dark paper; a loss that is not a number leaves a gap.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final, cast

from gradio.components.plot import PlotData

from studio.runs.diagnosis import told as loss
from studio.runs.progress import Point, Progress
from wizards import widgets
from wizards.theme import CHART
from wizards.widgets import Html, tag

#: Pixels, the same as in ``studio.css``: the page must not jump when the figure is drawn anew.
HEIGHT: Final = 360
#: Rows of the table of numbers.
_ROWS: Final = 12


def figure(progress: Progress) -> PlotData:
    """Raw training loss faint, smoothed strong, validation as points; the whole run on the horizontal axis from the start."""
    import plotly.graph_objects as go

    drawn = go.Figure(
        data=[
            go.Scatter(_line(progress.train, "each step", CHART.train_faint, 1.2)),
            go.Scatter(_line(progress.smoothed, "training, smoothed", CHART.train, 3.0)),
            go.Scatter(_points(progress.validation, "validation", CHART.validation)),
        ],
        layout=_layout(progress),
    )
    plain = cast("dict[str, Any]", json.loads(cast(str, drawn.to_json())))
    plain["config"] = {"displayModeBar": False, "displaylogo": False, "scrollZoom": False, "doubleClick": False}
    return PlotData(type="plotly", plot=json.dumps(plain))


def _line(points: Sequence[Point], name: str, colour: str, width: float) -> dict[str, Any]:
    return {
        **_places(points),
        "name": name,
        "mode": "lines",
        "line": {"color": colour, "width": width},
        "hovertemplate": "step %{x:,}: %{y:.3f}<extra>" + name + "</extra>",
        "connectgaps": False,
    }


def _points(points: Sequence[Point], name: str, colour: str) -> dict[str, Any]:
    return {
        **_places(points),
        "name": name,
        "mode": "markers",
        "marker": {"color": colour, "size": 11, "symbol": "diamond"},
        "hovertemplate": "step %{x:,}: %{y:.3f}<extra>" + name + "</extra>",
        # The first one stands on the axis and must not be cut in half.
        "cliponaxis": False,
    }


def _places(points: Sequence[Point]) -> dict[str, list[float | None]]:
    return {
        "x": [float(point.step) for point in points],
        "y": [point.value if math.isfinite(point.value) else None for point in points],
    }


def _layout(progress: Progress) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "color": CHART.ink,
        "gridcolor": CHART.grid,
        "zeroline": False,
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
        "xaxis": axis
        | {
            "ticklabelstandoff": 6,
            "range": [0, max(progress.total, 1) * 1.01],
            # Steps are whole: a short run must not be cut into fractions, and none is marked before their number is known.
            "nticks": min(7, progress.total + 1),
            "showticklabels": progress.total > 0,
            "title": {"text": "step"},
            "showgrid": False,
            "tickformat": ",d",
        },
        "yaxis": axis
        | {
            "rangemode": "tozero",
            "title": {"text": "loss"},
            "nticks": 6,
            "ticksuffix": " ",
            # The scale of an empty curve would be invented.
            "showticklabels": bool(progress.train or progress.validation),
        },
    }


def legend(progress: Progress) -> Html:
    """What the lines are, in the page's own type, so that it follows light and dark."""
    keys = [("tf-key-raw", "Training loss, each step"), ("tf-key-train", "Smoothed")]
    if progress.validation:
        keys.append(("tf-key-validation", "Validation loss, on rows it never trains on"))
    return tag("ul", *(tag("li", tag("span", cls=f"tf-key {cls}"), text) for cls, text in keys), cls="tf-legend")


def words(progress: Progress) -> str:
    """The curve in one sentence."""
    if not progress.smoothed:
        return "No step is finished yet, so there is no curve."
    first, last = progress.smoothed[0], progress.smoothed[-1]
    told = f"Training loss from {loss(first.value)} at step {first.step:,} to {loss(last.value)} at step {last.step:,}"
    if len(progress.validation) > 1:
        before, after = progress.validation[0], progress.validation[-1]
        told += (
            f"; validation loss from {loss(before.value)} at step {before.step:,} to {loss(after.value)} at step {after.step:,}"
        )
    return told + ". Lower is better."


def numbers(progress: Progress) -> Html:
    """A dozen places of the curve as a table."""
    smoothed = progress.smoothed
    stride = max(1, math.ceil(len(smoothed) / _ROWS))
    chosen = {point.step: point for point in (*smoothed[::stride], *smoothed[-1:])}
    validation = {point.step: point.value for point in progress.validation}
    steps = sorted({*chosen, *validation})
    rows = [
        (
            f"{step:,}",
            f"{chosen[step].value:.3f}" if step in chosen else "",
            f"{validation[step]:.3f}" if step in validation else "",
        )
        for step in steps
    ]
    columns = ("Step", "Training loss, smoothed", "Validation loss")
    return widgets.table(columns, rows, caption="The loss curve as numbers", numeric=(0, 1, 2))
