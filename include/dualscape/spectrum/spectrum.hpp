#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/petsc/eigensolver.hpp"
#include "dualscape/spectrum/complete.hpp"

/// Eigenpairs with what certifies them: the spectrum stage of a run.
namespace dualscape::spectrum {

/// A cheaper operator that an iterative solve is to use in place of the one asked for, as far as it goes.
struct StandIn {
  const LinearOperator* op = nullptr;
  /// A bound on the norm of the difference but for rounding: residuals tell that pairs are pairs of the
  /// operator asked for, the bound that no others belong among them.
  double distance = 0.0;
  double rounding = std::numeric_limits<double>::epsilon();  ///< unit roundoff of its products
  bool of_fewer_samples = false;  ///< its products count as Spectrum::pruned_matvecs
};

/// Products a search for eigenpairs has made.
struct Products {
  Index matvecs = 0;         ///< solve, search for missed copies, certificate
  Index single_matvecs = 0;  ///< of these, products with a stand-in of a lower precision
  Index check_matvecs = 0;   ///< of these, the search for missed copies
  Index pruned_matvecs = 0;  ///< products with a stand-in of fewer samples, not in `matvecs`
};

/// The operators of a search one after the other: which one is at work, and the products before and beside
/// that solve.
struct Stage : Products {
  Index number = 0;  ///< of the operator at work: the stand-ins in their order, then the one asked for
};

/// Where a search for eigenpairs could go on from.
struct SolvePoint {
  Stage stage;
  petsc::EigenState state;  ///< of the first solve with that operator
};

struct Options {
  Which which = Which::largest;
  Index count = 50;           ///< pairs per end; ignored for `all`
  double tolerance = 1e-8;    ///< of a residual, relative to |H|
  std::uint64_t seed = 1;     ///< of start vectors and probes
  Index dense_limit = 4096;   ///< largest operator for `all`
  Index block = 1;            ///< vectors that an iterative solve multiplies at once
  bool second_start = false;  ///< solve once more from other start vectors, and compare
  Index max_products = 0;     ///< before an iterative solve gives up; 0: max(5000, 100 count)
  double rounding = std::numeric_limits<double>::epsilon();  ///< unit roundoff of the products
  /// Tried in this order by an iterative solve (stand_in.hpp); the operator itself where none of them gets
  /// there.
  std::vector<StandIn> stand_ins;
  /// The pairs of the last stand-in are taken as they are, whatever their residuals: for a solve in a
  /// precision that is certified in a higher one.
  bool take_last_stand_in = false;
  /// An iterative solve goes on from here.
  SolvePoint from;
  /// Hears where an iterative solve could go on from, as petsc::solve_ends tells it; with `stopping` also
  /// when a product of what follows the solve is interrupted.
  std::function<void(const Stage& stage, const petsc::EigenState& state, bool stopping)> on_restart;
  /// Hears of the progress of an iterative solve: products so far, pairs converged so far.
  std::function<void(Index products, Index converged)> monitor;
  /// A faster way to the dense matrix for `all` (size x size on rank 0, ignored elsewhere) than block
  /// products with unit vectors. @note Collective
  std::function<Matrix<double>()> assemble;
};

/// What a stand-in made of fewer samples left out.
struct Pruning {
  Index samples = 0;   ///< left out
  double bound = 0.0;  ///< on the norm of the difference
  Index matvecs = 0;   ///< products with the remaining samples, or fewer
};

/// m eigenpairs. Bounds are explained in certificate.hpp.
struct Spectrum : Products {
  Which which = Which::largest;
  Index size = 0;              ///< of the operator
  Index requested = 0;         ///< pairs asked for, over both ends
  Index upper = 0;             ///< the first `upper` pairs are of the upper end, the others of the lower
  std::vector<double> values;  ///< Rayleigh quotients, descending; of a complete spectrum, of its matrix
  /// |H v - theta v|, of a fresh product. Of a complete spectrum, a bound on it: |A v - theta v| of the dense
  /// matrix A whose eigenvectors they are, and the bound of `matrix_distance` on |H - A|.
  std::vector<double> residuals;
  std::vector<double> value_bounds;  ///< |lambda - theta|
  std::vector<double> angle_bounds;  ///< sine of the angle to the eigenvector
  std::vector<Index> clusters;       ///< of each pair, counted from 0
  bool cluster_cut = false;          ///< a cluster goes on beyond the pairs asked for
  /// All eigenvalues beyond the pairs of the upper end are below this one, those beyond the lower end's above
  /// that one; where a pair more than asked for was found there.
  std::optional<double> rest_below, rest_above;
  Matrix<double> vectors;          ///< m x (local entries); the largest entry of each is positive
  Index second_matvecs = 0;        ///< of `matvecs`, products of the second start's solve
  std::optional<Pruning> pruning;  ///< where samples were left out of the solve
  std::optional<MatrixDistance> matrix_distance;  ///< of a complete spectrum
  double seconds = 0.0;                           ///< rank 0's wall time
  std::string reason;  ///< "converged", "dense", or why there are fewer pairs than asked or doubts
  /// The operator is not symmetric to rounding, a second start disagrees, or the dense matrix may differ from
  /// the operator by more than the tolerance.
  bool doubtful = false;
  std::uint64_t planned_bytes = 0;    ///< of the fullest rank, where its memory was planned
  std::uint64_t peak_bytes = 0;       ///< the largest peak of a rank's whole process by then
  double norm_estimate = 0.0;         ///< of |H|_2
  double orthogonality_defect = 0.0;  ///< largest entry of |V V^T - 1|
  double symmetry_defect = 0.0;       ///< |<u, H v> - <v, H u>| / |H|, random u, v

  /// Pairs found, in descending order of their values.
  Index converged() const { return std::ssize(values); }
  /// Whether the vectors are a basis of the whole space.
  bool complete() const { return converged() == size; }
  /// Whether all pairs asked for were found, and nothing speaks against them.
  bool as_asked() const { return converged() == requested && !doubtful; }
};

/// Throws UsageError when more pairs are asked for than an operator of `size` entries has, or for `all` when
/// it is larger than `dense_limit`.
void require_possible(Index size, const Options& options);

/// Solves and certifies. Fewer pairs than asked is a result: see `reason`. Throws UsageError when more pairs
/// are asked for than there are, or for `all` when the operator is larger than `dense_limit`;
/// ComputationError when a solver fails or a product is not finite; whatever the operator's products throw.
/// @note Collective
Spectrum compute(const LinearOperator& op, const Options& options);

}  // namespace dualscape::spectrum
