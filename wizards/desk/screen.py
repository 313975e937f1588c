"""What the data step shows, as one frozen value; every part of the page is a function of it.

Guarantees: knows no Gradio; holds what was read and reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from studio import methods
from studio.data import Dataset, Inspection, Preview, SplitPlan, desk
from studio.errors import StudioError
from studio.models import Model
from studio.models.rendering import Rendering
from studio.samples import Sample
from studio.store import DatasetRow
from studio.tokens import TokenProfile
from wizards.desk.view import View
from wizards.desk.working import Work
from wizards.draft import Pairs


@dataclass(frozen=True, slots=True)
class Seen:
    """One row as the chosen model reads it, and what was counted over all rows.

    ``views`` are titles and token by token texts; without them ``trouble`` says why. ``profile`` is missing while the tokens
    are being counted; ``counting`` then says how far that is. ``loading``: what the model reads with is not at hand yet.
    ``before`` and ``after`` are the usable rows beside this one.
    """

    model: Model
    train_on: str
    row: desk.Whole | None = None
    views: tuple[tuple[str, Rendering], ...] = ()
    profile: TokenProfile | None = None
    counting: str | None = None
    loading: bool = False
    before: int | None = None
    after: int | None = None
    trouble: StudioError | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """Nothing yet, a file being read, a checked file, or a file that is split. ``dataset`` implies ``inspection``.

    ``work`` may stand beside ``inspection``: then the same file is being read again. ``first`` is what the start of a large
    file shows while it is read for the first time. ``page``, ``figures`` and ``seen`` are
    there when their tab is open. ``paths`` says that files of this computer may be named; ``groupable`` are the columns that a
    split can keep together, share out or sort by; ``listed`` are the rows of findings that only the model knows of.
    ``method`` is the chosen one, or the usual one before any was chosen. ``gone``: the address names a file that is gone.
    """

    id: str = ""
    view: View = field(default_factory=View)
    work: Work | None = None
    problem: StudioError | None = None
    inspection: Inspection | None = None
    first: Preview | None = None
    dataset: Dataset | None = None
    plan: SplitPlan | None = None
    groupable: tuple[str, ...] = ()
    listed: Mapping[str, Collection[int]] = field(default_factory=dict[str, Collection[int]])
    chosen_columns: Pairs = ()
    page: desk.Page | None = None
    figures: desk.Figures | None = None
    seen: Seen | None = None
    samples: tuple[Sample, ...] = ()
    earlier: tuple[DatasetRow, ...] = ()
    limit_bytes: int = 0
    place: str = ""
    paths: bool = False
    gone: bool = False
    method: str = "sl"

    @property
    def fits(self) -> bool:
        """Whether the chosen method can train on what the file holds; true while nobody knows what that is."""
        shape = self.inspection.shape if self.inspection is not None else None
        return shape is None or shape.training in methods.method(self.method).data

    @property
    def others(self) -> tuple[methods.Method, ...]:
        """The other methods that could train on it here, the best first; none while the chosen one can."""
        shape = self.inspection.shape if self.inspection is not None else None
        if shape is None or self.fits:
            return ()
        return tuple(found for found in map(methods.method, methods.ways(shape.training)) if found.available)

    @property
    def empty(self) -> bool:
        """Whether there is nothing yet, so that data can be brought."""
        return self.inspection is None and self.work is None
