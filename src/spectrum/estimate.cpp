#include "dualscape/spectrum/estimate.hpp"

#include <cmath>

namespace dualscape::spectrum {

Estimate mean_of(std::span<const double> samples) {
  const auto count = static_cast<double>(samples.size());
  double sum = 0;
  for (double x : samples) sum += x;
  const double mean = sum / count;
  double square = 0;
  for (double x : samples) square += (x - mean) * (x - mean);
  return {.value = mean, .error = samples.size() > 1 ? std::sqrt(square / (count * (count - 1))) : 0.0};
}

Estimate root_of(const Estimate& square) {
  if (square.value <= 0) return {};
  const double root = std::sqrt(square.value);
  return {.value = root, .error = square.error / (2 * root)};
}

}  // namespace dualscape::spectrum
