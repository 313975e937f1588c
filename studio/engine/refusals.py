"""How the engine says no: one error type that carries its HTTP status.

Guarantees: every status here is one that the SDK shows at once. The SDK retries 408, 409, 429 and 5xx for minutes, so none of
those is ever used for something that the caller has to change.
"""

from __future__ import annotations

from typing import Literal

from studio.errors import EngineError

Status = Literal[400, 401, 404, 410, 413, 422]


class RefusalError(EngineError):
    """A request that cannot be served as asked; the caller has to change something.

    ``status`` is the HTTP status and ``kind`` a stable word for programs; ``what`` and ``next_step`` are for people.
    """

    def __init__(self, what: str, *, status: Status = 400, kind: str = "invalid_request", next_step: str = "") -> None:
        super().__init__(what, next_step=next_step)
        self.status: Status = status
        self.kind = kind

    def body(self) -> dict[str, str]:
        """The JSON body that travels with the status; ``detail`` is what the SDK prints."""
        return {"detail": str(self), "type": self.kind}


def not_found(what: str, *, next_step: str = "") -> RefusalError:
    """A refusal for an id, path or name that nothing answers to."""
    return RefusalError(what, status=404, kind="not_found", next_step=next_step)


def unsupported(what: str, *, next_step: str = "") -> RefusalError:
    """A refusal for something that the hosted service can do and this engine cannot."""
    return RefusalError(what, status=422, kind="unsupported", next_step=next_step)
