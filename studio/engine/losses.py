"""The losses that the server computes itself, as Tinker defines them.

Every loss is the *sum* over tokens, never a mean: the client scales by its weights or its learning rate. With ``logp`` the
model's log-probability of a target, ``w`` its weight, ``q`` the sampler's log-probability and ``A`` the advantage:

    cross_entropy        L = Σ -logp · w
    importance_sampling  L = Σ -exp(logp - q) · A                                 (REINFORCE with the ratio as correction)
    ppo                  L = Σ -min(r · A, clip(r, low, high) · A), r = exp(logp - q), low = 0.8 and high = 1.2 by default

Source: the loss section of Tinker's documentation, which the cookbook's ``rl.train`` relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from studio.engine.protocol import TrainingBatch
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
    low, high = float(config.get("clip_low_threshold", 0.8)), float(config.get("clip_high_threshold", 1.2))
    advantages = inputs["advantages"]
    return -torch.minimum(ratio * advantages, ratio.clamp(low, high) * advantages).sum()


_LOSSES: dict[str, tuple[Loss, tuple[str, ...]]] = {
    "cross_entropy": (cross_entropy, ("weights",)),
    "importance_sampling": (importance_sampling, ("logprobs", "advantages")),
    "ppo": (ppo, ("logprobs", "advantages")),
}
#: What a config may hold per loss; anything else is refused rather than ignored.
_OPTIONS: dict[str, frozenset[str]] = {"ppo": frozenset({"clip_low_threshold", "clip_high_threshold"})}


def check(batch: TrainingBatch) -> tuple[Loss, tuple[str, ...]]:
    """The loss of a batch and the inputs it reads. Raises ``RefusalError`` for an unknown loss or a missing input."""
    found = _LOSSES.get(batch.loss)
    if found is None:
        raise unsupported(
            f"The embedded engine has no loss named {batch.loss!r}.", next_step=f"It has {', '.join(sorted(_LOSSES))}."
        )
    strange = set(batch.config) - _OPTIONS.get(batch.loss, frozenset())
    if strange:
        raise RefusalError(f"The loss {batch.loss} does not take {', '.join(sorted(strange))}.")
    if any(isinstance(value, str) for value in batch.config.values()):
        raise RefusalError(f"The options of the loss {batch.loss} have to be numbers.")
    # Cross-entropy without weights counts every target once.
    required = () if batch.loss == "cross_entropy" else found[1]
    for index, datum in enumerate(batch.data):
        missing = [name for name in required if name not in datum.inputs]
        if missing:
            raise RefusalError(
                f"Example {index} of the batch has no {' and no '.join(missing)}; the loss {batch.loss} needs it."
            )
    return found
