#include "dualscape/nn/tangent.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace dualscape::nn {
namespace {

template <class Real>
MatrixView<Real> sized(std::vector<Matrix<Real>>& buffers, Index l, Index depth, Index rows, Index cols) {
  if (std::ssize(buffers) < depth) buffers.resize(static_cast<std::size_t>(depth));
  Matrix<Real>& buffer = buffers[static_cast<std::size_t>(l)];
  if (std::ssize(buffer.entries()) < rows * cols) buffer = Matrix<Real>(rows, cols);
  return {buffer.data(), rows, cols};
}

/// n x (k width) as (n k) x width: one row a sample and direction, so that a fixed weight acts on all by one
/// product.
template <class Real>
MatrixView<Real> unfolded(MatrixView<Real> block, Index width) {
  return {block.data, block.rows * (block.cols / width), width};
}

/// to(i, j width + c) = factor(i, c) from(i, j width + c) for all directions j; may work in place.
template <class Real>
void scale_directions(ConstMatrixView<Real> factor, std::type_identity_t<ConstMatrixView<Real>> from,
                      MatrixView<Real> to) {
  for (Index i = 0; i < factor.rows; ++i)
    for (Index first = 0; first < from.cols; first += factor.cols)
      std::transform(factor.row(i).begin(), factor.row(i).end(), from.row(i).begin() + first,
                     to.row(i).begin() + first, std::multiplies<>());
}

template <class Real>
void add_scaled_directions(ConstMatrixView<Real> factor, std::type_identity_t<ConstMatrixView<Real>> from,
                           MatrixView<Real> to) {
  for (Index i = 0; i < factor.rows; ++i)
    for (Index first = 0; first < from.cols; first += factor.cols)
      for (Index c = 0; c < factor.cols; ++c) to(i, first + c) += factor(i, c) * from(i, first + c);
}

template <class Real>
ConstMatrixView<Real> rows(const Matrix<Real>& matrix, Index count) {
  return matrix.view().rows_from(0, count);
}

/// R{a} entering layer l: in the place of the layer below's R{z}, unless its second derivative is kept for
/// the way back, which needs both.
template <class Real>
MatrixView<Real> entering(const Tile<Real>& tile, TangentBuffers<Real>& buffers, Index l, Index rows,
                          Index cols) {
  const bool curved = tile.d2[static_cast<std::size_t>(l - 1)].rows() > 0;
  const Index depth = std::ssize(tile.a);
  return curved ? sized(buffers.ra, l, depth, rows, cols) : sized(buffers.rz, l - 1, depth, rows, cols);
}

}  // namespace

Index BlockLayout::first_layer() const {
  Index l = 0;
  while (weight_offset[static_cast<std::size_t>(l)] == absent &&
         bias_offset[static_cast<std::size_t>(l)] == absent)
    ++l;
  return l;
}

template <class Real>
MatrixView<Real> Tangent<Real>::top(TangentBuffers<Real>& buffers, Index samples, Index directions) const {
  const Network& net = model_.network();
  return sized(buffers.rd, net.depth() - 1, net.depth(), samples, directions * net.outputs());
}

template <class Real>
MatrixView<Real> Tangent<Real>::forward(const Tile<Real>& tile, const BlockVectors<Real>& directions,
                                        TangentBuffers<Real>& buffers) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = directions.count();
  const Index lowest = block_.first_layer();
  for (Index l = lowest;; ++l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const auto rz = sized(buffers.rz, l, net.depth(), n, k * layer.out);
    if (l > lowest) {
      const auto ra = entering(tile, buffers, l, n, k * layer.in);
      model_.map(l).apply(model_.weight(l), unfolded(ra, layer.in), Write::replace, unfolded(rz, layer.out));
    }
    if (const Index offset = block_.weight_offset[at]; offset != BlockLayout::absent)
      model_.map(l).apply_many(directions.part(offset, layer.weight_size), k, rows(tile.a[at], n),
                               l > lowest ? Write::add : Write::replace, rz);
    else if (l == lowest)
      std::fill_n(rz.data, rz.rows * rz.cols, Real(0));
    if (const Index offset = block_.bias_offset[at]; offset != BlockLayout::absent)
      add_bias<Real>(directions.part(offset, layer.out), rz);
    if (l + 1 == net.depth()) return rz;
    scale_directions<Real>(rows(tile.d1[at], n), rz, entering(tile, buffers, l + 1, n, k * layer.out));
  }
}

