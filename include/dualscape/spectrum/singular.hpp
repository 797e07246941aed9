#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "dualscape/base/linear_operator.hpp"

/// Largest singular values with what certifies them.
namespace dualscape::spectrum {

struct SingularOptions {
  Index count = 10;
  double tolerance = 1e-8;                                   ///< of a residual, relative to |A|
  std::uint64_t seed = 1;                                    ///< of start vectors
  Index max_products = 0;                                    ///< 0: max(10000, 200 count)
  double rounding = std::numeric_limits<double>::epsilon();  ///< unit roundoff of the products
  /// Hears of the progress: products so far, triplets converged so far.
  std::function<void(Index products, Index converged)> monitor;
};

/// m singular values of A. Residuals are of fresh products with s_n = <u_n, A v_n>; (u_n, v_n)/sqrt 2 is then
/// an approximate eigenvector of (0 A; A^T 0), whose residual is the root mean square of the two and whose
/// eigenvalues are the singular values: the bounds are those of certificate.hpp.
struct Singular {
  Index requested = 0;
  std::vector<double> values;           ///< descending
  std::vector<double> right_residuals;  ///< |A v_n - s_n u_n|
  std::vector<double> left_residuals;   ///< |A^T u_n - s_n v_n|
  std::vector<double> value_bounds;     ///< on |sigma - s_n| for some singular value sigma
  Index matvecs = 0;                    ///< products with A or A^T: solve, search for copies, certificate
  Index check_matvecs = 0;              ///< of these, the search
  double seconds = 0.0;                 ///< rank 0's wall time
  std::string reason;                   ///< "converged", or why there are fewer than asked

  Index converged() const { return std::ssize(values); }
  bool as_asked() const { return converged() == requested; }
};

/// Throws std::logic_error when more are asked for than the smaller dimension, ComputationError when the
/// solver fails or a product is not finite, whatever the products throw. @note Collective
Singular compute_singular(const LinearOperator& op, const SingularOptions& options);

}  // namespace dualscape::spectrum
