"""The cookbook's benchmarks on a run and its base model: the same public questions for both, marked by the cookbook's rules.

Guarantees: a question that failed on the way is missing on both sides and never counted as wrong; what was asked once with the
same weights and terms is not asked again; where the questions or a package are not at hand, that is said and nothing scored.

Questions come from the Hugging Face Hub, or from its cache on this computer. Whether a run was trained on them is not known.
Names such as ``inspect_evals/ifeval`` are tasks of Inspect, which is not installed with the studio.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tinker
from tinker_cookbook import renderers
from tinker_cookbook.eval import benchmarks
from tinker_cookbook.eval.benchmarks import BenchmarkConfig

from studio.compare.choosing import require_place
from studio.compare.generate import target_of
from studio.compare.measures import Column, Measure
from studio.errors import BackendError, RunError, SettingError, StudioError
from studio.models import Model
from studio.models.rendering import tokenizer_of
from studio.runs.environment import settle_down
from studio.runs.link import Link, alone, beside
from studio.settings import Settings
from studio.store import Store

#: Benchmarks that need neither a sandbox nor a judge, and what they ask.
BENCHMARKS: Final[Mapping[str, str]] = {
    "ifeval": "does what the prompt says about form (google/IFEval)",
    "gsm8k": "word problems of primary school (openai/gsm8k)",
    "mmlu_pro": "knowledge, up to ten choices (TIGER-Lab/MMLU-Pro)",
    "mmlu_redux": "knowledge, four choices, checked again (edinburgh-dawg/mmlu-redux)",
    "supergpqa": "knowledge of graduates, with choices (m-a-p/SuperGPQA)",
    "gpqa": "hard science, four choices; its terms must be accepted first (Idavidrein/gpqa)",
}
_AT_ONCE: Final = 64
_FOLDER: Final = "benchmarks"


@dataclass(frozen=True, slots=True)
class Terms:
    """How it is asked: the first ``limit`` questions (``None``: all), answers of at most ``max_tokens``, the most likely ones.

    Raises ``SettingError`` for a value that cannot work.
    """

    task: str
    limit: int | None = None
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        # A name of the package, never a file: Inspect would run it.
        if self.task not in BENCHMARKS and re.fullmatch(r"inspect_evals/\w+", self.task) is None:
            raise SettingError(
                f"{self.task!r} is no benchmark that can be run here.",
                where="task",
                next_step=f"Choose one of: {', '.join(BENCHMARKS)}; or a task of Inspect such as inspect_evals/ifeval.",
            )
        if (self.limit is not None and self.limit < 1) or self.max_tokens < 1:
            raise SettingError("This value cannot work.", where="limit", next_step="Use whole numbers from 1.")


@dataclass(frozen=True, slots=True)
class Score:
    """What one model reached.

    ``right`` of ``n`` questions, by question in ``marks`` (1 right, 0 not); ``failed`` had no answer and are in neither;
    ``cut`` answers reached their longest length. ``metrics`` are those of the benchmark itself.
    """

    name: str
    n: int
    right: float
    failed: int
    cut: int
    marks: Mapping[str, float] = field(repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Found:
    """Scores of the base model and, for a run, of the run. ``measure`` is over the questions that both answered."""

    terms: Terms
    base: Score
    tuned: Score | None
    measure: Measure | None


@dataclass(frozen=True, slots=True)
class _Side:
    """One model to ask. ``path`` is empty for the base model."""

    name: str
    model: Model
    renderer: str
    path: str

    def folder(self, settings: Settings, terms: Terms) -> Path:
        """Where its answers are kept: another place for other weights or terms."""
        decides = (self.model.wire_name, self.renderer, self.path, terms.task, terms.limit, terms.max_tokens)
        return settings.home / _FOLDER / hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:24]


def run_benchmark(
    settings: Settings, store: Store, target: str, terms: Terms, *, tell: Callable[[str], None] = lambda _: None
) -> Found:
    """Ask a run and its base model, or a base model alone by its catalogue name. ``tell`` hears what is done now.

    Raises ``NotFoundError``, ``RunError`` for a run without a result, ``SettingError`` when Inspect is asked for and not
    installed, and ``BackendError`` when the questions cannot be had or the place that samples fails.
    """
    model, renderer, path = target_of(settings, store, target)
    require_place(settings, model)
    # The questions come from the Hub, whatever place the model is at.
    settle_down(settings, offline=False)
    base, sides = _Side("base", model, renderer, ""), [_Side("tuned", model, renderer, path)] if path else []
    tell("fetching the questions")
    ask = _inspect() if "/" in terms.task else _cookbook(terms, base)
    with alone(settings, (model.name,)) as (link, key):
        scores: list[Score] = []
        for side in (base, *sides):
            tell(f"asking the {side.name} model")
            scores.append(ask(settings, terms, side, link, key))
    first, second = scores[0], scores[1] if len(scores) > 1 else None
    return Found(terms, first, second, _measure(terms, first, second) if second else None)


def _measure(terms: Terms, base: Score, tuned: Score) -> Measure | None:
    both = [(one, base.marks[one], tuned.marks[one]) for one in base.marks if one in tuned.marks]
    return Column(terms.task, terms.task, "higher", "share", tuple(both)).measure if both else None


_Asks = Callable[[Settings, Terms, _Side, Link, str], Score]


async def _sampler(side: _Side, link: Link, key: str) -> tuple[tinker.ServiceClient, tinker.SamplingClient]:
    service = tinker.ServiceClient(base_url=link.base_url, api_key=key)
    if side.path:
        return service, await service.create_sampling_client(model_path=side.path)
    return service, await service.create_sampling_client(base_model=side.model.wire_name)


# ---- the cookbook's own ----


def _cookbook(terms: Terms, side: _Side) -> _Asks:
    """Fetch the questions, so that nobody waits for an engine that has nothing to answer."""
    importlib.import_module(f"tinker_cookbook.eval.benchmarks.{terms.task}")
    renderer = renderers.get_renderer(side.renderer, tokenizer_of(side.model))
    try:
        asked = len(benchmarks.REGISTRY[terms.task].make_envs(renderer, BenchmarkConfig(max_examples=terms.limit)))
    except Exception as error:  # whatever the library for data sets raises, there are no questions
        raise _no_questions(terms, error) from error
    if not asked:
        raise _no_questions(terms, LookupError("There are none."))
    return _ask_cookbook


def _ask_cookbook(settings: Settings, terms: Terms, side: _Side, link: Link, key: str) -> Score:
    folder = side.folder(settings, terms)
    if any(one.error for one in _kept(folder, terms.task)):
        # The cookbook counts a failure as answered and wrong; here it is asked again.
        shutil.rmtree(folder)
    renderer = renderers.get_renderer(side.renderer, tokenizer_of(side.model))
    config = BenchmarkConfig(
        max_examples=terms.limit,
        concurrency=_AT_ONCE,
        max_tokens=terms.max_tokens,
        temperature=0.0,
        context_window=side.model.context,
        save_dir=str(folder),
    )

    async def work() -> benchmarks.BenchmarkResult:
        # The cookbook writes prompts in threads of their own, and a tokenizer fails in two at once ("Already borrowed").
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        service, sampler = await _sampler(side, link, key)
        result = await benchmarks.run_benchmark(terms.task, sampler, renderer, config)
        await service.close("success")
        return result

    result = beside(link, work())
    kept = _kept(folder, terms.task)
    marks = {one.example_id or str(one.idx): float(one.reward > 0) for one in kept if not one.error}
    if not marks:
        reasons = sorted({one.error or "" for one in kept})
        raise BackendError(
            f"No question of {terms.task} was answered. {' '.join(reasons)[:300]}".strip(),
            next_step="Look at what it says, and run it again.",
        )
    failed = sum(bool(one.error) for one in kept)
    return Score(side.name, len(marks), sum(marks.values()), failed, result.num_truncated, marks, _numbers(result.metrics))


def _kept(folder: Path, task: str) -> list[benchmarks.StoredTrajectory]:
    """The answers that are there already."""
    return benchmarks.load_trajectories(str(folder), task) if folder.is_dir() else []


def _no_questions(terms: Terms, error: Exception) -> BackendError:
    words = " ".join(str(error).split())[:300]
    return BackendError(
        f"The questions of {terms.task} cannot be had ({type(error).__name__}). {words}".strip(),
        where=BENCHMARKS.get(terms.task, terms.task),
        next_step="They are on the Hugging Face Hub: connect this computer to it, accept their terms where there are any, "
        "and run it again. There is no score without them.",
    )


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}


# ---- Inspect ----


def _inspect() -> _Asks:
    try:
        importlib.import_module("tinker_cookbook.eval.inspect_evaluators")
        importlib.import_module("inspect_evals")
    except ImportError as error:
        raise SettingError(
            "Inspect is not installed with the studio: it brings some forty packages.",
            where="task",
            next_step="Install it beside the studio with pip install inspect-ai inspect-evals, "
            f"or choose one of: {', '.join(BENCHMARKS)}.",
        ) from error
    return _ask_inspect


def _ask_inspect(settings: Settings, terms: Terms, side: _Side, link: Link, key: str) -> Score:
    from tinker_cookbook.eval.inspect_evaluators import InspectEvaluatorBuilder

    tokenizer_of(side.model)  # the cookbook asks for it by the model's name, and knows ours only then
    builder = InspectEvaluatorBuilder(
        tasks=terms.task,
        renderer_name=side.renderer,
        model_name=side.model.wire_name,
        temperature=0.0,
        max_tokens=terms.max_tokens,
        limit=terms.limit,
        log_dir=str(side.folder(settings, terms)),
        log_level="warning",
        max_connections=_AT_ONCE,
    )

    async def work() -> dict[str, float]:
        service, sampler = await _sampler(side, link, key)
        found = await builder()(sampler)
        await service.close("success")
        return found

    try:
        metrics = beside(link, work())
    except StudioError:
        raise
    except Exception as error:  # a task of Inspect is somebody else's program
        raise _no_questions(terms, error) from error
    if not metrics:
        raise RunError(
            f"Inspect came to no result on {terms.task}.", where=str(side.folder(settings, terms)), next_step="Look at its log."
        )
    return Score(side.name, 0, 0.0, 0, 0, {}, _numbers(metrics))
