#pragma once

#include "dualscape/base/partition.hpp"

namespace dualscape::testing {

/// How many rows and eigenvalues the operators have that these tests make.
constexpr Index order = 240;

}  // namespace dualscape::testing
