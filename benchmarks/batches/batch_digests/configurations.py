"""The configurations by name, and which of them must hand out the same batches."""

from ups_data import QuerySampling

from .ways import Configuration, damaged, mixed, pipeline, plain, ranks, resumed

UNIFORM = QuerySampling(ratio=0.2)
STRATIFIED = QuerySampling(ratio=0.2, mode="stratified")
LATTICE = QuerySampling(ratio=0.2, mode="lattice")
BLOCKS = QuerySampling(ratio=0.2, mode="blocks")
GRADIENT = QuerySampling(ratio=0.2, mode="importance", importance_metric="gradient")
VARIANCE = QuerySampling(ratio=0.2, mode="importance", importance_metric="variance", importance_floor=0.3)
ERRORS = QuerySampling(ratio=0.2, mode="importance", importance_metric="error")
SHARED = QuerySampling(num_queries=50, mode="importance", importance_metric="error", importance_shared=True)
OF_TWO = QuerySampling(ratio=0.2, mode={"stratified": 0.7, "importance": 0.3}, importance_metric="variance")
OF_THREE = QuerySampling(ratio=0.3, mode={"uniform": 0.2, "stratified": 0.5, "importance": 0.3})
OF_ERRORS = QuerySampling(ratio=0.2, mode={"uniform": 0.5, "importance": 0.5}, importance_metric="error")
OFF_GRID = QuerySampling(ratio=0.2, mode="stratified", off_grid=True)
BY_SETS = {"surface": QuerySampling(num_queries=30, mode="stratified"), "volume": QuerySampling(ratio=0.1)}
IN_BLOCKS = {"surface": BLOCKS, "volume": QuerySampling(num_queries=70, mode="blocks")}
RAMP = {"start_ratio": 0.6, "end_ratio": 0.1, "end_epoch": 2}


def ramp(schedule: str, **options: object) -> QuerySampling:
    """A schedule that is under way in both epochs."""
    return QuerySampling(schedule=schedule, **RAMP, **options)


