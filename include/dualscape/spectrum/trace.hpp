#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dualscape/base/linear_operator.hpp"
#include "dualscape/spectrum/estimate.hpp"

/// Trace, Frobenius norm and diagonal of a symmetric operator from products alone.
namespace dualscape::spectrum {

struct ProbeOptions {
  Index products = 90;     ///< vectors to be multiplied, at most
  std::uint64_t seed = 1;  ///< of the probes
  KnownPairs known;        ///< counted apart, for the trace
  /// Hears of the products made so far.
  std::function<void(Index products)> monitor;
};

struct Trace {
  Estimate trace;
  Estimate frobenius;  ///< |H|_F
  Index matvecs = 0;
};

/// Hutch++ (Meyer, Musco, Musco and Woodruff, SOSA 2021) of what the known pairs leave: a third of the
/// products finds an orthonormal Q, orthogonal to the pairs' vectors, that holds most of that. With d the
/// dimension of the complement of both and x uniform on its unit sphere
///
///     tr H = sum theta + tr Q^T H Q + d E x^T H x,
///     |H|_F^2 = sum (theta^2 + residual^2) + |H Q|_F^2 + d E |H x|^2,
///
/// all but the last terms exact, the errors those of the last terms. Exact to rounding where the rank is at
/// most that of the pairs and a third of the products; by unit vectors, with error 0, where there are as many
/// products as entries.
/// Throws std::logic_error for fewer than 6 products. @note Collective
Trace estimate_trace(const LinearOperator& op, const ProbeOptions& options);

struct Diagonal {
  std::vector<double> values;  ///< this rank's entries
  std::vector<double> errors;  ///< as an Estimate's; 0 where exact
  bool exact = false;
  Index matvecs = 0;
};

/// The diagonal: exact, by blocks of unit vectors, where there are as many products as entries; otherwise the
/// mean of z . H z over random signs z (Bekas, Kokiopoulou and Saad 2007), whose error at entry i is
/// sqrt(sum_{j != i} H_ij^2 / products). Throws std::logic_error for fewer than 2 products of a larger
/// operator. @note Collective
Diagonal estimate_diagonal(const LinearOperator& op, const ProbeOptions& options);

}  // namespace dualscape::spectrum
