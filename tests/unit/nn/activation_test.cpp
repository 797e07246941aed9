#include "dualscape/nn/activation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/network_problem.hpp"

namespace dualscape::nn {
namespace {

using testing::all_activations;
using Wide = long double;

/// The definitions, in extended precision.
Wide definition(Activation kind, Wide z) {
  switch (kind) {
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::tanh:
      return (std::exp(z) - std::exp(-z)) / (std::exp(z) + std::exp(-z));
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-z));
    case Activation::softplus:
      return std::log(1 + std::exp(z));
    case Activation::gelu:
      return z / 2 * (1 + std::erf(z / std::sqrt(Wide(2))));
    case Activation::identity:
      return z;
  }
  return 0;
}

template <class Real>
struct At {
  Real value;
  Real first;
  Real second;
};

template <class Real>
At<Real> at(Activation kind, Real z) {
  At<Real> result{};
  const ConstMatrixView<Real> from(&z, 1, 1);
  activate<Real>(kind, from, MatrixView<Real>(&result.value, 1, 1));
  activation_derivatives<Real>(kind, from, MatrixView<Real>(&result.first, 1, 1),
                               MatrixView<Real>(&result.second, 1, 1));
  return result;
}

TEST(Activation, ValuesAndDerivativesFollowTheDefinition) {
  const Wide h = 1e-3L;
  for (Activation kind : all_activations)
    for (double z = -6.03; z < 6; z += 0.1) {  // keeps the stencil off the kink at 0
      const auto f = [&](int step) { return definition(kind, z + step * h); };
      // Stencils of order h^4: their error is about 1e-12, far above rounding in extended precision.
      const Wide first = (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h);
      const Wide second = (16 * (f(1) + f(-1)) - (f(2) + f(-2)) - 30 * f(0)) / (12 * h * h);
      const auto got = at<double>(kind, z);
      EXPECT_NEAR(got.value, static_cast<double>(f(0)), 1e-15 * (1 + std::abs(z))) << name_of(kind) << z;
      EXPECT_NEAR(got.first, static_cast<double>(first), 1e-11) << name_of(kind) << z;
      EXPECT_NEAR(got.second, static_cast<double>(second), 1e-11) << name_of(kind) << z;
    }
}

TEST(Activation, SinglePrecisionIsCloseToDouble) {
  constexpr double eps = std::numeric_limits<float>::epsilon();
  for (Activation kind : all_activations)
    for (float z = -6.03F; z < 6; z += 0.1F) {
      const auto exact = at<double>(kind, static_cast<double>(z));
      const auto got = at<float>(kind, z);
      // A few roundings, of numbers that are at most |z| large.
      const double tolerance = 4 * eps * (1 + std::abs(static_cast<double>(z)));
      EXPECT_NEAR(got.value, exact.value, tolerance) << name_of(kind) << z;
      EXPECT_NEAR(got.first, exact.first, tolerance) << name_of(kind) << z;
      EXPECT_NEAR(got.second, exact.second, tolerance) << name_of(kind) << z;
    }
}

TEST(Activation, ReluHasNoSlopeAtZero) {
  for (double zero : {0.0, -0.0}) {
    const auto got = at<double>(Activation::relu, zero);
    EXPECT_EQ(got.value, 0);
    EXPECT_EQ(got.first, 0);
    EXPECT_EQ(got.second, 0);
  }
  EXPECT_EQ(at<double>(Activation::relu, std::numeric_limits<double>::denorm_min()).first, 1);
}

/// Relative error against an expected positive or negative number.
template <class Real>
double relative(Real got, Wide expected) {
  return static_cast<double>(std::abs((static_cast<Wide>(got) - expected) / expected));
}

