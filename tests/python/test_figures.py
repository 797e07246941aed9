"""The figures show the result's own numbers, and survive the odd result."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import synthetic
from dualscape import Result, figures, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

NAMES = ["training", "spectrum-dense2", "density-dense2", "contributions-dense2",
         "bounds-dense2", "determinants-dense2", "sizes-dense2", "intervals-dense2",
         "classes-dense2", "clusters-dense2", "second-order-dense2", "operators-dense2",
         "gap-operator-dense2", "co-spectrum-dense2", "confusion-dense2", "confusion-gap-dense2"]


def points(axes: Axes, labels: list[str]) -> NDArray[np.float64]:
    """Return the points of the lines with these labels, in the order of x."""
    lines = [line for line in axes.lines if line.get_label() in labels]
    xy = np.concatenate([np.column_stack(line.get_data()) for line in lines])
    return xy[np.argsort(xy[:, 0], kind="stable")]


def entries(holder: Axes | Figure) -> list[str]:
    """Return the texts of the legend of the axes or the figure."""
    legend = holder.get_legend() if isinstance(holder, Axes) else holder.legends[0]
    return [text.get_text() for text in legend.get_texts()]


def colours(axes: Axes) -> dict[str, str]:
    """Return the colours of the lines by label."""
    return {line.get_label(): line.get_color() for line in axes.lines}


def drawn(result: Result) -> list[str]:
    """Draw every figure, coarsely, and return their names."""
    plots = figures.all_plots(result)
    for plot in plots:
        figure = plot.draw()
        figure.set_layout_engine("none")
        figure.set_dpi(20)
        FigureCanvasAgg(figure).draw()
        assert plot.data().rows > 0
    return [plot.name for plot in plots]


def check_layout(figure: Figure, name: str) -> None:
    """Check that nothing is cut off, that axes have labels and that no legend covers data."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [axes.get_tightbbox(canvas.get_renderer()) for axes in figure.axes]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    for legend in filter(None, [axes.get_legend() for axes in figure.axes]):
        assert legend.get_window_extent().y0 >= legend.axes.bbox.y1, name
    for legend in figure.legends:
        assert legend.get_window_extent().y0 >= max(axes.bbox.y1 for axes in figure.axes), name
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, name
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, name


class TestTraining:
    def test_shows_the_history(self, result: Result) -> None:
        history = result.training
        loss, accuracy = figures.training(history).axes
        for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
            for label, prefix in (("training", ""), ("test", "test_")):
                np.testing.assert_array_equal(
                    points(axes, [label]),
                    np.column_stack([history.epoch, getattr(history, prefix + name)]))
        assert entries(loss) == ["training", "test"]
        assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
        assert [loss.get_ylabel(), accuracy.get_ylabel(), accuracy.get_xlabel()] == [
            "mean loss", "accuracy", "epoch"]


class TestSpectrum:
    def test_shows_sizes_by_sign_and_certificates(self, result: Result) -> None:
        spectrum = result.spectra["dense2"]
        above, below = figures.spectrum(spectrum).axes
        ranks = np.arange(1, 31)
        for label, kind in (("positive", spectrum.eigenvalues > 0),
                            ("negative", spectrum.eigenvalues < 0)):
            assert kind.any()
            np.testing.assert_array_equal(
                points(above, [label]),
                np.column_stack([ranks, np.abs(spectrum.eigenvalues)])[kind])
        for label, values in (("residual $r_n$", spectrum.residuals),
                              ("bound on the eigenvalue's error", spectrum.value_bounds)):
            np.testing.assert_array_equal(points(below, [label]),
                                          np.column_stack([ranks, values]))
        assert entries(above) == ["positive", "negative"]
        assert above.get_yscale() == below.get_yscale() == "log"
        assert "[loss/weight$^2$]" in above.get_ylabel()
        assert below.get_xlabel() == r"eigenpair $n$ of dense2, by descending $\lambda_n$"

    def test_draws_at_its_bound_what_may_be_zero(self, contents: synthetic.Contents,
                                                 tmp_path: Path) -> None:
        values = contents.datasets["spectrum/dense2/eigenvalues"]
        contents.datasets["spectrum/dense2/value_bounds"] = np.where(
            np.arange(30) == 4, 2 * np.abs(values), 0)
        with Result(contents.write(tmp_path / "result.h5")) as result:
            above = figures.spectrum(result.spectra["dense2"]).axes[0]
        np.testing.assert_array_equal(points(above, ["zero within its bound"]),
                                      [[5, 2 * abs(values[4])]])

    @pytest.mark.parametrize(("sign", "label"), [(1, "positive"), (-1, "negative")])
    def test_of_one_sign(self, contents: synthetic.Contents, tmp_path: Path, sign: int,
                         label: str) -> None:
        values = np.sort(sign * np.abs(contents.datasets["spectrum/dense2/eigenvalues"]))[::-1]
        contents.datasets["spectrum/dense2/eigenvalues"] = values
        with Result(contents.write(tmp_path / "result.h5")) as result:
            above = figures.spectrum(result.spectra["dense2"]).axes[0]
        assert entries(above) == [label]


