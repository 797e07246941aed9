#pragma once

#include <limits>

namespace dualscape {

/// What rounding may add to a residual or to a difference of eigenvalues, of products with unit roundoff
/// `rounding` and an operator of norm `norm`.
constexpr double residual_floor(double norm, double rounding = std::numeric_limits<double>::epsilon()) {
  return 50 * rounding * norm;
}

}  // namespace dualscape
