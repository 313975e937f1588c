"""A home folder in any state that a page may meet, without a model behind it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gradio as gr

from studio.compare import blind
from studio.compare.generate import ArmPlan, Plan, PromptSource
from studio.compare.measures import Measure
from studio.models import get
from studio.recipe import DataFacts, Recipe, recommend
from studio.settings import Secret, Settings
from studio.store import AnswerRow, ArmRow, Job, JobStatus, RunRow, Store, new_id
from wizards.draft import Draft
from wizards.shell import Context, Visit

OWNER = "local"


class Supervisor:
    """Notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.lent: dict[str, Secret] = {}

    def submit(self, job_id: str) -> None:
        self.asked.append(("submit", job_id))

    def lend(self, job_id: str, key: Secret) -> None:
        self.asked.append(("lend", job_id))
        self.lent[job_id] = key

    def stop(self, job_id: str) -> None:
        self.asked.append(("stop", job_id))

    def resume(self, job_id: str) -> None:
        self.asked.append(("resume", job_id))


class World:
    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        home.mkdir(parents=True, exist_ok=True)
        self.store = Store(self.settings.database)
        self.supervisor = Supervisor()
        self.ctx = Context(self.settings, self.store, self.supervisor, lambda **_: "run-new", owner_of=self.owner_of)

    @staticmethod
    def owner_of(_: gr.Request | None) -> str:
        return OWNER

    def visit(self, **fields: str) -> Visit:
        step = fields.pop("step", "goal")
        return Visit(replace(Draft(**fields), step=step), OWNER)

    def run(
        self,
        status: JobStatus = "completed",
        *,
        name: str = "Support tickets",
        step: int = 60,
        total: int = 120,
        phase: str = "training",
        reason: str = "",
        next_step: str = "",
        sampler: bool | None = None,
        owner: str = OWNER,
        pid: int | None = None,
        pid_started: float | None = None,
        recipe: Recipe | None = None,
    ) -> RunRow:
        """A run with its curve up to ``step``."""
        dataset = self.store.datasets.add(
            new_id("dat"), owner=owner, name="tickets.csv", rows=600, fingerprint="f" * 64, manifest_json="{}"
        )
        facts = DataFacts(510, 60, 30, 120.0, 200.0, 480.0)
        recipe = recipe or recommend(facts, get("nano"), "sl").recipe
        run = self.store.runs.add(
            owner=owner, name=name, dataset_id=dataset.id, method=recipe.method, model="nano", recipe_json=recipe.to_json()
        )
        if status == "completed" if sampler is None else sampler:
            self.store.runs.update(run.id, sampler_path="tinker://x:train:0/sampler_weights/final")
        jobs = self.store.jobs
        if status != "queued":
            jobs.move(run.id, "starting")
            jobs.move(run.id, status, reason=reason, next_step=next_step)
        jobs.update(run.id, phase=phase, done=step, total=total, pid=pid, pid_started=pid_started)
        self.write_curve(run.id, step, total)
        return self.store.runs.get(run.id, owner)

    def write_curve(self, run_id: str, steps: int, total: int) -> None:
        folder = self.settings.runs / run_id
        folder.mkdir(parents=True, exist_ok=True)
        chance = random.Random(1)
        lines: list[str] = []
        for step in range(steps):
            loss = 0.4 + 3.1 * math.exp(-3 * step / total) + chance.gauss(0, 0.14)
            line: dict[str, float] = {"step": step, "train_mean_nll": loss, "num_tokens": 1900, "studio/at": 1e9 + step / 4}
            line["studio/life"] = 1e9
            if step % 12 == 0:
                line["validation/nll"] = 0.5 + 3.0 * math.exp(-3 * step / total)
            lines.append(json.dumps(line))
        (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        (folder / "worker.log").write_text(
            "".join(f"12:00:{step % 60:02d}  step {step:,} of {total:,}\n" for step in range(1, steps + 1)), encoding="utf-8"
        )

    def job(self, job_id: str) -> Job:
        return self.store.jobs.get(job_id)

    def comparison(
        self,
        run: RunRow,
        answers: Sequence[Sequence[str]],
        *,
        prompts: Sequence[str] = (),
        status: JobStatus = "completed",
        measures: Sequence[Measure] = (),
        arms: Sequence[ArmRow] = (),
        source: PromptSource | None = None,
    ) -> str:
        """Stored answers as (base, tuned), or as many as there are ``arms``."""
        plan = Plan(
            "nano", "tuning-fork/nano", "qwen3", run.sampler_path, run.dataset_id, "f" * 64, "s", 200, 0.0, 1.0, -1, 256, 0
        )
        known = tuple(ArmPlan(one.name, one.kind, one.label, run_id=one.run_id or "", path=one.path) for one in arms)
        plan = replace(plan, source=source or PromptSource(), arms=known)
        row = self.store.comparisons.add(owner=run.owner, run_id=run.id, settings_json=plan.to_json(), arms=arms)
        names = [arm.name for arm in self.store.comparisons.arms(row.id)]
        rows: list[AnswerRow] = []
        for at, texts in enumerate(answers):
            prompt = json.dumps([{"role": "user", "content": prompts[at] if at < len(prompts) else f"Question {at}"}])
            for arm, text in zip(names, texts, strict=True):
                rows.append(
                    AnswerRow(row.id, f"p{at:03}", arm, run.owner, at, prompt, f"Reference {at}", text, 8, "stop", 1.0, 4)
                )
        self.store.comparisons.add_answers(rows)
        found = [
            {name: getattr(one, name) for name in ("name", "label", "base", "tuned", "low", "high", "n", "better", "unit")}
            for one in measures
        ]
        self.store.comparisons.update(row.id, measures_json=json.dumps(found))
        self.store.jobs.move(row.id, status)
        self.store.jobs.update(row.id, done=len(names) * len(answers), total=len(names) * len(answers))
        return row.id

    def session(self, comparison_id: str) -> str:
        return blind.open_session(self.store, comparison_id, OWNER).id

    def seat(self, session_id: str, name: str = "You") -> str:
        """A token."""
        if name == "You":
            return blind.own_seat(self.store, session_id, OWNER).token
        return blind.invite(self.store, session_id, OWNER, name).token

    def sides(self, token: str) -> list[str]:
        return [blind.tuned_side(dealt) for dealt in blind.seat_of(self.store, token).deals]

    def rate(self, token: str, outcomes: Sequence[str], *, finish: bool = True) -> None:
        """Vote so that the outcomes come about: ``tuned``, ``base``, ``tie``, ``both_bad``, ``skip``."""
        other = {"left": "right", "right": "left"}
        for position, side in enumerate(self.sides(token)):
            if position >= len(outcomes):
                return
            what = outcomes[position]
            choice = side if what == "tuned" else other[side] if what == "base" else what
            blind.vote(self.store, token, position, choice)
        if finish:
            blind.finish(self.store, token, "unsure")

    def close(self) -> None:
        self.store.close()


MEASURES = (
    Measure("loss", "Loss", 3.41, 0.62, -2.95, -2.61, 30, "lower", "nats per token"),
    Measure("perplexity", "Perplexity", 30.3, 1.86, -31.2, -26.0, 30, "lower", "perplexity"),
    Measure("exact", "Exact match", 0.0, 0.633, 0.47, 0.8, 30, "higher", "share"),
    Measure("json_valid", "Valid JSON", 0.033, 0.967, 0.83, 1.0, 30, "higher", "share"),
    Measure("length", "Length", 151.0, 92.4, -71.0, -40.2, 30, "neither", "characters"),
)
