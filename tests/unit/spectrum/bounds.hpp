#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "dualscape/spectrum/spectrum.hpp"
#include "support/collective.hpp"

namespace dualscape::testing {

/// Every value is within its bound of the truth: the first `upper` of the top, the others of the bottom.
inline void expect_values_within_bounds(const spectrum::Spectrum& spectrum, std::vector<double> truth) {
  std::ranges::sort(truth, std::greater<>());
  const Index found = spectrum.converged();
  ASSERT_ALL(spectrum.value_bounds.size() == spectrum.values.size());
  ASSERT_ALL(spectrum.vectors.rows() == found);
  for (Index n = 0; n < found; ++n) {
    const Index at = n < spectrum.upper ? n : std::ssize(truth) - (found - n);
    const auto pair = static_cast<std::size_t>(n);
    EXPECT_LE(std::abs(spectrum.values[pair] - truth[static_cast<std::size_t>(at)]),
              spectrum.value_bounds[pair])
        << n;
  }
}

}  // namespace dualscape::testing
