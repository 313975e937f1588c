"""A context as the composition root makes it, with a real store and real files but no processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from studio.recipe import Recipe
from studio.settings import Secret, Settings
from studio.store import Store
from wizards.draft import Draft
from wizards.shell import Context, Visit

OWNER = "ann"


@dataclass
class Starts:
    """Notes what was started, and can refuse like the real one."""

    store: Store
    made: list[tuple[str, Recipe]] = field(default_factory=list)
    refusal: Exception | None = None

    def __call__(self, *, owner: str, dataset_id: str, recipe: Recipe, name: str) -> str:
        if self.refusal is not None:
            raise self.refusal
        row = self.store.runs.add(
            owner=owner,
            name=name,
            dataset_id=dataset_id,
            method=recipe.method,
            model=recipe.model,
            recipe_json=recipe.to_json(),
        )
        self.made.append((row.id, recipe))
        return row.id


class Nobody:
    """A supervisor without processes."""

    def submit(self, job_id: str) -> None: ...
    def lend(self, job_id: str, key: Secret) -> None: ...
    def stop(self, job_id: str) -> None: ...
    def resume(self, job_id: str) -> None: ...


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", upload_limit_bytes=10_000_000)


@pytest.fixture
def store(settings: Settings):
    settings.home.mkdir(parents=True)
    opened = Store(settings.database)
    yield opened
    opened.close()


@pytest.fixture
def starts(store: Store) -> Starts:
    return Starts(store)


@pytest.fixture
def ctx(settings: Settings, store: Store, starts: Starts) -> Context:
    return Context(settings, store, Nobody(), starts, owner_of=lambda _: OWNER)


@pytest.fixture
def visit():
    def make(draft: Draft | None = None, owner: str = OWNER) -> Visit:
        return Visit(draft or Draft(step="data", answers=(("examples", "yes"),), method="sl"), owner)

    return make


@pytest.fixture
def csv(tmp_path: Path):
    """Writes rows into a CSV file, quoting everything."""

    def make(rows: list[tuple[str, ...]], header: tuple[str, ...] = ("prompt", "completion"), name: str = "mine.csv") -> Path:
        path = tmp_path / name
        lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (header, *rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return make
