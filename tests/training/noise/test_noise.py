"""The measured noise is the noise: of a model whose gradient is known, and of one that is trained."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.training.conftest import travelling_waves
from tests.training.runs import QUIET, config
from ups_data import QueryLoader, ShardWriter, UpsDataError
from ups_data.batch import QueryBatch
from ups_data.cli.main import app
from ups_data.models.protocol import LossContext, Model
from ups_data.training import train
from ups_data.training.noise import GradientNoise, Noise, StepCosts, StepMemory, Within, advise, measure_noise
from ups_data.training.noise.advice import variance_at
from ups_data.training.noise.costs import fitted, kept_bytes, seconds_of, step_clock
from ups_data.training.noise.gradients import as_adam_sees


class Mean(Model):
    """One number for the squared field everywhere; its loss has the gradient 2 (c - mean of the square over points)."""

    def __init__(self) -> None:
        super().__init__()
        self.c = torch.nn.Parameter(torch.zeros(()))

    def losses(self, batch: QueryBatch, context: LossContext) -> dict[str, torch.Tensor]:
        queries = batch.target_queries
        return {"prediction": (queries.weight[..., None] * (self.c - queries.values["u"].square()).square()).mean()}

    def predict(self, batch: QueryBatch) -> dict[str, torch.Tensor]:
        return {"u": self.c.expand_as(batch.target_queries.values["u"])}


def test_of_a_gradient_that_is_known(waves: Path) -> None:
    """Uniform draws of Q of N points without replacement: σ_w² = 4 s² (1 - Q/N) / Q, s² the points' sample variance;
    σ_b² is the variance of 2 times the samples' means. Of the squared field."""
    settings = config(waves, waves / "nowhere")
    noise = measure_noise(settings, model=Mean(), modes=["uniform"], ratios=[1 / 16, 1 / 4], samples=30, draws=40)
    loader = QueryLoader(waves, split="train", batch_size=1, sampling=1.0, shuffle=False, horizon=1, drop_last=False)
    frames = np.concatenate([batch.target_queries.values["u"].numpy()[..., 0] for batch in loader]).astype(float) ** 2
    assert noise.gradient.samples == len(frames) == 30
    np.testing.assert_allclose(noise.gradient.between, (2 * frames.mean(1)).var(ddof=1), rtol=1e-4)
    for ratio, found in noise.gradient.within["uniform"].items():
        expected = 4 * frames.var(1, ddof=1).mean() * (1 - ratio) / (ratio * 256)
        # Each of 1,200 squared distances varies by about √2 times their mean.
        assert found.variance == pytest.approx(expected, rel=6 * np.sqrt(2 / 1200))


class Restless(Mean):
    """A model that chooses at random: each pass adds its own number to the gradient."""

    def losses(self, batch: QueryBatch, context: LossContext) -> dict[str, torch.Tensor]:
        return super().losses(batch, context) | {"latent": 3 * torch.randn(()) * self.c}


def test_random_choices_of_the_model_are_no_noise_of_the_points(waves: Path) -> None:
    """They count between samples, once: a gradient over all points has them too."""
    options: dict[str, Any] = {"modes": ["uniform"], "ratios": [1 / 16], "samples": 20, "draws": 3}
    settings = config(waves, waves / "nowhere")
    still, restless = (measure_noise(settings, model=made, **options).gradient for made in (Mean(), Restless()))
    found, expected = (noise.within["uniform"][1 / 16].variance for noise in (restless, still))
    assert found == pytest.approx(expected, rel=1e-4)
    assert restless.between - still.between == pytest.approx(9, rel=4 * np.sqrt(2 / 20))


class Beside(Mean):
    """Mean, with a second parameter of large gradients, that the points drawn do not touch, and a third without any."""

    def __init__(self) -> None:
        super().__init__()
        self.d, self.idle = torch.nn.Parameter(torch.zeros(())), torch.nn.Parameter(torch.zeros(5))

    def losses(self, batch: QueryBatch, context: LossContext) -> dict[str, torch.Tensor]:
        shared = 1000 * self.d * batch.inputs.fields["u"].square().mean() + 0 * self.idle.sum()
        return super().losses(batch, context) | {"latent": shared}


