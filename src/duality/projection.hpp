#pragma once

#include <span>
#include <vector>

#include "dualscape/duality/decomposition.hpp"

/// The pass over pairs and directions behind a decomposition.
namespace dualscape::duality {

/// Pairs of a tile; a lane's last one may have fewer.
constexpr Index tile_of_pairs = pairs_of_a_lane;

/// Fills the lanes of this rank: calls add(first, count, sums) for each tile of pairs. A failure travels with
/// the sum.
template <class Add>
void add_over_pairs(const Comm& comm, const Duals& duals, LaneSum& sum, const Add& add) {
  const Lanes& lanes = duals.lanes;
  try {
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const MatrixView<double> sums = sum.next_lane();
      const Index end = lanes.end(lane) - duals.first;
      for (Index first = lanes.begin(lane) - duals.first; first < end; first += tile_of_pairs)
        add(first, std::min(tile_of_pairs, end - first), sums);
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

/// Entries of a dual weight, its bias column with it.
inline Index dual_size(const Duals& duals) {
  return duals.response.cols() * duals.covector.cols();
}

/// The layer's part of a block's vector, as the matrix that duals are: out x co-vector's entries.
void take_matrix(std::span<const double> vector, const Place& place, MatrixView<double> matrix);
/// The transposed map: adds factor times a matrix to the layer's part of a block's vector.
void add_matrix(double factor, ConstMatrixView<double> matrix, const Place& place, std::span<double> vector);

/// Products of tiles of pairs with matrices, with buffers that are kept between tiles.
class TileProducts {
 public:
  explicit TileProducts(const Duals& duals) : duals_(duals) {}

  /// <V_j, DW_k> of the pairs k = first, first + 1, ... for matrices V_j that stand below one another in
  /// `weights` without gaps, out x co-vector's entries each: one GEMM. `projections`: pairs x matrices.
  void project(Index first, ConstMatrixView<double> weights, MatrixView<double> projections);

  /// The transposed map: adds sum_k c_kj DW_k over the pairs k = first, first + 1, ... to V_j.
  /// `coefficients`: pairs x matrices.
  void spread(Index first, ConstMatrixView<double> coefficients, MatrixView<double> weights);

 private:
  void project_formed(Index first, ConstMatrixView<double> weights, MatrixView<double> projections);

  const Duals& duals_;
  std::vector<double> images_;     ///< (matrices x out) x pairs, or transposed; or a tile of duals
  std::vector<double> responses_;  ///< out x pairs
  std::vector<double> sums_;
};

/// Blocks of pairs in a pass: tiles of the longest lane.
Index blocks_of_pairs(const Lanes& lanes);

/// w_kn and its moments for all directions, in blocks of them and of pairs. `pairs` = number of pairs the
/// means are over. @note Collective
Projected project(const Comm& comm, const Duals& duals, const Directions& directions, Index pairs,
                  Pass& pass);

/// Of each pair of this rank, sum_n w_kn^2 / |DW_k|^2 over the directions at `chosen`. @note Collective
std::vector<double> captured_by(const Comm& comm, const Duals& duals, const Directions& directions,
                                std::span<const Index> chosen);

}  // namespace dualscape::duality
