"""All figures that a file has the data for, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import style
from ..reader import Result
from ..study import Study
from . import (accounts, cluster_sums, densities, directions, eigenpairs, history,
               order_accounts, prediction_changes, two_determinants, weight_space)
from .plot import Plot
from .studies import study_plots


class UnknownFigure(ValueError):
    """A figure that a file does not have; the message lists those there are."""


def all_plots(file: Result | Study) -> list[Plot]:
    """List the figures a result or a study has the data for.

    Parameters
    ----------
    file
        The open file.
    """
    return study_plots(file) if isinstance(file, Study) else result_plots(file)


def result_plots(result: Result) -> list[Plot]:
    """List the figures a result has the data for.

    Parameters
    ----------
    result
        The open result.
    """
    plots = [] if result.training is None else history.plots(result.training)
    for spectrum in result.spectra.values():
        plots += eigenpairs.plots(spectrum) + densities.plots(spectrum)
    labels = result.data.classes
    plots += accounts.plots_of_layers(result.dualities)
    for duality in result.dualities.values():
        plots += directions.plots(duality) + two_determinants.plots(duality)
        plots += accounts.plots(duality, labels) + cluster_sums.plots(duality)
        plots += order_accounts.plots(duality) + weight_space.plots(duality)
        plots += prediction_changes.plots(duality, labels)
    return plots


def save(plots: Iterable[Plot], folder: Path, suffix: str = "png",
         data: bool = False) -> list[Path]:
    """Save figures, and where asked for the data that they show.

    Parameters
    ----------
    plots
        The figures.
    folder
        Where the files go; made when it is not there.
    suffix
        Format of the files: png, pdf or svg.
    data
        Whether to write a CSV file beside each.

    Returns
    -------
    list[Path]
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for plot in plots:
        paths.append(folder / f"{plot.name}.{suffix}")
        plot.draw().savefig(paths[-1], dpi=style.DPI)
        if data:
            paths.append(plot.data().save_csv(folder / f"{plot.name}.csv"))
    return paths


def save_all(file: Result | Study, folder: Path, suffix: str = "png",
             only: Sequence[str] | None = None, data: bool = False) -> list[Path]:
    """Save every figure the file has data for.

    Parameters
    ----------
    file
        The open result or study.
    folder
        Where the files go; made when it is not there.
    suffix
        Format of the files: png, pdf or svg.
    only
        Names of the figures wanted, whole (`contributions-dense2`) or their beginning
        (`contributions`); all by default.
    data
        Whether to write a CSV file beside each.

    Returns
    -------
    list[Path]
        The files written.
    """
    return save(chosen(all_plots(file), only), folder, suffix, data)


def chosen(plots: Sequence[Plot], only: Sequence[str] | None) -> list[Plot]:
    """Choose figures by name.

    Parameters
    ----------
    plots
        The figures there are.
    only
        Names wanted, whole or their beginning; None for all.

    Raises
    ------
    UnknownFigure
        If there is no figure of a name.
    """
    for name in only or ():
        if not any(name in (plot.name, plot.kind) for plot in plots):
            names = ", ".join(plot.name for plot in plots) or "none"
            raise UnknownFigure(f"there is no figure '{name}' of this file; it has: {names}")
    return [plot for plot in plots if not only or plot.name in only or plot.kind in only]