def test_adam_moves_parameters_of_small_gradients_as_far(waves: Path) -> None:
    """So their noise counts by the size of the gradient, and not by its square, in which it is lost."""
    options: dict[str, Any] = {"modes": ["uniform"], "ratios": [1 / 16], "samples": 20, "draws": 2}
    settings = config(waves, waves / "nowhere")
    alone, beside = (measure_noise(settings, model=made, **options) for made in (Mean(), Beside()))

    def share(noise: GradientNoise) -> float:
        return noise.within["uniform"][1 / 16].variance / noise.between

    assert alone.scaled is not None
    assert beside.scaled is not None
    assert share(alone.scaled) == pytest.approx(share(alone.gradient))  # of a single parameter, the same
    assert share(beside.gradient) < 1e-3 * share(alone.gradient)
    assert share(beside.scaled) > 100 * share(beside.gradient)
    assert beside.judged is beside.scaled
    gradients = [torch.tensor([3.0, 0.0, 4e-9]).double(), torch.tensor([-1.0, 0.0, 2e-9]).double()]
    expected = [5**-0.25, 0.0, 1e-17**-0.25]  # 1 / √√v, v the mean of the squares
    np.testing.assert_allclose(as_adam_sees(gradients), expected, rtol=1e-6)


def test_advice_is_by_what_adam_sees() -> None:
    """Points that add nothing to the gradient's variance, and much to Adam's steps, are not saved."""
    plain = noise_of(per_query=1e-6)
    quiet = replace(plain.gradient, within={"uniform": {r: Within(1e-9, 0.0) for r in (0.02, 0.1, 0.5)}})
    assert advise(replace(plain, gradient=quiet), batch_size=4, ratio=1.0, mode="uniform", sizes=[4]).ratio == 0.02
    both = replace(plain, gradient=quiet, scaled=plain.gradient)
    assert advise(both, batch_size=4, ratio=1.0, mode="uniform", sizes=[4]).ratio > 0.02


def test_better_modes_are_less_noisy(waves: Path) -> None:
    noise = measure_noise(config(waves, waves / "nowhere"), ratios=[1 / 16], samples=8, draws=4)
    assert set(noise.gradient.within) == {"uniform", "stratified"}
    found = {mode: of[1 / 16].variance for mode, of in noise.gradient.within.items()}
    assert 0 < found["stratified"] < found["uniform"]
    assert noise.costs.step(2, 20) > 0


def noise_of(between: float = 1.0, signal: float = 1.0, per_query: float = 1e-4, encoder: float = 0.01) -> Noise:
    """Within a sample, N / Q - 1 times a quarter."""
    within = {"uniform": {r: Within(0.25 * (1 / r - 1), 0.0) for r in (0.02, 0.1, 0.5)}}
    costs = StepCosts(fixed=0.002, encoder=encoder, per_query=per_query, misfit=0.0)
    return Noise(GradientNoise(10, between, 0.1, signal, within), costs, 1000, 4096, {})


def test_advice_is_the_best_of_all_settings() -> None:
    """Against a search over the same model of progress per second."""
    noise = noise_of()
    found = advise(noise, batch_size=4, ratio=1.0, mode="uniform")

    def worth(size: int, ratio: float) -> float:
        variance = (1.0 + 0.25 * (1 / ratio - 1)) / size
        return 1 / (1 + variance) / (0.002 + size * (0.01 + ratio * 1000 * 1e-4))

    every = [(worth(2**k, ratio), 2**k, ratio) for k in range(7) for ratio in (0.02, 0.1, 0.5, 1.0)]
    good = [(size, value, ratio) for value, size, ratio in every if value >= 0.95 * max(every)[0]]
    near = min(abs(math.log2(size / 4)) for size, *_ in good)
    best = max(setting[1:] for setting in good if abs(math.log2(setting[0] / 4)) == near)
    assert (worth(found.batch_size, found.ratio), found.ratio) == best
    assert found.gain == pytest.approx(best[0] / worth(4, 1.0))
    assert found.queries == round(found.ratio * 1000)
    for size in (1, 64):  # where a batch is nearly as good as the best, it stays
        again = advise(noise, batch_size=size, ratio=1.0, mode="uniform")
        assert worth(again.batch_size, again.ratio) >= 0.95 * max(every)[0]
        assert abs(math.log2(again.batch_size / size)) <= min(abs(math.log2(b / size)) for b, *_ in good)


