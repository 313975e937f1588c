"""The losses that the server computes itself, as Tinker defines them.

Every loss is the *sum* over tokens, never a mean: the client scales by its weights or its learning rate. With ``logp`` the
model's log-probability of a target, ``w`` its weight, ``q`` the sampler's log-probability and ``A`` the advantage:

    cross_entropy        L = Σ -logp · w
    importance_sampling  L = Σ -exp(logp - q) · A                                 (REINFORCE with the ratio as correction)
    ppo                  L = Σ -min(r · A, clip(r, low, high) · A), r = exp(logp - q), low = 0.8 and high = 1.2 by default
    cispo                L = Σ -stop(clip(r, low, high)) · logp · A                (the ratio weighs; no gradient through it)
    dro                  L = Σ -(logp · A - β/2 · (logp - q)²), β = 0.05 by default

Source: the loss section of Tinker's documentation, which the cookbook's ``rl.train`` relies on; cispo after MiniMax-M1
(arXiv 2506.13585), dro after Richemond et al. (arXiv 2405.19107). The documentation names no default for β;
0.05 is its example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from studio.engine.protocol import Floats, TrainingBatch
from studio.engine.refusals import RefusalError, unsupported

Tensors = Mapping[str, torch.Tensor]
Config = Mapping[str, float | str]
Loss = Callable[[torch.Tensor, Tensors, Config], torch.Tensor]


def cross_entropy(logp: torch.Tensor, inputs: Tensors, _config: Config) -> torch.Tensor:
    """Weighted negative log-likelihood; ``logp`` and ``weights`` of shape ``(n,)``. Returns a scalar."""
    return -(logp * inputs["weights"]).sum()


def importance_sampling(logp: torch.Tensor, inputs: Tensors, _config: Config) -> torch.Tensor:
    """Policy gradient with the importance ratio; needs ``logprobs`` and ``advantages`` of shape ``(n,)``."""
    return -(torch.exp(logp - inputs["logprobs"]) * inputs["advantages"]).sum()


def ppo(logp: torch.Tensor, inputs: Tensors, config: Config) -> torch.Tensor:
    """The clipped surrogate; ``clip_low_threshold`` and ``clip_high_threshold`` bound the ratio itself."""
    ratio = torch.exp(logp - inputs["logprobs"])
    low, high = _clip(config)
    advantages = inputs["advantages"]
    return -torch.minimum(ratio * advantages, ratio.clamp(low, high) * advantages).sum()


def cispo(logp: torch.Tensor, inputs: Tensors, config: Config) -> torch.Tensor:
    """Weighted log-likelihood with the clipped ratio as a constant weight; the thresholds are those of ``ppo``."""
    ratio = torch.exp(logp.detach() - inputs["logprobs"])
    low, high = _clip(config)
    return -(ratio.clamp(low, high) * logp * inputs["advantages"]).sum()


def dro(logp: torch.Tensor, inputs: Tensors, config: Config) -> torch.Tensor:
    """Policy gradient without a ratio, held near the sampler by a quadratic penalty of strength ``beta``."""
    distance = logp - inputs["logprobs"]
    return -(logp * inputs["advantages"] - 0.5 * float(config.get("beta", 0.05)) * distance.square()).sum()


def _clip(config: Config) -> tuple[float, float]:
    return float(config.get("clip_low_threshold", 0.8)), float(config.get("clip_high_threshold", 1.2))


@dataclass(frozen=True, slots=True)
class Rule:
    """A loss, the inputs it reads, and the one of them whose zeros silence a target; ``None`` when nothing does."""

    loss: Loss
    inputs: tuple[str, ...]
    silencer: str | None

    def moves(self, inputs: Mapping[str, Floats]) -> NDArray[np.bool_]:
        """Whether each target can move the loss: a weight or an advantage of zero makes its gradient exactly zero."""
        some = inputs[self.inputs[0]]
        return np.ones(some.shape, dtype=bool) if self.silencer is None else inputs[self.silencer] != 0


_POLICY = ("logprobs", "advantages")
_RULES: dict[str, Rule] = {
    "cross_entropy": Rule(cross_entropy, ("weights",), "weights"),
    "importance_sampling": Rule(importance_sampling, _POLICY, "advantages"),
    "ppo": Rule(ppo, _POLICY, "advantages"),
    "cispo": Rule(cispo, _POLICY, "advantages"),
    # Its penalty holds every target near the sampler, whatever the advantage.
    "dro": Rule(dro, _POLICY, None),
}
#: What a config may hold per loss; anything else is refused rather than ignored.
_CLIPS = frozenset({"clip_low_threshold", "clip_high_threshold"})
_OPTIONS: dict[str, frozenset[str]] = {"ppo": _CLIPS, "cispo": _CLIPS, "dro": frozenset({"beta"})}


def check(batch: TrainingBatch) -> Rule:
    """The loss of a batch. Raises ``RefusalError`` for an unknown loss or a missing input."""
    found = _RULES.get(batch.loss)
    if found is None:
        raise unsupported(
            f"The embedded engine has no loss named {batch.loss!r}.", next_step=f"It has {', '.join(sorted(_RULES))}."
        )
    strange = set(batch.config) - _OPTIONS.get(batch.loss, frozenset())
    if strange:
        raise RefusalError(f"The loss {batch.loss} does not take {', '.join(sorted(strange))}.")
    if any(isinstance(value, str) for value in batch.config.values()):
        raise RefusalError(f"The options of the loss {batch.loss} have to be numbers.")
    _check_values(batch)
    # Cross-entropy without weights counts every target once.
    required = () if batch.loss == "cross_entropy" else found.inputs
    for index, datum in enumerate(batch.data):
        missing = [name for name in required if name not in datum.inputs]
        if missing:
            raise RefusalError(
                f"Example {index} of the batch has no {' and no '.join(missing)}; the loss {batch.loss} needs it."
            )
    return found


def _check_values(batch: TrainingBatch) -> None:
    """Refuse options that would make a loss mean something else: bounds that cross, a penalty that rewards distance."""
    if batch.loss in ("ppo", "cispo"):
        low, high = _clip(batch.config)
        if not 0.0 <= low <= high < float("inf"):
            raise RefusalError(f"The clipping bounds {low} and {high} of the loss {batch.loss} are not in order from 0 up.")
    if batch.loss == "dro":
        beta = float(batch.config.get("beta", 0.05))
        if not 0.0 <= beta < float("inf"):
            raise RefusalError(f"The beta {beta} of the loss dro is not a number from 0 up.")
