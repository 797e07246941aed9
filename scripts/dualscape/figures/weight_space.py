"""Figures of the operators on weight space that are made of the dual weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import style
from ..node import Array
from ..reader import Duality, OperatorSpectrum
from ..table import Table
from .plot import Plot

_MOST_MARKERS = 40


@style.styled
def operators(duality: Duality) -> Figure:
    """Draw the spectra of the operators, each relative to its norm, and their alignments.

    Values that their bounds do not tell from zero are left out.

    Parameters
    ----------
    duality
        The decomposed gap of one layer; it has operators.
    """
    spectra = duality.operators
    figure = style.new_figure(4.6 + 0.55 * len(spectra))
    above, below = figure.subplots(2, 1, height_ratios=(3, 0.6 + 0.5 * len(spectra)))
    longest, shown = 1, []
    for index, (name, spectrum) in enumerate(spectra.items()):
        sizes, negative = _certain_sizes(spectrum)
        look = {**style.series(index), "linestyle": "-", "linewidth": 0.8}
        ranks = np.arange(1, sizes.size + 1)
        above.plot(ranks, sizes, markersize=5, label=name, **look)
        above.plot(ranks[negative], sizes[negative], look["marker"], color="white",
                   markeredgecolor=look["color"], markersize=6, markeredgewidth=1.4)
        longest, shown = max(longest, sizes.size), [*shown, sizes]
    above.plot([], [], "o", color="white", markeredgecolor=style.BLACK, label="negative: open")
    style.log_scale(above, *shown, decades=10)
    style.rank_axis(above, longest)
    above.set_ylabel(r"$|\theta_n|$ / norm of operator")
    above.set_xlabel(rf"eigenpair $n$ at {style.plain(duality.name)}, by descending $|\theta_n|$")
    _draw_alignment(below, spectra)
    style.legend_above(above, 2)
    return figure


def _certain_sizes(spectrum: OperatorSpectrum) -> tuple[Array, Array]:
    """Return the relative sizes above their bounds, descending, and which are negative."""
    values = spectrum.eigenvalues[np.abs(spectrum.eigenvalues) > spectrum.value_bounds]
    values = values[np.argsort(-np.abs(values), kind="stable")]
    return np.abs(values) / (spectrum.norm_estimate or 1.0), values < 0


def _draw_alignment(axes: Axes, spectra: Mapping[str, OperatorSpectrum]) -> None:
    positions = np.arange(len(spectra))
    for offset, values, colour, hatch, label in (
            (-0.19, [spectrum.alignment_diagonal for spectrum in spectra.values()], style.GREEN,
             "", "diagonal share (1: alike)"),
            (0.19, [spectrum.alignment_commutator for spectrum in spectra.values()], style.PURPLE,
             style.SHARP_HATCH, "commutator (0: alike)")):
        axes.barh(positions + offset, values, 0.36, color=colour, hatch=hatch, edgecolor="white",
                  linewidth=0, label=label)
    axes.set_yticks(positions, list(spectra))
    axes.invert_yaxis()
    axes.set_xlim(0, np.sqrt(2))
    axes.grid(False, axis="y")
    axes.set_xlabel("alignment with the curvature")
    style.legend_above(axes, 2)


@style.styled
def gap_operator(duality: Duality) -> Figure:
    """Draw in how few directions the gap lies: the gap operator's own against the curvature's.

    Both sums run by descending value. No n orthogonal directions carry more of the gap than the
    first n eigenvectors of the gap operator.

    Parameters
    ----------
    duality
        The decomposed gap of one layer; its operators have `gap`.
    """
    data = gap_operator_table(duality)
    figure = style.new_figure(4.0)
    axes = figure.subplots()
    for index, (name, label) in enumerate((("gap_operator", "eigenvectors of the gap operator"),
                                           ("curvature", "eigenvectors of the curvature"))):
        values = data[name][np.isfinite(data[name])]
        look = style.series(index)
        if values.size > _MOST_MARKERS:
            look["marker"] = ""
        axes.plot(np.arange(1, values.size + 1), values, markersize=4, label=label, **look)
    axes.axhline(duality.matched_gap, color=style.BLACK, linestyle=":", linewidth=1.8,
                 label="matched gap")
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    style.rank_axis(axes, data.rows)
    axes.set_ylabel("cumulative sum [loss]")
    axes.set_xlabel(f"directions of {style.plain(duality.name)}, by descending part of the gap")
    style.legend_above(axes, 2)
    return figure


def gap_operator_table(duality: Duality) -> Table:
    """Return the cumulative parts of the gap in both bases as a table, NaN beyond their ends."""
    gap = duality.operators["gap"]
    upper = gap.eigenvalues if gap.which == "all" else gap.eigenvalues[:gap.upper]
    series = {"gap_operator": upper,
              "curvature": duality.directions.contribution}
    longest = max(values.size for values in series.values())
    columns = {name: np.full(longest, np.nan) for name in series}
    for name, values in series.items():
        columns[name][:values.size] = np.cumsum(np.sort(values)[::-1])
    return Table({"n": np.arange(1, longest + 1), **columns}, dict.fromkeys(series, "loss"))


def operators_table(duality: Duality) -> Table:
    """Return all operators' eigenvalues, their certificates and alignments as one table."""
    names = ("eigenvalues", "residuals", "value_bounds", "angle_bounds")
    spectra = duality.operators
    sizes = [spectrum.eigenvalues.size for spectrum in spectra.values()]
    return Table({"operator": np.repeat(list(spectra), sizes),
                  "n": np.concatenate([np.arange(1, size + 1) for size in sizes]),
                  **{name: np.concatenate([getattr(spectrum, name)
                                           for spectrum in spectra.values()]) for name in names},
                  **{name: np.repeat([getattr(spectrum, name) for spectrum in spectra.values()],
                                     sizes)
                     for name in ("alignment_diagonal", "alignment_commutator")}})


