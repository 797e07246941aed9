#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/samples.hpp"
#include "dualscape/nn/model.hpp"

namespace dualscape::nn {

using dualscape::Samples;

/// Everything of a tile of n samples that no direction changes. Layer l = 0 .. L-1.
template <class Real>
struct Tile {
  Index count = 0;
  std::span<const int> labels;
  std::vector<Matrix<Real>> a;   ///< a[l]: n x in, entering layer l
  std::vector<Matrix<Real>> d;   ///< d[l]: n x out, d loss / d z^l of each sample
  std::vector<Matrix<Real>> d1;  ///< d1[l]: n x out, phi'(z^l); none for the last layer
  std::vector<Matrix<Real>>
      d2;          ///< d2[l]: n x out, phi''(z^l) . (d loss / d a leaving l); empty if piecewise linear
  Matrix<Real> p;  ///< n x C: softmax of the logits
};

/// A network at fixed weights over a set of samples: activities, deltas and derivatives, computed once and
/// kept as far as the memory budget goes, tile by tile beyond it. What every curvature operator shares.
///
/// Tiles cut each lane into pieces of at most `tile` samples, so their shapes do not depend on the number of
/// ranks.
template <class Real>
class Linearisation {
 public:
  struct Options {
    Index tile = 256;                          ///< samples a tile
    std::optional<std::uint64_t> cache_bytes;  ///< budget of this rank; unset: keep everything
  };

  /// `parameters`: all of the network's, the same on every rank.
  Linearisation(const Comm& comm, const Network& network, std::span<const double> parameters,
                Samples<Real> samples, const Options& options);

  const Comm& comm() const { return comm_; }
  const Model<Real>& model() const { return model_; }
  const Network& network() const { return model_.network(); }
  const Lanes& lanes() const { return samples_.lanes; }
  /// Bytes one sample takes in the cache.
  static std::uint64_t bytes_per_sample(const Network& network);
  std::uint64_t cached_bytes() const { return cached_bytes_; }
  /// Whether every tile of this rank is kept.
  bool fully_cached() const { return tiles_.size() == borders_.size(); }

  /// Calls visit(tile) for each tile of one of this rank's lanes, in order.
  template <class Visit>
  void for_each_tile(int lane, const Visit& visit) const {
    for (std::size_t i = 0; i < borders_.size(); ++i)
      if (borders_[i].lane == lane) visit(tile(i));
  }

 private:
  struct Border {
    int lane;
    Index first;  ///< local sample
    Index count;
  };
  const Tile<Real>& tile(std::size_t i) const;
  void compute(const Border& border, Tile<Real>& tile) const;

  const Comm& comm_;
  Model<Real> model_;
  Samples<Real> samples_;
  std::vector<Border> borders_;
  std::vector<Tile<Real>> tiles_;
  std::uint64_t cached_bytes_ = 0;
  mutable Activities<Real> activities_;
  mutable Tile<Real> scratch_;
};

/// Mean loss and share of right predictions over a set of samples.
struct Score {
  double loss = 0;
  double accuracy = 0;
};

/// Forward only, sharded by lanes. @note Collective
template <class Real>
Score evaluate(const Comm& comm, const Model<Real>& model, const Samples<Real>& samples);

}  // namespace dualscape::nn
