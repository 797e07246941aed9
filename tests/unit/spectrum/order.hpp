#pragma once

#include "dualscape/base/partition.hpp"

namespace dualscape::testing {

/// Rows of the operators with known spectra.
constexpr Index order = 240;

}  // namespace dualscape::testing