@style.styled
def co_spectrum(duality: Duality) -> Figure:
    """Draw the eigenvalues of curvature times dual covariance.

    No linear reparametrisation of the weights changes them.

    Parameters
    ----------
    duality
        The decomposed gap of one layer; it has a co-spectrum.
    """
    values = duality.co_spectrum
    sizes, order = np.abs(values), np.argsort(-np.abs(values), kind="stable")
    ranks = np.arange(1, values.size + 1)
    figure = style.new_figure(3.8)
    axes = figure.subplots()
    for kind, colour, marker, label in ((values[order] > 0, style.POSITIVE, "o", "positive"),
                                        (values[order] < 0, style.NEGATIVE, "v", "negative")):
        if kind.any():
            axes.plot(ranks[kind], sizes[order][kind], marker, color=colour, markersize=4,
                      label=label)
    style.log_scale(axes, sizes, decades=14)
    style.rank_axis(axes, values.size)
    axes.set_ylabel("co-spectrum $|\\mu_n|$ [loss]")
    axes.set_xlabel(rf"eigenvalue $n$ at {style.plain(duality.name)}, by descending $|\mu_n|$")
    style.legend_above(axes, 2)
    return figure


def plots(duality: Duality) -> list[Plot]:
    """List the figures of the operators that were asked for."""
    name, found = duality.name, []
    if duality.operators:
        found.append(Plot(
            "operators", name, f"Eigenvalues of operators made of the dual weights of {name}, by "
            "descending size relative to each operator's norm; below, how far their eigenvectors "
            "are those of the curvature.",
            lambda: operators(duality), lambda: operators_table(duality)))
    if "gap" in duality.operators:
        found.append(Plot(
            "gap-operator", name, f"Part of the gap at {name} in the leading eigenvectors of the "
            "gap operator and of the curvature, both summed by descending value: the most that so "
            "many directions can carry, and what the curvature's do.",
            lambda: gap_operator(duality), lambda: gap_operator_table(duality)))
    if duality.co_spectrum is not None:
        found.append(Plot(
            "co-spectrum", name, f"Eigenvalues of curvature times dual covariance at {name}, which "
            "no linear reparametrisation of the weights changes, by descending size.",
            lambda: co_spectrum(duality),
            lambda: Table({"co_spectrum": duality.co_spectrum}, {"co_spectrum": "loss"})))
    return found
