"""Airfoils: the flow against the formulas, and the files against the readers."""

import json
import re

import numpy as np
import pytest
from rich.console import Console

from tests.cli.programs import invoke, printed
from ups_data import UpsDataError
from ups_data.cli.problems import airfoil_files, airfoils, heat_3d, particles
from ups_data.cli.shipped import find_config
from ups_data.cli.tours.airfoils import draw_airfoils
from ups_data.schema import Manifest
from ups_data.sources import open_source
from ups_data.training import load_config, train


@pytest.fixture(scope="module")
def flows():
    return [airfoils.random_flow(3, number) for number in range(8)]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    pytest.importorskip("vtk")
    folder = tmp_path_factory.mktemp("airfoils")
    printed("simulate", "airfoils", "--out", folder / "a", "--cases", 5)
    printed("convert", folder / "a", "--out", folder / "ds", "--blocks", 16)
    return folder


def test_nothing_flows_through_the_surface_and_the_flow_leaves_the_edge_smoothly(flows):
    for _, flow in flows:
        assert np.abs((flow.velocity[0] * flow.normal.conj()).real).max() < 1e-12
        assert flow.velocity[0, 0] == 0  # a trailing edge with an angle is a stagnation point
        assert np.abs(flow.velocity[0, [1, -1]]).max() < 1.2  # without the Kutta condition it is infinite there
        np.testing.assert_allclose(flow.cp, 1 - np.abs(flow.velocity[0]) ** 2)


def test_pressure_adds_up_to_the_lift_that_circulation_gives(flows):
    """Kutta and Joukowski: lift 2Γ / (U c), and no drag."""
    for airfoil, flow in flows:
        force = -(flow.cp * flow.normal * flow.length).sum() * np.exp(-1j * airfoil.angle)
        assert abs(force.imag - 2 * airfoil.circulation / flow.chord) < 5e-4
        assert abs(force.real) < 5e-3


def test_the_flow_is_undisturbed_far_away_and_has_neither_sources_nor_curl(flows):
    for airfoil, flow in flows:
        angles = np.exp(1j * np.linspace(0, 2 * np.pi, 721))
        assert np.abs(airfoil.velocity(1e6 * angles) - np.exp(1j * airfoil.angle)).max() < 1e-5
        # u − iv is analytic: its integral over a closed curve is the circulation, with nothing flowing out
        z, _ = airfoil.mapped(airfoil.centre + 3 * airfoil.radius * angles)
        velocity = airfoil.velocity(airfoil.centre + 3 * airfoil.radius * angles)
        integral = (0.5 * (velocity[1:] + velocity[:-1]).conj() * np.diff(z)).sum()
        assert abs(integral + airfoil.circulation) < 1e-3
        ring = np.abs(flow.points[-1] - flow.points[-1].mean()).mean()
        assert flow.area.sum() == pytest.approx(np.pi * ring**2, rel=0.03)


def test_two_sets_of_other_sizes_and_the_angle_of_attack(cases):
    source = open_source(cases / "a")
    runs = list(source)
    assert [run.key for run in runs] == [f"run_{n}" for n in range(5)]
    for number, run in enumerate(runs):
        airfoil, flow = airfoils.random_flow(0, number)
        surface, volume = run.sets["surface"], run.sets["volume"]
        assert (set(surface.fields), set(volume.fields)) == ({"cp", "normal", "length"}, {"velocity", "area"})
        np.testing.assert_allclose(surface.fields["cp"][0][:, 0], flow.cp, rtol=1e-5, atol=1e-5)
        velocity = volume.fields["velocity"][0]
        np.testing.assert_allclose(velocity[:, 0] + 1j * velocity[:, 1], flow.velocity.reshape(-1), atol=1e-6)
        np.testing.assert_allclose(volume.coords[: len(surface.coords)], surface.coords)
        assert run.params == {"angle_of_attack": np.degrees(airfoil.angle)}
    assert len({len(run.sets["volume"].coords) for run in runs}) == 5


def test_converted_and_the_same_bytes_again(cases, tmp_path):
    manifest = Manifest.load(cases / "ds")
    assert {name: s.num_trajectories for name, s in manifest.splits.items()} == {"train": 3, "valid": 1, "test": 1}
    assert manifest.set_names == ["surface", "volume"]
    assert list(manifest.params) == ["angle_of_attack"]
    airfoil_files.write_airfoils(tmp_path / "b", cases=2)
    for path in (tmp_path / "b").rglob("*.vt?"):
        assert path.read_bytes() == (cases / "a" / path.relative_to(tmp_path / "b")).read_bytes()


