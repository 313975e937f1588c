"""Step 2, *Data*: bring rows, see what was understood, repair what can be repaired, decide the split.

Guarantees: every row has been checked before anything is shown; columns that were guessed are confirmed by the person before
they are split; work on a file never holds the page up, and a reload or a second tab shows the same. What the step looks like is
in ``wizards.desk``; what a press does, in ``data_acts`` and ``data_bringing``.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from wizards import data_acts, data_bringing, widgets
from wizards.data_reading import read
from wizards.desk import bring, page
from wizards.shell import Action, Context, StepParts, Visit


def build(ctx: Context) -> StepParts:
    """Title, drop zone, and four panels; see ``shell`` for how they are plugged in."""
    title_panel = widgets.panel()
    with gr.Column(elem_classes="tf-drop") as zone:
        upload = gr.File(
            label="Your file", show_label=False, file_count="single", type="filepath", elem_id="tf-upload", height=120
        )
        note = widgets.panel()
    start = widgets.panel(elem_id="tf-data-start")
    work = widgets.panel(elem_id="tf-data-work")
    above = widgets.panel(elem_id="tf-data-above")
    desk = widgets.panel(elem_id="tf-data-desk")

    def show(visit: Visit) -> Sequence[object]:
        now = read(ctx, visit)
        drawn = page.drawn(now)
        # A heartbeat that finds what is on screen already leaves it alone: somebody may be typing there.
        if visit.seen == drawn:
            return (*(gr.skip() for _ in range(5)), page.work(now), gr.skip(), gr.skip())
        return (
            page.top(now),
            gr.update(visible=now.empty),
            gr.update(value=None),
            bring.note(now) if now.empty else "",
            bring.start(now) if now.empty else "",
            page.work(now, visit.seen),
            page.above(now),
            page.tabs(now),
        )

    actions = [
        Action(
            upload.upload,
            lambda visit, _, path: data_bringing.uploaded(ctx, visit, path),
            inputs=(upload,),
            phase="Taking the file in",
        )
    ]
    for panel in (start, work, above, desk):
        actions.append(Action(panel.pick, lambda visit, said: data_acts.pressed(ctx, visit, said)))
        actions.append(Action(panel.edit, lambda visit, said: data_acts.edited(ctx, visit, said)))
    return StepParts(
        outputs=(title_panel, zone, upload, note, start, work, above, desk),
        show=show,
        actions=tuple(actions),
        ticking=(work,),
    )
