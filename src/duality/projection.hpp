#pragma once

#include <span>
#include <vector>

#include "dualscape/duality/decomposition.hpp"

/// The pass over pairs and directions behind a decomposition.
namespace dualscape::duality {

/// Sums over this rank's lanes: calls add(first, count, sums) for each tile of pairs, then reduces.
template <class Add>
std::vector<double> sum_over_pairs(const Comm& comm, const Duals& duals, Index length, const Add& add) {
  constexpr Index tile_size = 256;
  const Lanes& lanes = duals.lanes;
  LaneSum sum(comm, lanes, 1, length);
  try {
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const auto sums = sum.next_lane();
      const Index end = lanes.end(lane) - duals.first;
      for (Index first = lanes.begin(lane) - duals.first; first < end; first += tile_size)
        add(first, std::min(tile_size, end - first), sums.row(0));
    }
  } catch (...) {
    sum.fail(std::current_exception());
  }
  std::vector<double> total(static_cast<std::size_t>(length));
  sum.all_reduce({total.data(), 1, length});
  return total;
}

/// What the pass leaves besides the statistics of each direction.
struct Projected {
  PerDirection directions;
  std::vector<double> covariance;  ///< of each direction: c_n sigma_w sigma_g
  std::vector<double> captured;    ///< of each pair of this rank: sum_n w_kn^2 / |DW_k|^2
  std::vector<double> curved;      ///< of each pair of this rank: sum_n value_n w_kn^2
};

/// w_kn and its moments for all directions, in blocks of them. `pairs` = number of pairs the means are over.
/// @note Collective
Projected project(const Comm& comm, const nn::Layer& layer, const Duals& duals, const Directions& directions,
                  Index pairs);

}  // namespace dualscape::duality
