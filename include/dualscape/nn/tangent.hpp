#pragma once

#include <vector>

#include "dualscape/nn/linearisation.hpp"
#include "dualscape/nn/loss.hpp"

/// Directional derivatives of a network over a tile, for k directions at once. With R{.} the derivative along
/// a direction V of the parameters (Pearlmutter 1994), written with the layers' three maps alone:
///
///     R{z}   = apply(V, a) + V_b + apply(W, R{a})         R{a} = phi'(z) . R{z}
///     R{d_z} = phi''(z) . R{z} . d_a + phi'(z) . R{d_a}   at the top R{d_f} = S R{f}
///     R{dW}  = adjoint_weight(R{d_z}, a) + adjoint_weight(d_z, R{a})
///     R{d_a below} = adjoint_input(V, d_z) + adjoint_input(W, R{d_z})
///
/// Blocks of directions are stored sample by sample: n x (k width), direction j in columns [j width, (j+1)
/// width).
namespace dualscape::nn {

/// Which parameters take part, and where they lie in a block's vector.
struct BlockLayout {
  static constexpr Index absent = -1;
  std::vector<Index> weight_offset;  ///< for each layer; absent: not part of the block
  std::vector<Index> bias_offset;
  Index size = 0;

  /// Lowest layer with a part in the block.
  Index first_layer() const;
};

/// Sizes of a block's parts (a layer's weight, a layer's bias), in the order of their offsets.
std::vector<Index> part_sizes(const Network& network, const BlockLayout& layout);

/// k vectors of a block as the products read and write them: part by part (a layer's weight, a layer's bias),
/// the k vectors' shares of a part one after the other, so that a layer can treat them as one matrix. For k =
/// 1 this is the block's own order. A view of memory that someone else owns.
template <class Real>
class BlockVectors {
 public:
  /// `entries`: count x (block size).
  BlockVectors(std::span<Real> entries, Index count) : count_(count), entries_(entries) {}

  Index count() const { return count_; }
  /// The k shares of a part that takes `size` entries from `offset` on in the block.
  std::span<Real> part(Index offset, Index size) { return share(offset, size); }
  std::span<const Real> part(Index offset, Index size) const { return share(offset, size); }

 private:
  std::span<Real> share(Index offset, Index size) const {
    return entries_.subspan(static_cast<std::size_t>(count_ * offset),
                            static_cast<std::size_t>(count_ * size));
  }

  Index count_;
  std::span<Real> entries_;
};

/// The tile's summed gradient over a block (1 x block size): the weights' adjoints of the kept deltas.
template <class Real>
void tile_gradient(const Model<Real>& model, const BlockLayout& block, const Tile<Real>& tile, Write write,
                   MatrixView<Real> out);

/// Every parameter of a network.
BlockLayout whole_network(const Network& network);

/// Scratch for one tile and k directions; buffers are kept between tiles.
template <class Real>
struct TangentBuffers {
  /// rz[l]: n x (k out): R{z^l}; after `forward`, below a piecewise linear activation, R{a} entering layer
  /// l + 1, since only phi'' would need R{z^l} again.
  std::vector<Matrix<Real>> rz;
  std::vector<Matrix<Real>> ra;      ///< ra[l]: n x (k in): R{a} entering layer l from a curved activation
  std::vector<Matrix<Real>> rd;      ///< rd[l]: n x (k out): R{d_z^l}
  std::vector<Matrix<Real>> slopes;  ///< one matrix, n x k
};

template <class Real>
class Tangent {
 public:
  Tangent(const Model<Real>& model, BlockLayout block) : model_(model), block_(std::move(block)) {}

  const BlockLayout& block() const { return block_; }

  /// R{f} (n x (k C)), left in the buffers' top rz.
  MatrixView<Real> forward(const Tile<Real>& tile, const BlockVectors<Real>& directions,
                           TangentBuffers<Real>& buffers) const;

  /// Adds J^T u for the u (n x (k C)) in the buffers' top rd to `out`.
  void add_transposed(const Tile<Real>& tile, TangentBuffers<Real>& buffers, BlockVectors<Real>& out) const;

  /// Adds the derivative of the tile's summed gradient along the directions to `out`; to be called after
  /// `forward`, with S R{f} in the buffers' top rd.
  void add_gradient_derivative(const Tile<Real>& tile, const BlockVectors<Real>& directions,
                               TangentBuffers<Real>& buffers, BlockVectors<Real>& out) const;

  /// Derivatives of each sample's loss along the directions, n x k: with the deltas at hand,
  /// <grad l_p, v> = sum_l d_z . (V a + v_b), which needs none of the passes through the network.
  MatrixView<Real> slopes(const Tile<Real>& tile, const BlockVectors<Real>& directions,
                          TangentBuffers<Real>& buffers) const;

  /// Adds each sample's gradient to `out`, times its weight for each of k vectors (`weights`: n x k).
  void add_gradients(const Tile<Real>& tile, ConstMatrixView<Real> weights, TangentBuffers<Real>& buffers,
                     BlockVectors<Real>& out) const;

  /// The top rd of the buffers, sized for n samples and k directions.
  MatrixView<Real> top(TangentBuffers<Real>& buffers, Index samples, Index directions) const;

 private:
  const Model<Real>& model_;
  BlockLayout block_;
};

}  // namespace dualscape::nn
