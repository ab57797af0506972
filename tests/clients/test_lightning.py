"""PyTorch Lightning drives the loop: every epoch is another one, on one process and on two."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import write_grid
from ups_data import QueryLoader, QuerySampling

pytest.importorskip("lightning", reason="needs the extra clients")
pytestmark = pytest.mark.clients

SCRIPT = """
import json, sys
import lightning as L
import torch
from ups_data import QueryLoader, QuerySampling

class Model(L.LightningModule):
    def __init__(self, out):
        super().__init__()
        self.net, self.out, self.seen = torch.nn.Linear(2, 2), out, []

    def training_step(self, batch, number):
        queries = batch.target_queries
        samples = list(zip(batch.trajectory.tolist(), batch.step.tolist()))
        self.seen.append([batch.epoch, samples, queries.index.tolist()])
        loss = ((self.net(queries.coords) - queries.values["u"]) ** 2).mean()
        self.log("loss", loss, batch_size=len(batch))
        return loss

    def validation_step(self, batch, number):
        self.log("valid", batch.target_queries.values["u"].mean(), batch_size=len(batch))

    def on_train_end(self):
        with open(f"{self.out}.{self.global_rank}", "w") as file:
            json.dump(self.seen, file)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

if __name__ == "__main__":
    root, out, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    workers, devices = settings.pop("workers"), settings["devices"]
    options = dict(sampling=QuerySampling(ratio=0.1), num_workers=workers)
    train = QueryLoader(root, split="train", batch_size=8 // devices, **options)  # before the ranks are known
    valid = QueryLoader(root, split="train", batch_size=8 // devices, shuffle=False, drop_last=False, **options)
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=out + ".d", **settings,
    )
    trainer.fit(Model(out), train, valid)
"""


def fitted(tmp_path: Path, **settings: Any) -> list[list[Any]]:
    """What each rank has seen: epoch, samples and points of every batch."""
    write_grid(tmp_path / "d", steps=(9,) * 4)
    (tmp_path / "script.py").write_text(SCRIPT)
    out = tmp_path / "out"
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "d"), str(out)]
    given = {"workers": 0, "devices": 1, **settings}
    done = subprocess.run([*command, json.dumps(given)], timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(given["devices"])]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("limit", [None, 2])
def test_epochs_advance(tmp_path: Path, limit: int | None, workers: int) -> None:
    [seen] = fitted(tmp_path, workers=workers, **({} if limit is None else {"limit_train_batches": limit}))
    batches = limit or 4
    assert [epoch for epoch, _, _ in seen] == [e for e in range(3) for _ in range(batches)]
    source = QueryLoader(tmp_path / "d", split="train", batch_size=8, sampling=QuerySampling(ratio=0.1))
    expected = [b.target_queries.index.tolist() for _ in range(3) for b in list(source)[:batches]]
    assert [points for _, _, points in seen] == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_of_ddp_share_the_samples(tmp_path: Path, workers: int) -> None:
    """The loader is made in the main script, before Lightning starts the other rank."""
    first, second = fitted(tmp_path, workers=workers, devices=2, strategy="ddp")
    assert len(first) == len(second) == 3 * 4
    for epoch in range(3):
        samples = [tuple(s) for rank in (first, second) for e, batch, _ in rank if e == epoch for s in batch]
        assert sorted(samples) == sorted(itertools.product(range(4), range(8)))
