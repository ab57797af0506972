"""The training configuration: YAML, validated, unknown keys refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, field_serializer, model_validator

from ups_data.errors import UpsDataError
from ups_data.loader.options import Inputs, LoaderOptions, Sampling, StoreOptions, read_samplings
from ups_data.models.config import Count, ModelConfig, Natural, Section
from ups_data.sampling import QuerySampling
from ups_data.training.bundle import check_term, check_weight
from ups_data.training.points.keys import PointKeys
from ups_data.training.yaml_file import read_yaml

Positive = Annotated[float, Field(gt=0)]
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # what pydantic calls an unknown key


@dataclass(frozen=True, kw_only=True)
class DataConfig(LoaderOptions):
    """Which samples: a dataset, its splits, and every option of `LoaderOptions`.

    Attributes:
        root: the dataset's folder, or its URL.
        train_split, valid_split: names of splits.
        batch_size: samples of a forward pass, on all ranks together; see `training.accumulate`.
        sampling: null: as the `query_…` keys under `training:` say; or points by sets of points.
        input_queries, lattice_queries: null: as the losses need them.
        latents: a folder that `ups-data latents` made: batches bring them along, and the encoder, which must be theirs,
            is neither computed nor trained.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    root: str
    train_split: str = "train"
    valid_split: str = "valid"
    split: str = field(default="train", init=False)
    batch_size: Count = 4
    sampling: Annotated[Sampling | None, PlainValidator(read_samplings)] = None  # type: ignore[assignment]
    inputs: Annotated[Inputs | None, PlainValidator(read_samplings)] = None
    store_options: Annotated[Mapping[str, Any] | None, PlainValidator(lambda value: value)] = None
    input_queries: bool | None = None  # type: ignore[assignment]
    lattice_queries: bool | None = None  # type: ignore[assignment]
    latents: str | None = None

    def loader_options(self, split: str, **changed: Any) -> LoaderOptions:
        """The options of a loader of one split."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(LoaderOptions)}
        return LoaderOptions(**{**values, "split": split, **changed})


class TrainingConfig(PointKeys):
    """The loop, the losses and the points that they see.

    Attributes:
        max_steps: optimiser steps after which the run ends, if the epochs have more, and its learning rate with it.
        lr: peak learning rate, reached after `lr_warmup_steps`, then falling along a cosine.
        accumulate: a step takes `data.batch_size` samples this many times, and adds up the gradients: the step of a
            batch that many times as large, in the memory of one.
        precision: of autocast; fp16 scales the loss.
        compile: compile the losses by `torch.compile`: the first steps take long. A CPU needs a C++ compiler.
        ema: decay of an exponential moving average of the weights, say 0.999, which is then what is validated and
            loaded; null: none.
        loss_weights: term → weight (see `bundle`); a term left out has its default weight. Another model may have
            terms of its own.
        inverse_loss_warmup_epochs, inverse_loss_max_weight: ramp and cap of the inverse terms' weights.
        start_from: a run's folder, whose weights this run begins with; null: new ones.
        frozen: names of the model's parts that are not trained.
        validate_every: epochs between dense validations (the last epoch is always validated).
        resume: continue from the checkpoint in `out`, if there is one; false starts over.
        checkpoint_every: optimiser steps between checkpoints; 0: only after each epoch, and on SIGTERM.
        sinks: where the numbers go beside the console and `metrics.jsonl`: `csv`, `tensorboard`, `wandb`.
        pictures: validation samples that are drawn after each validation, into `out/pictures`.
        device: `auto`, or a torch device.
        query_…, importance_…: see `PointKeys`.
    """

    epochs: Count = 40
    max_steps: Count | None = None
    lr: Positive = 3e-3
    lr_warmup_steps: Natural = 20
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    grad_clip: Positive | None = 1.0
    accumulate: Count = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    device: str = "auto"
    seed: int = 0
    start_from: str | None = None
    frozen: list[str] = Field(default_factory=list)
    validate_every: Count = 1
    resume: bool = True
    checkpoint_every: Natural = 500
    sinks: list[Literal["csv", "tensorboard", "wandb"]] = Field(default_factory=list)
    pictures: Natural = 0

    loss_weights: dict[str, float] = Field(default_factory=dict)
    inverse_loss_warmup_epochs: Natural = 0
    inverse_loss_max_weight: Annotated[float, Field(ge=0)] | None = None

    def to_sampling(self) -> QuerySampling:
        """The points of a training step.

        Raises:
            UpsDataError: one line that names the option.
        """
        return self.sampling_over(self.epochs)

    def steps_in_all(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole run."""
        steps = self.epochs * steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)


