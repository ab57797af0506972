"""A training loop in plain PyTorch: a dense input frame, a tenth of the next frame's points as targets.

python examples/write_shards.py data/waves
python examples/training_loop.py data/waves
"""

import sys

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups_data import QueryBatch, QueryLoader, QuerySampling


class Operator(nn.Module):
    """Features of the input frame by convolutions, read off and decoded at any points."""

    def __init__(self, channels: int = 1, width: int = 16) -> None:
        super().__init__()
        periodic = {"padding": 2, "padding_mode": "circular"}
        self.encode = nn.Sequential(
            nn.Conv2d(channels, width, 5, **periodic), nn.GELU(), nn.Conv2d(width, width, 5, **periodic)
        )
        self.decode = nn.Sequential(nn.Linear(width + 2, width), nn.GELU(), nn.Linear(width, channels))

    def forward(self, frame: Tensor, points: Tensor) -> Tensor:
        """`frame` `(B, C, H, W)`, `points` `(B, Q, 2)` in [0, 1], x first → `(B, Q, C)`."""
        features = F.grid_sample(self.encode(frame), 2 * points[:, None] - 1, align_corners=True)
        return self.decode(torch.cat([features[:, :, 0].transpose(1, 2), points], dim=-1))


def frame_of(batch: QueryBatch) -> Tensor:
    """The dense input frame as an image, `(B, C, H, W)`."""
    return batch.inputs.fields["height"].unflatten(1, batch.inputs.grid_shape).movedim(-1, 1)


def loss_of(model: nn.Module, batch: QueryBatch) -> Tensor:
    """Weighted squared error at the query points: its mean estimates that over all points, without bias."""
    queries = batch.target_queries
    error = (model(frame_of(batch), queries.coords) - queries.values["height"]).square().mean(-1)
    return (queries.weight * error).sum() / queries.weight.sum()


@torch.no_grad()
def validate(model: nn.Module, loader: QueryLoader) -> tuple[float, float]:
    """Root mean squared error on all points, and that of the persistence baseline: the input frame itself."""
    model.eval()
    errors = [loss_of(model, batch) for batch in loader]
    still = [
        (batch.inputs.fields["height"] - batch.target_queries.values["height"]).square().mean() for batch in loader
    ]
    model.train()
    return float(torch.stack(errors).mean().sqrt()), float(torch.stack(still).mean().sqrt())


def main(root: str, epochs: int = 4) -> None:
    """Train, and validate on the dense grid."""
    few = QuerySampling(ratio=0.1, mode="stratified")
    train = QueryLoader(root, split="train", batch_size=8, sampling=few, horizon=1, seed=0)
    valid = QueryLoader(root, split="valid", batch_size=8, sampling=QuerySampling(), horizon=1)  # every point
    torch.manual_seed(0)
    model = Operator()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        for batch in train:  # each complete pass moves on to the next epoch: another order, other points
            optimiser.zero_grad()
            loss = loss_of(model, batch)
            loss.backward()
            optimiser.step()
        error, persistence = validate(model, valid)
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, RMSE {error:.4f}, persistence {persistence:.4f}")
    stats = train.stats
    print(f"{stats.samples:,} samples; waited {stats.wait_seconds:.2f} s for data")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data/waves")
