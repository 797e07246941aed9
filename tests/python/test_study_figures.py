"""The figures of a study show the means and spreads of its done runs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import synthetic_study
from dualscape import Study, figures
from dualscape.figures.studies import by_sharpness, gap_panel
from dualscape.figures.sweeps import against, sweeps
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from numpy.typing import NDArray
from synthetic_study import BATCH, LOSS
from test_figures import check_layout, entries

Array = NDArray[np.float64]
NAMES = ["gap-dense2", "gap-with-means-dense2", "norms-dense2", "losses", "curves-dense2",
         "correlations-dense2"]


def bars(axes: Axes, label: str, container: ErrorbarContainer) -> tuple[Array, Array]:
    """Return the marks of one series, and the half lengths of its bars, which are around them."""
    line, = (line for line in axes.lines if line.get_label() == label)
    _, _, (lines,) = container.lines
    segments = np.array(lines.get_segments())
    np.testing.assert_allclose(segments[:, :, 1].mean(axis=1), line.get_ydata(), rtol=1e-12)
    return line.get_ydata(), (segments[:, 1, 1] - segments[:, 0, 1]) / 2


def test_the_gap_has_means_and_deviations_of_the_done_runs(tmp_path: Path) -> None:
    contents = synthetic_study.study(failed=(1,), waiting=(9, 10, 11))
    with Study(contents.write(tmp_path / "study.h5")) as study:
        drawn = {}
        for means, ending in ((False, "_without_means"), (True, "")):
            sweep, = sweeps(study)
            axes, = against(sweep, [gap_panel(study, "dense2", means)]).axes
            labels = [r"$\Delta L$", r"$\Delta L_s$ (sharp)", r"$\Delta L_f$ (flat)"]
            assert entries(axes) == labels
            for part, label, container in zip(("total", "sharp", "flat"), labels, axes.containers):
                values = study.scalar(f"duality/dense2/{part}_contribution{ending}")
                if part == "total":
                    values = values + study.scalar(
                        f"duality/dense2/complement_contribution{ending}")
                heights, halves = bars(axes, label, container)
                # The last value's runs wait: it has no point.
                runs = [values[[0, 2]], values[3:6], values[6:9]]
                np.testing.assert_allclose(heights, [run.mean() for run in runs], rtol=1e-12)
                np.testing.assert_allclose(halves, [run.std(ddof=1) for run in runs], rtol=1e-9)
            drawn[means] = heights
            assert axes.get_xscale() == "log" and axes.get_xlabel() == BATCH
            assert axes.get_ylabel() == (f"part of the gap,\n{'with' if means else 'without'} "
                                         "mean term [loss]")
    assert (drawn[False] != drawn[True]).all()


def test_every_figure_and_its_data(tmp_path: Path) -> None:
    path = synthetic_study.study(failed=(1,)).write(tmp_path / "study.h5")
    with Study(path) as study:
        plots = figures.all_plots(study)
        assert [plot.name for plot in plots] == NAMES
        for plot in plots:
            check_layout(plot.draw(), plot.name)
            assert "1 of 12 runs are not done" in plot.caption or plot.kind in {"curves",
                                                                                "correlations"}
        figures.save_all(study, tmp_path, only=["curves"], data=True)
        sharpness = by_sharpness(study, "dense2")["sigma_g"]
        curves = figures.curves(study, "dense2")
        above, below = curves.axes
        sizes = study.stacked("duality/dense2/directions/sigma_w")[0]
        order = study.stacked("duality/dense2/directions/order_by_sigma_g")[0]
        assert by_sharpness(study, "dense2")["S_w"][0, -1] == pytest.approx(sizes.sum())
        np.testing.assert_array_equal(by_sharpness(study, "dense2")["S_w"][0],
                                      np.cumsum(sizes[order]))
    assert len(above.lines) == 4 and above.get_yscale() == below.get_yscale() == "log"
    # Run 1 failed, so the first point's mean is that of runs 0 and 2; point 1 has the odd runs'
    # nine directions, and beyond them the one run's that has twelve.
    np.testing.assert_allclose(above.lines[0].get_ydata(), sharpness[[0, 2]].mean(axis=0))
    np.testing.assert_allclose(above.lines[1].get_ydata()[:9], sharpness[3:6, :9].mean(axis=0))
    np.testing.assert_allclose(above.lines[1].get_ydata()[9:], sharpness[4, 9:])
    text = (tmp_path / "curves-dense2.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [float(row["sigma_g:mean [loss/weight]"]) for row in rows[:12]] == (
        above.lines[0].get_ydata().tolist())


@pytest.mark.parametrize(("axes", "repeats", "views", "labels"), [
    ({BATCH: [25, 100], LOSS: ["mse", "softmax-mse"]}, 2, [BATCH, LOSS],
     ["loss mse", "loss softmax-mse"]),
    ({"a.x": [0.5, 1.0], "a.y": list(range(9))}, 1, ["a.x", "a.x", "a.y"],
     [f"y {number}" for number in range(8)]),
    ({}, 3, [""], [""])], ids=["two axes", "more than eight series", "no axis"])
def test_several_axes_or_none(tmp_path: Path, axes: dict[str, list[object]], repeats: int,
                              views: list[str], labels: list[str]) -> None:
    contents = synthetic_study.study(axes, repeats, failed=())
    with Study(contents.write(tmp_path / "study.h5")) as study:
        found = sweeps(study)
        assert [sweep.key for sweep in found] == views
        assert [series.label for series in found[0].series] == labels
        assert sorted(np.concatenate([series.groups for sweep in found if sweep.key == views[0]
                                      for series in sweep.series])) == list(
                                          range(len(study.groups())))
        for plot in figures.all_plots(study):
            if plot.kind in {"gap", "curves"}:
                check_layout(plot.draw(), plot.name)


def test_many_values_have_bands_for_bars(tmp_path: Path) -> None:
    contents = synthetic_study.study({"a.x": list(range(1, 31))}, repeats=2, failed=())
    with Study(contents.write(tmp_path / "study.h5")) as study:
        sweep, = sweeps(study)
        axes, = against(sweep, [gap_panel(study, "dense2", True)]).axes
        found = study.groups().statistics(study.scalar("duality/dense2/sharp_contribution"))
    assert not axes.containers
    corners = axes.collections[1].get_paths()[0].vertices
    for sign in (-1, 1):
        edge = np.column_stack([np.arange(1, 31), found.mean + sign * found.deviation])
        assert all(np.isclose(corners, corner, rtol=1e-12).all(axis=1).any() for corner in edge)


def test_axes_that_move_together_are_one_view(tmp_path: Path) -> None:
    contents = synthetic_study.study({BATCH: [100, 25, 50]}, failed=())
    contents.datasets["axes/keys"] = [BATCH, "data.label_noise"]
    contents.datasets["axes/values/data.label_noise"] = np.array([0.0, 0.1, 0.2])
    contents.datasets["runs/parameters/data.label_noise"] = np.repeat([0.0, 0.1, 0.2], 3)
    contents.set_attributes("axes", mode="zip")
    with Study(contents.write(tmp_path / "study.h5")) as study:
        sweep, = sweeps(study)
        assert sweep.key == BATCH
        assert sweep.series[0].groups.tolist() == [1, 2, 0]
        axes, = against(sweep, [gap_panel(study, "dense2", True)]).axes
        assert axes.get_xlabel() == f"{BATCH}, with data.label_noise"


@pytest.mark.parametrize(("values", "ends"), [
    ([0.05, 0.1, 1e300], (0.0475, 0.1025)), ([1e-290, 1e280], (1e-300, 1e307)),
    ([3, 3000], (3 * 10**-0.15, 3000 * 10**0.15)), ([-1.0, 0.0, 4.0], (-1.05, 0.05))])
def test_the_axis_shows_the_values_that_have_done_runs(
        tmp_path: Path, values: list[float], ends: tuple[float, float]) -> None:
    waiting = (4, 5) if len(values) == 3 else ()
    contents = synthetic_study.study({"a.x": values}, 2, failed=(), waiting=waiting)
    with Study(contents.write(tmp_path / "study.h5")) as study:
        sweep, = sweeps(study)
        figure = against(sweep, [gap_panel(study, "dense2", True)])
    axes, = figure.axes
    np.testing.assert_allclose(axes.get_xlim(), ends, rtol=1e-9)
    marks = axes.lines[1].get_xdata()
    assert (ends[0] <= marks).all() and (marks <= ends[1]).all() and marks.size == 2
    check_layout(figure, "gap")


def test_no_run_is_done(tmp_path: Path) -> None:
    contents = synthetic_study.study(failed=tuple(range(12)))
    with Study(contents.write(tmp_path / "study.h5")) as study:
        assert figures.all_plots(study) == []
