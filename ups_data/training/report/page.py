"""`write_report`: a run as one HTML page that needs nothing else and asks nobody for anything."""

from os.path import realpath
from pathlib import Path

from ups_data.atomic import replacing
from ups_data.errors import UpsDataError
from ups_data.pages import document, figure, section, text
from ups_data.training.report.curves import error_section, loss_section, time_section
from ups_data.training.report.recorded import Recorded, number, read_run
from ups_data.training.report.tables import config_section, data_section, epochs_section


def write_report(run: str | Path, out: str | Path) -> Path:
    """Write the page of a run; also of one that is under way, from what it has finished.

        write_report("runs/train", "report.html")

    It holds curves, tables, pictures (every PNG below the run's folder; of a series, the last), the configuration, and
    what the dataset says of itself.

    Args:
        run: a run's folder.
        out: the page's file.

    Returns:
        the page's path.

    Raises:
        UpsDataError: no run there that has finished an epoch, or the page cannot be written.
    """
    page = page_of(read_run(Path(run)))
    try:
        with replacing(Path(out)) as file:
            file.write(page.encode())
    except OSError as error:
        raise UpsDataError(f"{out}: cannot be written ({error.strerror}): give another --out") from None
    return Path(out)


def page_of(run: Recorded) -> str:
    """The page as HTML."""
    title = Path(realpath(run.out)).name
    sections = (
        _header(run, title),
        error_section(run),
        loss_section(run),
        _pictures_section(run),
        epochs_section(run),
        time_section(run),
        config_section(run),
        data_section(run),
    )
    return document(title, sections, "Written by ups-data report.")


def _header(run: Recorded, title: str) -> str:
    epochs = number(run.config("training", "epochs"))
    done = len(run.epochs)
    state = "finished" if run.history.get("finished") is True else "not finished"
    of = f" of {epochs:.0f}" if epochs else ""
    ratio = number(run.epochs[-1].get("ratio")) if run.epochs else None
    nrmse = {name: number(run.history.get(f"{name}_nrmse")) for name in ("valid", "persistence", "untrained")}
    seconds, memory = (number(run.history.get(name)) for name in ("seconds", "peak_memory_mb"))
    figures = [
        ("validation nRMSE", _short(nrmse["valid"])),
        ("persistence baseline", _short(nrmse["persistence"])),
        ("untrained", _short(nrmse["untrained"])),
        (f"epochs{of}, {state}", str(done)),
        ("of the points in a step", None if ratio is None else f"{100 * ratio:.3g} %"),
        ("of training", None if seconds is None else duration(seconds)),
        ("peak memory", None if memory is None else f"{memory:,.0f} MB"),
    ]
    boxes = "".join(f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for name, value in figures if value)
    return (
        f"<header><h1>{text(title)}</h1><p>{text(run.config('data', 'root') or '')}</p></header>"
        f'<div class="figures">{boxes}</div>'
    )


def _pictures_section(run: Recorded) -> str:
    return section("Pictures", [figure(name, content) for name, content in run.pictures.items()])


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """In words of the right size."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
