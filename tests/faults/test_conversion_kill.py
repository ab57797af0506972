"""Kill -9 at random moments of a conversion: the same command goes on and ends with an undisturbed run's bytes."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.conversion_process import ConversionProcess, cloud_source, digests, grid_source
from ups_data.schema import MANIFEST
from ups_data.store.verify import verify_dataset

SOURCES = {"grid": grid_source, "clouds": cloud_source}


def kill_and_go_on(make: Callable[..., list[str]], tmp_path: Path, workers: int, kills: int, **size: int) -> str:
    rng = np.random.default_rng(kills + workers)
    arguments = make(tmp_path / "raw", **size)
    whole = ConversionProcess(arguments, tmp_path / "whole")
    assert whole.end() == 0, whole.errors
    expected = digests(tmp_path / "whole")
    # Its splits' shards, as many as the folders of zarr groups.
    shards = len(list((tmp_path / "whole").glob("*/*.zarr")))
    done, rounds, redone, most = 0, 0, 0, 0
    while done < kills:
        out = tmp_path / f"killed-{rounds}"
        rounds += 1
        before: dict[str, int] = {}
        while done < kills:
            run = ConversionProcess(arguments, out, "--workers", str(workers))
            if done and rng.random() < 0.2:  # while it starts
                time.sleep(rng.uniform(0, 2))
            else:
                run.wait_for_work()
                run.wait_for_shards(int(rng.integers(0 if done else 1, 3)))
                time.sleep(rng.exponential(0.05))
            if run.process.poll() is not None:
                assert run.end() == 0, run.errors
                break
            done += run.kill() == -signal.SIGKILL
            if (out / MANIFEST).exists():  # records are of no account any more
                break
            after = run.published()
            # What was recorded is never made again.
            assert all(after.get(name) == inode for name, inode in before.items())
            # A shard may be there twice: renamed by one run but not recorded, and begun again by the next.
            lost = {f"{p.parent.name}/{p.name}" for p in out.glob("*/*.zarr")} - set(after)
            asides = (out / ".conversion" / "writing").glob("*/*")
            lost |= {p.name.replace("-", "/", 1) for p in asides}
            redone += len(lost)
            most = max(most, len(lost))
            assert len(lost) <= workers, lost
            before = after
        run = ConversionProcess(arguments, out, "--workers", str(workers))
        assert run.end() == 0, run.errors
        assert digests(out) == expected
        assert {name: (out / name).stat().st_ino for name in before} == before
    assert not verify_dataset(tmp_path / "whole")
    return (
        f"{done} kill -9 in {rounds} conversions of {shards} shards, {workers} worker(s): {redone} shards redone, at "
        f"most {most} for a kill; every file identical"
    )


def test_killed_at_random_moments(tmp_path: Path) -> None:
    print("\n" + kill_and_go_on(grid_source, tmp_path, workers=2, kills=2, trajectories=10))


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("source", SOURCES)
def test_killed_many_times(tmp_path: Path, source: str, workers: int) -> None:
    print(f"\n{source}: " + kill_and_go_on(SOURCES[source], tmp_path, workers, kills=6))
