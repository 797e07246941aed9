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

/// Eigenpairs with what certifies them: the spectrum stage of a run.
namespace dualscape::spectrum {

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
  /// An iterative solve goes on from here.
  petsc::EigenState from;
  /// Hears where an iterative solve could go on from, as petsc::solve_ends tells it; with `stopping` also
  /// when a product of the certificate is interrupted.
  std::function<void(const petsc::EigenState& state, bool stopping)> on_restart;
  /// A cheaper operator that an iterative solve is to use as far as it goes (stand_in.hpp), and a bound on
  /// the norm of the difference: residuals tell that pairs are pairs of this operator, the bound that no
  /// others belong among them. What is interrupted of that begins anew; where `from` goes on, it is over.
  const LinearOperator* stand_in = nullptr;
  double stand_in_distance = 0.0;
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
struct Spectrum {
  Which which = Which::largest;
  Index size = 0;                 ///< of the operator
  Index requested = 0;            ///< pairs asked for, over both ends
  Index upper = 0;                ///< the first `upper` pairs are of the upper end, the others of the lower
  std::vector<double> values;     ///< Rayleigh quotients, descending
  std::vector<double> residuals;  ///< |H v - theta v|, of a fresh product
  std::vector<double> value_bounds;  ///< |lambda - theta|
  std::vector<double> angle_bounds;  ///< sine of the angle to the eigenvector
  std::vector<Index> clusters;       ///< of each pair, counted from 0
  bool cluster_cut = false;          ///< a cluster goes on beyond the pairs asked for
  Matrix<double> vectors;            ///< m x (local entries); the largest entry of each is positive
  Index matvecs = 0;                 ///< products: solve, search for missed copies, certificate
  Index stand_in_matvecs = 0;        ///< products with a cheaper operator in place of this one
  Index check_matvecs = 0;           ///< of these, the search for missed copies
  std::optional<Pruning> pruning;    ///< where samples were left out of the solve
  Index second_matvecs = 0;          ///< of these, products of the second start's solve
  double seconds = 0.0;              ///< rank 0's wall time
  std::string reason;     ///< "converged", "dense", or why there are fewer pairs than asked or doubts
  bool doubtful = false;  ///< the operator is not symmetric to rounding, or a second start disagrees
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
