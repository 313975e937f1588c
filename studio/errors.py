"""One tree of errors, so that whoever catches one knows who should read it.

    StudioError                 shown to the person as it is
    ├── DataError               a file or a row cannot be used           (also ValueError)
    ├── SettingError            one field holds a value that cannot work (also ValueError)
    ├── NotFoundError           an id that nothing answers to            (also LookupError)
    ├── StoreError              the disk or the database said no         (also OSError)
    ├── RunError                a run cannot do what was asked           (also RuntimeError)
    └── BackendError            the place that trains or samples failed  (also RuntimeError)
        └── EngineError         the embedded engine in particular

Every error carries three sentences' worth: what happened, where (file, row, field), and what to do next. Anything that is
not a ``StudioError`` is a defect of ours and is never shown raw.
"""

from __future__ import annotations


class StudioError(Exception):
    """Something a person can act on.

    ``what`` says what happened, ``where`` names the file, row or field (may be empty), ``next_step`` says what to do.
    """

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.next_step}" if self.next_step else ""
        return f"{place}{self.what}{advice}"


class DataError(StudioError, ValueError):
    """A file, a row or a column cannot be used for training."""


class SettingError(StudioError, ValueError):
    """A setting holds a value that cannot work; ``where`` is the name of the field."""


class NotFoundError(StudioError, LookupError):
    """No dataset, run, comparison or session answers to this id."""


class StoreError(StudioError, OSError):
    """The database or the disk refused; nothing that was reported as saved is lost."""


class RunError(StudioError, RuntimeError):
    """A run cannot be started, stopped or resumed as asked."""


class BackendError(StudioError, RuntimeError):
    """The place that trains or samples failed or refused."""


class EngineError(BackendError):
    """The embedded engine could not start or died."""