class TestDensity:
    def test_shows_shares_per_e_fold_with_errors_and_eigenvalues(self, result: Result) -> None:
        spectrum = result.spectra["dense2"]
        found = spectrum.density
        axes = figures.density(spectrum).axes[0]
        stretch = np.hypot(found.grid, found.linear_scale)
        np.testing.assert_array_equal(points(axes, ["density"]),
                                      np.column_stack([found.grid, found.density * stretch]))
        np.testing.assert_array_equal(points(axes, ["eigenvalues computed"])[:, 0],
                                      np.sort(spectrum.eigenvalues))
        band = axes.collections[0].get_paths()[0].vertices
        assert band[:, 1].max() == ((found.density + found.error) * stretch).max()
        # Areas on this axis are shares: the whole is 1.
        spacing = np.diff(np.arcsinh(found.grid / found.linear_scale)).mean()
        assert np.sum(points(axes, ["density"])[:, 1]) * spacing == pytest.approx(1, rel=1e-6)
        assert entries(axes) == ["error", "density", "eigenvalues computed"]
        assert "0" in [text.get_text() for text in axes.get_xticklabels()]

    def test_is_left_out_where_there_is_none(self, contents: synthetic.Contents,
                                             tmp_path: Path) -> None:
        contents.remove("spectrum/dense2/density")
        contents.remove("spectrum/dense2/ntk")
        del contents.datasets["spectrum/dense2/diagonal"]
        del contents.attributes["spectrum/dense2", "trace"]
        with Result(contents.write(tmp_path / "less.h5")) as result:
            spectrum = result.spectra["dense2"]
            assert (spectrum.density, spectrum.ntk, spectrum.diagonal, spectrum.trace) == (None,) * 4
            assert drawn(result) == [name for name in NAMES if name != "density-dense2"]


