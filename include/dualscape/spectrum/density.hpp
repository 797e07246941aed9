#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "dualscape/base/linear_operator.hpp"
#include "dualscape/spectrum/estimate.hpp"

/// The density of a symmetric operator's eigenvalues by stochastic Lanczos quadrature (Golub and Meurant;
/// Lin, Saad and Yang, SIAM Review 2016; Ghorbani, Krishnan and Xiao, ICML 2019).
namespace dualscape::spectrum {

struct DensityOptions {
  Index probes = 10;       ///< random sign vectors; at least 2 for error bars
  Index steps = 80;        ///< Lanczos steps of each, i.e. products; at most the operator's size are made
  double width = 0.05;     ///< of the peak that a node becomes, relative to its size
  double linear = 1e-4;    ///< times the largest |node|: below this size peaks have one width
  std::uint64_t seed = 1;  ///< of the probes
  double rounding = std::numeric_limits<double>::epsilon();  ///< unit roundoff of the products
  /// Hears of the products made so far.
  std::function<void(Index products)> monitor;
};

/// With v a probe of unit length, Lanczos gives nodes theta_i and weights w_i with v^T f(H) v about
/// sum_i w_i f(theta_i), exact for polynomials of degree below twice the number of steps; the mean over
/// probes is the mean of f over the eigenvalues.
struct Density {
  Index size = 0;  ///< eigenvalues
  /// probes x steps, ascending in each row. Where a probe's Krylov space ended before, the rest is 0.
  Matrix<double> nodes;
  Matrix<double> weights;  ///< of the nodes; each row sums up to 1
  /// Ascending, evenly spaced in asinh(lambda / s), so that the sum of f(lambda) sqrt(lambda^2 + s^2) times
  /// the spacing is the integral of f to rounding.
  std::vector<double> grid;
  std::vector<double> density;  ///< share of the eigenvalues per unit, at the grid: it integrates to 1
  std::vector<double> error;    ///< its standard error over the probes
  double linear_scale = 0.0;    ///< s: a node at theta is a Gaussian of deviation width sqrt(theta^2 + s^2)
  Estimate trace;               ///< size x first moment
  Estimate frobenius;           ///< |H|_F = sqrt(size x second moment)
  Index matvecs = 0;
};

/// Lanczos with full reorthogonalisation. All probes advance together, so that a step is one block product:
/// as many of them as keep their bases within 1 GiB over all ranks, at least one. The same numbers at any
/// number of ranks but for rounding. Throws whatever the products throw, ComputationError when one is not
/// finite. @note Collective
Density estimate_density(const LinearOperator& op, const DensityOptions& options);

}  // namespace dualscape::spectrum
