"""The parts of a result file that hold the decomposed gap; inputs/FORMAT.md describes their layout.

Letters of shapes: K pairs, m directions, q clusters of them, C classes.
"""

from __future__ import annotations

from functools import cached_property

from .node import Array, Node
from .node import array_property as _array
from .node import attribute_property as _attribute
from .node import optional_array_property as _optional_array
from .spectra import OperatorSpectrum


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
    exactness = _optional_array("exactness", "|loss(x', W) - loss(x, W*)|; None: not there [loss].")
    gradient_term = _optional_array("gradient_term", "First orders of the gaps; None: not there "
                                    "[loss].")
    curvature_term = _optional_array("curvature_term", "Second orders of the gaps; None: not there "
                                     "[loss].")

    @cached_property
    def state(self) -> Array | None:
        """0 kept, 1 kept with a zero dual, 2 dropped; None: not there."""
        return self.codes("state") if "state" in self else None

    def _describe(self) -> str:
        return str(self.member("loss_gap").shape[0])


class Clusters(Node):
    """Sums over the directions of each cluster of eigenvalues, (q) each."""

    size = _array("size", "Directions of the cluster.")
    eigenvalue = _array("eigenvalue", "Mean eigenvalues [loss/weight^2].")
    contribution = _array("contribution", "Contributions to the matched gap [loss].")
    angle_bound = _optional_array("angle_bound", "Bounds on the sines of the spaces' errors; None: "
                                  "not there.")
    contribution_bound = _optional_array("contribution_bound", "Errors of the contributions that "
                                         "they leave; None: not there [loss].")
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
    neighbour_rank = _attribute("neighbour_rank", "Rank of the first of them by distance.", True)
    dual = _attribute("dual", "The kind of the dual weights.", True)
    ridge = _attribute("ridge", "Ridge of the metric of the dual weights.", True)
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
    total_bound = _attribute("total_bound", "Error of the totals that bounds leave [loss].", True)
    sharp_bound = _attribute("sharp_bound", "Error of the sharp part that they leave [loss].", True)
    worst_bound = _attribute("worst_bound", "Largest bound of a cluster's sum [loss].", True)
    worst_direction_bound = _attribute("worst_direction_bound",
                                       "Largest bound of a direction's contribution [loss].", True)
    sharp_sigma_g = _attribute("sharp_sigma_g", "Sharpness of the sharp part [loss/weight].", True)
    sharp_sigma_w = _attribute("sharp_sigma_w", "Size of the sharp part [weight].", True)
    whole_sigma_g = _attribute("whole_sigma_g", "Sharpness of the whole space [loss/weight].", True)
    whole_sigma_w = _attribute("whole_sigma_w", "Size of the whole space [weight].", True)
    unresolved = _attribute("unresolved", "Part of the gap of pairs without a dual change [loss].")
    zero_duals = _attribute("zero_duals", "Kept pairs whose dual change is zero.")
    dropped_pairs = _attribute("dropped_pairs", "Pairs that have no dual, in no mean.")
    kept_pairs = _attribute("kept_pairs", "Pairs all means are taken over.")
    exactness = _attribute("exactness", "Largest |loss(x', W) - loss(x, W*)| of the pairs [loss].")
    exactness_pair = _attribute("exactness_pair", "The pair that has it.", True)
    weight_norm = _attribute("weight_norm", "Frobenius norm of the layer's weight [weight].")
    activity_weighted_norm = _attribute("activity_weighted_norm",
                                        "Root mean square of the pairs' dual norms [weight].")
    second_order = _attribute("second_order", "Second-order term at the partner [loss].")
    gradient_term = _attribute("gradient_term", "Mean first order of the gaps [loss].", True)
    curvature_term = _attribute("curvature_term", "Mean second order of the gaps [loss].", True)
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
        """Eigenpairs of operators made of the dual weights, by name; empty without any."""
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