template <class Real>
void Tangent<Real>::add_transposed(const Tile<Real>& tile, TangentBuffers<Real>& buffers,
                                   BlockVectors<Real>& out) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = out.count();
  const Index lowest = block_.first_layer();
  for (Index l = net.depth() - 1;; --l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const auto rd = sized(buffers.rd, l, net.depth(), n, k * layer.out);
    if (const Index offset = block_.weight_offset[at]; offset != BlockLayout::absent)
      model_.map(l).add_adjoint_weight_many(rd, rows(tile.a[at], n), k, out.part(offset, layer.weight_size));
    if (const Index offset = block_.bias_offset[at]; offset != BlockLayout::absent)
      add_row_sums<Real>(rd, out.part(offset, layer.out));
    if (l == lowest) return;
    const auto below = sized(buffers.rd, l - 1, net.depth(), n, k * layer.in);
    model_.map(l).adjoint_input(model_.weight(l), unfolded(rd, layer.out), Write::replace,
                                unfolded(below, layer.in));
    scale_directions<Real>(rows(tile.d1[at - 1], n), below, below);
  }
}

template <class Real>
MatrixView<Real> Tangent<Real>::slopes(const Tile<Real>& tile, const BlockVectors<Real>& directions,
                                       TangentBuffers<Real>& buffers) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = directions.count();
  const auto sums = sized(buffers.slopes, 0, 1, n, k);
  std::fill_n(sums.data, n * k, Real(0));
  for (Index l = block_.first_layer(); l < net.depth(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const Index weight = block_.weight_offset[at];
    const Index bias = block_.bias_offset[at];
    if (weight == BlockLayout::absent && bias == BlockLayout::absent) continue;
    const auto along = sized(buffers.rz, l, net.depth(), n, k * layer.out);
    if (weight != BlockLayout::absent)
      model_.map(l).apply_many(directions.part(weight, layer.weight_size), k, rows(tile.a[at], n),
                               Write::replace, along);
    else
      std::fill_n(along.data, along.rows * along.cols, Real(0));
    if (bias != BlockLayout::absent) add_bias<Real>(directions.part(bias, layer.out), along);
    const auto d = rows(tile.d[at], n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < k; ++j)
        sums(i, j) += std::inner_product(d.row(i).begin(), d.row(i).end(),
                                         along.row(i).begin() + j * layer.out, Real(0));
  }
  return sums;
}

template <class Real>
void Tangent<Real>::add_gradients(const Tile<Real>& tile, ConstMatrixView<Real> weights,
                                  TangentBuffers<Real>& buffers, BlockVectors<Real>& out) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = out.count();
  for (Index l = block_.first_layer(); l < net.depth(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const Index weight = block_.weight_offset[at];
    const Index bias = block_.bias_offset[at];
    if (weight == BlockLayout::absent && bias == BlockLayout::absent) continue;
    const auto d = rows(tile.d[at], n);
    const auto weighted = sized(buffers.rd, l, net.depth(), n, k * layer.out);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < k; ++j)
        std::ranges::transform(d.row(i), weighted.row(i).begin() + j * layer.out,
                               [factor = weights(i, j)](Real x) { return factor * x; });
    if (weight != BlockLayout::absent)
      model_.map(l).add_adjoint_weight_many(weighted, rows(tile.a[at], n), k,
                                            out.part(weight, layer.weight_size));
    if (bias != BlockLayout::absent) add_row_sums<Real>(weighted, out.part(bias, layer.out));
  }
}

