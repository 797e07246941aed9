#pragma once

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/matrix.hpp"

namespace dualscape::nn {

/// a = phi(z), entry by entry. relu'(0) = 0; gelu is z Phi(z) with the error function.
template <class Real>
void activate(Activation kind, std::type_identity_t<ConstMatrixView<Real>> z, MatrixView<Real> a);

/// first = phi'(z), second = phi''(z), where `second` is not empty.
template <class Real>
void activation_derivatives(Activation kind, std::type_identity_t<ConstMatrixView<Real>> z,
                            MatrixView<Real> first, MatrixView<Real> second);

/// Whether phi'' is zero wherever it exists, so that every term with it drops out.
bool piecewise_linear(Activation kind);

}  // namespace dualscape::nn
