"""The catalogue: one frozen ``Model`` per base model, read from ``lineup.yaml`` and from the files of ``nano``.

Guarantees: a ``Model`` never holds a guessed number: hosted ones carry the cookbook's own figures (held by a test), and
``nano`` is read from its ``config.json`` and ``measured.json`` each time those files change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from studio.assets import asset
from studio.errors import NotFoundError, SettingError
from studio.models import served
from studio.models.prices import FREE, Price, price_of
from studio.settings import Settings

Family = Literal["qwen", "llama", "other"]
Kind = Literal["base", "instruct", "hybrid", "reasoning"]

_LINEUP = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True, slots=True)
class Measured:
    """Settings that we measured ourselves for one model, by ``command``, on the machine ``measured_on``.

    ``seconds_per_step`` is for steps of ``batch_size`` examples; ``runs`` is how many runs stand behind the numbers.
    """

    learning_rate: float
    lora_rank: int
    batch_size: int
    min_steps: int
    max_epochs: int
    seconds_per_step: float
    measured_on: str
    command: str
    runs: int


@dataclass(frozen=True, slots=True)
class MeasuredMethod:
    """Settings of one method that we measured ourselves for one model: pairs of a recipe's field and its value.

    ``min_steps``, ``max_epochs`` and ``seconds_per_step`` (for steps of the measured size) as in ``Measured``.
    """

    method: str
    settings: tuple[tuple[str, str | int | float], ...]
    min_steps: int
    max_epochs: int
    seconds_per_step: float
    measured_on: str
    command: str
    runs: int

    def get(self, name: str) -> str | int | float | None:
        """The measured value of one field, ``None`` where it was not part of the measurement."""
        return dict(self.settings).get(name)


@dataclass(frozen=True, slots=True)
class Model:
    """A base model that can be tuned.

    ``name`` is what people type, ``wire_name`` what the server and the cookbook are told. ``hidden_size`` is the width H of
    the learning-rate formula, ``context`` the longest example in tokens, ``lora_per_rank`` the trainable parameters for
    each unit of LoRA rank. Models with the same ``tokenizer`` cut text into the same tokens. ``family``
    selects the exponent of the formula; ``calibrated`` says that the cookbook lists this very model under that family.
    ``folder`` holds the weights of a local model. ``retired`` is the day (ISO) on which hosted Tinker stopped serving it.
    ``start_here`` pairs an aim with why this model is a good first choice for it.
    """

    name: str
    wire_name: str
    label: str
    family: Family
    kind: Kind
    size: str
    hidden_size: int
    context: int
    renderers: tuple[str, ...]
    local: bool
    calibrated: bool
    lora_per_rank: int
    chars_per_token: float
    licence: str
    notes: str
    as_of: str
    source: str
    folder: Path | None = None
    measured: Measured | None = None
    measured_methods: tuple[MeasuredMethod, ...] = ()
    tokenizer: str = ""
    retired: str = ""
    start_here: tuple[tuple[str, str], ...] = ()

    def advice(self, aim: str) -> str:
        """Why this model is a good first choice for an aim (prototyping, quality, speed); empty where it is none."""
        return dict(self.start_here).get(aim, "")

    @property
    def price(self) -> Price | None:
        """What a million tokens cost where it runs, with date and source; ``None`` where that is not known."""
        return FREE if self.local else price_of(self.wire_name)

    @property
    def architecture(self) -> Literal["dense", "moe"]:
        """Whether all weights work on each token, or only some experts (mixture of experts)."""
        return "moe" if "-A" in self.size else "dense"

    @property
    def parameters(self) -> float:
        """All weights, from the size that people know it by ("30B-A3B" is 30e9)."""
        return _number(self.size.split("-", 1)[0])

    @property
    def active_parameters(self) -> float:
        """Weights that work on each token: fewer than all of them in a mixture of experts."""
        whole, _, active = self.size.partition("-A")
        return _number(active or whole)

    def teaches(self, student: Model) -> bool:
        """Whether on-policy distillation into ``student`` can work: a bigger model at the same place with the same tokens."""
        same = self.tokenizer == student.tokenizer != "" and self.local == student.local
        return same and self.parameters > student.parameters and self.kind != "base" and not self.retired

    def measured_for(self, method: str) -> MeasuredMethod | None:
        """What we measured for a method: ``rl``, ``dpo``, ``rlhf``, or a kind of distillation (``prompt``, ``on_policy``)."""
        return next((one for one in self.measured_methods if one.method == method), None)

    @property
    def renderer(self) -> str:
        """The renderer we recommend: how messages become tokens, in training and in use."""
        return self.renderers[0]

    def trainable_parameters(self, rank: int) -> int:
        """Parameters that a LoRA adapter of this rank trains over MLP, attention and unembedding."""
        return rank * self.lora_per_rank


def catalogue(settings: Settings) -> tuple[Model, ...]:
    """The models that the place in ``settings`` can train, the best one to start with first.

    An answer of the server about its models (``served.ask``) wins over our own list where one is on file. Without one, those
    that hosted Tinker has retired stand last.
    """
    if settings.place == "embedded":
        return tuple(model for model in everything() if model.local)
    hosted, answer = _hosted(), served.kept(settings)
    if answer is not None and (offered := served.offered(answer, hosted)):
        return offered
    return tuple(sorted(hosted, key=lambda model: bool(model.retired)))


def everything() -> tuple[Model, ...]:
    """Every model of the catalogue, ``nano`` first."""
    return (nano_in(nano_folder()), *_hosted())


def get(name: str) -> Model:
    """The model that people or servers call ``name``. Raises ``NotFoundError`` for any other name."""
    if name in _nano_names():
        return nano_in(nano_folder())
    for model in _hosted():
        if name in (model.name, model.wire_name):
            return model
    known = ", ".join(("nano", *(model.name for model in _hosted())))
    what = f"There is no model called {name!r} in the catalogue."
    raise NotFoundError(what, where="model", next_step=f"Choose one of: {known}.")


def nano_folder() -> Path:
    """The folder with the weights, tokenizer and card of ``nano``. Raises ``NotFoundError`` when they are missing."""
    return asset("nano")


def nano_in(folder: Path) -> Model:
    """``nano`` as the files in ``folder`` describe it (``config.json``, and ``measured.json`` where it exists).

    Raises ``NotFoundError`` when a file is missing and ``SettingError`` when one cannot be read.
    """
    config, measured = folder / "config.json", folder / "measured.json"
    if not config.is_file():
        raise NotFoundError(
            "The small model that ships with Tuning Fork is not there.",
            where=str(config),
            next_step="Install Tuning Fork again, or clone the whole repository.",
        )
    return _nano(folder, config.stat().st_mtime_ns, measured.stat().st_mtime_ns if measured.is_file() else None)


@cache
def _nano(folder: Path, _config_time: int, measured_time: int | None) -> Model:
    """``nano`` read from disk; the two times make the cache notice that the model was rebuilt."""
    lineup = _lineup()
    row = cast("dict[str, Any]", lineup["nano"])
    config = _json(folder / "config.json")
    return Model(
        name=row["name"],
        wire_name=row["wire_name"],
        label=row["label"],
        family=row["family"],
        kind=row["kind"],
        size=_size(_dense_parameters(config)),
        hidden_size=config["hidden_size"],
        context=config["max_position_embeddings"],
        renderers=tuple(row["renderers"]),
        local=True,
        calibrated=False,
        lora_per_rank=lora_parameters_per_rank(config),
        chars_per_token=row["chars_per_token"],
        licence=row["licence"],
        notes=row["notes"],
        as_of=str(lineup["as_of"]),
        source="assets/nano/config.json",
        folder=folder,
        measured=None if measured_time is None else _measured(folder / "measured.json"),
        tokenizer=row["tokenizer"],
        start_here=tuple(row.get("start_here", {}).items()),
        measured_methods=() if measured_time is None else _measured_methods(folder / "measured.json"),
    )


def lora_parameters_per_rank(config: Mapping[str, Any]) -> int:
    """Trainable LoRA parameters for each unit of rank of a dense Qwen3-shaped model, from its ``config.json``.

    LoRA writes the update of an (out, in) matrix as a product of two factors, (out, rank) and (rank, in), so each matrix
    costs ``in + out`` for each unit of rank. Counted over the matrices that Tinker adapts by default: attention (q, k, v,
    o), MLP (gate, up, down) and the unembedding. Agrees with ``tinker_cookbook.hyperparam_utils.get_lora_param_count``.
    """
    layer = sum(inputs + outputs for inputs, outputs in _layer_matrices(config))
    return config["num_hidden_layers"] * layer + config["hidden_size"] + config["vocab_size"]


def _layer_matrices(config: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """(inputs, outputs) of q, k, v, o, gate, up and down of one layer."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    attention = ((hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden))
    return (*attention, (hidden, inner), (hidden, inner), (inner, hidden))


