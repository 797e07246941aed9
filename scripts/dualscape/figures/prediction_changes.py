"""Figures of the pairs whose prediction changes from the training to the test sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from .. import style
from ..node import Array
from ..reader import Duality
from ..table import Table
from .plot import Plot

_MOST_WRITTEN = 12


@style.styled
def confusion(duality: Duality, labels: Sequence[int]) -> Figure:
    """Draw how many pairs go from one prediction to another.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    labels
        The classes' labels.
    """
    counts = duality.classes.confusion
    changed = counts - np.diag(np.diag(counts))
    figure = style.new_figure(5.6)
    axes = figure.subplots()
    top = max(float(changed.max(initial=0)), 1.0)
    _draw_map(axes, changed, labels, "Blues", Normalize(0, top), "pairs whose prediction changes")
    _write_cells(axes, changed, top, "{:d}")
    _write_diagonal(axes, np.diag(counts), "{:d}")
    return figure


@style.styled
def confusion_gap(duality: Duality, labels: Sequence[int]) -> Figure:
    """Draw the part of the gap of the pairs that go from one prediction to another.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    labels
        The classes' labels.
    """
    gaps = duality.classes.confusion_gap
    changed = gaps - np.diag(np.diag(gaps))
    top = float(np.abs(changed).max(initial=0)) or 1.0
    figure = style.new_figure(5.6)
    axes = figure.subplots()
    _draw_map(axes, changed, labels, "PuOr_r", TwoSlopeNorm(0, -top, top),
              "part of the matched gap [loss]")
    _write_cells(axes, changed, top, "{:.1g}")
    _write_diagonal(axes, np.diag(gaps), "{:.1g}")
    return figure


def table(duality: Duality, labels: Sequence[int]) -> Table:
    """Return the pairs and the part of the gap of every two predictions as a table."""
    size = len(labels)
    return Table({"training_prediction": np.repeat(labels, size),
                  "test_prediction": np.tile(labels, size),
                  "pairs": duality.classes.confusion.ravel(),
                  "gap": duality.classes.confusion_gap.ravel()}, {"gap": "loss"})


def _draw_map(axes: Axes, values: Array, labels: Sequence[int], colours: str, scale: Normalize,
              label: str) -> None:
    image = axes.imshow(values, cmap=colours, norm=scale)
    axes.figure.colorbar(image, ax=axes, label=label)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(False)
    if len(labels) <= 2 * _MOST_WRITTEN:
        positions = range(len(labels))
        axes.set_xticks(positions, [str(label) for label in labels])
        axes.set_yticks(positions, [str(label) for label in labels])
    axes.set_xlabel("prediction for the test sample")
    axes.set_ylabel("prediction for its training partner")


def _write_cells(axes: Axes, values: Array, top: float, form: str) -> None:
    if values.shape[0] > _MOST_WRITTEN:
        return
    for row, column in zip(*np.nonzero(values)):
        value = values[row, column]
        axes.text(column, row, form.format(value), ha="center", va="center", fontsize=9.5,
                  color="white" if abs(value) > 0.6 * top else style.BLACK)


def _write_diagonal(axes: Axes, values: Array, form: str) -> None:
    """Write what stays the same in grey: its colour would hide all the others'."""
    if values.size > _MOST_WRITTEN:
        return
    for position, value in enumerate(values):
        axes.text(position, position, form.format(value), ha="center", va="center", fontsize=9.5,
                  color=style.GREY, style="italic")


def plots(duality: Duality, labels: Array) -> list[Plot]:
    """List the figures of a layer's confusion."""
    if "classes" not in duality:
        return []
    names, of_classes = labels.tolist(), duality.classes
    changed = int(of_classes.confusion.sum() - np.trace(of_classes.confusion))
    what = (f"of the {int(of_classes.confusion.sum())} pairs at {duality.name}, {changed} of which "
            "change their prediction, by the prediction for the training partner (row) and the "
            "test sample (column); the diagonal, no change, is written in grey.")
    return [Plot("confusion", duality.name, f"Number {what}",
                 lambda: confusion(duality, names), lambda: table(duality, names)),
            Plot("confusion-gap", duality.name, f"Part of the matched gap {what}",
                 lambda: confusion_gap(duality, names), lambda: table(duality, names))]
