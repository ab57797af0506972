"""What fewer query points save: time and memory of the inverse losses, and what feedback costs a step."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from benchmarks.peak import forget_peak, peak_bytes, resident_bytes
from ups_data.batch import QueryBatch
from ups_data.models.decoder import AnyPointDecoder
from ups_data.models.encoder import GridEncoder
from ups_data.models.protocol import query_errors
from ups_data.models.reference import UpsModel, token_lattice
from ups_data.points.coords import make_grid_coords
from ups_data.points.domain import Domain
from ups_data.sampling import QuerySampling, Stream, draw_queries, sample_keys
from ups_data.training.losses import inverse_decoding_loss, inverse_encoding_loss
from ups_data.training.step import batch_losses


@dataclass(frozen=True)
class Setting:
    """Sizes: those of `configs/train_diffusion_reaction.yaml`."""

    grid: tuple[int, ...] = (128, 128)
    batch_size: int = 4
    channels: int = 2
    dim: int = 64
    tokens: int = 16
    device: str = "cpu"


@dataclass(frozen=True)
class Cost:
    """Of both inverse losses, forward and backward: `seconds`, the median; `bytes`, the most above what was there."""

    ratio: float
    queries: int
    seconds: float
    bytes: float


def inverse_loss_costs(setting: Setting, ratios: Sequence[float], rounds: int) -> list[Cost]:
    """Time each ratio in turn, `rounds` times over, and measure its memory in a process of its own."""
    steps = [inverse_losses(setting, ratio) for ratio in ratios]
    seconds: list[list[float]] = [[] for _ in ratios]
    for number in range(rounds + 1):
        for (step, _), found in zip(steps, seconds, strict=True):
            begun = time.perf_counter()
            step()
            if number:  # the first warms up
                found.append(time.perf_counter() - begun)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as executor:
        memory = list(executor.map(memory_of, [setting] * len(ratios), ratios))
    columns = zip(ratios, steps, seconds, memory, strict=True)
    return [Cost(ratio, queries, median(found), size) for ratio, (_, queries), found, size in columns]


def memory_of(setting: Setting, ratio: float) -> float:
    """The most memory that one step takes beyond what lay there before, in a fresh process."""
    step, _ = inverse_losses(setting, ratio)
    inverse_losses(Setting(grid=(16, 16), tokens=4, device=setting.device), 1.0)[0]()  # libraries come in at first use
    forget_peak()
    before = resident_bytes()
    step()
    return peak_bytes() - before


def inverse_losses(setting: Setting, ratio: float) -> tuple[Callable[[], None], int]:
    """A step that computes both inverse losses of an encoded batch and their gradients; and Q.

    Points are as batches have them: below ratio 1 each sample's own, stratified for the inverse encoding and a lattice
    for the inverse decoding; at ratio 1 the grid, the same for all samples.
    """
    device, size = torch.device(setting.device), setting.batch_size
    torch.manual_seed(0)
    channels = {"u": setting.channels}
    tokens, patch = token_lattice(setting.grid, setting.tokens)
    encoder = GridEncoder(channels, tokens, patch, setting.dim).to(device)
    decoder = AnyPointDecoder(channels, tokens, patch, setting.dim).to(device)
    coords = make_grid_coords(setting.grid, device=device)
    fields = {"u": torch.randn(size, coords.shape[1], setting.channels, device=device)}
    with torch.no_grad():
        latent = encoder(fields, coords, {"grid_shape": setting.grid})
    points, values = coords.expand(size, -1, -1), fields
    lattice, shape = coords, setting.grid
    if ratio < 1:
        domain = Domain(coords.shape[1], setting.grid)
        keys = sample_keys(0, 0, range(size), 0, Stream.INPUT_QUERIES)
        strata, coarse = (
            draw_queries(QuerySampling(ratio=ratio, mode=mode), domain, keys, 0) for mode in ("stratified", "lattice")
        )
        index = torch.from_numpy(strata.points).to(device)
        points, lattice = coords[0][index], coords[0][torch.from_numpy(coarse.points).to(device)]
        values = {"u": fields["u"].gather(1, index[..., None].expand(-1, -1, setting.channels))}
        shape = coarse.grid_shape or shape

    def step() -> None:
        given = latent.detach().requires_grad_()
        loss: Tensor = inverse_encoding_loss(values, given, decoder, points)
        loss = loss + inverse_decoding_loss(given, decoder, encoder, lattice, coords, {"grid_shape": shape})
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step, points.shape[1]


def feedback_share(
    model: UpsModel,
    optimiser: torch.optim.Optimizer,
    batches: Iterable[QueryBatch],
    feedback: Callable[[QueryBatch, Tensor], None],
) -> tuple[float, float]:
    """Median seconds of a training step, and of feeding its errors back, the errors themselves included."""
    steps, feeds = [], []
    for batch in batches:
        begun = time.perf_counter()
        total, _ = batch_losses(model, batch, weights={"prediction": 1.0, "inverse_encoding": 0.1})
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        steps.append(time.perf_counter() - begun)
        values = model.normalizer(batch.target_queries.values)
        begun = time.perf_counter()
        feedback(batch, query_errors(values, values))
        feeds.append(time.perf_counter() - begun)
    return median(steps), median(feeds)
