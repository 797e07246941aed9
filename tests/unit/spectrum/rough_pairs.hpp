#pragma once

#include <cmath>
#include <numeric>
#include <vector>

#include "dualscape/spectrum/certificate.hpp"
#include "dualscape/spectrum/estimate.hpp"
#include "support/known_spectrum.hpp"

/// Pairs that an estimate is to count apart.
namespace dualscape::testing {

/// Orthonormal vectors near the first `count` eigenvectors, each `off` from its own: no eigenvectors, as
/// those of a solve with a lax tolerance are none.
struct RoughPairs {
  Matrix<double> vectors;
  spectrum::Residuals numbers;

  RoughPairs(const KnownSpectrum& op, Index count, double off)
      : vectors(count, op.range().count(op.comm().rank())) {
    for (Index n = 0; n < count; ++n) {
      const auto exact = op.eigenvector(n);
      const Random random(77, Stream::probe, static_cast<std::uint32_t>(n));
      const double size = off / std::sqrt(static_cast<double>(op.range().size()));
      const Index begin = op.range().begin(op.comm().rank());
      for (Index i = 0; i < vectors.cols(); ++i)
        vectors(n, i) =
            exact[static_cast<std::size_t>(i)] + size * random.normal(static_cast<std::uint64_t>(begin + i));
      for (int pass = 0; pass < 2; ++pass)
        for (Index m = 0; m < n; ++m) axpy(-along(op.comm(), m, n), vectors.row(m), vectors.row(n));
      const double length = std::sqrt(along(op.comm(), n, n));
      for (double& x : vectors.row(n)) x /= length;
    }
    numbers = spectrum::fresh_residuals(op, std::as_const(vectors).view());
    op.products = 0;
  }

  spectrum::KnownPairs known() const {
    return {.vectors = vectors.view(), .values = numbers.values, .residuals = numbers.residuals};
  }

 private:
  double along(const Comm& comm, Index m, Index n) const {
    double sum = dot(vectors.row(m), vectors.row(n));
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, comm.get());
    return sum;
  }
};

inline double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// How many of 100 seeds put the truth within three errors, and what the errors are in the mean.
struct Coverage {
  int trace = 0;
  int frobenius = 0;
  double trace_error = 0;

  /// estimate(seed): an object with members trace and frobenius.
  template <class Estimate>
  Coverage(double true_trace, double true_frobenius, const Estimate& estimate) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      const auto found = estimate(seed);
      trace += std::abs(found.trace.value - true_trace) <= 3 * found.trace.error ? 1 : 0;
      frobenius += std::abs(found.frobenius.value - true_frobenius) <= 3 * found.frobenius.error ? 1 : 0;
      trace_error += found.trace.error / 100;
    }
  }
};

}  // namespace dualscape::testing
