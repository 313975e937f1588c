"""Supervised learning: our recipe and splits in the cookbook's own training loop, unchanged.

Guarantees: the loop is ``supervised.train.main``; what we add hangs on its evaluator (see ``attendant``). It trains on examples
as a method of its own, and on the better answers of pairs as the warm-up before another method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinker_cookbook.supervised import train as loop

from studio.runs import examples
from studio.runs.attendant import Attendant, finish, first_and_last, run_loop
from studio.runs.meter import Meter

if TYPE_CHECKING:
    from tinker_cookbook.supervised.types import SupervisedDatasetBuilder

    from studio.recipe import Recipe
    from studio.runs.desk import Desk
    from studio.runs.link import Link
    from studio.runs.work import Result, Work


def train(desk: Desk, link: Link, work: Work) -> Result:
    """Do the rest of the steps, and return first and last losses. Raises as ``Trainer.train`` says."""
    attendant = Attendant(desk, work, Meter(desk, work), examples.scorer(work))
    run_loop(desk, link, attendant, loop.main(config(work, attendant)))
    metrics = finish(desk, link, work, attendant)
    known = metrics.train()
    return {
        "train_loss_first": known[0].value if known else None,
        "train_loss_last": known[-1].value if known else None,
        **first_and_last(metrics, "validation_loss"),
    }


@dataclass(frozen=True, slots=True)
class _Pace:
    """What a warm-up takes from other fields of the recipe than supervised learning does."""

    learning_rate: float
    epochs: int
    max_steps: int | None


def _pace(recipe: Recipe, work: Work) -> _Pace:
    if work.stage.key == "warm_start":
        return _Pace(recipe.warm_start_learning_rate, recipe.warm_start_epochs, None)
    return _Pace(recipe.learning_rate, recipe.epochs, recipe.max_steps)


def config(
    work: Work, attendant: Attendant, builder: SupervisedDatasetBuilder | None = None, name: str = "tuning_fork_sl"
) -> loop.Config:
    """The cookbook's configuration. Its own periodic evaluation and saving are off: the attendant does both.

    ``builder`` makes the examples where they are not the rows of the split; ``name`` is what the server is told of the method.
    """
    recipe, pace = work.recipe, _pace(work.recipe, work)
    return loop.Config(
        log_path=str(work.folder),
        model_name=work.model.wire_name,
        recipe_name=name,
        load_checkpoint_path=work.start.state_path or None,
        renderer_name=recipe.renderer,
        dataset_builder=builder or examples.split(work),
        learning_rate=pace.learning_rate,
        lr_schedule=recipe.lr_schedule,
        num_epochs=pace.epochs,
        lora_rank=recipe.lora_rank,
        evaluator_builders=[lambda: attendant],
        eval_every=1,
        save_every=0,
        ttl_seconds=None,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        adam_eps=recipe.adam_eps,
        max_steps=pace.max_steps,
        session_name=work.run.name,
    )
