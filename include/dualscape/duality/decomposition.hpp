#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/kinds.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/duality/accounts.hpp"
#include "dualscape/duality/duals.hpp"

/// The gap between test and training loss, split over the eigenvectors of a curvature operator. For pair k
/// with dual weight DW_k and secant gradient g_k = (Dl_k / |DW_k|^2) DW_k, and orthonormal v_n,
///
///     w_kn = <v_n, DW_k>,  g_kn = <v_n, g_k>,
///     contribution_n = mean_k w_kn g_kn = c_n sigma_w,n sigma_g,n + mu_w,n mu_g,n
///
/// and the contributions over a complete basis sum to the mean of Dl_k (Feng, Zhang and Tu 2023). Means are
/// over the pairs that have a dual weight, the zero ones with w = g = 0.
namespace dualscape::duality {

/// Eigenvectors as the decomposition needs them.
struct Directions {
  std::span<const double> values;        ///< m, descending
  std::span<const double> angle_bounds;  ///< m: upper bounds of the sine of the angle to a true eigenvector
  ConstMultiVector vectors;              ///< m x this rank's part of a block's vector
  Partition partition;                   ///< of the block
  Place place;                           ///< of the layer's duals in the block
  bool complete = false;                 ///< m = block size
  /// m: number of each direction's cluster, ascending, numbers may be left out; none: each its own
  std::span<const Index> clusters = {};
  Index upper = 0;  ///< the first `upper` are the largest of the block's eigenvalues
  /// m: |H v - value v|, for the clusters' bounds; none: no cluster of several directions has a bound
  std::span<const double> residuals = {};
  double value_rounding = 0;  ///< what rounding may add to a residual
  /// Eigenvalues that were not computed are below this one next to the first `upper`, and above that one next
  /// to the others; without it no cluster of several directions next to them has a bound.
  std::optional<double> rest_below = {}, rest_above = {};
};

/// One entry a direction, in the order of the eigenvalues.
struct PerDirection {
  std::vector<double> mean_w, mean_g, sigma_w, sigma_g, correlation, contribution;
  /// What the direction's angle to the eigenvector, at most phi, may change its contribution by: the smaller
  /// of sin(phi) mean |Dl_k| and, where directions are missing, 2 sin(phi) rho + sin(phi)^2 mean |Dl_k|, rho
  /// = |Q v - (v^T Q v) v| with the gap operator Q.
  std::vector<double> contribution_bound;
  std::vector<Index> order_by_sigma_g;  ///< positions, largest sigma_g first
};

/// What the pass over pairs and directions finds of the directions behind it.
struct Projected {
  PerDirection directions;
  std::vector<double> covariance;  ///< of each direction: c_n sigma_w sigma_g
  std::vector<double> leak;        ///< of each direction: |Q v - (v^T Q v) v|; empty for a complete basis
  std::vector<double> captured;    ///< of each pair of this rank: sum_n w_kn^2 / |DW_k|^2
  std::vector<double> curved;      ///< of each pair of this rank: sum_n value_n w_kn^2
};

/// A block of pairs has so many of each lane, fewer at its end.
constexpr Index pairs_of_a_lane = 256;

/// How far that pass has come: some directions are finished, and of the next few the first blocks of pairs
/// have their w_kn. A block is the same pairs at any number of ranks.
struct Pass {
  Projected done;                         ///< sigma_w and sigma_g squared
  Index blocks = 0;                       ///< blocks of pairs that are projected on the next directions
  Index width = 0;                        ///< directions projected on at once
  std::unique_ptr<double[]> projections;  ///< this rank's pairs x width
  /// Called after each block of pairs and whenever directions are finished; may write where the pass stands.
  /// @note Collective
  std::function<void()> after_block = {};