def test_dear_encoders_ask_for_more_points_and_dear_queries_for_fewer() -> None:
    ratios = [
        advise(noise_of(encoder=encoder, per_query=per_query), batch_size=4, ratio=0.1, mode="uniform").ratio
        for encoder, per_query in ((1e-4, 1e-3), (0.01, 1e-4), (1.0, 1e-6))
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < ratios[-1]


def test_the_memory_bounds_the_advice() -> None:
    """Of settings that keep no more than there is, the best; shared out over ranks and parts."""
    plain, memory = noise_of(between=1000.0, encoder=1e-4), StepMemory(fixed=100.0, sample=10.0, per_query=1.0)
    noise = replace(plain, memory=memory, gradient=replace(plain.gradient, samples=4096))
    free = advise(noise, batch_size=4, ratio=1.0, mode="uniform")
    assert noise.memory.step(free.batch_size, free.queries) > 400  # or the bound would bound nothing
    bound = advise(noise, batch_size=4, ratio=1.0, mode="uniform", memory=400)
    assert noise.memory.step(bound.batch_size, bound.queries) <= 400
    shared = advise(noise, batch_size=4, ratio=1.0, mode="uniform", memory=400, ranks=2, parts=2)
    assert noise.memory.step(shared.batch_size / 4, shared.queries) <= 400
    assert shared.batch_size * shared.queries > bound.batch_size * bound.queries
    with pytest.raises(UpsDataError, match="no setting fits"):
        advise(noise, batch_size=4, ratio=1.0, mode="uniform", memory=100)


def test_memory_is_what_a_step_keeps(waves: Path) -> None:
    """Of a layer, its inputs: x once, though two layers keep it, and no parameter."""
    layers = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(2))
    x = torch.randn(100, 8, requires_grad=True)
    assert kept_bytes(layers, lambda: sum(layer(x) for layer in layers).sum()) == x.nbytes
    noise = measure_noise(config(waves, waves / "nowhere"), modes=["uniform"], ratios=[0.1], samples=3, draws=1)
    assert noise.memory.per_query > 4  # a value in float32, and more
    assert noise.memory.step(8, 200) > 1.5 * noise.memory.step(4, 200)


