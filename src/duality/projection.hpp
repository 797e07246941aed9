#pragma once

#include <span>
#include <vector>

#include "dualscape/duality/decomposition.hpp"

/// The pass over pairs and directions behind a decomposition.
namespace dualscape::duality {

/// Fills the lanes of this rank: calls add(first, count, sums) for each tile of pairs. A failure travels with
/// the sum.
template <class Add>
void add_over_pairs(const Comm& comm, const Duals& duals, LaneSum& sum, const Add& add) {
  constexpr Index tile_size = 256;
  const Lanes& lanes = duals.lanes;
  try {
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const MatrixView<double> sums = sum.next_lane();
      const Index end = lanes.end(lane) - duals.first;
      for (Index first = lanes.begin(lane) - duals.first; first < end; first += tile_size)
        add(first, std::min(tile_size, end - first), sums);
    }
  } catch (...) {
    sum.fail(std::current_exception());
  }
}

/// A vector of sums over all pairs: calls add(first, count, sums) for each tile of pairs, then reduces.
/// @note Collective
template <class Add>
std::vector<double> sum_over_pairs(const Comm& comm, const Duals& duals, Index length, const Add& add) {
  LaneSum sum(comm, duals.lanes, 1, length);
  add_over_pairs(comm, duals, sum,
                 [&](Index first, Index count, MatrixView<double> sums) { add(first, count, sums.row(0)); });
  std::vector<double> total(static_cast<std::size_t>(length));
  sum.all_reduce({total.data(), 1, length});
  return total;
}

/// <V_j, DW_k> of the pairs k = first, first + 1, ... for matrices V_j that stand below one another in
/// `weights`, out x in each: one GEMM. `projections`: pairs x matrices.
void project_tile(const Duals& duals, Index first, ConstMatrixView<double> weights,
                  MatrixView<double> projections);

/// The transposed map: V_j = sum_k c_kj DW_k over the pairs k = first, first + 1, ... `coefficients`: pairs x
/// matrices.
void spread_tile(const Duals& duals, Index first, ConstMatrixView<double> coefficients,
                 MatrixView<double> weights);

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

/// Of each pair of this rank, sum_n w_kn^2 / |DW_k|^2 over the directions at `chosen`. @note Collective
std::vector<double> captured_by(const Comm& comm, const nn::Layer& layer, const Duals& duals,
                                const Directions& directions, std::span<const Index> chosen);

}  // namespace dualscape::duality
