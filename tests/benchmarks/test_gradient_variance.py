"""`gradient_variance.py`: the variance of whole batches is what the noise within and between samples predicts."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.sampling.gradient_variance import Setting, compared, every_mode, measured, setting_of
from tests.training.conftest import travelling_waves
from tests.training.runs import config
from ups_data import ShardWriter, UpsDataError
from ups_data.training.noise import measure_noise


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 × 12, 15 samples."""
    root, rng = tmp_path_factory.mktemp("data") / "waves", np.random.default_rng(0)
    with ShardWriter(root) as writer:
        for _ in range(3):
            writer.add({"u": travelling_waves(rng, 6, (12, 12))}, split="train")
    return root


def test_of_whole_batches(root: Path, tmp_path: Path) -> None:
    settings = config(root, tmp_path)
    assert every_mode(settings) == ["uniform", "stratified", "lattice"]
    made = Setting(1, "uniform", 0.1)
    noise = measure_noise(settings, modes=["uniform"], ratios=[0.1], samples=15, draws=6).gradient
    row = compared(noise, made, measured(settings, None, made, 120))
    # The split's own 15 samples are all there are: their variance is (n - 1) / n of the unbiased estimate.
    of_split = noise.between * 14 / 15 + noise.within["uniform"][0.1].variance
    assert row["measured"] == pytest.approx(of_split, abs=4 * row["measured_error"])
    assert row["measured_error"] < 0.2 * row["measured"]  # or the line above could not fail
    assert row["predicted"] == pytest.approx(noise.between + noise.within["uniform"][0.1].variance, rel=1e-12)


def test_settings() -> None:
    assert setting_of("4 stratified 0.1") == Setting(4, "stratified", 0.1)
    for text in ("4 stratified", "few stratified 0.1"):
        with pytest.raises(UpsDataError, match="give a batch size, a mode and a ratio"):
            setting_of(text)
