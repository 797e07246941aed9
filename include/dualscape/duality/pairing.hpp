#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/kinds.hpp"
#include "dualscape/base/matrix.hpp"

/// Which training sample each test sample is seen from.
namespace dualscape::duality {

/// A training sample and a test sample of one class: positions in the selected sets.
struct Pair {
  Index test = 0;
  Index train = 0;
  double distance = 0;  ///< Euclidean, in the coordinates the pairing compared
};

/// Of so many bytes, less 128, products add up exactly in single precision: 128^2 x 1024 = 2^24.
constexpr Index most_pixels = 1024;

/// One side of a pairing: the samples at `positions` with their classes.
struct Side {
  std::vector<Index> positions;  ///< ascending
  std::vector<int> labels;       ///< one for each position
  /// Coordinates of the given positions, each rank naming its own: rows x coordinates. @note Collective
  std::function<Matrix<double>(std::span<const Index> positions)> rows;
  /// The same, where they are at most `most_pixels` bytes; without it on both sides, `rows` are compared.
  /// @note Collective
  std::function<Matrix<std::uint8_t>(std::span<const Index> positions)> pixels = {};
};

struct Match {
  Index anchor = 0;
  Index partner = 0;
  double distance = 0;
};

/// For each anchor its `neighbours` nearest partners of its class from the `rank`-th nearest on, by Euclidean
/// distance, the lowest position on a tie; in the order of the anchors, the nearest first, on every rank.
/// Distances come from |x|^2 + |y|^2
/// - 2 x.y as GEMMs over blocks of partners, so that memory is bounded by a block. With `integral`
/// coordinates that is exact in double, and for up to 1024 bytes, less 128, in single precision; otherwise
/// whatever rounding leaves undecided is settled by |x - y|^2. Throws DataError naming an anchor whose class
/// has too few partners; `anchor_name` and `partner_name` ("test", "training") say which sets are meant.
/// @note Collective
std::vector<Match> nearest(const Comm& comm, const Side& anchors, const Side& partners, bool integral,
                           const std::string& anchor_name, const std::string& partner_name,
                           Index neighbours = 1, Index rank = 1);

/// For each anchor `neighbours` partners of its class, each drawn on its own, by the seed and the anchor's
/// position. Distances are those of
/// the sides' coordinates. @note Collective
std::vector<Match> random_match(const Comm& comm, const Side& anchors, const Side& partners,
                                std::uint64_t seed, const std::string& anchor_name,
                                const std::string& partner_name, Index neighbours = 1);

/// Matches as pairs of a test and a training sample.
std::vector<Pair> as_pairs(const std::vector<Match>& matches, Anchor anchor);

}  // namespace dualscape::duality
