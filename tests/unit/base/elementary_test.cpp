#include "dualscape/base/elementary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace dualscape {
namespace {

/// |value - exact| in units of the last place of `exact`.
template <class Real>
double units_off(Real value, long double exact) {
  const auto rounded = static_cast<Real>(exact);
  const Real unit = std::nextafter(rounded, std::numeric_limits<Real>::infinity()) - rounded;
  return static_cast<double>(std::abs(static_cast<long double>(value) - exact) / unit);
}

template <class Real>
void expect_exponentials(Real lowest, Real step) {
  std::vector<Real> x, e;
  for (Real at = 0; at > lowest; at -= step) x.push_back(at);
  for (Real at = 1; at > 0; at /= 3) x.push_back(-at);
  e.resize(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) e[i] = exp_nonpositive(x[i]);
  // Half a unit of the last product and of the last sum each, and what the sum is off before; more without
  // fused multiplications.
  for (std::size_t i = 0; i < x.size(); ++i)
    ASSERT_LT(units_off(e[i], std::exp(static_cast<long double>(x[i]))), 1.25) << x[i];
}

TEST(Elementary, ExponentialsDownToTheSmallestNumbers) {
  expect_exponentials<double>(-760, 0.0107);
  expect_exponentials<float>(-120, 0.00107F);
}

TEST(Elementary, ExponentialsOfSpecialNumbers) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(exp_nonpositive(0.0), 1.0);
  EXPECT_EQ(exp_nonpositive(0.0F), 1.0F);
  EXPECT_EQ(exp_nonpositive(-infinity), 0.0);
  EXPECT_EQ(exp_nonpositive(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_TRUE(std::isnan(exp_nonpositive(std::nan(""))));
  EXPECT_TRUE(std::isnan(exp_nonpositive(std::nanf(""))));
}

TEST(Elementary, LogarithmsOfOnePlusTinyAndLargeNumbers) {
  std::vector<double> x = {0.0, std::numeric_limits<double>::denorm_min(),
                           std::numeric_limits<double>::max()};
  for (double at = 1e-300; at < 1e300; at *= 1.7) x.push_back(at);
  for (double at = 0; at < 20; at += 0.00107) x.push_back(at);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = log1p_nonnegative(x[i]);
  EXPECT_EQ(y[0], 0.0);
  for (std::size_t i = 1; i < x.size(); ++i)
    ASSERT_LT(units_off(y[i], std::log1p(static_cast<long double>(x[i]))), 1.0) << x[i];
  EXPECT_TRUE(std::isnan(log1p_nonnegative(std::nan(""))));
}

}  // namespace
}  // namespace dualscape
