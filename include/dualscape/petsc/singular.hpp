#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dualscape/base/linear_operator.hpp"

/// Largest singular values of an operator that need be neither square nor symmetric.
namespace dualscape::petsc {

struct SingularOptions {
  Index count = 1;
  double tolerance = 1e-8;  ///< of a residual, relative to the largest singular value
  std::uint64_t seed = 1;   ///< of the start vectors
  Index max_products = 0;   ///< 0: max(10000, 200 count)
  /// Hears of each restart: products so far, triplets converged so far.
  std::function<void(Index products, Index converged)> monitor;
};

/// Singular vectors by descending singular value: those asked for, and one pair more where there is one, the
/// guard, next to the part of the spectrum that stays unknown.
struct SingularVectors {
  Matrix<double> left;       ///< row n: this rank's part of u_n, of unit length
  Matrix<double> right;      ///< row n: of v_n, A v_n = s_n u_n
  Index products = 0;        ///< with A or its transpose
  Index check_products = 0;  ///< of these, the search for missed copies
  std::string reason;        ///< "converged", or why there are fewer than asked
};

/// SLEPc's thick-restart Lanczos bidiagonalisation; options of SLEPc's database (-svd_..., and -check_svd_...
/// for the search) set up another of its solvers. It takes the fewest products: 128 for the ten largest
/// values of a 784-30-30-10 network's Jacobian over 2000 samples to 1e-8, where the cross product takes 180
/// and the cyclic matrix 580; 368, 467 and 1390 for fifty. A Krylov space holds one vector of a multiple
/// singular value: a search follows, in which all that was found is deflated and a new start vector looks for
/// what belongs among it, until nothing does.
///
/// Fewer than asked is a result; `reason` explains it. Throws UsageError for options SLEPc does not take,
/// ComputationError when the solver fails or a product is not finite, std::logic_error for a count beyond the
/// smaller dimension, whatever the products throw. @note Collective
SingularVectors solve_singular(const LinearOperator& op, const SingularOptions& options);

}  // namespace dualscape::petsc
