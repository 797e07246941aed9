#include "dualscape/duality/weight_space.hpp"

#include <algorithm>
#include <cmath>

#include "dualscape/base/blas.hpp"
#include "projection.hpp"

namespace dualscape::duality {
namespace {

/// Vectors the curvature is multiplied with at once.
constexpr Index vectors_at_once = 64;

double inverse_of_kept(const Comm& comm, const Duals& duals) {
  const auto kept = std::ranges::count_if(duals.state, [](DualState s) { return s != DualState::dropped; });
  return 1.0 / static_cast<double>(std::max<Index>(1, comm.sum(static_cast<Index>(kept))));
}

/// The rows of `own` of all kept pairs, in their order, on every rank.
Matrix<double> gather_kept(const Comm& comm, const Duals& duals, const Matrix<double>& own) {
  const auto dropped = [&] {
    std::vector<double> flags;
    for (DualState state : duals.state) flags.push_back(state == DualState::dropped ? 1 : 0);
    return gather_pairs(comm, duals, flags);
  }();
  Matrix<double> all(std::ranges::count(dropped, 0.0), own.cols());
  std::vector<double> column(static_cast<std::size_t>(own.rows()));
  for (Index j = 0; j < own.cols(); ++j) {
    for (Index k = 0; k < own.rows(); ++k) column[static_cast<std::size_t>(k)] = own(k, j);
    const auto whole = gather_pairs(comm, duals, column);
    Index row = 0;
    for (std::size_t k = 0; k < whole.size(); ++k)
      if (dropped[k] == 0) all(row++, j) = whole[k];
  }
  return all;
}

/// The centred dual weights of all kept pairs as vectors of a block: pairs x this rank's part.
Matrix<double> centred_duals(const Comm& comm, const Duals& duals, const Partition& block,
                             Index weight_offset) {
  Matrix<double> response = duals.response;
  for (Index k = 0; k < response.rows(); ++k)
    for (double& x : response.row(k)) x *= duals.inverse[static_cast<std::size_t>(k)];
  const auto r = gather_kept(comm, duals, response);
  const auto a = gather_kept(comm, duals, duals.activity);
  Matrix<double> d(r.rows(), block.count(comm.rank()));
  for (Index j = 0; j < d.cols(); ++j) {
    const Index entry = block.begin(comm.rank()) + j - weight_offset;
    if (entry < 0 || entry >= r.cols() * a.cols()) continue;
    const Index o = entry / a.cols(), i = entry % a.cols();
    double mean = 0;
    for (Index k = 0; k < d.rows(); ++k) mean += d(k, j) = r(k, o) * a(k, i);
    mean /= static_cast<double>(d.rows());
    for (Index k = 0; k < d.rows(); ++k) d(k, j) -= mean;
  }
  return d;
}

}  // namespace

WeightOperator::WeightOperator(const Comm& comm, const Duals& duals, DualOperator kind,
                               const Partition& block, Index weight_offset)
    : comm_(comm),
      duals_(duals),
      block_(block),
      weight_offset_(weight_offset),
      centred_(kind == DualOperator::dual_covariance || kind == DualOperator::secant_covariance),
      per_pair_(inverse_of_kept(comm, duals)),
      weight_(duals.state.size()),
      scale_(duals.state.size()) {
  for (std::size_t k = 0; k < scale_.size(); ++k) {
    if (duals.state[k] != DualState::kept) continue;
    const double secant = duals.loss_gap[k] / (duals.norm[k] * duals.norm[k]);
    const bool of_duals = kind == DualOperator::dual_covariance || kind == DualOperator::dual_moment;
    scale_[k] = kind == DualOperator::gap || of_duals ? 1.0 : secant;
    weight_[k] = kind == DualOperator::gap ? secant : scale_[k];
  }
}

void WeightOperator::apply(ConstMultiVector in, MultiVector out) const {
  const Index vectors = in.rows, rows = duals_.response.cols(), cols = duals_.activity.cols();
  Matrix<double> whole(vectors, block_.size());
  gather_all(comm_, block_, in, whole.view());
  Matrix<double> weights(vectors * rows, cols);
  for (Index j = 0; j < vectors; ++j)
    std::copy_n(whole.row(j).begin() + weight_offset_, rows * cols, weights.row(j * rows).data());

  // y_k = f_k <D_k, x>, then the mean of (y_k - mean y) w_k D_k: a difference of means would cancel.
  Matrix<double> y(duals_.count(), vectors);
  auto means = sum_over_pairs(comm_, duals_, vectors, [&](Index first, Index count, std::span<double> sums) {
    project_tile(duals_, first, weights.view(), y.view().rows_from(first, count));
    for (Index k = first; k < first + count; ++k)
      for (Index j = 0; j < vectors; ++j)
        sums[static_cast<std::size_t>(j)] += y(k, j) *= scale_[static_cast<std::size_t>(k)];
  });
  for (double& mean : means) mean *= centred_ ? per_pair_ : 0.0;

  LaneSum sum(comm_, duals_.lanes, vectors, block_.size());
  Matrix<double> products(vectors * rows, cols);
  add_over_pairs(comm_, duals_, sum, [&](Index first, Index count, MatrixView<double> sums) {
    for (Index k = first; k < first + count; ++k)
      for (Index j = 0; j < vectors; ++j)
        y(k, j) = (y(k, j) - means[static_cast<std::size_t>(j)]) * weight_[static_cast<std::size_t>(k)];
    spread_tile(duals_, first, y.view().rows_from(first, count), products.view());
    for (Index j = 0; j < vectors; ++j)
      axpy(per_pair_, {products.row(j * rows).data(), static_cast<std::size_t>(rows * cols)},
           sums.row(j)
               .subspan(static_cast<std::size_t>(weight_offset_))
               .first(static_cast<std::size_t>(rows * cols)));
  });
  sum.reduce_scatter(block_, out);
}

void OffSubspace::project(MultiVector vectors) const {
  Matrix<double> overlaps(vectors.rows, basis_.rows);
  gemm<double>(Op::none, Op::transpose, 1.0, vectors, basis_, 0.0, overlaps.view());
  MPI_Allreduce(MPI_IN_PLACE, overlaps.data(), static_cast<int>(overlaps.entries().size()), MPI_DOUBLE,
                MPI_SUM, comm().get());
  gemm<double>(Op::none, Op::none, -1.0, overlaps.view(), basis_, 1.0, vectors);
}

void OffSubspace::apply(ConstMultiVector in, MultiVector out) const {
  Matrix<double> inside(in.rows, in.cols);
  for (Index j = 0; j < in.rows; ++j) std::ranges::copy(in.row(j), inside.row(j).begin());
  project(inside.view());
  inner_.apply(inside.view(), out);
  project(out);
}

Alignment align(std::span<const double> values, ConstMultiVector vectors, const LinearOperator& b) {
  const Index m = vectors.rows;
  Matrix<double> forms(m, m);
  Matrix<double> products(std::min(vectors_at_once, m), vectors.cols);
  for (Index first = 0; first < m; first += vectors_at_once) {
    const Index count = std::min(vectors_at_once, m - first);
    b.apply(vectors.rows_from(first, count), products.top(count));
    gemm<double>(Op::none, Op::transpose, 1.0, products.top(count), vectors, 0.0,
                 forms.view().rows_from(first, count));
  }
  MPI_Allreduce(MPI_IN_PLACE, forms.data(), static_cast<int>(m * m), MPI_DOUBLE, MPI_SUM, b.comm().get());
  double square = 0, diagonal = 0, commutator = 0;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j) {
      const double entry = forms(i, j) * forms(i, j);
      const double apart = values[static_cast<std::size_t>(i)] - values[static_cast<std::size_t>(j)];
      square += entry;
      diagonal += i == j ? entry : 0.0;
      commutator += apart * apart * entry;
    }
  const double scale = norm(values) * std::sqrt(square);
  return {.commutator = scale > 0 ? std::sqrt(commutator) / scale : 0.0,
          .diagonal = square > 0 ? diagonal / square : 0.0};
}

std::vector<double> co_spectrum(const LinearOperator& curvature, const Duals& duals, Index weight_offset) {
  const Comm& comm = curvature.comm();
  const auto d = centred_duals(comm, duals, curvature.range(), weight_offset);
  const Index pairs = d.rows();
  if (pairs == 0) return {};
  Matrix<double> gram(pairs, pairs);
  Matrix<double> products(std::min(vectors_at_once, pairs), d.cols());
  for (Index first = 0; first < pairs; first += vectors_at_once) {
    const Index count = std::min(vectors_at_once, pairs - first);
    curvature.apply(d.view().rows_from(first, count), products.top(count));
    gemm<double>(Op::none, Op::transpose, 1.0 / static_cast<double>(pairs), products.top(count), d.view(),
                 0.0, gram.view().rows_from(first, count));
  }
  MPI_Allreduce(MPI_IN_PLACE, gram.data(), static_cast<int>(pairs * pairs), MPI_DOUBLE, MPI_SUM, comm.get());
  auto values = symmetric_eigen(gram.view());
  std::ranges::reverse(values);
  return values;
}

}  // namespace dualscape::duality
