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

/// With x a random unit vector, Lanczos gives nodes theta_i and weights w_i with x^T f(A) x about
/// sum_i w_i f(theta_i), exact for polynomials of degree below twice the number of steps.
struct Quadratures {
  /// probes x steps, ascending in each row. Where a probe's Krylov space ended before, the rest is 0.
  Matrix<double> nodes;
  Matrix<double> weights;  ///< of the nodes, as shares of all eigenvalues: each row adds up to 1 - pairs/size
  Index probes = 0;        ///< rows made so far
  Index matvecs = 0;
};

struct DensityOptions {
  Index probes = 10;       ///< random directions; at least 2 for error bars
  Index steps = 80;        ///< Lanczos steps of each, i.e. products; at most the operator's size are made
  double width = 0.05;     ///< of the peak that a node becomes, relative to its size
  double linear = 1e-4;    ///< times the largest |node| or known value: below this size peaks have one width
  std::uint64_t seed = 1;  ///< of the probes
  double rounding = std::numeric_limits<double>::epsilon();  ///< unit roundoff of the products
  Index together = 0;  ///< probes that advance together, at most; 0: all
  KnownPairs known;    ///< counted apart: the probes see what they leave
  Quadratures from;    ///< goes on from here, made with the same options and pairs
  /// Hears of the quadratures whenever probes are finished.
  std::function<void(const Quadratures& so_far)> on_probes;
  /// Hears of the products made so far.
  std::function<void(Index products)> monitor;
};

/// With V the known pairs' vectors and P = 1 - V V^T, the density of H is taken as that of V^T H V's diagonal
/// and of P H P on the complement: sum_pairs delta(lambda - theta)/size, exactly, and the mean over probes of
/// sum_i w_i delta(lambda - theta_i), each delta a Gaussian. The directions being uniform on the complement's
/// sphere, its integral and first moment are those of H's eigenvalues in expectation, however good the pairs
/// are; its second moment falls short by at most 2 sum residual^2/size.
struct Density {
  Index size = 0;   ///< eigenvalues
  Index pairs = 0;  ///< of them counted apart
  Quadratures quadratures;
  /// Ascending, evenly spaced in asinh(lambda / s), so that the sum of f(lambda) sqrt(lambda^2 + s^2) times
  /// the spacing is the integral of f to rounding.
  std::vector<double> grid;
  std::vector<double> density;  ///< share of the eigenvalues per unit, at the grid: it integrates to 1
  std::vector<double> error;    ///< of it, over the probes
  double linear_scale = 0.0;    ///< s: a node at theta is a Gaussian of deviation width sqrt(theta^2 + s^2)
  Estimate trace;               ///< size x first moment
  /// |H|_F = sqrt(size x second moment + 3/2 sum residual^2), give or take half of sum residual^2, which the
  /// error includes; with complete pairs that sum itself, exactly.
  Estimate frobenius;
};

/// Lanczos with full reorthogonalisation. All probes advance together, so that a step is one block product:
/// as many of them as `together` allows and keep their bases within 1 GiB over all ranks, at least one. No
/// product where the known pairs are complete. The same numbers at any number of ranks but for rounding.
/// Throws whatever the products throw, ComputationError when one is not finite. @note Collective
Density estimate_density(const LinearOperator& op, const DensityOptions& options);

}  // namespace dualscape::spectrum
