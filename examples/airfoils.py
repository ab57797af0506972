"""Meshes from files to lift: airfoils are simulated, converted, learnt from a tenth of their points, predicted whole.

python examples/airfoils.py runs/airfoils
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from ups_data import QueryBatch, QueryLoader, QuerySampling
from ups_data.cli.problems.airfoil_files import write_airfoils
from ups_data.cli.shipped import find_config
from ups_data.conversion.convert import convert
from ups_data.training import load_config, train
from ups_data.writing.options import WriteOptions

SETS = ("surface", "volume")


def lift(batch: QueryBatch, cp: Tensor) -> Tensor:
    """Lift coefficient of every sample, `(B,)`: the pressure over the contour, across the oncoming flow."""
    queries = batch["surface"].target_queries
    length = queries.values["length"] if queries.mask is None else queries.values["length"] * queries.mask[..., None]
    force = -(cp * queries.values["normal"] * length).sum(1)
    angle = torch.deg2rad(batch.params["angle_of_attack"])
    return force[:, 1] * angle.cos() - force[:, 0] * angle.sin()


def main(out: Path, cases: int = 40, epochs: int = 20) -> None:
    """Make the data if they are not there; train; compare the lift of shapes that were not trained on."""
    meshes, root = out / "meshes", out / "dataset"
    if not root.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_airfoils(meshes, cases=cases)  # run_3/surface_3.vtp, run_3/volume_3.vtu, …
        convert(meshes, root, WriteOptions(blocks=16))
    few = ["training.query_sample_ratio=0.1", "data.batch_size=2"]
    options = [f"data.root={root}", f"out={out / 'run'}", f"training.epochs={epochs}", *few]
    model = train(load_config(find_config("train_airfoils"), options)).model.eval()

    every = dict.fromkeys(SETS, QuerySampling(ratio=1.0))
    fields = {"input_fields": ["normal"], "target_fields": ["cp", "normal", "length", "velocity"]}
    whole = QueryLoader(root, split="test", batch_size=4, sampling=every, ragged="pad", horizon=0, **fields)
    for batch in whole:
        predicted = model.decode(
            model.advance(model.encode(batch), batch.dt, batch.params), batch["surface"].target_queries, "surface"
        )
        found = lift(batch, predicted["cp"].detach())
        exact = lift(batch, batch["surface"].target_queries.values["cp"])
        for number in range(len(batch)):
            print(f"lift {float(exact[number]):6.3f}, predicted {float(found[number]):6.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/airfoils"), *map(int, sys.argv[2:]))
