#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "dualscape/base/linear_operator.hpp"

/// Every eigenpair of a symmetric operator small enough for a dense matrix on rank 0.
namespace dualscape::spectrum {

struct Eigenpairs {
  std::vector<double> values;     ///< Rayleigh quotients theta = v^T A v, descending but for rounding
  std::vector<double> residuals;  ///< |A v - theta v|
  Matrix<double> vectors;         ///< row n: this rank's part of the unit eigenvector of value n
};

/// Matrices of a block's size that rank 0 holds at most: its own, the copy that becomes its eigenvectors, and
/// the workspace of twice its size that LAPACK's dsyevd takes.
inline constexpr Index dense_copies = 4;

/// Throws UsageError when a block of `size` parameters is larger than `limit`, the deck's
/// numerics.dense_limit.
void require_dense(Index size, Index limit);

/// The operator as a dense matrix: on rank 0 (size x size), empty elsewhere. From products with unit vectors,
/// many at once; row j is the product with unit vector j. @note Collective
Matrix<double> assemble(const LinearOperator& op);

/// Eigenpairs of a dense symmetric matrix A that rank 0 holds (whatever the others bring is ignored), its
/// vectors distributed by `partition`; the matrix is replaced by its symmetric part, which they are of. Rank
/// 0 does it all: the numbers have the same bits at any number of ranks. Throws ComputationError when the
/// matrix is not finite, when it differs from its transpose by more than products of unit roundoff `rounding`
/// explain, and when LAPACK fails. @note Collective
Eigenpairs complete_spectrum(const Comm& comm, const Partition& partition, Matrix<double>& on_root_matrix,
                             double rounding = std::numeric_limits<double>::epsilon());

/// What random products tell of the difference between a matrix and the operator it stands for.
struct MatrixDistance {
  double bound = 0.0;  ///< on |H - A|_2
  Index probes = 0;    ///< products with H
};

struct ProbedMatrix {
  MatrixDistance distance;
  double asymmetry = 0.0;  ///< of H: the largest |<u, H v> - <v, H u>| of two of the probes, at length 1
};

/// Products that bound a matrix's distance from its operator, and the chance that the bound is too small.
inline constexpr Index matrix_probes = 16;
inline constexpr double chance_of_failure = 1e-9;

/// The alpha of which |E|_2 <= alpha max_i |E g_i| is wrong with a chance of at most `failure`, for `probes`
/// independent vectors g_i of independent standard normal entries and any matrix E that does not depend on
/// them. With E's first right singular vector v, |E g_i| >= |E|_2 |<v, g_i>|, and <v, g_i> is standard normal
/// in any dimension: alpha |<v, g_i>| < 1 has a chance of erf(1 / (alpha sqrt 2)), and that for all i a
/// chance of erf(1 / (alpha sqrt 2))^probes, which is set to `failure`. (The idea of Halko, Martinsson and
/// Tropp, SIAM Review 53 (2011), section 4.3, whose simpler bound on the same chance needs an alpha of 2.91
/// where this one is 2.86, for 16 probes and 1e-9.)
double bound_factor(Index probes, double failure);

/// Bounds |H - A|_2 for the symmetric matrix A that rank 0 holds (whatever the others bring is ignored), by
/// matrix_probes products with H at once: their differences from A's, by bound_factor; but for rounding,
/// wrong with chance_of_failure at most. The same bits at any number of ranks, if the operator's products
/// are. Throws ComputationError when a product is not finite. @note Collective
ProbedMatrix probe_matrix(const LinearOperator& op, ConstMatrixView<double> on_root_matrix,
                          std::uint64_t seed);

/// require_dense, assemble and complete_spectrum in one. @note Collective
Eigenpairs complete_spectrum(const LinearOperator& op, Index limit,
                             double rounding = std::numeric_limits<double>::epsilon());

}  // namespace dualscape::spectrum
