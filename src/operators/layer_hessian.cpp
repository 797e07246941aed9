#include "dualscape/operators/layer_hessian.hpp"

#include <algorithm>
#include <exception>

#include "dualscape/base/blas.hpp"
#include "dualscape/nn/loss.hpp"

namespace dualscape::operators {
namespace {

/// Number of entries of the lower triangle.
Index packed_size(Index n) {
  return n * (n + 1) / 2;
}
/// Position of entry (i, j), i >= j, in the packed lower triangle.
Index packed(Index i, Index j) {
  return packed_size(i) + j;
}

/// S of each sample: its products with the C unit vectors, all at once.
template <class Real>
Matrix<Real> loss_hessians(Loss loss, const nn::Tile<Real>& tile) {
  const Index classes = tile.p.cols();
  Matrix<Real> units(tile.count, classes * classes);
  for (Index i = 0; i < tile.count; ++i)
    for (Index c = 0; c < classes; ++c) units(i, c * classes + c) = Real(1);
  Matrix<Real> hessians(tile.count, classes * classes);
  nn::loss_curvature_product<Real>(loss, nn::LossCurvature::full, tile.p.view().rows_from(0, tile.count),
                                   tile.labels, units.view(), hessians.view());
  return hessians;
}

/// Lower triangles of each sample's M, with the mean of both halves.
template <class Real>
void pack_hessians(ConstMatrixView<Real> hessians, Index size, Matrix<Real>& out) {
  for (Index s = 0; s < hessians.rows; ++s)
    for (Index i = 0; i < size; ++i)
      for (Index j = 0; j <= i; ++j)
        out(s, packed(i, j)) = (hessians(s, i * size + j) + hessians(s, j * size + i)) / 2;
}

/// Lower triangles of (a, 1)(a, 1)^T, or of a a^T.
template <class Real>
void pack_activities(ConstMatrixView<Real> a, Index size, Matrix<Real>& out) {
  std::vector<Real> augmented(static_cast<std::size_t>(size), Real(1));
  for (Index s = 0; s < a.rows; ++s) {
    std::ranges::copy(a.row(s), augmented.begin());
    Real* to = out.row(s).data();
    for (std::size_t i = 0; i < augmented.size(); ++i)
      for (std::size_t j = 0; j <= i; ++j) *to++ = augmented[i] * augmented[j];
  }
}

}  // namespace

PackedSizes::PackedSizes(const nn::Layer& layer, bool bias)
    : rows(packed_size(layer.out)), cols(packed_size(layer.in + (bias ? 1 : 0))) {
  constexpr Index numbers = 1 << 21;
  samples = std::max<Index>(1, numbers / std::max(rows, cols));
}

template <class Real>
Matrix<Real> preactivity_hessians(const nn::Linearisation<Real>& linearisation, const nn::Tile<Real>& tile,
                                  Index layer) {
  const nn::Network& net = linearisation.network();
  const Index n = tile.count;
  Matrix<Real> above = loss_hessians(net.loss(), tile);
  Matrix<Real> half;
  for (Index l = net.depth() - 1; l-- > layer;) {
    const auto at = static_cast<std::size_t>(l);
    const Index out = net.layer(l).out;
    const Index up = net.layer(l + 1).out;
    // (M W): every row of every sample's M goes through the adjoint; then the same from the other side.
    const auto& map = linearisation.model().map(l + 1);
    const auto weight = linearisation.model().weight(l + 1);
    half = Matrix<Real>(n * up, out);
    map.adjoint_input(weight, ConstMatrixView<Real>(above.data(), n * up, up), nn::Write::replace,
                      half.view());
    Matrix<Real> transposed(n * out, up);
    for (Index s = 0; s < n; ++s)
      for (Index i = 0; i < up; ++i)
        for (Index j = 0; j < out; ++j) transposed(s * out + j, i) = half(s * up + i, j);
    above = Matrix<Real>(n, out * out);
    map.adjoint_input(weight, transposed.view(), nn::Write::replace, {above.data(), n * out, out});
    const auto& first = tile.d1[at];
    const auto& second = tile.d2[at];
    for (Index s = 0; s < n; ++s)
      for (Index i = 0; i < out; ++i) {
        for (Index j = 0; j < out; ++j) above(s, i * out + j) *= first(s, i) * first(s, j);
        if (second.rows() > 0) above(s, i * out + i) += second(s, i);
      }
  }
  return above;
}

template <class Real>
Matrix<double> assemble_layer_hessian(const nn::Linearisation<Real>& linearisation, Index layer, bool bias) {
  const nn::Layer& at = linearisation.network().layer(layer);
  const Index in = at.in + (bias ? 1 : 0);
  const auto [rows, cols, most] = PackedSizes(at, bias);
  const Lanes& lanes = linearisation.lanes();
  const Comm& comm = linearisation.comm();

  LaneSum sum(comm, lanes, 1, rows * cols);
  try {
    for (int lane = lanes.first_lane(comm.rank(), comm.size());
         lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
      const auto total = sum.next_lane();
      Matrix<Real> partial(rows, cols);
      linearisation.for_each_tile(lane, [&](const nn::Tile<Real>& tile) {
        const auto hessians = preactivity_hessians(linearisation, tile, layer);
        const auto activities = tile.a[static_cast<std::size_t>(layer)].view();
        for (Index first = 0; first < tile.count; first += most) {
          const Index count = std::min(most, tile.count - first);
          Matrix<Real> left(count, rows);
          Matrix<Real> right(count, cols);
          pack_hessians<Real>(hessians.view().rows_from(first, count), at.out, left);
          pack_activities<Real>(activities.rows_from(first, count), in, right);
          gemm<Real>(Op::transpose, Op::none, Real(1), left.view(), right.view(), Real(1), partial.view());
        }
      });
      std::ranges::copy(partial.entries(), total.data);
    }
  } catch (...) {
    sum.fail(std::current_exception());
  }
  Matrix<double> products(rows, cols);
  sum.all_reduce({products.data(), 1, rows * cols});

  const Index size = at.out * in;
  // Position of the parameter that multiplies input j in output o: weights row by row, then the biases.
  const auto parameter = [&](Index o, Index j) { return j < at.in ? o * at.in + j : at.weight_size + o; };
  const double weight = 1.0 / static_cast<double>(lanes.samples());
  Matrix<double> hessian(size, size);
  for (Index o = 0; o < at.out; ++o)
    for (Index q = 0; q < at.out; ++q)
      for (Index i = 0; i < in; ++i)
        for (Index j = 0; j < in; ++j)
          hessian(parameter(o, i), parameter(q, j)) =
              weight *
              products(packed(std::max(o, q), std::min(o, q)), packed(std::max(i, j), std::min(i, j)));
  return hessian;
}

template Matrix<double> preactivity_hessians<double>(const nn::Linearisation<double>&,
                                                     const nn::Tile<double>&, Index);
template Matrix<float> preactivity_hessians<float>(const nn::Linearisation<float>&, const nn::Tile<float>&,
                                                   Index);
template Matrix<double> assemble_layer_hessian<double>(const nn::Linearisation<double>&, Index, bool);
template Matrix<double> assemble_layer_hessian<float>(const nn::Linearisation<float>&, Index, bool);

}  // namespace dualscape::operators
