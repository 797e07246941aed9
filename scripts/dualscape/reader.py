"""The reader of result files; inputs/FORMAT.md describes their layout.

Letters of shapes: N training samples, T test samples, K pairs, E evaluations, M size of a block of
weights, m eigenpairs or directions, q clusters of them, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import h5py
import numpy as np

from .node import Array, Node, ResultError
from .node import array_property as _array
from .node import attribute_property as _attribute

FILETYPE = "dualscape-result"
MAJOR_VERSION = 1


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from."""

    title: str
    code_version: str
    git_commit: str
    git_dirty: bool
    library_versions: list[str]
    ranks: int
    threads: int
    seed: int
    date: str
    host: str
    command_line: str


@dataclass(frozen=True)
class Losses:
    """Losses and accuracies at the analysed weights; `gap` is `test_loss` - `train_loss`."""

    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    gap: float


Values = TypeVar("Values", Provenance, Losses)


def _from_attributes(kind: type[Values], node: Node) -> Values:
    return kind(**{field.name: node.attribute(field.name) for field in fields(kind)})


class DataSelection(Node):
    """Which samples of the source were used."""

    source = _attribute("source", "Where the samples came from.")
    classes = _attribute("classes", "The classes' labels in the source.")
    train_index = _array("train_index", "Positions of the training samples in the source, (N).")
    test_index = _array("test_index", "Positions of the test samples in the source, (T).")
    label_correct = _array("label_correct", "Whether a training sample has its own label, (N).")


class Layer(Node):
    """The analysed weights of one layer."""

    weight = _array("weight", "W of z = W a + b, (out, in).")

    @cached_property
    def bias(self) -> Array | None:
        """b of z = W a + b, (out); None for a layer without one."""
        return self.array("bias") if "bias" in self else None

    def _describe(self) -> str:
        shape = " x ".join(str(size) for size in self.member("weight").shape)
        return shape + (" + bias" if "bias" in self else "")


class History(Node):
    """The course of the training, one entry an evaluation, (E) each."""

    epoch = _array("epoch", "Epochs done at the evaluation.")
    loss = _array("loss", "Mean loss over the training samples.")
    accuracy = _array("accuracy", "Share of the training samples classified as labelled.")
    test_loss = _array("test_loss", "Mean loss over the test samples.")
    test_accuracy = _array("test_accuracy", "Share of the test samples classified as labelled.")

    def _describe(self) -> str:
        return f"{self.member('epoch').shape[0]} evaluations"


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


class Directions(Node):
    """The decomposition along the eigenvectors, in the order of the eigenvalues, (m) each."""

    eigenvalue = _array("eigenvalue", "Eigenvalues [loss/weight^2].")
    mean_w = _array("mean_w", "Means of the dual weights' components [weight].")
    mean_g = _array("mean_g", "Means of the secant gradients' components [loss/weight].")
    sigma_w = _array("sigma_w", "Sizes: standard deviations of the dual weights [weight].")
    sigma_g = _array("sigma_g", "Sharpnesses: standard deviations of the secants [loss/weight].")
    correlation = _array("correlation", "Correlations of the two components.")
    contribution = _array("contribution", "Contributions to the matched gap [loss].")
    contribution_bound = _array("contribution_bound",
                                "Errors the eigenvectors' bounds leave [loss].")
    order_by_sigma_g = _array("order_by_sigma_g", "Positions by descending sharpness.")
    sharp = _array("sharp", "Whether a direction belongs to the sharp part.")

    def _describe(self) -> str:
        return str(self.member("contribution").shape[0])


class Pairs(Node):
    """The pairs of a test sample and its training partner, (K) each."""

    test_index = _array("test_index", "Positions among the selected test samples.")
    train_index = _array("train_index", "Positions among all selected training samples.")
    distance = _array("distance", "Distances the pairing minimised [input].")
    loss_gap = _array("loss_gap", "Loss of the test sample - loss of its partner [loss].")
    dual_norm = _array("dual_norm", "Sizes of the dual weight changes [weight].")

    def _describe(self) -> str:
        return str(self.member("loss_gap").shape[0])


class Clusters(Node):
    """Sums over the directions of each cluster of eigenvalues, (q) each."""

    size = _array("size", "Directions of the cluster.")
    eigenvalue = _array("eigenvalue", "Mean eigenvalues [loss/weight^2].")
    contribution = _array("contribution", "Contributions to the matched gap [loss].")
    sigma_w_squared = _array("sigma_w_squared", "Sums of sigma_w^2 [weight^2].")
    sigma_g_squared = _array("sigma_g_squared", "Sums of sigma_g^2 [loss^2/weight^2].")
    mean_square_w = _array("mean_square_w", "Sums of sigma_w^2 + mean_w^2 [weight^2].")
    mean_square_g = _array("mean_square_g", "Sums of sigma_g^2 + mean_g^2 [loss^2/weight^2].")

    def _describe(self) -> str:
        return str(self.member("size").shape[0])