  Index directions() const { return std::ssize(done.covariance); }
};

/// Sums over the directions of each cluster of eigenvalues: within one, the single directions are any basis
/// of the space they span, and only such sums mean something.
struct PerCluster {
  std::vector<Index> size;         ///< directions
  std::vector<double> eigenvalue;  ///< mean over the directions
  std::vector<double> contribution, sigma_w_squared, sigma_g_squared;
  std::vector<double> mean_square_w, mean_square_g;  ///< sums of sigma^2 + mean^2
  /// Sine of the largest angle between the cluster's space and the eigenvectors': |H X - X (X^T H X)| over
  /// the distance to all other eigenvalues; 1 where that is not known to be larger.
  std::vector<double> angle_bound;
  /// What that may change the sum of contributions by: angle_bound mean |Dl_k|; of a single direction its
  /// own.
  std::vector<double> contribution_bound;
};

/// The two determinants over a set of directions: root sums of squares.
struct Determinants {
  double sharpness = 0;  ///< sqrt(sum sigma_g^2)
  double size = 0;       ///< sqrt(sum sigma_w^2)
};

/// A part of the gap: whole, and without the product of the means (the published curves' form).
struct Share {
  double whole = 0;
  double without_means = 0;
};

struct Decomposition {
  PerDirection directions;
  PerCluster clusters;
  PairAccounts accounts;
  ClassTotals classes;
  std::vector<Interval> intervals;  ///< one for each Part; empty without resamples
  double matched_gap = 0;           ///< mean Dl_k
  double mean_abs_loss_gap = 0;     ///< mean |Dl_k|: the scale of rounding in every account
  double partner_loss = 0;          ///< mean loss of the training partners
  Share total;                      ///< over the directions computed
  Share complement;                 ///< over all others, computed on its own
  Share sharp;                      ///< the directions of sharp_directions
  Share flat;                       ///< the other computed ones and the complement
  double total_bound =
      0;  ///< what the angle bounds leave open of total and complement; 0 for a complete basis
  double sharp_bound = 0;               ///< and of the sharp and flat parts
  Determinants sharp_determinants;      ///< over the sharp directions
  Determinants whole_determinants;      ///< over the whole space
  std::vector<Index> sharp_directions;  ///< positions, as the options choose them
  bool sharp_reached = false;           ///< the computed directions were enough for the choice
  /// Known here for a complete basis and for SharpBy::eigenvalue; else false, though a test may show it.
  bool sharp_certified = false;     ///< no direction outside the computed ones could be among the sharp
  bool sharp_cuts_cluster = false;  ///< a cluster of eigenvalues is sharp in part
  double unresolved = 0;            ///< share of pairs with a zero dual
  Index kept_pairs = 0, zero_duals = 0, dropped_pairs = 0;
  double exactness = 0;      ///< largest |loss(x', W) - loss(x, W*)|
  Index exactness_pair = 0;  ///< the first pair that has it
  double weight_norm = 0;
  double activity_weighted_norm = 0;  ///< sqrt(tr W D W^T), D = mean Da Da^T |b|^2 / (b.a)^2
  double gradient_term = 0;           ///< mean of grad_z l . r
  double curvature_term = 0;          ///< mean of r^T M r / 2
  double mean_field = 0;              ///< sum over the directions of value (sigma_w^2 + mean_w^2) / 2

  /// How far the exact identities are from holding, each relative to the scale of its terms; NaN-free,
  /// rounding-sized when all is well. Those that need a complete basis are set only with one.
  struct Identities {
    double accounts = 0;       ///< matched = total + complement + unresolved, by mean |Dl_k|
    double basis_share = 0;    ///< largest excess over 1, or with a complete basis distance from 1, of
                               ///< sum_n w_kn^2 / |DW_k|^2
    double products = 0;       ///< contribution_n = c_n sigma_w sigma_g + mu_w mu_g, by mean |Dl_k|
    double activity_norm = 0;  ///< activity_weighted_norm^2 = mean |DW_k|^2
    double size = 0;           ///< complete: sum sigma_w^2 + mu_w^2 = mean |DW_k|^2
    double sharpness = 0;      ///< complete: sum sigma_g^2 + mu_g^2 = mean Dl_k^2 / |DW_k|^2
    double curvature =
        0;  ///< complete: sum_n value_n w_kn^2 = DW_k^T H DW_k on sampled pairs, by |H| |DW_k|^2
  } identities;
};

struct DecompositionOptions {
  Index sharp = 10;  ///< directions of the sharp part, chosen by their number
  SharpBy sharp_by = SharpBy::count;
  double sharp_share = 0.9;  ///< of the sum of sigma_g^2 over the whole space, for SharpBy::share
  Index resamples = 0;       ///< of the bootstrap; 0: no intervals
  std::uint64_t seed = 1;    ///< of the bootstrap
  /// The operator of the directions, for the identity that ties eigenvalues to eigenvectors; may be null.
  const LinearOperator* curvature = nullptr;
  Pass* pass = nullptr;  ///< goes on from there, and stays there when the pass is stopped; may be null
};

/// @note Collective
Decomposition decompose(const Comm& comm, const nn::Model<double>& model, Index layer, const Duals& duals,
                        const Directions& directions, const DecompositionOptions& options);

}  // namespace dualscape::duality
