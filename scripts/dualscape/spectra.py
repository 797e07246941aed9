"""The parts of a result file that hold eigenpairs; inputs/FORMAT.md describes their layout.

Letters of shapes: M size of a block of weights, m eigenpairs, v random vectors, s Lanczos steps, g
points of a grid, t eigenvalues of the tangent kernel.
"""

from __future__ import annotations

from functools import cached_property

import h5py

from .node import Array, Node
from .node import array_property as _array
from .node import attribute_property as _attribute


class Density(Node):
    """Density of the eigenvalues by stochastic Lanczos quadrature; it integrates to 1."""

    grid = _array("grid", "Eigenvalues, even in asinh(grid / linear_scale), (g) [loss/weight^2].")
    density = _array("density", "Share of the eigenvalues per unit there, (g) [weight^2/loss].")
    error = _array("error", "Its error over the random vectors, (g) [weight^2/loss].")
    nodes = _array("nodes", "Nodes of each random vector, (v, s) [loss/weight^2].")
    weights = _array("weights", "Weights of the nodes, each row's sum 1 - pairs / M, (v, s).")
    trace = _attribute("trace", "Trace from pairs and nodes [loss/weight^2].")
    trace_error = _attribute("trace_error", "Its error, 68 % [loss/weight^2].")
    frobenius = _attribute("frobenius", "Frobenius norm from pairs and nodes [loss/weight^2].")
    frobenius_error = _attribute("frobenius_error", "Its error, 68 % [loss/weight^2].")
    pairs = _attribute("pairs", "Computed eigenvalues, which are counted apart.")
    width = _attribute("width", "Width of a node's peak relative to its size.")
    linear_scale = _attribute("linear_scale", "Size below which peaks are equally wide.")
    matvecs = _attribute("matvecs", "Products of the matrix with a vector.")

    def _describe(self) -> str:
        vectors, steps = self.member("nodes").shape
        return f"{vectors} random vectors, {steps} steps"


class TangentKernel(Node):
    """Largest eigenvalues of the neural tangent kernel J J^T, J the Jacobian of the logits."""

    eigenvalues = _array("eigenvalues", "Squares of the singular values, (t) [1/weight^2].")
    value_bounds = _array("value_bounds", "Bounds on their errors, (t) [1/weight^2].")
    singular_values = _array("singular_values", "Of J, descending, (t) [1/weight].")
    singular_value_bounds = _array("singular_value_bounds", "Bounds on theirs, (t) [1/weight].")
    right_residuals = _array("right_residuals", "|J v - s u|, (t) [1/weight].")
    left_residuals = _array("left_residuals", "|J^T u - s v|, (t) [1/weight].")
    requested = _attribute("requested", "Eigenvalues asked for.")
    converged = _attribute("converged", "Eigenvalues found to the tolerance.")
    reason = _attribute("reason", "Why the solver ended.")
    matvecs = _attribute("matvecs", "Products of J or its transpose with a vector.")
    check_matvecs = _attribute("check_matvecs", "Of these, those that sought missed copies.")
    seconds = _attribute("seconds", "Wall-clock time [s].")

    def _describe(self) -> str:
        return f"{self.converged} of {self.requested} eigenvalues"


class Spectrum(Node):
    """Eigenpairs of a curvature matrix in one block of weights, with what certifies them."""

    eigenvalues = _array("eigenvalues", "Eigenvalues, descending, (m) [loss/weight^2].")
    residuals = _array("residuals", "|H v - theta v| of each pair, or a bound on it, (m) [loss/weight^2].")
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
    matvecs_single = _attribute("matvecs_single", "Of all, those in single precision.")
    matvecs_double = _attribute("matvecs_double", "Of all, those in double precision.")
    second_matvecs = _attribute("second_matvecs", "Of these, those of the second start's solve.")
    samples_pruned = _attribute("samples_pruned", "Samples left out of the solve.", True)
    prune_bound = _attribute("prune_bound", "Bound on the norm of what they add.", True)
    matvecs_pruned = _attribute("matvecs_pruned", "Products with the remaining samples.", True)
    matrix_distance = _attribute("matrix_distance", "Bound on |H - A| for the assembled matrix A.", True)
    matrix_probes = _attribute("matrix_probes", "Products of that bound.", True)
    upper = _attribute("upper", "Pairs of the upper end; they come first.")
    cluster_cut = _attribute("cluster_cut", "Whether a cluster goes on beyond the pairs.")
    rest_below = _attribute("rest_below", "Eigenvalues after the upper end's are below this.", True)
    rest_above = _attribute("rest_above", "Eigenvalues next to the lower end's are above this.", True)
    seconds = _attribute("seconds", "Wall-clock time of the solution [s].")
    planned_bytes = _attribute("planned_bytes", "Memory planned, on the rank with the most [byte].")
    peak_bytes = _attribute("peak_bytes", "Largest peak of a rank's whole process [byte].")
    orthogonality_defect = _attribute("orthogonality_defect", "Largest entry of |V^T V - I|.")
    symmetry_defect = _attribute("symmetry_defect", "|<u, H v> - <v, H u>| / |H|, the largest over the vectors that told.")
    norm_estimate = _attribute("norm_estimate", "|H|, which tolerances are relative to.")
    trace = _attribute("trace", "Trace by Hutch++ [loss/weight^2].", True)
    trace_error = _attribute("trace_error", "Its error; 0: exact.", True)
    frobenius = _attribute("frobenius", "Frobenius norm [loss/weight^2].", True)
    frobenius_error = _attribute("frobenius_error", "Its error; 0: exact.", True)
    trace_matvecs = _attribute("trace_matvecs", "Products for trace and norm.", True)
    diagonal_exact = _attribute("diagonal_exact", "Whether the diagonal is no estimate.", True)
    diagonal_matvecs = _attribute("diagonal_matvecs", "Products for the diagonal.", True)

    @cached_property
    def diagonal(self) -> Array | None:
        """Diagonal of the matrix, (M) [loss/weight^2]; None when not computed."""
        return self.array("diagonal") if "diagonal" in self else None

    @cached_property
    def diagonal_error(self) -> Array | None:
        """Standard errors of the diagonal, (M), 0 where it is exact; None when not computed."""
        return self.array("diagonal_error") if "diagonal_error" in self else None

    @cached_property
    def density(self) -> Density | None:
        """Density of the eigenvalues; None when not computed."""
        return Density(self.member("density")) if "density" in self else None

    @cached_property
    def ntk(self) -> TangentKernel | None:
        """Spectrum of the neural tangent kernel; None when not computed."""
        return TangentKernel(self.member("ntk")) if "ntk" in self else None

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
