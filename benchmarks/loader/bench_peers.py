"""What a user would write with this project's dependencies alone: three loaders with two worker processes each."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from benchmarks.loader.bench_workloads import CLOUD_PASSES, Case, chunk_points, touched_bytes

WORKERS = 2
SHUFFLED = 200  # samples in webdataset's shuffle buffer


class MemmapFrames:
    """`frames[row]` from a mapped .npy, opened in the process that asks."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @cached_property
    def _frames(self) -> np.ndarray:
        return np.load(self._case.folder / "frames.npy", mmap_mode="r")

    def __getitem__(self, row: int) -> np.ndarray:
        return self._frames[row]


class ZarrFrames:
    """`frames[row]` from a zarr store, decoded by `zarrs`, opened in the process that asks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _frames(self) -> Any:
        import zarr
        import zarrs  # noqa: F401, registers the pipeline

        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            return zarr.open_array(self._path, mode="r")

    def __getitem__(self, row: int) -> np.ndarray:
        return self._frames[row]


class Pairs(Dataset):
    """x, the dense frame; c and y, coordinates and values of random points of the next frames."""

    def __init__(self, case: Case, frames: MemmapFrames | ZarrFrames) -> None:
        self._case, self._frames, self._samples = case, frames, case.samples.tolist()
        self._coords = torch.from_numpy(case.coords())

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        trajectory, row = self._samples[number]
        coords = self._coords[trajectory % len(self._coords)]
        index = torch.randperm(len(coords))[: self._case.queries]
        x = np.array(self._frames[row])
        ahead = range(row + 1, row + 1 + self._case.horizon)
        targets = [np.asarray(self._frames[r]) for r in ahead] if ahead else [x]
        y = np.stack([frame[index.numpy()] for frame in targets])
        return {"x": torch.from_numpy(x), "c": coords[index], "y": torch.from_numpy(y)}


class CloudRows(Dataset):
    """Two draws of random rows of a mapped cloud, in ascending order."""

    def __init__(self, case: Case) -> None:
        self._queries, self._clouds, self._frames = case.queries, len(case.steps), MemmapFrames(case)

    def __len__(self) -> int:
        return self._clouds * CLOUD_PASSES

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        cloud = self._frames[number % self._clouds]
        return {"x": self._draw(cloud), "y": self._draw(cloud)}

    def _draw(self, cloud: np.ndarray) -> torch.Tensor:
        rows, _ = torch.randint(len(cloud), (self._queries,)).sort()
        return torch.from_numpy(np.asarray(cloud[rows.numpy()]))


class CloudChunks(Dataset):
    """Two draws of whole chunks of clouds whose points were shuffled when they were stored: one indexed read each."""

    def __init__(self, case: Case) -> None:
        self._folder, self._queries, self._chunk = (
            case.folder / f"chunks-{case.codec}",
            case.queries,
            chunk_points(case),
        )
        self._clouds = len(case.steps)

    @cached_property
    def _groups(self) -> list[Any]:
        import zarr

        return [zarr.open_group(self._folder / f"{i}.zarr", mode="r") for i in range(self._clouds)]

    def __len__(self) -> int:
        return self._clouds * CLOUD_PASSES

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        group = self._groups[number % self._clouds]
        return {"x": self._draw(group), "y": self._draw(group)}

    def _draw(self, group: Any) -> torch.Tensor:
        chunks = torch.randperm(group["position"].shape[0] // self._chunk)[: self._queries // self._chunk].tolist()
        rows = np.concatenate([np.arange(c * self._chunk, (c + 1) * self._chunk) for c in chunks])
        return torch.from_numpy(np.concatenate([group["position"].oindex[rows], group["values"].oindex[rows]], axis=1))


class _Peer:
    """A loader that stays, its worker processes too; one pass over it is an epoch."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def batches(self) -> Iterator[dict[str, torch.Tensor]]:
        return iter(self._loader)


def _data_loader(case: Case, dataset: Dataset, **options: Any) -> DataLoader:
    return DataLoader(
        dataset,
        batch_size=case.batch,
        num_workers=WORKERS,
        shuffle=True,
        drop_last=True,
        persistent_workers=True,
        **options,
    )


class Memmap(_Peer):
    """A map-style dataset over a mapped .npy file."""

    def __init__(self, case: Case) -> None:
        super().__init__(_data_loader(case, CloudRows(case) if case.draws_inputs else Pairs(case, MemmapFrames(case))))
        self._case = case

    def bytes_read(self) -> float:
        """Bytes per sample: a whole frame, and the pages that the drawn points lie on."""
        _, points, channels = (frames := self._case.frames()).shape
        point_bytes = channels * frames.itemsize
        drawn = touched_bytes(points, self._case.queries, point_bytes)
        return 2 * drawn if self._case.draws_inputs else points * point_bytes + self._case.horizon * drawn


class ZarrChunks(_Peer):
    """The chunk recipe of point-cloud pipelines, on zarr-python."""

    def __init__(self, case: Case) -> None:
        super().__init__(_data_loader(case, CloudChunks(case), multiprocessing_context="forkserver"))
        self._case = case

    def bytes_read(self) -> float:
        """Bytes per sample: the stored chunks of two draws."""
        files = (self._case.folder / f"chunks-{self._case.codec}").rglob("*")
        stored = sum(f.stat().st_size for f in files if f.is_file() and f.name != "zarr.json")
        _, points, _ = self._case.frames().shape
        return 2 * stored / len(self._case.steps) * self._case.queries / points


class ZarrFrameAtATime(_Peer):
    """A map-style dataset over a zarr store. Its workers are never forked: `zarrs` has threads of its own."""

    def __init__(self, case: Case) -> None:
        self._case, self._path = case, case.folder / f"store-{case.codec}.zarr"
        super().__init__(_data_loader(case, Pairs(case, ZarrFrames(self._path)), multiprocessing_context="forkserver"))

    def bytes_read(self) -> float:
        """Bytes per sample: the stored chunks of its frames."""
        stored = sum(f.stat().st_size for f in (self._path / "c").rglob("*") if f.is_file())
        return (1 + self._case.horizon) * stored / sum(self._case.steps)


class _DrawFromMember:
    """A sample of a tar file, with the points drawn."""

    def __init__(self, case: Case) -> None:
        self._coords, self._queries = torch.from_numpy(case.coords()[0]), case.queries

    def __call__(self, sample: dict[str, Any]) -> dict[str, torch.Tensor]:
        index = torch.randperm(len(self._coords))[: self._queries]
        y = torch.from_numpy(sample["y.npy"])[:, index]
        return {"x": torch.from_numpy(sample["x.npy"]), "c": self._coords[index], "y": y}


class WebDatasetTar(_Peer):
    """webdataset: tar files in random order, each read through, a shuffle buffer behind them."""

    def __init__(self, case: Case) -> None:
        from webdataset import WebDataset, WebLoader, split_by_worker

        self._case = case
        self._tars = sorted((case.folder / "tar").glob("*.tar"))
        files = [str(tar) for tar in self._tars]
        samples = WebDataset(files, shardshuffle=len(files), workersplitter=split_by_worker).shuffle(SHUFFLED)
        batches = samples.decode().map(_DrawFromMember(case))
        batches = batches.batched(case.batch, collation_fn=default_collate, partial=False)
        super().__init__(WebLoader(batches, batch_size=None, num_workers=WORKERS, persistent_workers=True))

    def bytes_read(self) -> float:
        """Bytes per sample: its members of the tar file."""
        return sum(tar.stat().st_size for tar in self._tars) / len(self._case.samples)