class Parts(Node):
    """The matched gap and its parts."""

    matched_gap = _array("matched_gap", "The matched gap [loss].")
    total = _array("total", "What the computed directions carry [loss].")
    complement = _array("complement", "What lies outside them [loss].")
    sharp = _array("sharp", "What the sharp directions carry [loss].")
    flat = _array("flat", "The other directions and the complement [loss].")
    unresolved = _array("unresolved", "Pairs without a dual change [loss].")


class Classes(Parts):
    """The parts of the gap by class, (C) each; they add up to the totals."""

    pairs = _array("pairs", "Kept pairs of the class.")
    confusion = _array("confusion",
                       "Pairs by predictions, (C, C): training sample's row, test sample's column.")
    confusion_gap = _array("confusion_gap", "Their part of the matched gap, (C, C) [loss].")

    def _describe(self) -> str:
        return str(self.member("pairs").shape[0])


class Intervals(Parts):
    """95 % bootstrap intervals of the parts of the gap, (2) each: low, high."""

    resamples = _attribute("resamples", "Resamples drawn.")

    def _describe(self) -> str:
        return f"{self.resamples} resamples"


class Duality(Node):
    """The generalization gap through the activity-weight duality at one layer."""

    pairing = _attribute("pairing", "How partners were chosen.")
    anchor = _attribute("anchor", "The set whose samples each have their pairs.")
    neighbours = _attribute("neighbours", "Pairs of each of these samples.")
    sharp = _attribute("sharp", "Directions that make the sharp part.")
    sharp_by = _attribute("sharp_by", "How they are chosen.")
    sharp_cuts_cluster = _attribute("sharp_cuts_cluster", "Whether a cluster is sharp in part.")
    matched_gap = _attribute("matched_gap", "Mean loss gap of the pairs [loss].")
    real_gap = _attribute("real_gap", "Test loss - training loss [loss].")
    mean_abs_loss_gap = _attribute("mean_abs_loss_gap", "Mean size of the pairs' loss gap [loss].")
    partner_loss = _attribute("partner_loss", "Mean loss of the partners [loss].")
    total_contribution = _attribute("total_contribution", "Sum over the directions [loss].")
    complement_contribution = _attribute("complement_contribution",
                                         "What lies outside the directions [loss].")
    sharp_contribution = _attribute("sharp_contribution", "Part of the sharp directions [loss].")
    flat_contribution = _attribute("flat_contribution", "The others and the complement [loss].")
    total_contribution_without_means = _attribute(
        "total_contribution_without_means", "total_contribution without mean terms [loss].")
    complement_contribution_without_means = _attribute(
        "complement_contribution_without_means",
        "complement_contribution without mean terms [loss].")
    sharp_contribution_without_means = _attribute(
        "sharp_contribution_without_means", "sharp_contribution without mean terms [loss].")
    flat_contribution_without_means = _attribute(
        "flat_contribution_without_means", "flat_contribution without mean terms [loss].")
    sharp_certified = _attribute("sharp_certified",
                                 "Whether no uncomputed direction can belong to the sharp ones.")
    unresolved = _attribute("unresolved", "Part of the gap of pairs without a dual change [loss].")
    zero_duals = _attribute("zero_duals", "Kept pairs whose dual change is zero.")
    dropped_pairs = _attribute("dropped_pairs", "Pairs that have no dual, in no mean.")
    kept_pairs = _attribute("kept_pairs", "Pairs all means are taken over.")
    exactness = _attribute("exactness", "Largest |loss(x', W) - loss(x, W*)| of the pairs [loss].")
    weight_norm = _attribute("weight_norm", "Frobenius norm of the layer's weight [weight].")
    activity_weighted_norm = _attribute("activity_weighted_norm",
                                        "Root mean square of the pairs' dual norms [weight].")
    second_order = _attribute("second_order", "Second-order term at the partner [loss].")
    mean_field = _attribute("mean_field", "Second-order term with the mean Hessian [loss].")
    identity_accounts = _attribute("identity_accounts", "Defect of the sum of all parts.", True)
    identity_dual_norm = _attribute("identity_dual_norm", "Defect of the dual norms.", True)
    identity_products = _attribute("identity_products", "Defect of the contributions.", True)
    identity_activity_norm = _attribute("identity_activity_norm",
                                        "Defect of the activity-weighted norm.", True)
    identity_size = _attribute("identity_size", "Defect of the sizes' sum.", True)
    identity_sharpness = _attribute("identity_sharpness", "Defect of the sharpnesses' sum.", True)
    identity_curvature = _attribute("identity_curvature", "Defect of the curvatures.", True)
    identity_real_gap = _attribute("identity_real_gap", "Defect of matched - real gap.", True)

    @cached_property
    def directions(self) -> Directions:
        """What each direction carries."""
        return Directions(self.member("directions"))

    @cached_property
    def clusters(self) -> Clusters:
        """What each cluster of eigenvalues carries."""
        return Clusters(self.member("clusters"))

    @cached_property
    def classes(self) -> Classes:
        """What each class carries."""
        return Classes(self.member("classes"))

    @cached_property
    def intervals(self) -> Intervals | None:
        """How far the parts would vary with other pairs; None without a bootstrap."""
        return Intervals(self.member("intervals")) if "intervals" in self else None

    @cached_property
    def operators(self) -> dict[str, OperatorSpectrum]:
        """Eigenpairs of operators made of the dual weights, by name; empty when none was asked for."""
        if "operators" not in self:
            return {}
        members = self.member("operators")
        return {name: OperatorSpectrum(members[name]) for name in members}

    @cached_property
    def co_spectrum(self) -> Array | None:
        """Eigenvalues of curvature times dual covariance, (K) [loss]; None when not computed."""
        return self.array("co_spectrum") if "co_spectrum" in self else None

    @cached_property
    def pairs(self) -> Pairs:
        """The pairs of samples."""
        return Pairs(self.member("pairs"))

    def _describe(self) -> str:
        return f"matched gap {self.matched_gap:.4g} over {self.kept_pairs} pairs"


