"""One base model in memory and the LoRA adapters that share it.

Guarantees: the base weights never change; an adapter that is not in use costs only its own parameters; ``train`` and ``serve``
decide which adapters take part in the next forward pass, and nothing else does. Not thread-safe: only the compute thread
touches it.

How a seed becomes weights, so that a plain PyTorch + PEFT loop can start from the same place::

    torch.manual_seed(seed)
    peft.get_peft_model(base, LoraConfig(r=rank, lora_alpha=32, target_modules=shape.targets))

that is, PEFT's own initialisation (A: Kaiming-uniform, B: zero) drawn on the CPU from torch's global generator, the modules in
the order of the model. The engine does exactly this inside a forked generator. Without a seed one is drawn from the system.
"""

from __future__ import annotations

import secrets
import socket
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub.constants import ENDPOINT as HF_ENDPOINT
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.cache_utils import DynamicLayer

from studio.engine.decoding import adopt
from studio.engine.fingerprint import fingerprint
from studio.engine.fit import require_room
from studio.engine.mixing import Mixer, keeps_rows
from studio.engine.refusals import RefusalError, unsupported
from studio.engine.specs import BaseSpec
from studio.errors import EngineError

#: Tinker trains with this scale whatever the rank, so that a learning rate carries over between ranks.
LORA_ALPHA: Final = 32
_PREFIX: Final = "base_model.model."


@dataclass(frozen=True, slots=True)
class Shape:
    """What an adapter covers: its rank and the last names of the modules it is attached to, sorted."""

    rank: int
    targets: tuple[str, ...]
    train_mlp: bool = True
    train_attn: bool = True
    train_unembed: bool = True

    def to_json(self) -> dict[str, Any]:
        """PEFT's ``adapter_config.json`` fields that differ from its defaults."""
        return {
            "r": self.rank,
            "lora_alpha": LORA_ALPHA,
            "target_modules": list(self.targets),
            "bias": "none",
            "lora_dropout": 0.0,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """One set of LoRA weights inside a base. ``parameters`` maps PEFT's portable names to the live tensors."""

    key: str
    shape: Shape
    parameters: Mapping[str, nn.Parameter]


class Base:
    """A causal language model from a folder or the Hub, in evaluation mode, in float32 on a CPU."""

    def __init__(self, spec: BaseSpec, device: str) -> None:
        self.spec = spec
        self.device = torch.device(device)
        model: Any = _load(spec, self.device)
        #: What checkpoints remember of the weights that they belong to.
        self.fingerprint = fingerprint(spec.source, getattr(model.config, "_commit_hash", None))
        self.model: Any = model.to(self.device).eval().requires_grad_(requires_grad=False)
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._layers: list[Any] = []
        self._mixer = Mixer()
        self._current: str | None = None
        self._count = 0
        config = self.model.config
        self.vocabulary = int(self.model.get_input_embeddings().weight.shape[0])
        self.context = int(getattr(config, "max_position_embeddings", None) or 2048)
        self.architecture = str(config.model_type)
        self.end_tokens = _end_tokens(self.model)
        # Some families change the logits behind the head (Gemma, Cohere, Granite); then only the whole model may be called.
        special = ("final_logit_softcapping", "logit_scale", "logits_scaling")
        self.plain_head = all(getattr(config, name, None) is None for name in special)
        #: Whether several sequences can go on from one cached beginning; a window or a recurrent state forgets what that needs.
        self.shares_beginnings = all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)
        #: Whether every layer takes a mask that the sampler made.
        self.decodes_leanly = self.shares_beginnings and adopt(self.model)
        #: Whether rows of several adapters can be computed in one pass, joining and leaving as they like.
        self.mixes = self.shares_beginnings and keeps_rows(self.model, self.vocabulary)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer, loaded when a stop string needs it for the first time."""
        if self._tokenizer is None:
            loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(self.spec.source)
            self._tokenizer = loaded
        return self._tokenizer

    def shape(self, rank: int, *, mlp: bool, attn: bool, unembed: bool) -> Shape:
        """The modules that the three flags of ``LoraConfig`` mean in this architecture. Raises ``RefusalError``."""
        if not 1 <= rank <= 512:
            raise RefusalError(f"The LoRA rank {rank} is not between 1 and 512.")
        head = self.model.get_output_embeddings()
        targets: set[str] = set()
        for name, module in self.model.named_modules():
            inner = getattr(module, "base_layer", module)
            if not isinstance(inner, nn.Linear) or name.endswith(".base_layer") or ".lora_" in name:
                continue
            last = name.rsplit(".", 1)[-1]
            in_attention = "attn" in name or "attention" in name
            if unembed if module is head or inner is head else attn if in_attention else mlp:
                targets.add(last)
        if not targets:
            raise unsupported(f"{self.spec.name} has no linear layers of the kind asked for.")
        return Shape(rank=rank, targets=tuple(sorted(targets)), train_mlp=mlp, train_attn=attn, train_unembed=unembed)

    def create(self, shape: Shape, seed: int | None) -> Adapter:
        """Attach a fresh adapter; the module's docstring says what ``seed`` means."""
        self._count += 1
        key = f"a{self._count}"
        config = LoraConfig(r=shape.rank, lora_alpha=LORA_ALPHA, target_modules=list(shape.targets), lora_dropout=0.0)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # PEFT warns about tied heads; the head's adapter is never merged into the base here
            torch.manual_seed(secrets.randbits(63) if seed is None else seed)
            inject_adapter_in_model(config, self.model, adapter_name=key)
        self._layers = [module for module in self.model.modules() if isinstance(module, LoraLayer)]
        parameters = {
            portable: parameter
            for name, parameter in self.model.named_parameters()
            if (portable := _portable(name, key)) is not None
        }
        for parameter in parameters.values():
            parameter.data = parameter.data.float()
        self._mixer.attach(self._layers, key)
        self._current = None
        self.serve([None])
        return Adapter(key=key, shape=shape, parameters=parameters)

    def restore(self, shape: Shape, tensors: Mapping[str, torch.Tensor]) -> Adapter:
        """Attach an adapter with these weights. Raises ``RefusalError`` when they were not made for this model."""
        adapter = self.create(shape, seed=0)
        try:
            self.fill(adapter, tensors)
        except RefusalError:
            self.drop(adapter)
            raise
        return adapter

    def fill(self, adapter: Adapter, tensors: Mapping[str, torch.Tensor]) -> None:
        """Replace an adapter's weights in place. Raises ``RefusalError`` before anything changes when they do not fit."""
        same = adapter.parameters.keys() == tensors.keys()
        if not same or any(tensors[name].shape != value.shape for name, value in adapter.parameters.items()):
            raise RefusalError(f"The checkpoint does not fit {self.spec.name}: its layers or its rank differ.")
        with torch.no_grad():
            for name, parameter in adapter.parameters.items():
                parameter.copy_(tensors[name])

    def drop(self, adapter: Adapter) -> None:
        """Detach an adapter and free its memory."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT says that it picks another active adapter; that is decided here
            for layer in self._layers:
                layer.delete_adapter(adapter.key)
        self._mixer.detach(adapter.key)
        self.model.peft_config.pop(adapter.key, None)
        self._current = None
        self.serve([None])

    def train(self, adapter: Adapter, *, gradients: bool = True) -> None:
        """Let this adapter answer the next passes as PEFT computes it; with ``gradients`` its parameters collect them."""
        self._mixer.serve([])
        self._activate(f"{adapter.key}{'!' if gradients else ''}", [adapter.key], gradients=gradients)

    def serve(self, adapters: Sequence[Adapter | None]) -> None:
        """Let row i of the next passes be answered by ``adapters[i]``, or by the base alone where that is ``None``.

        Without gradients. A single adapter, or ``None``, answers for any number of rows.
        """
        self._activate("", [], gradients=False)
        self._mixer.serve(["" if adapter is None else adapter.key for adapter in adapters])

    def _activate(self, state: str, names: list[str], *, gradients: bool) -> None:
        if state != self._current:
            for layer in self._layers:
                layer.set_adapter(names, inference_mode=not gradients)
            self._current = state


def _load(spec: BaseSpec, device: torch.device) -> PreTrainedModel:
    """The weights from the folder, the Hub's cache, or the Hub itself, if they fit. Raises ``EngineError``."""
    dtype = dtype_for(device)
    try:
        if not spec.local:
            _reach_hub(spec.name)
        config = AutoConfig.from_pretrained(spec.source)
        require_room(spec.name, config, device, dtype)
        return AutoModelForCausalLM.from_pretrained(spec.source, config=config, dtype=dtype)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The model {spec.name} cannot be loaded: {str(error).splitlines()[0]}",
            next_step="Check the name, the folder, or the network.",
        ) from error


