"""The process that tries a reward: ``python -m studio.runs.rehearsal_job FOLDER``, started by ``rehearsal.begin``.

Guarantees: as ``studio.work.child``: it says how far it is, ends itself with a reason when it uses too much, and leaves its
outcome beside the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.work import child


def _tried(folder: Path, asked: Mapping[str, Any], teller: child.Teller) -> dict[str, Any]:
    # Not at the top: the guard is up before anything heavy is loaded.
    from studio import data
    from studio.rewards import parse
    from studio.runs.rehearsal import Wanted, rehearse, ticket
    from studio.settings import Settings

    settings = Settings.from_env().with_home(Path(asked["home"]))
    dataset = data.load(folder)
    log = ticket(folder).place / "engine.log"
    wanted = Wanted(**asked["wanted"])
    return rehearse(settings, dataset.train.path, parse(asked["reward"]), wanted, tell=teller.at, log=log).to_dict()


if __name__ == "__main__":
    child.main(find=lambda _: _tried)