/// Saturated units keep their slopes to a relative precision: 1 - tanh^2 and s (1 - s) would lose them.
template <class Real>
void expect_precise_tails(std::initializer_list<Real> magnitudes) {
  for (Real z : magnitudes)
    for (Real sign : {Real(-1), Real(1)}) {
      // The exponential of an argument rounded to eps |z| is off by that much.
      const double tolerance =
          static_cast<double>(std::numeric_limits<Real>::epsilon()) * (8 + 4 * static_cast<double>(z));
      const Wide e = std::exp(-static_cast<Wide>(z));
      const Wide sigmoid = e / ((1 + e) * (1 + e));
      const Wide sech = 4 * e * e / ((1 + e * e) * (1 + e * e));
      const Wide tanh = sign * (1 - e * e) / (1 + e * e);
      EXPECT_LT(relative(at(Activation::tanh, sign * z).first, sech), tolerance) << z * sign;
      EXPECT_LT(relative(at(Activation::tanh, sign * z).second, -2 * tanh * sech), tolerance) << z * sign;
      EXPECT_LT(relative(at(Activation::sigmoid, sign * z).first, sigmoid), tolerance) << z * sign;
      EXPECT_LT(relative(at(Activation::sigmoid, sign * z).second, -sign * sigmoid * (1 - e) / (1 + e)),
                tolerance)
          << z * sign;
      EXPECT_LT(relative(at(Activation::softplus, sign * z).second, sigmoid), tolerance) << z * sign;
    }
  const Real z = -*std::prev(magnitudes.end());
  EXPECT_LT(relative(at(Activation::softplus, z).value, std::log1p(std::exp(static_cast<Wide>(z)))), 1e-5);
  EXPECT_LT(relative(at(Activation::sigmoid, z).value, std::exp(static_cast<Wide>(z))), 1e-5);
}

TEST(Activation, SaturatedUnitsKeepTheirSlopes) {
  expect_precise_tails<double>({5.0, 10.0, 18.0, 25.0, 300.0});
  expect_precise_tails<float>({5.0F, 8.0F, 12.0F, 30.0F});
}

template <class Real>
void expect_limits(std::initializer_list<Real> magnitudes) {
  for (Real z : magnitudes)
    for (Activation kind : all_activations) {
      const bool bounded = kind == Activation::tanh || kind == Activation::sigmoid;
      const auto up = at<Real>(kind, z);
      EXPECT_EQ(up.value, bounded ? Real(1) : z) << name_of(kind) << z;
      EXPECT_EQ(up.first, bounded ? Real(0) : Real(1)) << name_of(kind) << z;
      EXPECT_EQ(up.second, Real(0)) << name_of(kind) << z;
      const auto down = at<Real>(kind, -z);
      const Real low = kind == Activation::tanh ? Real(-1) : kind == Activation::identity ? -z : Real(0);
      EXPECT_EQ(down.value, low) << name_of(kind) << -z;
      EXPECT_EQ(down.first, kind == Activation::identity ? Real(1) : Real(0)) << name_of(kind) << -z;
      EXPECT_EQ(down.second, Real(0)) << name_of(kind) << -z;
    }
}

TEST(Activation, ExtremeArgumentsReachTheirLimits) {
  expect_limits<double>({1e3, 1e30, 1e160, 1e300});
  expect_limits<float>({1e3F, 1e10F, 1e20F, 1e38F});
}

TEST(Activation, NotANumberIsNotHidden) {
  // A diverged network must not look like a dead one.
  for (Activation kind : all_activations) {
    EXPECT_TRUE(std::isnan(at<double>(kind, std::nan("")).value)) << name_of(kind);
    EXPECT_TRUE(std::isnan(at<float>(kind, std::nanf("")).value)) << name_of(kind);
  }
}

TEST(Activation, PiecewiseLinearOnesHaveNoSecondDerivative) {
  for (Activation kind : all_activations) {
    bool curved = false;
    for (double z : {-1.5, -0.5, 0.25, 2.0}) curved |= at<double>(kind, z).second != 0;
    EXPECT_EQ(piecewise_linear(kind), !curved) << name_of(kind);
  }
}

TEST(Activation, ActsWithinItsViewsOnly) {
  // Columns 1 and 2 of three; a second derivative nobody asked for is an empty view.
  for (Activation kind : all_activations) {
    Matrix<double> z(2, 3), a(2, 3), first(2, 3);
    std::ranges::fill(z.entries(), 0.7);
    std::ranges::fill(a.entries(), -9.0);
    std::ranges::fill(first.entries(), -9.0);
    activate<double>(kind, z.view().cols_from(1, 2), a.view().cols_from(1, 2));
    activation_derivatives<double>(kind, z.view().cols_from(1, 2), first.view().cols_from(1, 2), {});
    const auto expected = at<double>(kind, 0.7);
    for (Index i = 0; i < 2; ++i) {
      EXPECT_EQ(a(i, 0), -9.0);
      EXPECT_EQ(first(i, 0), -9.0);
      for (Index j = 1; j < 3; ++j) {
        EXPECT_EQ(a(i, j), expected.value) << name_of(kind);
        EXPECT_EQ(first(i, j), expected.first) << name_of(kind);
      }
    }
  }
}

}  // namespace
}  // namespace dualscape::nn
