"""The figure of the training."""

from __future__ import annotations

from matplotlib.figure import Figure

from .. import style
from ..reader import History
from ..table import Table
from .plot import Plot


@style.styled
def training(history: History) -> Figure:
    """Draw loss and accuracy over the epochs.

    Parameters
    ----------
    history
        The course of the training.
    """
    figure = style.new_figure(5.2)
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    marker = "o" if history.epoch.size <= 30 else ""
    for axes, of_training, of_test in ((loss, history.loss, history.test_loss),
                                       (accuracy, history.accuracy, history.test_accuracy)):
        axes.plot(history.epoch, of_training, color=style.TRAINING, marker=marker,
                  label="training")
        axes.plot(history.epoch, of_test, color=style.TEST, marker=marker, linestyle="--",
                  label="test")
    style.log_scale(loss, history.loss, history.test_loss)
    style.integer_axis(accuracy)
    loss.set_ylabel("mean loss")
    accuracy.set_ylabel("accuracy")
    accuracy.set_xlabel("epoch")
    style.legend_above(loss, 2)
    return figure


def plots(history: History) -> list[Plot]:
    """List the figures of a training."""
    return [Plot("training", "", "Mean loss and accuracy over the epochs of the training, for the "
                             "training samples (solid) and the test samples (dashed).",
                 lambda: training(history), lambda: _table(history))]


def _table(history: History) -> Table:
    return Table({"epoch": history.epoch, "loss": history.loss, "test_loss": history.test_loss,
                  "accuracy": history.accuracy, "test_accuracy": history.test_accuracy},
                 {"loss": "loss", "test_loss": "loss"})