class TestContributions:
    def test_shows_each_direction_by_descending_sharpness(self, result: Result) -> None:
        duality = result.dualities["dense2"]
        directions = duality.directions
        single, _, _ = figures.contributions(duality).axes
        sharp, flat, gap = single.get_legend_handles_labels()[1]
        expected = directions.contribution[np.argsort(-directions.sigma_g)]
        np.testing.assert_array_equal(points(single, [sharp, flat]),
                                      np.column_stack([np.arange(1, 31), expected]))
        assert points(single, [sharp]).shape[0] == duality.sharp
        assert colours(single)[sharp] == style.SHARP and colours(single)[flat] == style.FLAT
        assert single.get_ylabel() == r"contribution $\Delta L_n$ [loss]"

    def test_gives_the_numbers_of_the_parts(self, result: Result) -> None:
        duality = result.dualities["dense2"]
        figure = figures.contributions(duality)
        share = 100 * duality.sharp_contribution / duality.matched_gap
        assert entries(figure) == [
            rf"sharp: $\Delta L_s$ = {duality.sharp_contribution:.3g} ({share:.0f} %)",
            rf"flat: $\Delta L_f$ = {duality.flat_contribution:.3g} ({100 - share:.0f} %)",
            rf"matched gap: $\Delta L$ = {duality.matched_gap:.3g}"]

    def test_the_sum_passes_the_sharp_part_and_ends_at_the_matched_gap(
            self, result: Result) -> None:
        duality = result.dualities["dense2"]
        _, total, parts = figures.contributions(duality).axes
        ranks, sums = total.lines[0].get_data()
        # The same numbers summed in another order: a few roundings of the largest partial sum.
        rounding = 30 * np.finfo(float).eps * np.abs(sums).max()
        assert ranks[-1] == 30
        assert sums[-1] == pytest.approx(duality.matched_gap, abs=rounding)
        assert sums[duality.sharp - 1] == pytest.approx(duality.sharp_contribution, abs=rounding)
        boundary = [line.get_xdata()[0] for line in total.lines if line.get_linestyle() == ":"]
        assert boundary == [duality.sharp + 0.5]
        heights = [bar.get_height() for bar in parts.patches]
        np.testing.assert_allclose(
            heights, [duality.sharp_contribution, duality.flat_contribution], atol=rounding)
        assert total.get_xlabel() == (r"direction $n$ of dense2, by descending sharpness "
                                      r"$\sigma_{g,n}$")

    def test_the_complement_closes_the_sum_where_directions_are_missing(
            self, tmp_path: Path) -> None:
        contents = synthetic.result(count=9)
        with Result(contents.write(tmp_path / "result.h5")) as result:
            duality = result.dualities["dense2"]
            figure = figures.contributions(duality)
        last = figure.axes[2].patches[-1]
        assert last.get_height() == pytest.approx(duality.complement_contribution, rel=1e-12)
        assert last.get_y() + last.get_height() == pytest.approx(duality.matched_gap, rel=1e-12)
        assert entries(figure)[-1].startswith("not computed = ")

    def test_a_wide_range_is_drawn_linear_around_zero(self, contents: synthetic.Contents,
                                                      tmp_path: Path) -> None:
        values = np.geomspace(1, 1e-8, 30)
        values[20] *= -1
        contents.datasets["duality/dense2/directions/contribution"] = values
        with Result(contents.write(tmp_path / "result.h5")) as result:
            single = figures.contributions(result.dualities["dense2"]).axes[0]
        assert single.get_yscale() == "symlog"
        low, high = single.get_ylim()
        assert low < values.min() < 0 and high > 1


class TestDeterminants:
    def test_shows_sharpness_and_cumulative_size(self, result: Result) -> None:
        directions = result.dualities["dense2"].directions
        above, below, twin = figures.determinants(result.dualities["dense2"]).axes
        order = np.argsort(-directions.sigma_g)
        for axes, values in ((above, directions.sigma_g[order]),
                             (below, np.cumsum(directions.sigma_w[order]))):
            np.testing.assert_array_equal(points(axes, ["sharp", "flat"]),
                                          np.column_stack([np.arange(1, 31), values]))
            assert axes.get_yscale() == "log"
        np.testing.assert_array_equal(twin.lines[0].get_ydata(),
                                      np.abs(directions.eigenvalue[order]))
        assert entries(above) == ["sharp", "flat", r"eigenvalue $|\lambda_n|$ (right)"]
        assert above.get_ylabel() == "sharpness $\\sigma_{g,n}$\n[loss/weight]"
        assert below.get_ylabel() == "cumulative size $S_{w,n}$\n[weight]"

    def test_can_leave_out_the_eigenvalues(self, result: Result) -> None:
        figure = figures.determinants(result.dualities["dense2"], eigenvalues=False)
        assert len(figure.axes) == 2
        assert entries(figure.axes[0]) == ["sharp", "flat"]

    def test_says_how_many_values_a_log_axis_cannot_show(self, contents: synthetic.Contents,
                                                         tmp_path: Path) -> None:
        name = "duality/dense2/directions/sigma_g"
        sharpness = np.sort(contents.datasets[name])[::-1]
        sharpness[-2:] = [1e-30, 0]
        contents.datasets[name] = sharpness
        contents.datasets["duality/dense2/directions/order_by_sigma_g"] = np.arange(30)
        with Result(contents.write(tmp_path / "result.h5")) as result:
            above = figures.determinants(result.dualities["dense2"]).axes[0]
        assert [text.get_text() for text in above.texts] == ["2 of 30 zero or below the axis"]
        assert above.get_ylim()[0] > 1e-15


