"""The main numbers of a result as a text of one screen."""

from __future__ import annotations

import numpy as np

from .files import File
from .groups import Statistics
from .node import Array
from .reader import Duality, Result, Spectrum
from .study import Study


def summarise(result: Result) -> str:
    """Sum up a result.

    Parameters
    ----------
    result
        The open result.

    Returns
    -------
    str
        Lines of text, the last one without its end.
    """
    lines = [*_heading(result), *_losses(result)]
    for spectrum in result.spectra.values():
        lines += _spectrum(spectrum)
    for duality in result.dualities.values():
        lines += _duality(duality)
    return "\n".join(lines)


def summarise_study(study: Study) -> str:
    """Sum up a study: its runs by status, and for each point the gap over the repeats.

    Parameters
    ----------
    study
        The open study.

    Returns
    -------
    str
        Lines of text, the last one without its end.
    """
    counts = ", ".join(f"{count} {status}" for status, count in study.status_counts.items())
    lines = [*_origin(study), f"  {study.done.size} runs: {counts}"]
    groups = study.groups()
    for layer in study.layers:
        parts = [groups.statistics(study.scalar(f"duality/{layer}/{name}"))
                 for name in ("matched_gap", "sharp_contribution", "flat_contribution")]
        lines.append(f"gap at {layer}: mean +- standard error over the done runs of each point")
        lines.append("  " + "".join(f"{name:<22}" for name in
                                    ("matched gap", "sharp", "flat", "done/runs")) + "point")
        for group in range(len(groups)):
            cells = [_mean(part, group) for part in parts]
            cells.append(f"{groups.done[group]}/{groups.done[group] + groups.left_out[group]}")
            point = ", ".join(f"{key} = {values[group]}" for key, values in groups.values.items())
            lines.append("  " + "".join(f"{cell:<22}" for cell in cells)
                         + (point or "all"))
    return "\n".join(lines + _failures(study))


def _mean(statistics: Statistics, group: int) -> str:
    if statistics.count[group] == 0:
        return "-"
    error = f"{statistics.error[group]:.2g}" if statistics.count[group] > 1 else "-"
    return f"{statistics.mean[group]:.5g} +- {error}"


def _failures(study: Study) -> list[str]:
    failed = study.runs.select(~study.done)
    return [f"{folder}: {status}{': ' if reason else ''}{reason}"
            for folder, status, reason in zip(failed["folder"], failed["status"],
                                              failed["reason"])]


def _heading(result: Result) -> list[str]:
    layers = " -> ".join(_sizes(result))
    return [*_origin(result),
            f"  {result.data.source}",
            f"  {result.data.train_index.size} training and {result.data.test_index.size} test "
            f"samples; {layers}"]


def _origin(file: File) -> list[str]:
    origin = file.provenance
    commit = origin.git_commit[:12] + (", with changes" if origin.git_dirty else "")
    return [f"{origin.title}  ({file.path})",
            f"  {origin.date}, dualscape {origin.code_version} ({commit}), "
            f"ranks {origin.ranks}, seed {origin.seed}"]


def _sizes(result: Result) -> list[str]:
    return [f"{name} ({' x '.join(map(str, layer.weight.shape))})"
            for name, layer in result.model.items()]


def _losses(result: Result) -> list[str]:
    losses = result.losses
    epochs = "" if result.training is None else f" after {result.training.epoch[-1]} epochs"
    rows = [("training", losses.train_loss, losses.train_accuracy),
            ("test", losses.test_loss, losses.test_accuracy)]
    return [f"losses{epochs}", *(f"  {name:<34}{loss:12.6g}   accuracy {100 * accuracy:.2f} %"
                                 for name, loss, accuracy in rows)]


def _spectrum(spectrum: Spectrum) -> list[str]:
    values = spectrum.eigenvalues
    lines = [f"spectrum of {spectrum.name}: {spectrum.operator}, {spectrum.which}, "
             f"{spectrum.converged} of {spectrum.requested} eigenpairs"]
    if values.size:
        uncertain = np.count_nonzero(np.abs(values) <= spectrum.value_bounds)
        clustered = np.count_nonzero(np.bincount(spectrum.clusters)[spectrum.clusters] > 1)
        negative = np.count_nonzero(values < -spectrum.value_bounds)
        residual = _relative(spectrum.residuals, spectrum)
        bound = _relative(spectrum.value_bounds, spectrum)
        lines += [f"  largest {values[0]:.6g}, smallest {values[-1]:.6g}; {negative} negative, "
                  f"{uncertain} zero within their bounds, {clustered} in clusters",
                  f"  worst residual {residual:.1e} |H|, value bound {bound:.1e} |H|, "
                  f"angle bound {spectrum.angle_bounds.max():.1e}"]
    return lines + _estimates(spectrum)


def _estimates(spectrum: Spectrum) -> list[str]:
    lines = []
    for holder, how in ((spectrum, "Hutch++"), (spectrum.density, "density")):
        if holder is not None and holder.trace is not None:
            lines.append(f"  trace {holder.trace:.6g} +- {holder.trace_error:.1e}, |H|_F "
                         f"{holder.frobenius:.6g} +- {holder.frobenius_error:.1e} ({how})")
    if spectrum.ntk is not None and spectrum.ntk.eigenvalues.size:
        kernel = spectrum.ntk.eigenvalues
        lines.append(f"  tangent kernel: {kernel.size} eigenvalues from {kernel[0]:.6g} to "
                     f"{kernel[-1]:.6g}")
    return lines


def _relative(values: Array, spectrum: Spectrum) -> float:
    scale = spectrum.norm_estimate
    return float(values.max() / scale) if scale > 0 else 0.0


def _duality(duality: Duality) -> list[str]:
    matched, complement = duality.matched_gap, duality.complement_contribution
    sharp = min(duality.sharp, duality.directions.contribution.size)
    certified = "certified" if duality.sharp_certified else "not certified"
    rows = [("real gap, test - training", duality.real_gap),
            ("matched gap, over the pairs", matched),
            ("directions + complement", duality.total_contribution + complement),
            (f"  sharp, first {sharp} ({certified})", duality.sharp_contribution),
            ("  flat, all the others", duality.flat_contribution),
            ("    of which not computed", complement)]
    return [f"gap at {duality.name}: {duality.pairing}, anchor {duality.anchor}; "
            f"{duality.kept_pairs} pairs kept, {duality.dropped_pairs} dropped, "
            f"{duality.zero_duals} zero duals",
            *(f"  {label:<34}{value:12.6g}{_share(value, matched)}" for label, value in rows),
            f"  accounts close to {_defect(duality.identity_accounts)}, "
            f"duality exact to {_defect(duality.exactness)}",
            f"  |W| {duality.weight_norm:.5g}, "
            f"rms dual norm {duality.activity_weighted_norm:.5g}; "
            f"second order {duality.second_order:.3g}, mean field {duality.mean_field:.3g}"]


def _defect(value: float | None) -> str:
    return "(not in the file)" if value is None else f"{value:.1e}"


def _share(value: float, whole: float) -> str:
    return f"   {100 * value / whole:6.1f} %" if whole else ""
