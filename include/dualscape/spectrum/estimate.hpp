#pragma once

#include <span>

#include "dualscape/base/matrix.hpp"

namespace dualscape::spectrum {

/// A mean over random probes and its error: half the width of the interval that holds the truth in 68.3 % of
/// all cases, as one standard deviation does of a normal distribution. An error of 0 is an exact value.
struct Estimate {
  double value = 0.0;
  double error = 0.0;
};

/// Orthonormal vectors with their Rayleigh quotients theta = <v, H v> and residuals |H v - theta v|, which an
/// estimate counts exactly; only the rest of H is left to random probes. They need not be converged: with V
/// these vectors and P = 1 - V V^T,
///
///     tr H = sum theta + tr P H P,   |H|_F^2 = sum (theta^2 + residual^2) + |H P|_F^2.
struct KnownPairs {
  ConstMultiVector vectors{};  ///< pairs x (local entries)
  std::span<const double> values{};
  std::span<const double> residuals{};
};

/// What a standard error from a few samples has to be multiplied by to be an Estimate's error: the quantile
/// of Student's distribution with samples - 1 degrees of freedom at which the normal distribution has 1
/// (exact for 2 and 3 samples, beyond by Abramowitz and Stegun 26.7.5, good to 3e-4). At least two samples.
double student_factor(Index samples);

/// Mean of independent samples, with its error by Student's distribution; with a single one the error is 0.
Estimate mean_of(std::span<const double> samples);

/// Mean of samples x^T F x, F symmetric, of independent x, uniform on the unit sphere of a space of
/// `dimension`; `squares`: x^T F^2 x of the same x. Their variance is
///
///     2/(dimension + 2) (tr F^2/dimension - (tr F/dimension)^2),
///
/// and so can be estimated by means as well. The error is that or mean_of's, whichever is larger: few samples
/// hardly differ when none of them has a part along the few eigenvectors that matter, but where the mean
/// falls short so does only half of this one's logarithm.
Estimate mean_on_sphere(std::span<const double> samples, std::span<const double> squares, Index dimension);

/// a + factor b.
Estimate added(double a, double factor, const Estimate& b);

/// The square root of an estimate of something that is not negative, to first order in its error.
Estimate root_of(const Estimate& square);

}  // namespace dualscape::spectrum