def _dense_parameters(config: Mapping[str, Any]) -> int:
    """All weights, norms left out (they are below one in a hundred even in a small model)."""
    layer = sum(inputs * outputs for inputs, outputs in _layer_matrices(config))
    embeddings = config["vocab_size"] * config["hidden_size"] * (1 if config.get("tie_word_embeddings") else 2)
    return config["num_hidden_layers"] * layer + embeddings


def _number(text: str) -> float:
    """A size as people write it, such as 30B, as a number."""
    return float(text[:-1]) * {"M": 1e6, "B": 1e9, "T": 1e12}[text[-1]]


def _size(parameters: int) -> str:
    return f"{parameters / 1e6:.1f}M"


def _measured(path: Path) -> Measured:
    """Read ``measured.json``. Raises ``SettingError`` that names the file when a value is missing or of the wrong kind."""
    raw = _json(path)
    try:
        found = Measured(
            learning_rate=float(raw["learning_rate"]),
            lora_rank=int(raw["lora_rank"]),
            batch_size=int(raw["batch_size"]),
            min_steps=int(raw["min_steps"]),
            max_epochs=int(raw["max_epochs"]),
            seconds_per_step=float(raw["seconds_per_step"]),
            measured_on=str(raw["measured_on"]),
            command=str(raw["command"]),
            runs=len(raw["runs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(
            f"The measured settings cannot be read: {error!r}.", where=str(path), next_step="Measure the model again."
        ) from error
    whole = (found.lora_rank, found.batch_size, found.min_steps, found.max_epochs)
    if min(found.learning_rate, found.seconds_per_step, *whole) <= 0:
        raise SettingError("A measured setting is not above zero.", where=str(path), next_step="Measure the model again.")
    return found


def _measured_methods(path: Path) -> tuple[MeasuredMethod, ...]:
    """The methods of ``measured.json``. Raises ``SettingError`` that names the file when one cannot be read."""
    try:
        rows = cast("dict[str, dict[str, Any]]", _json(path).get("methods", {}))
        found = tuple(
            MeasuredMethod(
                method=name,
                settings=tuple((str(field), value) for field, value in row["settings"].items()),
                min_steps=int(row["min_steps"]),
                max_epochs=int(row["max_epochs"]),
                seconds_per_step=float(row["seconds_per_step"]),
                measured_on=str(row["measured_on"]),
                command=str(row["command"]),
                runs=len(row["runs"]),
            )
            for name, row in rows.items()
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SettingError(
            f"The measured settings of a method cannot be read: {error!r}.", where=str(path), next_step="Measure it again."
        ) from error
    if any(min(one.min_steps, one.max_epochs, one.seconds_per_step) <= 0 for one in found):
        raise SettingError("A measured setting is not above zero.", where=str(path), next_step="Measure the method again.")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(
            f"A file of the small model cannot be read: {error}.", where=str(path), next_step="Install Tuning Fork again."
        ) from error
    if not isinstance(found, dict):
        what = "A file of the small model holds no object."
        raise SettingError(what, where=str(path), next_step="Install Tuning Fork again.")
    return cast("dict[str, Any]", found)


@cache
def _lineup() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(_LINEUP.read_text(encoding="utf-8")))


def _nano_names() -> tuple[str, str]:
    row = cast("dict[str, str]", _lineup()["nano"])
    return row["name"], row["wire_name"]


@cache
def _hosted() -> tuple[Model, ...]:
    lineup = _lineup()
    return tuple(_hosted_model(row, lineup) for row in cast("list[dict[str, Any]]", lineup["hosted"]))


def _hosted_model(row: Mapping[str, Any], lineup: Mapping[str, Any]) -> Model:
    return Model(
        name=row["name"],
        wire_name=row["name"],
        label=str(row["name"]).split("/", 1)[1],
        family=row["family"],
        kind=row["kind"],
        size=row["size"],
        hidden_size=row["hidden_size"],
        context=row.get("context", lineup["context"]),
        renderers=tuple(row["renderers"]),
        local=False,
        calibrated=row["family"] != "other",
        lora_per_rank=row["lora_per_rank"],
        chars_per_token=lineup["chars_per_token"],
        licence=row["licence"],
        notes=row["notes"],
        as_of=str(lineup["as_of"]),
        source=lineup["source"],
        tokenizer=row["tokenizer"],
        retired=str(row.get("retired", "")),
        start_here=tuple(row.get("start_here", {}).items()),
    )
