#pragma once

#include <functional>
#include <vector>

#include "dualscape/base/lanes.hpp"
#include "dualscape/base/matrix.hpp"

namespace dualscape {

/// The samples of this rank, i.e. of its lanes, as a network sees them.
template <class Real>
struct Samples {
  Lanes lanes;
  std::vector<int> labels;  ///< of this rank's samples
  /// Writes the inputs of this rank's samples [first, first + out.rows) into `out` (rows x features).
  std::function<void(Index first, MatrixView<Real> out)> inputs;
};

}  // namespace dualscape
