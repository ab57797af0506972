"""`ups-data evaluate`."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    split: Annotated[str, typer.Option(help="Split to predict.")] = "test",
    rollout: Annotated[
        int | None, typer.Option(help="Steps ahead, each from the one predicted before; default: as trained.")
    ] = None,
    chunk: Annotated[int, typer.Option(help="Points of a sample that are decoded at once.")] = 16384,
    data: Annotated[Path | None, typer.Option(help="Another dataset with the same fields.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for pictures and report.json.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure into this file.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples at once; default: as trained.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    trust_target: Annotated[
        bool, typer.Option("--trust-target", help="Import the model that the checkpoint names, if it is not built in.")
    ] = False,
) -> None:
    """Measure a trained model on every point of a split.

    In physical units, beside what persistence and the training mean reach: nRMSE, VRMSE, relative L1, maximum error, by
    field and by step. With --out, also draws error against lead time, and truth, prediction and difference. Under
    torchrun, every rank predicts its share: torchrun --nproc-per-node 4 -m ups_data.cli evaluate RUN
    """
    from rich.console import Console

    from ups_data.cli.progress import counting
    from ups_data.cli.tables.evaluation import evaluation_table, extras_table, steps_table
    from ups_data.errors import shown
    from ups_data.training.device import device_of
    from ups_data.training.evaluation.kept import Kept
    from ups_data.training.evaluation.outputs import check_outputs, write_json
    from ups_data.training.evaluation.run import evaluate_run
    from ups_data.training.ranks.group import is_first, joined, local_rank, same_on_every_rank, told_if_gone

    first = is_first()
    with same_on_every_rank():
        check_outputs(out, json_file)
        place = device_of(device, local_rank())
    kept = Kept() if out is not None else None
    with counting("batches") as bar, joined(place), told_if_gone():
        task = bar.add_task("predicting", total=None, visible=False)
        report = evaluate_run(
            run,
            split=split,
            rollout=rollout,
            chunk=chunk,
            data=data,
            batch_size=batch_size,
            device=str(place),
            trust_target=trust_target,
            kept=kept,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=first),
        )
    if not first:
        return
    console = Console(emoji=False)
    for table in (evaluation_table(report.values), extras_table(report.values), steps_table(report.values)):
        if table is not None:
            console.print(table)
    if json_file is not None:
        write_json(report.values, json_file)
        console.print(f"written: {shown(json_file)}")
    if out is not None and kept is not None:
        from ups_data.cli.drawings.evaluation import draw_evaluation

        out.mkdir(parents=True, exist_ok=True)
        write_json(report.values, out / "report.json")
        for picture in draw_evaluation(report.values, kept.frames, out):
            console.print(f"drawn: {shown(picture)}")
