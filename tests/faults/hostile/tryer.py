"""A process that tries hostile input, each case in a child of its own, and reports how that ended.

Reads lines of JSON, `{"act": …, "arguments": […]}`, and answers each with one. A child is forked, so that a case costs
no imports; this process has no threads and opens nothing itself.
"""

import ctypes
import gc
import hashlib
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT = 10.0  # seconds of a processor
HANGS = 60.0  # seconds after which a case hangs: the machine may be busy
GROWTH = 1024**3  # bytes
NOBODY = 65534
DIES_WITH_ITS_PARENT = 1  # PR_SET_PDEATHSIG of Linux' prctl
SAID = 20_000  # characters of its output that are kept


def command(*arguments: str) -> str:
    """`ups-data ARGUMENTS`."""
    from ups_data.cli.main import main

    sys.argv = ["ups-data", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    return ""


def convert(source: str, out: str, *options: str) -> str:
    """A digest of the stored values that a source becomes."""
    command("convert", source, "--out", out, "--no-card", *options)
    digest = hashlib.sha256()
    for path in sorted(Path(out).rglob("c/**/*")):
        if path.is_file():
            digest.update(str(path.relative_to(out)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def stream(root: str, *pairs: str) -> str:
    """A digest of an epoch's batches."""
    from ups_data import QueryLoader, QuerySampling
    from ups_data.schema import Manifest

    digest = hashlib.sha256(Manifest.load(root).model_dump_json().encode())
    given = json.loads("".join(pairs) or "{}")
    sampling = QuerySampling(ratio=0.5, mode=given.pop("mode", "random"))
    options: dict[str, Any] = {"batch_size": 2, "sampling": sampling, "threads": 0, "split": "train"}
    for batch in QueryLoader(root, **{**options, **given}):
        batch.for_each_tensor(lambda tensor: digest.update(tensor.contiguous().numpy().tobytes()))
    return digest.hexdigest()


def trained(folder: str) -> str:
    """A digest of the weights of a run's model."""
    from ups_data.training import load_trained

    digest = hashlib.sha256()
    for tensor in load_trained(folder)[0].state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def python(code: str) -> str:
    """A piece of Python; for tests of what watches."""
    exec(compile(code, "case", "exec"), {})
    return ""


ACTS = {f.__name__: f for f in (command, convert, stream, trained, python)}


def preload() -> None:
    """What children would import each, and what vtk and xarray keep from their first use."""
    import h5py  # noqa: F401
    import torch
    import torch._dynamo
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    import ups_data.cli.main
    import ups_data.conversion.convert
    import ups_data.sources
    import ups_data.training
    import ups_data.training.loop  # noqa: F401

    torch.set_num_threads(1)
    with suppress(ImportError):
        import vtkmodules.all
        import vtkmodules.util.numpy_support  # noqa: F401
    with suppress(ImportError):
        import matplotlib.backends.backend_agg
        import matplotlib.figure

        matplotlib.figure.Figure().savefig(os.devnull, format="png")  # its fonts


def end_with(parent: int) -> None:
    """Kill this process as soon as its parent ends, however it does: a case may take a processor for hours."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_ITS_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def child(asked: dict[str, Any], folder: Path, pipe: int, parent: int) -> None:
    """Do it; the answer goes into the pipe."""
    end_with(parent)
    os.setpgrp()  # killed as one; a session of its own would have a share of its own of a busy machine
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Far above what is allowed, and below what would hurt the machine.
    resource.setrlimit(resource.RLIMIT_DATA, (6 * GROWTH, 6 * GROWTH))
    for name in asked.get("imports", ()):
        importlib.import_module(name)  # from where one without rights may not read
    if asked.get("nobody"):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        end_with(parent)  # a change of user forgets it
    os.chdir(asked.get("cwd", "."))
    answer: dict[str, Any] = {"ended": "done", "status": 0}
    begun = resident()  # less than the parent's: pages of files come again as they are used
    from ups_data.errors import UpsDataError, printable

    try:
        answer["digest"] = ACTS[asked["act"]](*asked["arguments"])
    except SystemExit as ended:
        answer["status"] = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except UpsDataError as error:  # as every command ends on it
        answer["status"] = 2
        print(f"error: {printable(error)}", file=sys.stderr)
    except BaseException as error:
        says = f"{type(error).__name__}: {error}"
        answer = {"ended": "error", "status": 1, "says": says, "at": traceback.format_exc()}
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    with open(pipe, "wb") as file_of_answer:
        file_of_answer.write(json.dumps({**answer, "resident": begun}).encode())
    os._exit(0)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def run(asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Try one case; `grown` is what its process took beyond what this one has."""
    ours, theirs = os.pipe()
    before, parent = resident(), os.getpid()
    limit = float(asked.get("limit", HANGS))
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        child(asked, folder, theirs, parent)
    os.close(theirs)
    answered = bool(select.select([ours], [], [], limit)[0])
    with suppress(ProcessLookupError):
        if not answered:
            os.killpg(pid, signal.SIGKILL)
    with open(ours, "rb") as pipe:
        data = pipe.read()
    _, status, used = os.wait4(pid, 0)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # what it has left running
    answer: dict[str, Any] = json.loads(data) if data else {"ended": f"signal {os.WTERMSIG(status)}", "status": -1}
    if not answered:
        answer = {"ended": "hang", "status": -1}
    said = {name: (folder / name).read_bytes().decode(errors="replace")[:SAID] for name in ("stdout", "stderr")}
    grown = max(0, used.ru_maxrss * 1024 - answer.get("resident", before))
    return {**answer, **said, "grown": grown, "seconds": used.ru_utime + used.ru_stime}


def _anybody_may_read(folder: Path) -> bool:
    """Whether every folder on the way may be entered by every user."""
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (folder, *folder.parents))


class Tryer:
    """The process, from the outside.

    Args:
        folder: of its own; home, temporary files and output of what is tried lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o777)
        folder.chmod(0o777)
        own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **own},
            cwd=Path(__file__).parents[3],
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def __call__(self, act: str, *arguments: object, **options: Any) -> dict[str, Any]:
        if options.get("nobody") and not _anybody_may_read(Path(sys.prefix)):
            import pytest  # not in the process that tries

            pytest.skip(f"{sys.prefix} cannot be read by another user, who would have to run Python there")
        asked = {"act": act, "arguments": [str(a) for a in arguments], **options}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it, and what it is at."""
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    preload()
    gc.freeze()  # what is never walked stays shared with the children
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), Path(sys.argv[1]))), file=answers, flush=True)
