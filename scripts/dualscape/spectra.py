"""The parts of a result file that hold eigenpairs; inputs/FORMAT.md describes their layout.

Letters of shapes: M size of a block of weights, m eigenpairs.
"""

from __future__ import annotations

import h5py

from .node import Node
from .node import array_property as _array
from .node import attribute_property as _attribute


class Spectrum(Node):
    """Eigenpairs of a curvature matrix in one block of weights, with what certifies them."""

    eigenvalues = _array("eigenvalues", "Eigenvalues, descending, (m) [loss/weight^2].")
    residuals = _array("residuals", "|H v - theta v| of each pair, (m) [loss/weight^2].")
    value_bounds = _array("value_bounds", "Bounds on the values' errors, (m) [loss/weight^2].")
    angle_bounds = _array("angle_bounds", "Bounds on the sines of the vectors' errors, (m).")
    clusters = _array("clusters", "Cluster of each pair: only sums over one mean something, (m).")
    operator = _attribute("operator", "The matrix, 'hessian' for instance.")
    which = _attribute("which", "The end of the spectrum asked for.")
    requested = _attribute("requested", "Eigenpairs asked for.")
    converged = _attribute("converged", "Eigenpairs found to the tolerance.")
    reason = _attribute("reason", "Why the solver ended.")
    matvecs = _attribute("matvecs", "Products of the matrix with a vector.")
    check_matvecs = _attribute("check_matvecs", "Of these, those that sought missed copies.")
    upper = _attribute("upper", "Pairs of the upper end; they come first.")
    cluster_cut = _attribute("cluster_cut", "Whether a cluster goes on beyond the pairs.")
    seconds = _attribute("seconds", "Wall-clock time of the solution [s].")
    orthogonality_defect = _attribute("orthogonality_defect", "Largest entry of |V^T V - I|.")
    symmetry_defect = _attribute("symmetry_defect", "|<u, H v> - <v, H u>| / |H|, u and v random.")
    norm_estimate = _attribute("norm_estimate", "|H|, which tolerances are relative to.")

    @property
    def eigenvectors(self) -> h5py.Dataset | None:
        """Eigenvectors as rows, (m, M), unread: slice what is needed; None when not stored."""
        return self.member("eigenvectors") if "eigenvectors" in self else None

    def _describe(self) -> str:
        return (f"{self.converged} of {self.requested} eigenpairs of the {self.operator}, "
                f"{self.which}")


class OperatorSpectrum(Spectrum):
    """Extreme eigenpairs of an operator made of the dual weights, with what certifies them."""

    alignment_commutator = _attribute("alignment_commutator",
                                      "Commutator with the curvature: 0, alike, to sqrt 2.")
    alignment_diagonal = _attribute("alignment_diagonal",
                                    "Share on the diagonal in the curvature's basis: 1, alike.")

    def _describe(self) -> str:
        return f"{self.converged} of {self.requested} eigenpairs, {self.which}"
