#include "dualscape/spectrum/estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace dualscape::spectrum {
namespace {

/// Chance that a variable of Student's distribution with `nu` degrees of freedom is within +-t, by Simpson's
/// rule.
double chance_within(double t, double nu) {
  const double norm = std::tgamma((nu + 1) / 2) / (std::sqrt(nu * std::numbers::pi) * std::tgamma(nu / 2));
  constexpr int intervals = 2000;
  const double step = 2 * t / intervals;
  double sum = 0;
  for (int i = 0; i <= intervals; ++i) {
    const double x = -t + i * step;
    const double weight = i == 0 || i == intervals ? 1 : i % 2 == 1 ? 4 : 2;
    sum += weight * std::pow(1 + x * x / nu, -(nu + 1) / 2);
  }
  return norm * sum * step / 3;
}

TEST(Estimate, ErrorsHoldAsMuchAsANormalDistributionsDeviation) {
  const double one_deviation = std::erf(1 / std::sqrt(2.0));
  for (Index samples : {2, 3})
    EXPECT_NEAR(chance_within(student_factor(samples), static_cast<double>(samples - 1)), one_deviation,
                1e-7);
  for (Index samples : {4, 5, 8, 30, 100})
    EXPECT_NEAR(chance_within(student_factor(samples), static_cast<double>(samples - 1)), one_deviation,
                1e-4);
}

TEST(Estimate, OfAMean) {
  const std::vector<double> samples = {1, 2, 6};
  const Estimate mean = mean_of(samples);
  EXPECT_NEAR(mean.value, 3, 1e-15);
  // Squared deviations 4, 1, 9; nu = 2.
  EXPECT_NEAR(mean.error, student_factor(3) * std::sqrt(14.0 / 6), 1e-14);
  EXPECT_EQ(mean_of(std::vector<double>{4.0}).error, 0);
  const Estimate root = root_of(added(7, 3, mean));
  EXPECT_NEAR(root.value, 4, 1e-15);
  EXPECT_NEAR(root.error, 3 * mean.error / 8, 1e-15);
}

TEST(Estimate, OnASphereGoesByTheVarianceOfTheDirectionsWhereSamplesHardlyDiffer) {
  // F = diag(1, 0, 0, 0, 0, 0): x^T F x = x^T F^2 x = x_1^2, whose variance is that of the beta distribution
  // (1/2, 5/2), a b/((a + b)^2 (a + b + 1)) = 5/144, and whose mean is 1/6.
  const std::vector<double> samples(4, 1.0 / 6);
  EXPECT_NEAR(mean_on_sphere(samples, samples, 6).error, std::sqrt(5.0 / 144 / 4), 1e-15);
  // Where the samples differ more than that, their difference counts.
  const std::vector<double> apart = {0, 1, 0, 1};
  EXPECT_EQ(mean_on_sphere(apart, apart, 6).error, mean_of(apart).error);
}

}  // namespace
}  // namespace dualscape::spectrum
