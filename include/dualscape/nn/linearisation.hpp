#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "dualscape/base/comm.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/samples.hpp"
#include "dualscape/nn/activation.hpp"
#include "dualscape/nn/loss.hpp"
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
  Matrix<Real> p;  ///< n x C: softmax of the logits; without rows where nobody asks for it
};

/// into . factor, entry by entry.
template <class Real>
void multiply_entries(MatrixView<Real> into, std::type_identity_t<ConstMatrixView<Real>> factor) {
  flatten_if_contiguous(into, factor);
  for (Index i = 0; i < into.rows; ++i) combine(into.row(i), factor.row(i), std::multiplies<>());
}

/// Buffers of a tile of at most `samples` samples.
template <class Real>
Tile<Real> make_tile(const Network& network, Index samples);

/// Fills a tile where the first layer's pre-activities are in z[0] already, as linearise does; tile.a[0] is
/// not read.
template <class Real, class Mask>
void linearise_above_first(const Model<Real>& model, std::span<Matrix<Real>> z, Tile<Real>& tile,
                           const Mask& mask) {
  const Network& net = model.network();
  const Index n = tile.count;
  model.forward_above(0, n, std::span(tile.a), z, mask);
  if (tile.p.rows() > 0) softmax<Real>(z.back().top(n), tile.p.top(n));
  loss_gradient<Real>(net.loss(), z.back().top(n), tile.labels, tile.d.back().top(n));
  for (Index l = net.depth() - 1; l-- > 0;) {
    const auto at = static_cast<std::size_t>(l);
    const auto d = tile.d[at].top(n);
    const auto d1 = tile.d1[at].top(n);
    const auto d2 = tile.d2[at].top(std::min(n, tile.d2[at].rows()));
    model.map(l + 1).adjoint_input(model.weight(l + 1), tile.d[at + 1].top(n), Write::replace, d);
    activation_derivatives<Real>(net.layer(l).activation, z[at].top(n), d1, d2);
    mask(l, d1);
    if (d2.rows > 0) {
      mask(l, d2);
      multiply_entries<Real>(d2, d);
    }
    multiply_entries<Real>(d, d1);
  }
}

/// Fills a tile whose inputs are in tile.a[0] and whose `count` and `labels` are set. `z`: scratch, one n x
/// out matrix a layer. `mask(l, m)` multiplies what leaves layer l in place, activities and derivatives alike
/// (dropout).
template <class Real, class Mask>
void linearise(const Model<Real>& model, std::span<Matrix<Real>> z, Tile<Real>& tile, const Mask& mask) {
  model.forward_layer(0, tile.a.front().top(tile.count), z.front().top(tile.count));
  linearise_above_first(model, z, tile, mask);
}

/// Samples a tile at most that serve a network's products best, by the width of its layers and the bytes of a
/// number.
Index automatic_tile(const Network& network, std::size_t number_bytes);
/// Samples of a lane's tiles but the last: at most `tile`, and nearly equal.
Index even_tile(Index samples, Index tile);

/// A network at fixed weights over a set of samples: activities, deltas and derivatives, computed once and
/// kept as far as the memory budget goes, tile by tile beyond it. What every curvature operator shares.
///
/// Tiles cut each lane into nearly equal pieces of at most `tile` samples, so their shapes do not depend on
/// the number of ranks.
template <class Real>
class Linearisation {
 public:
  struct Options {
    Index tile = 0;                            ///< samples a tile at most; 0: automatic_tile
    std::optional<std::uint64_t> cache_bytes;  ///< budget of this rank; unset: keep everything
    /// The same network and samples in double, not fully cached: what is kept are its numbers, rounded. In a
    /// fitted network single precision has no more than a few digits of 1 - p_y, and the other sign of some
    /// preactivities next to zero.
    const Linearisation<double>* exact = nullptr;
  };

  /// `parameters`: all of the network's, the same on every rank. A failure of any rank is thrown on every
  /// one.
  /// @note Collective
  Linearisation(const Comm& comm, const Network& network, std::span<const double> parameters,
                Samples<Real> samples, const Options& options);
  Linearisation(const Linearisation&) = delete;  ///< operators refer to it
  Linearisation& operator=(const Linearisation&) = delete;

  const Comm& comm() const { return comm_; }
  const Model<Real>& model() const { return model_; }
  const Network& network() const { return model_.network(); }
  const Lanes& lanes() const { return samples_.lanes; }
  /// Samples a tile at most, as asked for or chosen.
  Index tile_size() const { return tile_size_; }
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

  /// Calls visit(tile, at) for pieces, computed anew, of this rank's samples [first, first + count); `at`
  /// counts from `first`. Not where all are cached.
  template <class Visit>
  void for_each_piece(Index first, Index count, const Visit& visit) const {
    const Index step = scratch_.p.rows();
    for (Index at = 0; at < count; at += step) {
      compute({0, first + at, std::min(step, count - at)}, scratch_);
      visit(std::as_const(scratch_), at);
    }
  }

 private:
  struct Border {
    int lane;
    Index first;  ///< local sample
    Index count;
  };
  std::span<const int> labels_of(const Border& border) const;
  void fill_cache(const Options& options);
  void round(const Linearisation<double>& exact, const Border& border, Tile<Real>& tile) const;
  const Tile<Real>& tile(std::size_t i) const;
  void compute(const Border& border, Tile<Real>& tile) const;

  const Comm& comm_;
  Model<Real> model_;
  Samples<Real> samples_;
  Index tile_size_;
  std::vector<Border> borders_;
  std::vector<Tile<Real>> tiles_;
  std::uint64_t cached_bytes_ = 0;
  mutable std::vector<Matrix<Real>> preactivities_;
  mutable Tile<Real> scratch_;
};

/// Mean loss and share of right predictions over a set of samples.
struct Score {
  double loss = 0;
  double accuracy = 0;
};

/// Forward only, sharded by lanes. A failure of any rank is thrown on every one. @note Collective
template <class Real>
Score evaluate(const Comm& comm, const Model<Real>& model, const Samples<Real>& samples);

/// The same where first_layer(first, z) gives the first layer's pre-activities of this rank's samples
/// [first, first + z.rows); samples.inputs is not called. @note Collective
template <class Real>
Score evaluate(const Comm& comm, const Model<Real>& model, const Samples<Real>& samples,
               const std::function<void(Index first, MatrixView<Real> z)>& first_layer);

}  // namespace dualscape::nn
