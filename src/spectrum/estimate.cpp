#include "dualscape/spectrum/estimate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dualscape::spectrum {
namespace {

double mean(std::span<const double> samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

}  // namespace

double student_factor(Index samples) {
  const auto nu = static_cast<double>(samples - 1);
  if (samples == 2) return 1.837337201471583;   // tan(pi/2 erf(1/sqrt 2))
  if (samples == 3) return 1.3212773729262557;  // p sqrt(2/(1 - p^2)) with p = erf(1/sqrt 2)
  return 1 + (0.5 + (0.25 + (0.0625 - 528.0 / 92160.0 / nu) / nu) / nu) / nu;
}

Estimate mean_of(std::span<const double> samples) {
  const auto count = static_cast<double>(samples.size());
  const double middle = mean(samples);
  if (samples.size() < 2) return {.value = middle};
  double square = 0;
  for (double x : samples) square += (x - middle) * (x - middle);
  return {.value = middle,
          .error = student_factor(std::ssize(samples)) * std::sqrt(square / (count * (count - 1)))};
}

Estimate mean_on_sphere(std::span<const double> samples, std::span<const double> squares, Index dimension) {
  Estimate estimate = mean_of(samples);
  const double spread = std::max(mean(squares) - estimate.value * estimate.value, 0.0);
  const double variance = 2 * spread / static_cast<double>(dimension + 2);
  estimate.error = std::max(estimate.error, std::sqrt(variance / static_cast<double>(samples.size())));
  return estimate;
}

Estimate added(double a, double factor, const Estimate& b) {
  return {.value = a + factor * b.value, .error = std::abs(factor) * b.error};
}

Estimate root_of(const Estimate& square) {
  if (square.value <= 0) return {};
  const double root = std::sqrt(square.value);
  return {.value = root, .error = square.error / (2 * root)};
}

}  // namespace dualscape::spectrum
