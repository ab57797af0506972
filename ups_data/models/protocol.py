"""What training asks of a model: its losses on a batch, its predictions, and the query sets that it needs.

Any `nn.Module` with the methods of `Model` can be trained; being a subclass is not asked for. `docs/add-a-model.md`
writes one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from ups_data.batch import QueryBatch
from ups_data.batch.records import Errors
from ups_data.errors import UpsDataError


class LossBundle(NamedTuple):
    """The sum of all terms, and each term times its weight (tensors on the graph)."""

    total: Tensor
    components: dict[str, Tensor]


class QuerySets(NamedTuple):
    """The query sets that a model needs beside the target queries, which every batch has.

    Attributes:
        input: `batch.input_queries`, points of the input frame.
        lattice: `batch.lattice_queries`, coordinates of a coarse grid; without effect if all points are drawn.
    """

    input: bool = False
    lattice: bool = False


@dataclass(frozen=True)
class LossContext:
    """What a model may know of the training step beside the batch.

    Attributes:
        weights: loss term → weight, as the configuration has them (`TrainConfig.loss_weights`).
        bundle: `compute_operator_loss_bundle` with these weights, this epoch and the inverse terms' ramp filled in.
        epoch: the epoch, from 0; None outside of a training run.
        on_errors: takes the error of every target query, `(B, Q)` or `(B, K, Q)`, see `query_errors`; of a batch with
            several sets of points, set → errors. Points are then drawn where it is large (the importance metric
            `error`). None: nobody wants them.
    """

    weights: Mapping[str, float]
    bundle: Callable[..., LossBundle]
    epoch: int | None = None
    on_errors: Callable[[Errors], None] | None = None


class TrainedOn(Protocol):
    """What a model must know of the data that it is trained on."""

    @property
    def root(self) -> str:
        """The dataset."""

    @property
    def input_fields(self) -> Sequence[str] | None:
        """Names of the fields that the encoder sees; None: all."""

    @property
    def target_fields(self) -> Sequence[str] | None:
        """Names of the fields that are predicted; None: `Manifest.default_targets`."""

    @property
    def input_steps(self) -> int:
        """Frames that the encoder sees."""

    @property
    def dt_stride(self) -> int:
        """Frames from one step to the next."""

    @property
    def train_split(self) -> str:
        """The split whose statistics normalise the fields."""


class Model(nn.Module):
    """A model that can be trained.

    A model says how it is built by a function `build(manifest, options, data) -> Model`, which `model.target` of a
    configuration names as "package.module:build": `manifest` describes the dataset and has its statistics, `options`
    is the mapping `model.options`, and `data` tells which samples are drawn (`input_fields`, `target_fields`,
    `input_steps`, `horizon`, …).

    A model that predicts in parts says so by three further methods, which are optional. Its `predict(batch)` is then
    `decode(advance(encode(batch), batch.dt, batch.params), batch.target_queries)`, up to rounding, and a sample is
    encoded once however many points are decoded:

    - `encode(batch) → latent`: everything that is done with the inputs before a query is looked at. It reads
      `batch.inputs` (of all sets of points). A latent is a tensor `(B, …)`, or a tuple or dict of such tensors.
    - `advance(latent, dt, params) → latent`: from the input frame's time to the target's, `dt` `(B,)`; for `dt`
      `(B, K)` K latents, with a step axis behind the batch axis. If a model has no such method, `encode` gives the
      target's latent.
    - `decode(latent, queries, set_name) → fields`: the target fields in physical units at `queries.coords`,
      `(B, Q, C)` or `(B, K, Q, C)`; `set_name` is the set of points that the `QuerySet` belongs to, None if the dataset
      has only one. The value at a point must not depend on the other points.

    A fourth one, `encoder_parts() → names`, lists the submodules that `encode` uses, so that latents can be stored and
    those of another encoder told apart.
    """

    def losses(self, batch: QueryBatch, context: LossContext) -> Mapping[str, Tensor]:
        """The terms of the loss, each one number, already times its weight; training minimises their sum.

        A term whose weight is 0 is left out. Query weights (`batch.target_queries.weight`) make a mean over the drawn
        points an unbiased estimate of the mean over all points.
        """
        raise NotImplementedError

    def predict(self, batch: QueryBatch) -> Mapping[str, Tensor]:
        """Every target field at the target queries, in physical units: `(B, Q, C)`, or `(B, K, Q, C)` for a horizon
        K > 1. Called without gradients, in evaluation mode."""
        raise NotImplementedError

    def query_sets(self, weights: Mapping[str, float]) -> QuerySets:
        """The query sets that losses of these weights need."""
        return QuerySets()


def as_model(module: object, origin: str) -> Model:
    """The module, if training can use it.

    Args:
        module: an `nn.Module` with `losses` and `predict`; without `query_sets` it needs only the target queries.
        origin: where it comes from, for the message.

    Raises:
        UpsDataError: one line that says what is missing.
    """
    if not isinstance(module, nn.Module):
        raise UpsDataError(f"{origin}: gives {type(module).__name__}, not a torch.nn.Module")
    for name, call in (("losses", "losses(batch, context)"), ("predict", "predict(batch)")):
        own = getattr(type(module), name, None)
        if not callable(own) or own is getattr(Model, name):
            raise UpsDataError(
                f"{origin}: {type(module).__name__} has no method {call}: see `ups_data.models.protocol.Model`"
            )
    return cast(Model, module)


def decodes_in_parts(model: nn.Module) -> bool:
    """Whether a model has the methods `encode` and `decode`, see `Model`; parts of these names are none."""
    return all(callable(getattr(type(model), name, None)) for name in ("encode", "decode"))


def query_sets_of(model: Model, weights: Mapping[str, float]) -> QuerySets:
    """What the model's `query_sets` says; the target queries alone if it has no such method."""
    ask = getattr(model, "query_sets", None)
    return QuerySets() if ask is None else QuerySets(*ask(weights))


def total_of(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of a model's losses.

    Raises:
        UpsDataError: a loss that is not one number.
    """
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise UpsDataError(f"the model's loss {name!r} is {given}: give one number, such as a mean")
    if not losses:
        return torch.zeros(())
    total, *others = losses.values()
    for other in others:
        total = total + other
    return total


@torch.no_grad()
def query_errors(predicted: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Root mean square error of every query, over channels and then over fields: `(B, Q)` or `(B, K, Q)`.

    To this, not to its square, the size of a query's share in the gradient of a squared error is proportional, and
    queries drawn in proportion to that give the gradient with the least variance (Katharopoulos & Fleuret, 2018, "Not
    all samples are created equal").
    """
    squares = [(predicted[name].float() - values.float()).square().mean(-1) for name, values in target.items()]
    return torch.stack(squares).mean(0).sqrt()


def check_predicted(predicted: Any, target: Mapping[str, Tensor], origin: str) -> Mapping[str, Tensor]:
    """The prediction, if it has every target field in the target's shape.

    Raises:
        UpsDataError: a field that is missing or of another shape.
    """
    if not isinstance(predicted, Mapping):
        raise UpsDataError(f"{origin}.predict gives {type(predicted).__name__}: give a mapping, field → values")
    for name, values in target.items():
        if name not in predicted:
            raise UpsDataError(f"{origin}.predict gives no field {name!r}, only {', '.join(map(str, predicted))}")
        if predicted[name].shape != values.shape:
            raise UpsDataError(
                f"{origin}.predict gives field {name!r} in shape {tuple(predicted[name].shape)}, the target has "
                f"{tuple(values.shape)}"
            )
    return predicted