def test_costs_of_more_than_one_batch_size(waves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of one sample alone would not tell what is fixed from what each sample takes."""
    seen: list[int] = []

    def given(sizes: Any, seconds: Any) -> StepCosts:
        seen.extend(size for size, _ in sizes)
        return fitted(sizes, seconds)

    monkeypatch.setattr("ups_data.training.noise.steps.fitted", given)
    settings = config(waves, waves / "nowhere")
    alone = settings.model_copy(update={"data": replace(settings.data, batch_size=1)})
    measure_noise(alone, modes=["uniform"], ratios=[0.1], samples=3, draws=1)
    assert set(seen) == {1, 4}


def test_variance_between_measured_ratios() -> None:
    gradient = noise_of().gradient
    for ratio in (0.01, 0.03, 0.1, 0.3, 0.9, 1.0):
        assert variance_at(gradient, "uniform", ratio) == pytest.approx(0.25 * (1 / ratio - 1), abs=1e-12)


def test_costs_are_those_of_the_steps() -> None:
    sizes = [(1, 10), (4, 10), (4, 500), (16, 100)]
    found = fitted(sizes, [0.01 + b * (0.002 + q * 1e-5) for b, q in sizes])
    assert (found.fixed, found.encoder, found.per_query) == pytest.approx((0.01, 0.002, 1e-5))
    assert fitted(sizes, [0.01 - 1e-6 * b for b, _ in sizes]).encoder == 0  # never below 0
    # A long step that took a tenth more than it should does not change what short ones are said to take.
    delayed = [0.01 + b * (0.002 + q * 1e-5) for b, q in sizes] + [1.1 * (0.01 + 16 * (0.002 + 5000 * 1e-5))]
    assert fitted([*sizes, (16, 5000)], delayed).step(1, 10) == pytest.approx(0.0121, rel=0.1)


def test_what_others_take_of_the_processor_is_no_part_of_a_step() -> None:
    """A step is asleep for 20 ms, as it is where another process has the core."""
    threads = torch.get_num_threads()
    try:
        for count, counted in ((1, False), (2, True)):
            torch.set_num_threads(count)
            taken = seconds_of(lambda: time.sleep(0.02), step_clock(torch.device("cpu")))
            assert (taken >= 0.02) is counted
    finally:
        torch.set_num_threads(threads)


def test_short_steps_are_repeated_more_often() -> None:
    for seconds, repeats in ((0.0, 30), (0.01, 30), (0.02, 16), (1.0, 5)):
        now, taken = [0.0], [0]

        def step(seconds: float = seconds, now: list[float] = now, taken: list[int] = taken) -> None:
            now[0] += seconds + (0.5 if taken[0] == 1 else 0)  # the first one that counts is disturbed
            taken[0] += 1

        assert seconds_of(step, lambda now=now: now[0]) == pytest.approx(seconds)  # type: ignore[misc]
        assert taken[0] - 1 <= repeats


def test_measuring_leaves_the_parameters_as_they_are(waves: Path) -> None:
    model = Mean()
    model.c.data.fill_(0.3)
    measure_noise(config(waves, waves / "nowhere"), model=model, modes=["uniform"], ratios=[0.1], samples=3, draws=1)
    assert model.c.item() == torch.tensor(0.3).item()
    assert model.c.grad is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"modes": ["blocks"]}, "blocks"),
        ({"ratios": [0.0]}, "between 0 and 1"),
        ({"samples": 1}, "at least 2"),
        ({"run": "nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_one_line(waves: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(UpsDataError, match=says) as error:
        measure_noise(config(waves, waves / "nowhere"), **change)
    assert "\n" not in str(error.value)


def test_noise_that_hides_the_gradient() -> None:
    """Ten samples cannot tell a signal below a tenth of their variance from none: it is taken for as much."""
    least = advise(noise_of(signal=0.1), batch_size=4, ratio=0.1, mode="uniform")
    assert "lost in the noise" not in least.reason
    for signal in (0.0, 0.05):
        found = advise(noise_of(signal=signal), batch_size=4, ratio=0.1, mode="uniform")
        assert "lost in the noise of 10 samples" in found.reason
        assert (found.batch_size, found.queries, found.gain) == (least.batch_size, least.queries, least.gain)


class Deaf(Mean):
    """A model whose loss looks at its inputs alone."""

    def losses(self, batch: QueryBatch, context: LossContext) -> dict[str, torch.Tensor]:
        return {"prediction": (self.c - batch.inputs.fields["u"].square()).square().mean()}


def test_a_model_without_queries_to_draw(waves: Path) -> None:
    options: dict[str, Any] = {"modes": ["uniform"], "ratios": [0.1], "samples": 3, "draws": 1}
    with pytest.raises(UpsDataError, match="query none"):
        measure_noise(config(waves, waves / "nowhere"), model=Deaf(), **options)


def test_weights_of_another_dataset_and_a_single_trajectory(waves: Path, tmp_path: Path) -> None:
    train(config(waves, tmp_path / "run", epochs=1, max_steps=1), console=QUIET)
    rng = np.random.default_rng(1)
    for name, trajectories in (("other", 3), ("one", 1)):
        with ShardWriter(tmp_path / name) as writer:
            for _ in range(trajectories):
                writer.add({"u": travelling_waves(rng, 6, (16, 16))}, split="train")
    few: dict[str, Any] = {"modes": ["uniform"], "ratios": [0.1], "samples": 3, "draws": 1}
    assert measure_noise(config(waves, tmp_path / "run"), run=tmp_path / "run", **few).gradient.between > 0
    for name, says in (("other", "another dataset"), ("one", "one trajectory in split 'train'")):
        with pytest.raises(UpsDataError, match=says) as error:
            measure_noise(config(tmp_path / name, tmp_path), run=tmp_path / "run" if name == "other" else None, **few)
        assert "\n" not in str(error.value)


def test_commands(waves: Path, tmp_path: Path) -> None:
    """The figures, as JSON; the names of its keys are relied on."""
    given = [f"data.root={waves}", f"out={tmp_path / 'run'}", "data.batch_size=4", "training.query_sample_ratio=0.2"]
    given += ["model.dim=16", "model.tokens=4", "model.depth=1"]
    options = ["--ratios", "0.1,0.4", "--samples", "6", "--json", str(tmp_path / "out.json")]
    for command, keys in (
        ("noise", {"between", "within", "seconds"}),
        ("suggest-points", {"batch_size", "queries", "mode", "gain", "reason"}),
    ):
        done = CliRunner().invoke(app, [command, "train_diffusion_reaction", *given, *options])
        assert done.exit_code == 0, done.output
        found = json.loads((tmp_path / "out.json").read_text())
        assert keys <= set(found)
        if command == "noise":
            assert set(found["within"]["stratified"]) == {"0.1", "0.4"}
            assert set(found["adam"]["within"]["stratified"]) == {"0.1", "0.4"}
            assert set(found["seconds"]) == {"encoder", "per_query", "fixed"}
        else:
            assert found["gain"] >= 1
