"""The figures of bounds, sizes, classes, layers, confusion, operators and clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import synthetic
from dualscape import Result, figures, style
from test_figures import check_layout, entries, points


class TestBounds:
    def test_shows_sizes_and_their_bounds(self, result: Result) -> None:
        directions = result.dualities["dense2"].directions
        axes, = figures.bounds(result.dualities["dense2"]).axes
        order = np.argsort(-directions.sigma_g)
        labels = [label for label in entries(axes) if label != "bound on its error"]
        for names, values in ((labels, np.abs(directions.contribution)),
                              (["bound on its error"], directions.contribution_bound)):
            np.testing.assert_array_equal(points(axes, names),
                                          np.column_stack([np.arange(1, 31), values[order]]))
        assert axes.get_yscale() == "log"


class TestSizes:
    def test_shows_size_against_sharpness_and_correlations(self, result: Result) -> None:
        directions = result.dualities["dense2"].directions
        above, below = figures.sizes(result.dualities["dense2"]).axes
        expected = np.column_stack([directions.sigma_g, directions.sigma_w])
        np.testing.assert_array_equal(points(above, ["sharp", "flat"]),
                                      expected[np.argsort(directions.sigma_g)])
        order = np.argsort(-directions.sigma_g)
        np.testing.assert_array_equal(points(below, ["sharp", "flat"])[:, 1],
                                      directions.correlation[order])
        assert above.get_xscale() == above.get_yscale() == "log"


class TestAccounts:
    def test_intervals_are_the_files(self, result: Result) -> None:
        duality = result.dualities["dense2"]
        axes, = figures.intervals(duality).axes
        names = [tick.get_text() for tick in axes.get_yticklabels()]
        # No pair is unresolved: that row is left out.
        assert names == ["matched gap", "sharp", "flat", "directions", "not computed"]
        drawn_intervals = [tuple(line.get_xdata()) for line in axes.lines
                           if line.get_marker() == "|"]
        assert drawn_intervals == [tuple(getattr(duality.intervals, name)) for name in
                                   ("matched_gap", "sharp", "flat", "total", "complement")]

    def test_classes_show_the_parts_and_the_pairs(self, result: Result) -> None:
        duality = result.dualities["dense2"]
        above, below = figures.classes(duality, [5, 6, 9]).axes
        heights = [[bar.get_height() for bar in bars] for bars in above.containers]
        np.testing.assert_array_equal(heights, [duality.classes.sharp, duality.classes.flat])
        assert [bar.get_height() for bar in below.containers[0]] == duality.classes.pairs.tolist()
        assert [tick.get_text() for tick in below.get_xticklabels()] == ["5", "6", "9"]

    def test_layers_stand_side_by_side_and_are_not_added(self, contents: synthetic.Contents,
                                                         tmp_path: Path) -> None:
        for name, value in list(contents.datasets.items()):
            if name.startswith("duality/dense2/"):
                contents.datasets[name.replace("dense2", "dense1")] = value
        for (group, name), value in list(contents.attributes.items()):
            if group.startswith("duality/dense2"):
                contents.attributes[group.replace("dense2", "dense1"), name] = value
        contents.set_attributes("duality/dense1", sharp_contribution=0.125)
        with Result(contents.write(tmp_path / "result.h5")) as result:
            names = [plot.name for plot in figures.all_plots(result)]
            axes, = figures.layers(result.dualities).axes
            sharp = result.dualities["dense2"].sharp_contribution
        assert "layers" in names and "intervals-dense1" in names
        assert [bar.get_height() for bar in axes.containers[0]] == [0.125, sharp]
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["dense1", "dense2"]
        assert "never add" in axes.get_xlabel()


class TestConfusion:
    def test_colours_what_changes_and_writes_what_does_not(self, result: Result) -> None:
        duality = result.dualities["dense2"]
        for draw, values in ((figures.confusion, duality.classes.confusion),
                             (figures.confusion_gap, duality.classes.confusion_gap)):
            axes = draw(duality, [0, 1, 2]).axes[0]
            np.testing.assert_array_equal(axes.images[0].get_array(),
                                          values - np.diag(np.diag(values)))
            grey = [text.get_text() for text in axes.texts if text.get_color() == style.GREY]
            form = "{:d}" if draw is figures.confusion else "{:.1g}"
            assert grey == [form.format(value) for value in np.diag(values)]


class TestOperators:
    def test_spectra_alignments_and_the_least_directions(self, result: Result) -> None:
        duality = result.dualities["dense2"]
        gap = duality.operators["gap"]
        above, below = figures.operators(duality).axes
        np.testing.assert_allclose(points(above, ["gap"])[:, 1],
                                   np.sort(np.abs(gap.eigenvalues))[::-1] / gap.norm_estimate)
        widths = [bars[0].get_width() for bars in below.containers]
        assert widths == [gap.alignment_diagonal, gap.alignment_commutator]
        axes, = figures.gap_operator(duality).axes
        own, curvature = (line.get_ydata() for line in axes.lines[:2])
        # Ky Fan: no n directions carry more than the first n of the operator's own.
        assert (own >= curvature - 1e-15).all() and own[0] == gap.eigenvalues[0]
        assert own[-1] == pytest.approx(duality.matched_gap, rel=1e-12)
        axes, = figures.co_spectrum(duality).axes
        np.testing.assert_array_equal(points(axes, ["positive"])[:, 1], duality.co_spectrum)


class TestClusters:
    def test_marks_those_of_several_directions(self, result: Result) -> None:
        sums = result.dualities["dense2"].clusters
        above, below = figures.clusters(result.dualities["dense2"]).axes
        several = points(above, ["several directions (their number)"])
        np.testing.assert_array_equal(several, [[1, sums.contribution[0]]])
        assert [text.get_text() for text in above.texts] == ["3"]
        labels = ["a single direction", "several directions (their number)"]
        np.testing.assert_array_equal(points(below, labels)[:, 1], np.sqrt(sums.sigma_g_squared))


class TestSecondOrder:
    def test_shows_the_kept_pairs_and_the_means(self, contents: synthetic.Contents,
                                                tmp_path: Path) -> None:
        pairs = "duality/dense2/pairs"
        gap = contents.datasets[f"{pairs}/loss_gap"]
        gradient, curvature = 0.1 * gap + 1e-4, 0.2 * gap
        contents.datasets.update({
            f"{pairs}/gradient_term": gradient, f"{pairs}/curvature_term": curvature,
            f"{pairs}/state": np.array([2, 1] + [0] * (gap.size - 2), np.uint8)})
        contents.set_attributes("duality/dense2", gradient_term=float(gradient.mean()),
                                curvature_term=float(curvature.mean()))
        with Result(contents.write(tmp_path / "result.h5")) as result:
            duality = result.dualities["dense2"]
            assert duality.pairs.state.tolist() == [2, 1] + [0] * 198
            figure = figures.second_order(duality)
            check_layout(figure, "second order")
            assert "second-order-dense2" in [plot.name for plot in figures.all_plots(result)]
            above, below = figure.axes
            expected = np.column_stack([gradient + curvature, gap])[1:]
            np.testing.assert_array_equal(points(above, ["a pair"]),
                                          expected[np.argsort(expected[:, 0], kind="stable")])
            assert [bar.get_width() for bar in below.patches] == [
                duality.matched_gap, duality.second_order, gradient.mean(), curvature.mean(),
                duality.mean_field]