class TrainConfig(Section):
    """A whole run. `out` receives `checkpoint.pt`, `history.json` and `metrics.jsonl`."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    out: str = "runs/train"

    @field_serializer("data")
    def _plain_data(self, data: DataConfig) -> dict[str, Any]:
        return {spec.name: _plain(getattr(data, spec.name)) for spec in fields(data) if spec.init}

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainConfig":
        sampling = self.to_sampling()
        self._check_weights()
        if self.data.target_fields is not None and not self.data.target_fields:
            raise ValueError("data.target_fields names none, and there is nothing to learn: name one, or give null")
        weights, horizon = self.loss_weights(), self.data.horizon
        if weights["rollout"] > 0 and horizon < 2:
            raise ValueError(f"training.loss_weights.rollout needs data.horizon of 2 or more, it is {horizon}")
        if weights["inverse_decoding"] > 0 and self.data.input_steps > 1:
            raise ValueError("training.loss_weights.inverse_decoding needs data.input_steps=1: one frame is decoded")
        if self.training.chooses_points and self.data.sampling is not None:
            raise ValueError(
                "training.query_sample_ratio=auto chooses the points, and data.sampling names them: leave one out"
            )
        if sampling.metric == "error" and not (weights["prediction"] or weights["rollout"]):
            raise ValueError("training.importance_metric=error needs the errors of a prediction or rollout loss")
        if not any(weights.values()):
            raise ValueError("training.loss_weights: every weight is 0: give one of them a weight above 0")
        return self

    def _check_weights(self) -> None:
        """Another model may have losses of its own; a misspelt one of the built-in model's would go unnoticed."""
        check = check_term if self.model.is_reference else check_weight
        for name, weight in self.training.loss_weights.items():
            check(name, weight)

    def to_sampling(self) -> QuerySampling:
        """The points of a training step: see `TrainingConfig.to_sampling`."""
        return self.training.to_sampling()

    def with_points(self, ratio: float, mode: str) -> "TrainConfig":
        """This configuration as if these points had been asked for."""
        points = {"query_sample_ratio": ratio, "query_sampling_mode": mode, "query_auto_epochs": None}
        return self.model_copy(update={"training": self.training.model_copy(update=points)})

    def loss_weights(self) -> dict[str, float]:
        """Weight of every term: the prediction (the rollout for a horizon K > 1) and a little inverse encoding, unless
        the configuration says otherwise."""
        rolls = self.data.horizon > 1
        defaults = {
            "prediction": 0.0 if rolls else 1.0,
            "rollout": 1.0 if rolls else 0.0,
            "inverse_encoding": 0.1,
            "inverse_decoding": 0.0,
            "latent": 0.0,
            "spectral": 0.0,
        }
        return defaults | self.training.loss_weights


def _plain(value: Any) -> Any:
    """Points as the mapping that a configuration gives them by."""
    if isinstance(value, StoreOptions):
        return value.shown()
    if isinstance(value, QuerySampling):
        return value.model_dump(mode="json", exclude_defaults=True)
    return {name: _plain(of_set) for name, of_set in value.items()} if isinstance(value, Mapping) else value


def load_config(path: str | Path, overrides: Sequence[str] = (), *, allow_env: bool = False) -> TrainConfig:
    """Read a YAML configuration; `overrides` are `section.key=value`, later ones win.

    Args:
        allow_env: see `read_yaml`: `${oc.env:NAME}` and other resolvers are refused otherwise.

    Raises:
        UpsDataError: one line that names the file and the key: not readable, an unknown key (with the nearest known
            one), a value that does not fit, or options that contradict one another.
    """
    values = read_yaml(path, overrides, allow_env=allow_env)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise UpsDataError(f"{path}: {_one_line(error)}") from None
    except UpsDataError as error:
        raise UpsDataError(f"{path}: training: {error}") from None


def known_keys(section: Any = None, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration with its section: `data.root`, …"""
    section = TrainConfig if section is None else section
    if is_dataclass(section):
        yield from (prefix + spec.name for spec in fields(section) if spec.init)
        return
    for name, spec in section.model_fields.items():
        if is_dataclass(spec.annotation) or (
            isinstance(spec.annotation, type) and issubclass(spec.annotation, BaseModel)
        ):
            yield from known_keys(spec.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _one_line(error: ValidationError) -> str:
    """The first complaint of pydantic's."""
    complaints = error.errors()
    # A misspelt key is the cause of a missing one.
    first = next((c for c in complaints if c["type"] in UNKNOWN), complaints[0])
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] in UNKNOWN:
        return f"unknown key {key!r}: did you mean {nearest_key(key)!r}?"
    if first["type"] == "missing":
        return f"{key} is missing: add it, or give {key}=… on the command line"
    reason = first["msg"].removeprefix("Value error, ")
    if f"{key}.{reason.split()[0]}" in known_keys():  # an option's own check
        return f"{key}.{reason}"
    return (
        f"{key} is {first['input']!r}: {reason}"
        if key and first["type"] != "value_error"
        else f"{key}: {reason}".removeprefix(": ")
    )


def nearest_key(key: str) -> str:
    """The known key that an unknown one most likely meant: by its last part first, then by the whole of it."""
    known = list(known_keys())
    last = {k.rsplit(".", 1)[-1]: k for k in known}
    section = key.rsplit(".", 1)[0] if "." in key else ""
    inside = {k.rsplit(".", 1)[-1]: k for k in known if section and k.startswith(section + ".")}
    for names in (inside, last):
        close = get_close_matches(key.rsplit(".", 1)[-1], names, n=1, cutoff=0.6)
        if close:
            return names[close[0]]
    return get_close_matches(key, known, n=1, cutoff=0)[0]
