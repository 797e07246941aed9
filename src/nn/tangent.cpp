#include "dualscape/nn/tangent.hpp"

#include <algorithm>

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

/// to(i, j width + c) = factor(i, c) from(i, j width + c) for all directions j.
template <class Real>
void scale_directions(ConstMatrixView<Real> factor, std::type_identity_t<ConstMatrixView<Real>> from,
                      MatrixView<Real> to) {
  for (Index i = 0; i < factor.rows; ++i)
    for (Index first = 0; first < from.cols; first += factor.cols)
      for (Index c = 0; c < factor.cols; ++c) to(i, first + c) = factor(i, c) * from(i, first + c);
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

template <class Real>
std::span<Real> part(MatrixView<Real> vectors, Index j, Index offset, Index size) {
  return vectors.row(j).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
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
MatrixView<Real> Tangent<Real>::forward(const Tile<Real>& tile, ConstMatrixView<Real> directions,
                                        TangentBuffers<Real>& buffers) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = directions.rows;
  const Index lowest = block_.first_layer();
  for (Index l = lowest;; ++l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const auto rz = sized(buffers.rz, l, net.depth(), n, k * layer.out);
    if (l > lowest) {
      const auto ra = sized(buffers.ra, l, net.depth(), n, k * layer.in);
      model_.map(l).apply(model_.weight(l), unfolded(ra, layer.in), Write::replace, unfolded(rz, layer.out));
    } else {
      std::fill_n(rz.data, rz.rows * rz.cols, Real(0));
    }
    for (Index j = 0; j < k; ++j) {
      const auto slice = rz.cols_from(j * layer.out, layer.out);
      if (const Index offset = block_.weight_offset[at]; offset != BlockLayout::absent)
        model_.map(l).apply(part(directions, j, offset, layer.weight_size), rows(tile.a[at], n), Write::add,
                            slice);
      if (const Index offset = block_.bias_offset[at]; offset != BlockLayout::absent)
        add_bias<Real>(part(directions, j, offset, layer.out), slice);
    }
    if (l + 1 == net.depth()) return rz;
    scale_directions<Real>(rows(tile.d1[at], n), rz, sized(buffers.ra, l + 1, net.depth(), n, k * layer.out));
  }
}

template <class Real>
void Tangent<Real>::add_transposed(const Tile<Real>& tile, TangentBuffers<Real>& buffers,
                                   MatrixView<Real> out) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = out.rows;
  const Index lowest = block_.first_layer();
  for (Index l = net.depth() - 1;; --l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const auto rd = sized(buffers.rd, l, net.depth(), n, k * layer.out);
    for (Index j = 0; j < k; ++j) {
      const auto slice = rd.cols_from(j * layer.out, layer.out);
      if (const Index offset = block_.weight_offset[at]; offset != BlockLayout::absent)
        model_.map(l).add_adjoint_weight(slice, rows(tile.a[at], n), part(out, j, offset, layer.weight_size));
      if (const Index offset = block_.bias_offset[at]; offset != BlockLayout::absent)
        add_row_sums<Real>(slice, part(out, j, offset, layer.out));
    }
    if (l == lowest) return;
    const auto below = sized(buffers.rd, l - 1, net.depth(), n, k * layer.in);
    model_.map(l).adjoint_input(model_.weight(l), unfolded(rd, layer.out), Write::replace,
                                unfolded(below, layer.in));
    scale_directions<Real>(rows(tile.d1[at - 1], n), below, below);
  }
}

template <class Real>
void Tangent<Real>::add_gradient_derivative(const Tile<Real>& tile, ConstMatrixView<Real> directions,
                                            TangentBuffers<Real>& buffers, MatrixView<Real> out) const {
  const Network& net = model_.network();
  const Index n = tile.count;
  const Index k = directions.rows;
  const Index lowest = block_.first_layer();
  for (Index l = net.depth() - 1;; --l) {
    const auto at = static_cast<std::size_t>(l);
    const Layer& layer = net.layer(l);
    const bool has_weight = block_.weight_offset[at] != BlockLayout::absent;
    const auto rd = sized(buffers.rd, l, net.depth(), n, k * layer.out);
    for (Index j = 0; j < k; ++j) {
      const auto slice = rd.cols_from(j * layer.out, layer.out);
      if (has_weight) {
        const auto weight = part(out, j, block_.weight_offset[at], layer.weight_size);
        model_.map(l).add_adjoint_weight(slice, rows(tile.a[at], n), weight);
        if (l > lowest) {
          const auto ra = sized(buffers.ra, l, net.depth(), n, k * layer.in);
          model_.map(l).add_adjoint_weight(rows(tile.d[at], n), ra.cols_from(j * layer.in, layer.in), weight);
        }
      }
      if (const Index offset = block_.bias_offset[at]; offset != BlockLayout::absent)
        add_row_sums<Real>(slice, part(out, j, offset, layer.out));
    }
    if (l == lowest) return;
    // R{d_a} of the layer below, then R{d_z} = phi'' . R{z} . d_a + phi' . R{d_a}.
    const auto below = sized(buffers.rd, l - 1, net.depth(), n, k * layer.in);
    model_.map(l).adjoint_input(model_.weight(l), unfolded(rd, layer.out), Write::replace,
                                unfolded(below, layer.in));
    if (has_weight)
      for (Index j = 0; j < k; ++j)
        model_.map(l).adjoint_input(part(directions, j, block_.weight_offset[at], layer.weight_size),
                                    rows(tile.d[at], n), Write::add, below.cols_from(j * layer.in, layer.in));
    scale_directions<Real>(rows(tile.d1[at - 1], n), below, below);
    if (const auto& second = tile.d2[at - 1]; second.rows() > 0)
      add_scaled_directions<Real>(rows(second, n), sized(buffers.rz, l - 1, net.depth(), n, k * layer.in),
                                  below);
  }
}

template <class Real>
void add_gradient(const Model<Real>& model, const BlockLayout& block, const Tile<Real>& tile,
                  MatrixView<Real> out) {
  const Network& net = model.network();
  for (Index l = 0; l < net.depth(); ++l) {
    const auto at = static_cast<std::size_t>(l);
    const auto d = rows(tile.d[at], tile.count);
    if (const Index offset = block.weight_offset[at]; offset != BlockLayout::absent)
      model.map(l).add_adjoint_weight(d, rows(tile.a[at], tile.count),
                                      part(out, 0, offset, net.layer(l).weight_size));
    if (const Index offset = block.bias_offset[at]; offset != BlockLayout::absent)
      add_row_sums<Real>(d, part(out, 0, offset, net.layer(l).out));
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
template void add_gradient<double>(const Model<double>&, const BlockLayout&, const Tile<double>&,
                                   MatrixView<double>);
template void add_gradient<float>(const Model<float>&, const BlockLayout&, const Tile<float>&,
                                  MatrixView<float>);

}  // namespace dualscape::nn
