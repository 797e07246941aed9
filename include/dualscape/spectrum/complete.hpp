#pragma once

#include <limits>
#include <vector>

#include "dualscape/base/linear_operator.hpp"

/// Every eigenpair of a symmetric operator small enough for a dense matrix on rank 0.
namespace dualscape::spectrum {

struct Eigenpairs {
  std::vector<double> values;  ///< descending
  Matrix<double> vectors;      ///< row n: this rank's part of the unit eigenvector of value n
};

/// Throws UsageError when a block of `size` parameters is larger than `limit`, the deck's
/// numerics.dense_limit.
void require_dense(Index size, Index limit);

/// The operator as a dense matrix: on rank 0 (size x size), empty elsewhere. From products with unit vectors,
/// many at once; row j is the product with unit vector j. @note Collective
Matrix<double> assemble(const LinearOperator& op);

/// Eigenpairs of a dense symmetric matrix that rank 0 holds (whatever the others bring is ignored), its
/// vectors distributed by `partition`. Throws ComputationError when the matrix is not finite, when it differs
/// from its transpose by more than products of unit roundoff `rounding` explain, and when LAPACK fails.
/// @note Collective
Eigenpairs complete_spectrum(const Comm& comm, const Partition& partition, Matrix<double> on_root,
                             double rounding = std::numeric_limits<double>::epsilon());

/// require_dense, assemble and complete_spectrum in one. @note Collective
Eigenpairs complete_spectrum(const LinearOperator& op, Index limit,
                             double rounding = std::numeric_limits<double>::epsilon());

}  // namespace dualscape::spectrum
