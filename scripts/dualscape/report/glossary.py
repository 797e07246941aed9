"""The symbols of the pages, explained."""

from __future__ import annotations

from .markup import Html, element

# Markup, not texts: the symbols have subscripts.
_ENTRIES = (
    ("Δl<sub>k</sub>", "loss gap of pair k: loss of a test sample less that of its training "
     "partner"),
    ("ΔL, matched gap", "mean of Δl<sub>k</sub> over the kept pairs; it equals the contributions "
     "of the directions, the part not computed and the unresolved part, added"),
    ("real gap", "mean test loss less mean training loss"),
    ("ΔL<sub>s</sub>, ΔL<sub>f</sub>", "sharp part: the contributions of the sharp directions; "
     "flat part: those of all others, what was not computed included"),
    ("ΔW<sub>k</sub>", "dual weight change of pair k: added to the layer's weight it gives the "
     "training partner the loss of the test sample, exactly"),
    ("g<sub>k</sub>", "secant gradient (Δl<sub>k</sub>/|ΔW<sub>k</sub>|²) ΔW<sub>k</sub>, whose "
     "product with ΔW<sub>k</sub> is Δl<sub>k</sub>"),
    ("λ<sub>n</sub>, v<sub>n</sub>", "eigenvalue and eigenvector of the curvature of the training "
     "loss; the directions n"),
    ("w<sub>kn</sub>, g<sub>kn</sub>", "components of ΔW<sub>k</sub> and g<sub>k</sub> along "
     "v<sub>n</sub>"),
    ("σ<sub>g,n</sub>, sharpness", "standard deviation of g<sub>kn</sub> over the pairs"),
    ("σ<sub>w,n</sub>, size", "standard deviation of w<sub>kn</sub> over the pairs"),
    ("S<sub>w,n</sub>", "cumulative sum of the sizes by descending sharpness"),
    ("c<sub>n</sub>", "correlation of w<sub>kn</sub> and g<sub>kn</sub> over the pairs"),
    ("μ<sub>w,n</sub>, μ<sub>g,n</sub>", "means of w<sub>kn</sub> and g<sub>kn</sub>"),
    ("ΔL<sub>n</sub>, contribution", "c<sub>n</sub> σ<sub>w,n</sub> σ<sub>g,n</sub> + "
     "μ<sub>w,n</sub> μ<sub>g,n</sub>, the direction's part of the matched gap; “without the mean "
     "term” leaves μ<sub>w,n</sub> μ<sub>g,n</sub> out"),
    ("not computed, complement", "what lies outside the computed directions, computed on its own"),
    ("unresolved", "part of the gap of pairs whose dual weight change is zero to rounding"),
    ("certified", "whether no direction outside the computed ones can belong to the sharp ones"),
    ("exactness", "largest difference between the loss of a test sample and that of its partner "
     "with the dual weight: rounding when all is well"),
    ("residual, bounds", "|H v − θ v| of each eigenpair from a fresh product (a bound on it where all "
     "pairs were asked for), and what follows for the errors of value and vector"),
    ("|W|<sub>F</sub>", "Frobenius norm of the layer's weight"),
    ("activity-weighted norm", "root mean square of |ΔW<sub>k</sub>|"),
    ("second order, mean field", "second-order accounts of the gap, with each partner's own "
     "curvature and with the mean one; no approximations of the gap in a fitted network"),
    ("gap operator", "mean of Δl<sub>k</sub> e<sub>k</sub> e<sub>k</sub>ᵀ with e<sub>k</sub> = "
     "ΔW<sub>k</sub>/|ΔW<sub>k</sub>|; a direction's contribution is its Rayleigh quotient"),
    ("co-spectrum", "eigenvalues of curvature times dual covariance, which no linear "
     "reparametrisation of the weights changes"),
    ("interval", "95 % percentile bootstrap interval over the pairs"),
    ("deviation, error", "over the repeats of a point: standard deviation of one run, and standard "
     "error of the mean"),
)


def glossary() -> Html:
    """Make the list of symbols."""
    terms = [part for term, text in _ENTRIES
             for part in (element("dt", Html(term)), element("dd", Html(text)))]
    return element("dl", *terms, class_="glossary")
