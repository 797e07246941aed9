"""The page on one result."""

from __future__ import annotations

from ..figures import Plot, result_plots
from ..reader import Duality, Result
from .markup import Html, cards, element, join, table
from .page import closing, figures, origin, page

_SYMBOL_SHARP = Html("ΔL<sub>s</sub>, sharp")
_SYMBOL_FLAT = Html("ΔL<sub>f</sub>, flat")
# Figures of a block's spectrum; a layer's block may have its name.
_OF_BLOCKS = ("spectrum", "density")
_IDENTITIES = {
    "identity_accounts": "matched gap = directions + not computed + unresolved",
    "identity_dual_norm": "squared components add up to the squared dual norm",
    "identity_products": "contribution = c σ_w σ_g + μ_w μ_g",
    "identity_activity_norm": "activity-weighted norm = root mean square dual norm",
    "identity_size": "sizes add up over the complete basis",
    "identity_sharpness": "sharpnesses add up over the complete basis",
    "identity_curvature": "eigenvalues and directions are in step",
    "identity_real_gap": "matched gap − real gap = training loss − loss of the partners"}


def result_page(result: Result) -> str:
    """Make the page on a result.

    Parameters
    ----------
    result
        The open result.

    Returns
    -------
    str
        The whole page.
    """
    plots = result_plots(result)
    sections = [("The gap", _gap(result, plots)), ("Losses", _losses(result, plots)),
                ("Spectrum", _spectra(result, plots))]
    for name, duality in result.dualities.items():
        own = [plot for plot in plots if plot.of == name and plot.kind not in _OF_BLOCKS]
        sections.append((f"Layer {name}", join([figures(own), _identities(duality)])))
    title = result.provenance.title or "A result of dualscape"
    return page(title, [result.data.source, *origin(result)], [*sections, *closing(result)])


def _named(plots: list[Plot], *kinds: str) -> Html:
    return figures(plot for plot in plots if plot.kind in kinds)


def _gap(result: Result, plots: list[Plot]) -> Html:
    if not result.dualities:
        return Html("")
    first = next(iter(result.dualities.values()))
    numbers = cards([("real gap, test − training", first.real_gap),
                     ("matched gap ΔL", first.matched_gap),
                     (join([_SYMBOL_SHARP, f", {first.name}"]), first.sharp_contribution),
                     (join([_SYMBOL_FLAT, f", {first.name}"]), first.flat_contribution)])
    headings = ("layer", "matched gap", _SYMBOL_SHARP, _SYMBOL_FLAT, "not computed", "unresolved",
                "sharp certified", "exactness", "pairs kept", "dropped")
    rows = [(name, duality.matched_gap, duality.sharp_contribution, duality.flat_contribution,
             duality.complement_contribution, duality.unresolved, duality.sharp_certified,
             duality.exactness, duality.kept_pairs, duality.dropped_pairs)
            for name, duality in result.dualities.items()]
    sizes = [(name, duality.weight_norm, duality.activity_weighted_norm, duality.second_order,
              duality.mean_field) for name, duality in result.dualities.items()]
    note = "" if len(rows) == 1 else element(
        "p", "The parts of each layer add up to the whole gap: layers are never added.")
    return join([numbers, table("The gap at each layer, in units of the loss", headings, rows,
                                True), note,
                 table("Norms of each layer, and second-order accounts",
                       ("layer", Html("|W|<sub>F</sub>"), "activity-weighted norm", "second order",
                        "mean field"), sizes, True), _named(plots, "layers")])


def _losses(result: Result, plots: list[Plot]) -> Html:
    losses = result.losses
    rows = [("training", losses.train_loss, losses.train_accuracy),
            ("test", losses.test_loss, losses.test_accuracy)]
    counts = table("Losses and accuracies at the analysed weights",
                   ("samples", "mean loss", "accuracy"), rows)
    return join([counts, _named(plots, "training")])


def _spectra(result: Result, plots: list[Plot]) -> Html:
    if not result.spectra:
        return Html("")
    rows = []
    for name, spectrum in result.spectra.items():
        values, any_pair = spectrum.eigenvalues, spectrum.eigenvalues.size > 0
        rows.append((name, spectrum.operator, spectrum.which,
                     f"{spectrum.converged} of {spectrum.requested}",
                     float(values[0]) if any_pair else None,
                     float(values[-1]) if any_pair else None,
                     float(spectrum.residuals.max()) if any_pair else None,
                     float(spectrum.value_bounds.max()) if any_pair else None,
                     spectrum.matvecs, spectrum.seconds, spectrum.reason))
    return join([table("Eigenpairs of each block of weights", (
        "block", "matrix", "end", "eigenpairs", "largest", "smallest", "worst residual",
        "worst bound", "products", "seconds", "the solver ended"), rows, True),
        _named(plots, *_OF_BLOCKS)])


def _identities(duality: Duality) -> Html:
    rows = [(text, getattr(duality, name)) for name, text in _IDENTITIES.items()
            if getattr(duality, name) is not None]
    return table(f"Identities at {duality.name}: their defects are rounding when all is well",
                 ("identity", "relative defect"), rows)
