"""The stages of a run as a line of marks: what is done, what is at work, what comes.

Guarantees: pure; a state is a word as well as a sign; a run of one stage has no line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio.runs.progress import StageState
from studio.runs.stages import StageStatus
from wizards import widgets
from wizards.widgets import Html, tag

_WORDS: Final[dict[StageStatus, str]] = {"done": "Done", "now": "Now", "waiting": "To come"}


def html(stages: Sequence[StageState]) -> Html | None:
    """The stages in their order, with their steps."""
    if len(stages) < 2:
        return None
    return tag("ol", *(_stage(number, each) for number, each in enumerate(stages, 1)), cls="tf-stages", aria_label="Stages")


def _stage(number: int, stage: StageState) -> Html:
    sign = widgets.icon("check", 16) if stage.state == "done" else tag("span", str(number))
    return tag(
        "li",
        tag("span", sign, cls="tf-stage-sign", aria_hidden="true"),
        tag("span", tag("strong", stage.title), tag("span", _how_far(stage), cls="tf-remark"), cls="tf-stage-words"),
        cls=f"is-{stage.state}",
        aria_current="step" if stage.state == "now" else None,
    )


def _how_far(stage: StageState) -> str:
    if stage.state == "done":
        return f"{_WORDS['done']}, {stage.step:,} steps" if stage.step else _WORDS["done"]
    if stage.step:
        word = _WORDS[stage.state] if stage.state == "now" else "Interrupted"
        return f"{word}: step {stage.step:,} of {stage.total:,}"
    return _WORDS[stage.state] + (f", {stage.total:,} steps" if stage.total else "")