MODES: dict[str, Configuration] = {
    "line full": plain("line", sampling=QuerySampling()),
    "line uniform": plain("line", sampling=UNIFORM),
    "line stratified": plain("line", sampling=STRATIFIED),
    "line lattice": plain("line", sampling=LATTICE),
    "line blocks lz4": plain("line-blocks", sampling=BLOCKS),
    "plane full": plain("plane", sampling=QuerySampling(mode="full")),
    "plane random": plain("plane", sampling=QuerySampling(ratio=0.1, mode="random")),
    "plane stratified": plain("plane", sampling=STRATIFIED),
    "plane stratified lz4": plain("plane-lz4", sampling=STRATIFIED),
    "plane uniform zstd": plain("plane-zstd", sampling=UNIFORM),
    "plane lattice": plain("plane", sampling=LATTICE),
    "plane blocks": plain("plane-blocks", sampling=BLOCKS),
    "plane blocks lz4": plain("plane-blocks-lz4", sampling=QuerySampling(num_queries=150, mode="blocks")),
    "plane odd blocks": plain("plane-odd-blocks", sampling=BLOCKS),
    "plane stratified from blocks": plain("plane-blocks-lz4", sampling=STRATIFIED),
    "cube uniform": plain("cube", sampling=UNIFORM),
    "cube stratified": plain("cube", sampling=STRATIFIED),
    "cube lattice": plain("cube", sampling=LATTICE),
    "cube blocks float16": plain("cube-blocks", sampling=BLOCKS),
    "importance by gradient": plain("plane", sampling=GRADIENT),
    "importance by variance, zstd": plain("plane-zstd", sampling=VARIANCE),
    "importance from blocks": plain("plane-blocks-lz4", sampling=VARIANCE, inputs=GRADIENT),
    "importance by error": plain("plane", sampling=ERRORS, fed_back=True),
    "importance by error, shared": plain("cloud", sampling=SHARED, fed_back=True),
    "mixture of two modes": plain("plane", sampling=OF_TWO),
    "mixture of three modes": plain("plane-blocks", sampling=OF_THREE),
    "mixture with errors": plain("line", sampling=OF_ERRORS, fed_back=True, horizon=2),
    "mode schedule": plain("plane", sampling=QuerySampling(ratio=0.2, mode_schedule={1: "stratified"})),
    "mode schedule, lattice to importance": plain(
        "plane", sampling=QuerySampling(ratio=0.2, mode="lattice", mode_schedule={1: "importance"})
    ),
    "number of queries": plain("plane", sampling=QuerySampling(num_queries=37)),
    "multiple of queries": plain("plane", sampling=QuerySampling(ratio=0.3, query_multiple=50, mode="stratified")),
    "dense at first": plain("plane", sampling=QuerySampling(ratio=0.2, start_epoch=1)),
    "off grid": plain("plane", sampling=OFF_GRID),
    "off grid, every point": plain("line", sampling=QuerySampling(off_grid=True), horizon=2),
}
SCHEDULES: dict[str, Configuration] = {
    "linear by epoch": plain("line", sampling=ramp("linear")),
    "linear by step": plain("line", sampling=ramp("linear", schedule_unit="step")),
    "cosine by epoch": plain("line", sampling=ramp("cosine", mode="stratified")),
    "cosine by step": plain("line", sampling=ramp("cosine", schedule_unit="step", mode="stratified")),
    "exponential by epoch": plain("line", sampling=ramp("exponential", mode="lattice")),
    "exponential by step": plain("line", sampling=ramp("exponential", schedule_unit="step", mode="lattice")),
    "step by epoch": plain("plane", sampling=ramp("step", jumps=3, query_multiple=8)),
    "step by step": plain("plane", sampling=ramp("step", jumps=12, schedule_unit="step"), inputs=ramp("linear")),
}
FRAMES: dict[str, Configuration] = {
    "no horizon": plain("plane", sampling=STRATIFIED, horizon=0),
    "horizon of three": plain("plane", sampling=STRATIFIED, horizon=3, dt_stride=2, batch_size=2),
    "input steps": plain("plane", sampling=UNIFORM, input_steps=3, dt_stride=2, batch_size=2),
    "input steps, horizon of three": plain("cube", sampling=UNIFORM, input_steps=2, horizon=3),
    "input steps from blocks": plain("plane-blocks-lz4", sampling=BLOCKS, input_steps=2),
    "no input queries": plain("plane", sampling=STRATIFIED, input_queries=False),
    "lattice queries": plain("plane", sampling=UNIFORM, lattice_queries=True),
    "inputs": plain("plane", sampling=UNIFORM, inputs=STRATIFIED),
    "inputs on a lattice": plain("cube", sampling=UNIFORM, inputs=LATTICE, horizon=2),
    "inputs in blocks": plain("plane-blocks", sampling=BLOCKS, inputs=QuerySampling(ratio=0.5, mode="blocks")),
    "repeats": plain("line", sampling=UNIFORM, repeats=3, batch_size=10),
    "input stride": plain("plane", sampling=STRATIFIED, input_stride=2, input_queries=False),
    "input stride of a cube": plain("cube-blocks", sampling=UNIFORM, input_stride=3, input_queries=False, horizon=2),
    "fields apart": plain("plane", sampling=UNIFORM, input_fields=["k", "u"], target_fields=["p"]),
}
POINTS: dict[str, Configuration] = {
    "cloud full": plain("cloud", sampling=QuerySampling()),
    "cloud uniform": plain("cloud", sampling=UNIFORM, inputs=UNIFORM),
    "cloud stratified": plain("cloud", sampling=STRATIFIED),
    "cloud by gradient": plain("cloud", sampling=GRADIENT),
    "cloud blocks": plain("cloud-blocks", sampling=BLOCKS, inputs=BLOCKS, horizon=0, repeats=2),
    "particles stratified": plain("particles", sampling=STRATIFIED, horizon=3),
    "particles blocks": plain("particles", sampling=BLOCKS, inputs=BLOCKS),
    "particles by steps": plain("particles", sampling=UNIFORM, input_steps=2),
    "ragged": plain("ragged", sampling=STRATIFIED),
    "ragged blocks": plain("ragged-blocks", sampling=BLOCKS, inputs=BLOCKS, horizon=2),
    "ragged padded": plain("ragged", sampling=UNIFORM, ragged="pad"),
    "ragged padded, by variance": plain("ragged", sampling=VARIANCE, inputs=UNIFORM, ragged="pad", horizon=2),
    "ragged padded, all points": plain("ragged-blocks", sampling=QuerySampling(), ragged="pad"),
    "ragged padded blocks": plain("ragged-blocks", sampling=BLOCKS, ragged="pad"),
    "ragged particles": plain("ragged-particles", sampling=STRATIFIED, ragged="pad", pad=True),
    "ragged with errors": plain("ragged", sampling=ERRORS, ragged="pad", fed_back=True),
    "sets": plain("sets", sampling=BY_SETS),
    "sets with inputs": plain("sets", sampling={**BY_SETS, "surface": GRADIENT}, inputs=BY_SETS, horizon=2),
    "sets with errors": plain("sets", sampling={"surface": SHARED, "volume": ERRORS}, fed_back=True),
    "one of the sets": plain(
        "sets", sampling=STRATIFIED, input_fields=["velocity"], target_fields=["velocity"], horizon=0
    ),
    "ragged sets in blocks": plain("ragged-sets", sampling=IN_BLOCKS, inputs=IN_BLOCKS),
    "ragged sets padded": plain("ragged-sets", sampling=BY_SETS, ragged="pad", drop_last=False),
}
MAKING: dict[str, Configuration] = {
    "two threads": plain("plane", sampling=STRATIFIED, threads=2),
    "two threads in blocks": plain("plane-blocks-lz4", sampling=BLOCKS, threads=2, prefetch=3),
    "two workers": plain("plane", sampling=STRATIFIED, num_workers=2),
    "two workers with errors": plain("plane", sampling=ERRORS, fed_back=True, num_workers=2),
    "small pool": plain("plane-zstd", sampling=UNIFORM, pool_bytes=20_000),
    "always verified": plain("plane", sampling=STRATIFIED, verify="always"),
    "never verified": plain("plane", sampling=STRATIFIED, verify="never"),
    "resumed": resumed("plane", sampling=STRATIFIED),
    "resumed with errors": resumed("plane", sampling=ERRORS, fed_back=True, stop=3),
    "resumed by step": resumed("line", sampling=ramp("cosine", schedule_unit="step", mode="stratified"), threads=2),
    "resumed in repeats": resumed("line", sampling=UNIFORM, repeats=3, batch_size=10, stop=5),
    "resumed on other ranks": resumed("plane", (1, 2, 4), sampling=UNIFORM, batch_size=8, stop=1),
    "resumed on fewer ranks": resumed("plane-lz4", (4, 2, 1), sampling=UNIFORM, pad=True, batch_size=8),
    "unshuffled": plain("plane", sampling=UNIFORM, shuffle=False, drop_last=False),
    "last batch kept": plain("plane", sampling=UNIFORM, drop_last=False, batch_size=9),
    "padded": plain("plane", sampling=STRATIFIED, pad=True, drop_last=False, batch_size=9),
    "other split": plain("plane", sampling=UNIFORM, split="valid"),
    "two ranks": ranks("plane", 2, sampling=UNIFORM, batch_size=8),
    "two ranks, last batch kept": ranks("plane-blocks", 2, sampling=BLOCKS, batch_size=8, drop_last=False),
    "two ranks with errors": ranks("plane", 2, sampling=ERRORS, fed_back=True),
    "three ranks": ranks("plane", 3, sampling=UNIFORM, batch_size=9, drop_last=False),
    "four ranks": ranks("cloud", 4, sampling=STRATIFIED, batch_size=8),
    "four ranks padded": ranks("plane", 4, sampling=UNIFORM, batch_size=12, pad=True),
    "canonical ranks": plain("plane", sampling=UNIFORM, canonical_ranks=2, drop_last=False),
    "four ranks, canonical": ranks("plane", 4, sampling=UNIFORM, canonical_ranks=4, batch_size=8, drop_last=False),
    "mix": mixed(("line", "plane-lz4"), [3, 1], [{"sampling": UNIFORM}, {"sampling": STRATIFIED, "batch_size": 2}]),
    "mix with errors": mixed(
        ("plane", "cloud"), [2, 2], [{"sampling": ERRORS}] * 2, fed_back=True, seed=5, epoch_batches=16
    ),
    "mix on two ranks": mixed(("line", "sets"), [1, 2], [{"sampling": UNIFORM}, {"sampling": BY_SETS}], world=2),
    "mix resumed": mixed(
        ("line", "plane"), [3, 2], [{"sampling": UNIFORM}, {"sampling": OF_TWO, "threads": 2}], stop=3
    ),
    "mix not resumed": mixed(("line", "plane"), [3, 2], [{"sampling": UNIFORM}, {"sampling": OF_TWO}]),
    "damaged": damaged("plane", "train/shard-000001.zarr/fields/u/c/0/0/0/0", sampling=UNIFORM, drop_last=False),
    "damaged block": damaged("plane-blocks-lz4", "train/shard-000001.zarr/fields/p/c/0/0/0", sampling=BLOCKS),
    "damaged, two ranks padded": damaged(
        "plane-zstd", "train/shard-000000.zarr/fields/p/c/0/0/0/0", sampling=UNIFORM, world=2, pad=True
    ),
    "pipeline": pipeline("plane", sampling=STRATIFIED),
    "pipeline of chosen samples": pipeline("ragged", sampling=UNIFORM, ragged="pad", after=1.0, horizon=2),
}
FROM_FILES: dict[str, Configuration] = {
    "HDF5, periodic line": plain("burgers", sampling=OFF_GRID, horizon=2),
    "HDF5, periodic line in blocks": plain("burgers", sampling=BLOCKS),
    "HDF5, groups": plain("reaction", sampling=GRADIENT, lattice_queries=True),
    "HDF5, groups, other split": plain("reaction", sampling=OF_THREE, split="test"),
    "HDF5, flow in blocks": plain("flow", sampling=BLOCKS, input_fields=["Vx", "Vy", "Vz"]),
    "npy": plain("array", sampling=STRATIFIED),
    "npz clouds": plain("clouds", sampling=VARIANCE, drop_last=False),
    "npz clouds, other split": plain("clouds", sampling=UNIFORM, ragged="pad", split="valid"),
    "cases": plain("cars", sampling=IN_BLOCKS, inputs=IN_BLOCKS, horizon=0, repeats=4),
}
CONFIGURATIONS = MODES | SCHEDULES | FRAMES | POINTS | MAKING | FROM_FILES

# Names whose batches are the same: what makes them, or where they were left, changes nothing.
ALIKE: list[tuple[str, ...]] = [
    (
        *("plane stratified", "plane stratified lz4", "two threads", "two workers", "pipeline", "resumed"),
        *("always verified", "never verified", "plane stratified from blocks"),
    ),
    ("plane uniform zstd", "small pool"),
    ("importance by error", "two workers with errors", "resumed with errors"),
    ("cosine by step", "resumed by step"),
    ("repeats", "resumed in repeats"),
    ("mix resumed", "mix not resumed"),
]
