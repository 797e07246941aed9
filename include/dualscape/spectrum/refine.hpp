#pragma once

#include "dualscape/base/linear_operator.hpp"

namespace dualscape::spectrum {

/// One step of refinement, without a product, of approximate eigenvectors v whose residuals r are what
/// rounding left, spread over all directions alike: Ritz vectors of their span, then v + r / theta, theta the
/// Rayleigh quotient. It is the Newton step where the operator is small beside theta off the span, and random
/// directions are almost all in what is small of the spectrum. No step where a residual, at most `worst`, is
/// not small beside theta.
///
/// `vectors`: nearly orthonormal rows, this rank's parts; they become orthonormal to the square of the step.
/// `products`: those of the operator with them; overwritten. @note Collective
void refine(const Comm& comm, MultiVector vectors, MultiVector products, double worst);

}  // namespace dualscape::spectrum