def test_meshio_reads_the_same(cases):
    meshio = pytest.importorskip("meshio")
    mesh = meshio.read(cases / "a" / "run_1" / "volume_1.vtu")
    _, flow = airfoils.random_flow(0, 1)
    np.testing.assert_allclose(mesh.points[:, 0], flow.points.real.reshape(-1), rtol=1e-6, atol=1e-7)
    [cells] = mesh.cells
    around, outward = flow.points.shape[1], flow.points.shape[0]
    assert (cells.type, len(cells.data)) == ("quad", around * (outward - 1))
    corners = mesh.points[cells.data][..., 0] + 1j * mesh.points[cells.data][..., 1]
    areas = 0.5 * ((corners[:, 2] - corners[:, 0]).conj() * (corners[:, 3] - corners[:, 1])).imag
    assert (areas > -1e-9).all() or (areas < 1e-9).all()  # none is folded over
    assert abs(areas.sum()) == pytest.approx(mesh.point_data["area"].sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["simulate", "airfoils"], "--out is missing: write `ups-data simulate airfoils"),
        (["simulate", "airfoil"], "no problem 'airfoil': did you mean 'airfoils'"),
        (["simulate", "wings", "--out", "w"], "no problem 'wings': choose one of"),
        (["simulate", "airfoils", "--out", "w", "--size", "8"], "--size and --steps are not for airfoils"),
        (["quickstart", "--problem", "wings"], "--problem 'wings': choose one of"),
        (["quickstart", "--problem", "airfoils", "--data", "x.h5"], "--data is for diffusion-reaction"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UpsDataError, match=re.escape(says)):
        invoke(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_only_simulations_are_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("mine")
    with pytest.raises(UpsDataError, match="exists already"):
        airfoil_files.write_airfoils(tmp_path / "a", cases=1)
    with pytest.raises(UpsDataError, match=r"holds thesis\.txt"):
        airfoil_files.write_airfoils(tmp_path / "a", cases=1, force=True)
    airfoil_files.write_airfoils(tmp_path / "b", cases=2)
    airfoil_files.write_airfoils(tmp_path / "b", cases=1, force=True)
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["run_0"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_particles_stay_in_the_box_and_move_with_the_flow(tmp_path):
    particles.write_particles(tmp_path / "p", cases=3, size=50, steps=9)
    source = open_source(tmp_path / "p")
    assert sorted(source.splits()) == ["test", "train", "valid"]
    run = source[0]
    positions, velocity = run.coords[:], run.fields["velocity"][:]
    assert positions.min() > 0
    assert positions.max() < 1
    step = np.diff(positions, axis=0) / particles.STEP
    between = 0.5 * (velocity[1:] + velocity[:-1])
    assert np.abs(step - between).max() < 0.05 * np.abs(velocity).max()


def test_heat_keeps_its_mean_and_obeys_its_equation(tmp_path):
    heat_3d.write_heat(tmp_path / "h.h5", cases=1, size=12, steps=3)
    [run] = open_source(tmp_path / "h.h5")
    assert run.fields["data"].shape == (3, 12, 12, 12, 1)
    times = np.array([0.2 - 1e-3, 0.2, 0.2 + 1e-3])
    frames, wind = heat_3d.solve(0, 0, 12, times)
    u = frames[..., 0].astype(np.float64)
    waves = 2j * np.pi * np.stack(np.meshgrid(*[np.fft.fftfreq(12, 1 / 12)] * 3, indexing="ij"))
    spectrum = np.fft.fftn(u[1])
    change = np.fft.ifftn((heat_3d.KAPPA * (waves**2).sum(0) - np.tensordot(wind, waves, 1)) * spectrum).real
    np.testing.assert_allclose((u[2] - u[0]) / 2e-3, change, atol=2e-3 * np.abs(change).max())


@pytest.fixture(scope="module")
def trained(cases):
    """One epoch, whose loss is a mean over the plane and over the contour."""
    options = [f"data.root={cases / 'ds'}", f"out={cases / 'train'}", "training.epochs=1", "data.batch_size=1"]
    options += ["training.query_measure=volume", "training.query_sample_ratio=0.2"]
    train(load_config(find_config("train_airfoils"), options), console=Console(quiet=True))
    return cases


def test_the_pictures_of_the_quickstart(trained):
    history = json.loads((trained / "train" / "history.json").read_text())
    assert set(history["epochs"][0]["valid_fields"]) == {"cp", "velocity"}
    drawn = draw_airfoils(trained, history)
    for name in drawn:
        assert (trained / name).read_bytes()[:4] == b"\x89PNG"
        assert (trained / name).stat().st_size > 5000


def test_integrals_over_the_surface_are_evaluated(trained, tmp_path):
    """Of cp over the contour, by `length`, and of the velocity over the plane, by `area`."""
    said = printed("evaluate", trained / "train", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {name: set(of) >= {"integral", "by_volume"} for name, of in report["fields"].items()} == {
        "cp": True,
        "velocity": True,
    }
    assert "error of the integral" in " ".join(said.split())
    [run] = [r for r in open_source(trained / "a") if r.key == Manifest.load(trained / "ds").trajectory("test", 0).key]
    cp, length = (run.sets["surface"].fields[name][0][:, 0].astype(np.float64) for name in ("cp", "length"))
    mean = Manifest.load(trained / "ds").split("train").statistics["cp"].mean[0]
    of_mean = report["baselines"]["mean"]["fields"]["cp"]
    by_length = np.sqrt((length * (mean - cp) ** 2).sum() / (length * cp**2).sum())
    assert of_mean["by_volume"]["nrmse"] == pytest.approx(by_length, rel=1e-4)
    assert of_mean["nrmse"] == pytest.approx(np.sqrt(((mean - cp) ** 2).sum() / (cp**2).sum()), rel=1e-4)


@pytest.mark.slow
def test_quickstart(tmp_path):
    options = ["training.epochs=2", "model.dim=16", "training.validate_every=2"]
    said = printed("quickstart", "--problem", "airfoils", "--out", tmp_path / "q", *options)
    assert "pressure.png" in said
    figures = json.loads((tmp_path / "q" / "evaluation.json").read_text())
    assert figures["vrmse"] < figures["baselines"]["mean"]["vrmse"]