class TestSaving:
    def test_every_figure_is_a_picture_of_a_thousand_pixels(self, result: Result,
                                                            tmp_path: Path) -> None:
        paths = figures.save_all(result, tmp_path / "a" / "b")
        assert paths == [tmp_path / "a" / "b" / f"{name}.png" for name in NAMES]
        for path in paths:
            image = imread(path)
            assert image.shape[1] == 1000
            assert image.std() > 0.05, f"{path.name} is blank"

    @pytest.mark.parametrize(("count", "scale"), [(9, -1.234e-5), (30, 1)])
    def test_nothing_is_cut_off_and_no_legend_covers_data(self, tmp_path: Path, count: int,
                                                          scale: float) -> None:
        contents = synthetic.result(count=count)
        for name in ("matched_gap", "sharp_contribution", "flat_contribution",
                     "total_contribution", "complement_contribution"):
            contents.attributes["duality/dense2", name] *= scale
        with Result(contents.write(tmp_path / "result.h5")) as result:
            for plot in figures.all_plots(result):
                check_layout(plot.draw(), plot.name)

    def test_other_formats(self, result: Result, tmp_path: Path) -> None:
        for path in figures.save_all(result, tmp_path, "pdf", only=["training"]):
            assert path.read_bytes().startswith(b"%PDF")

    def test_some_by_name_with_their_data(self, result: Result, tmp_path: Path) -> None:
        paths = figures.save_all(result, tmp_path, only=["sizes", "confusion-dense2"], data=True)
        assert [path.name for path in paths] == [
            "sizes-dense2.png", "sizes-dense2.csv", "confusion-dense2.png",
            "confusion-dense2.csv"]
        rows = list(csv.DictReader(paths[1].read_text(encoding="utf-8").splitlines()))
        directions = result.dualities["dense2"].directions
        order = np.argsort(-directions.sigma_g)
        assert [float(row["sigma_g [loss/weight]"]) for row in rows] == (
            directions.sigma_g[order].tolist())
        assert [int(row["position"]) for row in rows] == order.tolist()
        with pytest.raises(figures.UnknownFigure, match="no figure 'size' of this file; it has: "
                                                        "training, "):
            figures.save_all(result, tmp_path, only=["size"])

    def test_only_what_the_result_has(self, contents: synthetic.Contents, tmp_path: Path) -> None:
        contents.remove("training")
        contents.remove("duality")
        with Result(contents.write(tmp_path / "result.h5")) as result:
            names = [path.name for path in figures.save_all(result, tmp_path)]
        assert names == ["spectrum-dense2.png", "density-dense2.png"]

    @pytest.mark.parametrize("change", [
        lambda contents: contents.datasets.update(
            {name: np.zeros_like(values) for name, values in contents.datasets.items()
             if re.search("sigma|contribution|eigenvalue|residual|bound|loss", name)}),
        lambda contents: contents.set_attributes("duality/dense2", matched_gap=0.0),
        lambda contents: contents.set_attributes("duality/dense2", sharp=1000),
        lambda contents: contents.set_attributes("duality/dense2", sharp=0)],
        ids=["zeros", "no gap", "all sharp", "none sharp"])
    def test_odd_numbers(self, contents: synthetic.Contents, tmp_path: Path,
                         change: Callable[[synthetic.Contents], None]) -> None:
        change(contents)
        with Result(contents.write(tmp_path / "result.h5")) as result:
            assert drawn(result) == NAMES

    @pytest.mark.parametrize("count", [1, 2])
    def test_few_directions_and_evaluations(self, tmp_path: Path, count: int) -> None:
        contents = synthetic.result(count=count, epochs=count)
        with Result(contents.write(tmp_path / "result.h5")) as result:
            # A single direction is no cluster; two are one in these contents.
            assert set(NAMES) - set(drawn(result)) == ({"clusters-dense2"} if count == 1 else set())

    def test_many_directions_have_a_logarithmic_axis(self, tmp_path: Path) -> None:
        contents = synthetic.result(shape=(10, 9))
        with Result(contents.write(tmp_path / "result.h5")) as result:
            for draw in (figures.contributions, figures.determinants):
                assert draw(result.dualities["dense2"]).axes[1].get_xscale() == "log"


class TestStyle:
    def test_the_callers_settings_neither_matter_nor_change(self, result: Result) -> None:
        def size(figure: Figure) -> float:
            return figure.axes[0].yaxis.label.get_size()

        usual = size(figures.training(result.training))
        with matplotlib.rc_context({"font.size": 40, "axes.labelsize": 40}):
            assert size(figures.training(result.training)) == usual
            assert matplotlib.rcParams["font.size"] == 40
