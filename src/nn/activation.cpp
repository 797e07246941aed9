#include "dualscape/nn/activation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

namespace dualscape::nn {
namespace {

template <class Real>
struct Derivatives {
  Real first;
  Real second;
};

/// Passes what is no number on, so that a diverged network does not look like a dead one.
template <class Real>
Real relu(Real z) {
  return z <= 0 ? Real(0) : z;
}

/// 1 / (1 + exp(-z)) without overflow.
template <class Real>
Real logistic(Real z) {
  const Real e = std::exp(-std::abs(z));
  return z >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/// Standard normal distribution and density.
template <class Real>
Real normal_distribution(Real z) {
  return Real(0.5) * std::erfc(-z / std::numbers::sqrt2_v<Real>);
}
template <class Real>
Real normal_density(Real z) {
  return std::exp(-z * z / 2) * std::numbers::inv_sqrtpi_v<Real> / std::numbers::sqrt2_v<Real>;
}

template <class Real>
Real value(Activation kind, Real z) {
  switch (kind) {
    case Activation::relu:
      return relu(z);
    case Activation::tanh:
      return std::tanh(z);
    case Activation::sigmoid:
      return logistic(z);
    case Activation::softplus:
      return std::max(z, Real(0)) + std::log1p(std::exp(-std::abs(z)));
    case Activation::gelu:
      return z * normal_distribution(z);
    case Activation::identity:
      return z;
  }
  throw std::logic_error("activate: unknown activation");
}

template <class Real>
Derivatives<Real> derivatives(Activation kind, Real z) {
  switch (kind) {
    case Activation::relu:
      return {z > 0 ? Real(1) : Real(0), 0};
    case Activation::tanh: {
      // 1 - tanh^2 would cancel where the unit is saturated; so would s (1 - s) below.
      const Real sech = 1 / std::cosh(z);
      return {sech * sech, -2 * std::tanh(z) * sech * sech};
    }
    case Activation::sigmoid: {
      const Real s = logistic(z);
      const Real c = logistic(-z);
      return {s * c, s * c * (c - s)};
    }
    case Activation::softplus: {
      const Real s = logistic(z);
      return {s, s * logistic(-z)};
    }
    case Activation::gelu: {
      const Real density = normal_density(z);
      // z^2 may overflow, but only where the density has long vanished.
      return {normal_distribution(z) + z * density, density > 0 ? (2 - z * z) * density : Real(0)};
    }
    case Activation::identity:
      return {1, 0};
  }
  throw std::logic_error("activation_derivatives: unknown activation");
}

}  // namespace

template <class Real>
void activate(Activation kind, std::type_identity_t<ConstMatrixView<Real>> z, MatrixView<Real> a) {
  flatten_if_contiguous(z, a);
  for (Index i = 0; i < z.rows; ++i) {
    const auto from = z.row(i);
    const auto to = a.row(i);
    if (kind == Activation::relu)  // a loop of its own, which vectorises
      std::ranges::transform(from, to.begin(), relu<Real>);
    else
      std::ranges::transform(from, to.begin(), [kind](Real x) { return value(kind, x); });
  }
}

template <class Real>
void activation_derivatives(Activation kind, std::type_identity_t<ConstMatrixView<Real>> z,
                            MatrixView<Real> first, MatrixView<Real> second) {
  flatten_if_contiguous(z, first, second);
  if (kind == Activation::relu) {  // loops of their own, which vectorise
    for (Index i = 0; i < z.rows; ++i)
      std::ranges::transform(z.row(i), first.row(i).begin(),
                             [](Real x) { return x > 0 ? Real(1) : Real(0); });
    for (Index i = 0; i < second.rows; ++i) std::ranges::fill(second.row(i), Real(0));
    return;
  }
  for (Index i = 0; i < z.rows; ++i)
    for (Index j = 0; j < z.cols; ++j) {
      const auto d = derivatives(kind, z(i, j));
      first(i, j) = d.first;
      if (second.rows > 0) second(i, j) = d.second;
    }
}

bool piecewise_linear(Activation kind) {
  return kind == Activation::relu || kind == Activation::identity;
}

template void activate<double>(Activation, ConstMatrixView<double>, MatrixView<double>);
template void activate<float>(Activation, ConstMatrixView<float>, MatrixView<float>);
template void activation_derivatives<double>(Activation, ConstMatrixView<double>, MatrixView<double>,
                                             MatrixView<double>);
template void activation_derivatives<float>(Activation, ConstMatrixView<float>, MatrixView<float>,
                                            MatrixView<float>);

}  // namespace dualscape::nn