def _reach_hub(name: str) -> None:
    """Find out within seconds that there is no network, where the Hub's client would try for more than a minute."""
    if getproxies():
        return
    host = urlsplit(HF_ENDPOINT).hostname or "huggingface.co"
    try:
        socket.create_connection((host, 443), timeout=10).close()
    except OSError as error:
        raise EngineError(
            f"The model {name} is not on this machine yet, and {host} cannot be reached: {error.strerror or error}.",
            next_step="Connect to the network once to fetch it, or use nano.",
        ) from error


def dtype_for(device: torch.device) -> torch.dtype:
    """float32 on a CPU and on MPS, where bfloat16 is slow or missing; bfloat16 on a GPU that has it."""
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def pick_device(wanted: str) -> str:
    """``auto`` becomes ``cuda``, ``mps`` or ``cpu``, whichever is there first. Raises ``EngineError``."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if present["cuda"] else "mps" if present["mps"] else "cpu"
    if not present.get(wanted, False):
        raise EngineError(f"There is no {wanted} device on this machine.", next_step="Use --device auto.")
    return wanted


def _end_tokens(model: PreTrainedModel) -> tuple[int, ...]:
    for source in (getattr(model, "generation_config", None), model.config):
        found = getattr(source, "eos_token_id", None)
        if found is not None:
            return tuple(int(token) for token in (found if isinstance(found, list) else [found]))
    return ()


def _portable(name: str, key: str) -> str | None:
    """``model.x.lora_A.a3.weight`` of adapter ``a3`` as PEFT saves it: ``base_model.model.model.x.lora_A.weight``."""
    for part in (".lora_A.", ".lora_B."):
        if f"{part}{key}.weight" in name:
            return _PREFIX + name.replace(f"{part}{key}.weight", f"{part}weight")
    return None