template <class Real>
void Tangent<Real>::add_gradient_derivative(const Tile<Real>& tile, const BlockVectors<Real>& directions,
                                            TangentBuffers<Real>& buffers, BlockVectors<Real>& out) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = directions.count();
  const Index lowest = block_.first_layer();
  for (Index l = net.depth() - 1;; --l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const bool has_weight = block_.weight_offset[at] != BlockLayout::absent;
    const auto rd = sized(buffers.rd, l, net.depth(), n, k * layer.out);
    if (has_weight) {
      const auto weights = out.part(block_.weight_offset[at], layer.weight_size);
      model_.map(l).add_adjoint_weight_many(rd, rows(tile.a[at], n), k, weights);
      if (l > lowest)
        model_.map(l).add_adjoint_weight_of_many(rows(tile.d[at], n),
                                                 entering(tile, buffers, l, n, k * layer.in), k, weights);
    }
    if (const Index offset = block_.bias_offset[at]; offset != BlockLayout::absent)
      add_row_sums<Real>(rd, out.part(offset, layer.out));
    if (l == lowest) return;
    // R{d_a} of the layer below, then R{d_z} = phi'' . R{z} . d_a + phi' . R{d_a}.
    const auto below = sized(buffers.rd, l - 1, net.depth(), n, k * layer.in);
    model_.map(l).adjoint_input(model_.weight(l), unfolded(rd, layer.out), Write::replace,
                                unfolded(below, layer.in));
    if (has_weight)
      model_.map(l).adjoint_input_many(directions.part(block_.weight_offset[at], layer.weight_size), k,
                                       rows(tile.d[at], n), Write::add, below);
    scale_directions<Real>(rows(tile.d1[at - 1], n), below, below);
    if (const auto& second = tile.d2[at - 1]; second.rows() > 0)
      add_scaled_directions<Real>(rows(second, n), sized(buffers.rz, l - 1, net.depth(), n, k * layer.in),
                                  below);
  }
}

std::vector<Index> part_sizes(const Network& network, const BlockLayout& layout) {
  std::vector<Index> sizes;
  for (Index l = 0; l < network.depth(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    if (layout.weight_offset[at] != BlockLayout::absent) sizes.push_back(network.layer(l).weight_size);
    if (layout.bias_offset[at] != BlockLayout::absent) sizes.push_back(network.layer(l).out);
  }
  return sizes;
}

template <class Real>
void tile_gradient(const Model<Real>& model, const BlockLayout& block, const Tile<Real>& tile, Write write,
                   MatrixView<Real> out) {
  const Network& net = model.network();
  const auto part = [&](Index offset, Index size) {
    return out.row(0).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  };
  for (Index l = 0; l < net.depth(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    const auto d = rows(tile.d[at], tile.count);
    if (const Index offset = block.weight_offset[at]; offset != BlockLayout::absent)
      model.map(l).adjoint_weight(d, rows(tile.a[at], tile.count), write,
                                  part(offset, net.layer(l).weight_size));
    if (const Index offset = block.bias_offset[at]; offset != BlockLayout::absent) {
      const auto bias = part(offset, net.layer(l).out);
      if (write == Write::replace) std::ranges::fill(bias, Real(0));
      add_row_sums<Real>(d, bias);
    }
  }
}

BlockLayout whole_network(const Network& network) {
  BlockLayout block;
  block.size = network.parameters();
  for (const Layer& layer : network.layers()) {
    block.weight_offset.push_back(layer.weight_offset);
    block.bias_offset.push_back(layer.bias ? layer.bias_offset : BlockLayout::absent);
  }
  return block;
}

template class Tangent<double>;
template class Tangent<float>;
template void tile_gradient<double>(const Model<double>&, const BlockLayout&, const Tile<double>&, Write,
                                    MatrixView<double>);
template void tile_gradient<float>(const Model<float>&, const BlockLayout&, const Tile<float>&, Write,
                                   MatrixView<float>);

}  // namespace dualscape::nn