class Result(Node):
    """A result file, open for reading; `with Result(path) as result` closes it at the end.

    Nothing but the file's type and version is read on opening; arrays are read when they are first
    asked for, and kept.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ResultError
        If the file is missing, unreadable, of another type or of a version not known here.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        super().__init__(_open(self.path))
        try:
            _check(self)
        except ResultError:
            self.close()
            raise

    def __enter__(self) -> Result:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self._describe() if self._group else "closed"
        return f"<Result '{self.path}': {state}>"

    def close(self) -> None:
        """Close the file; what has been read stays."""
        if self._group:
            self._group.file.close()

    @cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the file's layout."""
        major, minor = self.attribute("version")
        return int(major), int(minor)

    @cached_property
    def provenance(self) -> Provenance:
        """Program, libraries, machine and command of the result."""
        return _from_attributes(Provenance, self)

    @cached_property
    def deck_original(self) -> str:
        """The deck as it was given."""
        return self.text("deck/original")

    @cached_property
    def deck_resolved(self) -> str:
        """The deck with every default filled in."""
        return self.text("deck/resolved")

    @cached_property
    def data(self) -> DataSelection:
        """The samples that were used."""
        return DataSelection(self.member("data"))

    @cached_property
    def model(self) -> dict[str, Layer]:
        """The analysed weights by layer."""
        return self._nodes("model", Layer)

    @cached_property
    def training(self) -> History | None:
        """The course of the training; None when the weights were given."""
        return History(self.member("training")) if "training" in self else None

    @cached_property
    def losses(self) -> Losses:
        """Losses and accuracies at the analysed weights."""
        return _from_attributes(Losses, Node(self.member("loss")))

    @cached_property
    def spectra(self) -> dict[str, Spectrum]:
        """Eigenpairs by block of weights; empty without a spectrum."""
        return self._nodes("spectrum", Spectrum)

    @cached_property
    def dualities(self) -> dict[str, Duality]:
        """The decomposed gap by layer; empty without a duality."""
        return self._nodes("duality", Duality)

    def _nodes(self, name: str, kind: type[Any]) -> dict[str, Any]:
        if name not in self:
            return {}
        members = self.member(name)
        return {child: kind(members[child]) for child in members}

    def _describe(self) -> str:
        spectra = ", ".join(self.spectra) or "none"
        dualities = ", ".join(self.dualities) or "none"
        return f"{self.attribute('title')!r}, spectra {spectra}, dualities {dualities}"


def _open(path: Path) -> h5py.Group:
    """Open the file's root group."""
    expected = "expected a result.h5 that 'dualscape run' wrote"
    try:
        with path.open("rb"):
            pass
        if h5py.is_hdf5(path):
            return h5py.File(path, "r")["/"]
        reason = "it is no HDF5 file"
    except IsADirectoryError:
        reason = "it is a folder"
    except OSError as error:
        reason = error.strerror or f"it is damaged ({error})"
    raise ResultError(f"cannot read '{path}': {reason}; {expected}")


_HINTS = {
    "dualscape-checkpoint": "the run is unfinished: 'dualscape run DECK --resume' goes on",
    "dualscape-study": "it holds a whole study: give the result.h5 of one of its runs",
}


def _check(result: Result) -> None:
    """Refuse another type of file and a version with another meaning."""
    attributes = result.attributes
    filetype = attributes.get("filetype", "none")
    if filetype != FILETYPE:
        hint = _HINTS.get(filetype, "give a result.h5 that 'dualscape run' wrote")
        raise ResultError(
            f"'{result.path}' has filetype '{filetype}'; expected '{FILETYPE}'; {hint}")
    version = np.atleast_1d(attributes.get("version", []))
    if version.size != 2 or version[0] != MAJOR_VERSION:
        found = ".".join(str(number) for number in version) or "none"
        writer = attributes.get("code_version", "unknown")
        raise ResultError(
            f"'{result.path}' has layout version {found}; this package reads {MAJOR_VERSION}.x; "
            f"use the scripts/dualscape of the dualscape that wrote it, version {writer}")
