"""What makes decoding one token at a time cheaper than the libraries' general way, without changing a number.

Guarantees: attention with one query per sequence equals the library's, up to float32 summation order; anything else goes to the
library unchanged; a cache layer holds exactly what ``DynamicLayer`` holds.
"""

from __future__ import annotations

from typing import Any, Final, cast

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME: Final = "tuning_fork"
#: Columns that a layer keeps free: the cache is copied once per so many tokens instead of at every token.
_SPARE: Final = 48


def adopt(model: Any) -> bool:  # noqa: ANN401  a transformers model
    """Let a model decode through ``attend``, where it would use PyTorch's own attention. Returns whether it does."""
    if getattr(model.config, "_attn_implementation", None) != "sdpa":
        return False
    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)
    return model.config._attn_implementation == _NAME  # noqa: SLF001  transformers has no public name for it


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **known: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in which the query heads that share keys become queries of one head, so that no key is ever repeated.

    ``query`` has shape ``(B, H, T, D)``, ``key`` and ``value`` ``(B, G, S, D)``; returns ``(B, T, H, D)``. That works where T
    is one, because all heads then see the same keys. Source: the definition of grouped-query attention (arXiv 2305.13245).
    """
    batch, heads, length, width = query.shape
    shared = key.shape[1]
    if length != 1 or shared == heads or known.get("dropout") or (attention_mask is not None and attention_mask.shape[1] != 1):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **known)
    found = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(batch, shared, heads // shared, width), key, value, attn_mask=attention_mask, scale=known.get("scaling")
    )
    return found.reshape(batch, 1, heads, width), None


class RoomyLayer(DynamicLayer):
    """A cache layer that writes new tokens into room kept free for them."""

    def __init__(self) -> None:
        super().__init__()
        self._rooms: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_known: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values of shape ``(B, G, T, D)``; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        rooms = self._rooms if self._rooms is not None and self._is_mine(self._rooms, end) else self._move(key_states, end)
        for room, new in zip(rooms, (key_states, value_states), strict=True):
            room[:, :, length:end] = new
        self.keys, self.values = (room[:, :, :end] for room in rooms)
        return self.keys, self.values

    def _is_mine(self, rooms: tuple[torch.Tensor, torch.Tensor], end: int) -> bool:
        """Whether the tensors still lie in the rooms; selecting, cutting and joining rows puts new ones in their place."""
        return all(
            room.shape[2] >= end and room.shape[0] == held.shape[0] and room.data_ptr() == held.data_ptr()
            for room, held in zip(rooms, self._held(), strict=True)
        )

    def _held(self) -> tuple[torch.Tensor, torch.Tensor]:
        return cast("torch.Tensor", self.keys), cast("torch.Tensor", self.values)

    def _move(self, like: torch.Tensor, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        batch, heads, _, width = like.shape
        rooms = (like.new_empty(batch, heads, end + _SPARE, width), like.new_empty(batch, heads, end + _SPARE, width))
        length = self.get_seq_length()
        for room, held in zip(rooms, self._held(), strict=True):
            if length:
                room[:, :, :length] = held
        self._rooms = rooms
        return rooms


def roomy_cache(config: Any) -> DynamicCache:  # noqa: ANN401  a transformers configuration
    """An empty cache for a model all of whose layers attend to everything."""
    cache = DynamicCache(config=config)
    layers: list[Any] = [RoomyLayer() for _ in cache.layers]
    cache.layers = layers
    return cache
