#pragma once

#include <exception>

#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/tangent.hpp"

namespace dualscape::operators {

/// Calls add(tile, sums) for every tile of this rank's lanes, where `sums` is what `total` collects a lane
/// in. A failure here travels with the sum.
template <class Real, class Add>
void sum_lanes(const nn::Linearisation<Real>& linearisation, OrderedSum<Real>& total, const Add& add) {
  const Lanes& lanes = linearisation.lanes();
  const Comm& comm = linearisation.comm();
  try {
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const MatrixView<Real> buffer = total.next_lane();
      nn::BlockVectors<Real> sums({buffer.data, static_cast<std::size_t>(buffer.rows * buffer.cols)},
                                  buffer.rows);
      linearisation.for_each_tile(lane, [&](const nn::Tile<Real>& tile) { add(tile, sums); });
    }
  } catch (...) {
    total.fail(std::current_exception());
  }
}

}  // namespace dualscape::operators
