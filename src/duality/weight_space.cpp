#include "dualscape/duality/weight_space.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

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

/// The rows of `own` of all pairs that are not dropped, in their order, on every rank.
Matrix<double> gather_kept(const Comm& comm, const Duals& duals, const Matrix<double>& own) {
  std::vector<double> flags;
  for (DualState state : duals.state) flags.push_back(state == DualState::dropped ? 1 : 0);
  const auto dropped = gather_pairs(comm, duals, flags);
  const auto whole = gather_pairs(comm, duals, {own.entries().begin(), own.entries().end()}, own.cols());
  Matrix<double> all(std::ranges::count(dropped, 0.0), own.cols());
  Index row = 0;
  for (std::size_t k = 0; k < dropped.size(); ++k)
    if (dropped[k] == 0)
      std::copy_n(whole.begin() + static_cast<Index>(k) * own.cols(), own.cols(), all.row(row++).begin());
  return all;
}

/// Row and column of an entry of a block's vector in the matrix that duals are; no row outside the layer.
struct Entry {
  Index row = -1, col = 0;

  Entry(Index at, const Place& place, Index out, Index cols) {
    const Index in = place.bias < 0 ? cols : cols - 1;
    if (at >= place.weight && at < place.weight + out * in) {
      row = (at - place.weight) / in;
      col = (at - place.weight) % in;
    } else if (place.bias >= 0 && at >= place.bias && at < place.bias + out) {
      row = at - place.bias;
      col = in;
    }
  }
};

/// The centred dual weights of all kept pairs as vectors of a block: pairs x this rank's part.
Matrix<double> centred_duals(const Comm& comm, const Duals& duals, const Partition& block,
                             const Place& place) {
  Matrix<double> response = duals.response;
  for (Index k = 0; k < response.rows(); ++k)
    for (double& x : response.row(k)) x *= duals.inverse[static_cast<std::size_t>(k)];
  const auto r = gather_kept(comm, duals, response);
  const auto b = gather_kept(comm, duals, duals.covector);
  Matrix<double> d(r.rows(), block.count(comm.rank()));
  std::vector<Entry> entries;
  for (Index j = 0; j < d.cols(); ++j)
    entries.emplace_back(block.begin(comm.rank()) + j, place, r.cols(), b.cols());
  // Row by row: a column of d is spread over all of its memory.
  std::vector<double> mean(entries.size());
  for (Index k = 0; k < d.rows(); ++k)
    for (std::size_t j = 0; j < entries.size(); ++j)
      if (const Entry& entry = entries[j]; entry.row >= 0)
        mean[j] += d.row(k)[j] = r(k, entry.row) * b(k, entry.col);
  for (double& x : mean) x /= static_cast<double>(std::max<Index>(1, d.rows()));
  for (Index k = 0; k < d.rows(); ++k) combine<double>(d.row(k), mean, std::minus<>());
  return d;
}

/// Rows [first, first + x.rows) of factor X Y^T, where it is symmetric, up to the last of these rows' own
/// column: the lower triangle, and little else.
void fill_lower(double factor, Index first, ConstMatrixView<double> x, ConstMatrixView<double> y,
                MatrixView<double> product) {
  const Index end = first + x.rows;
  gemm<double>(Op::none, Op::transpose, factor, x, y.rows_from(0, end), 0.0,
               product.rows_from(first, x.rows).cols_from(0, end));
}

/// Of a symmetric matrix whose lower triangle is there.
std::vector<double> descending_eigenvalues(Matrix<double>& matrix) {
  auto values = symmetric_eigen(matrix.view());
  std::ranges::reverse(values);
  return values;
}

}  // namespace

WeightOperator::WeightOperator(const Comm& comm, const Duals& duals, DualOperator kind,
                               const Partition& block, const Place& place)
    : comm_(comm),
      duals_(duals),
      block_(block),
      place_(place),
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
  const Index vectors = in.rows, rows = duals_.response.cols(), cols = duals_.covector.cols();
  Matrix<double> whole(vectors, block_.size());
  gather_all(comm_, block_, in, whole.view());
  Matrix<double> weights(vectors * rows, cols);
  for (Index j = 0; j < vectors; ++j)
    take_matrix(whole.row(j), place_, weights.view().rows_from(j * rows, rows));

  // y_k = f_k <D_k, x>, then the mean of (y_k - mean y) w_k D_k: a difference of means would cancel.
  Matrix<double> y(duals_.count(), vectors);
  TileProducts tiles(duals_);
  auto means = sum_over_pairs(comm_, duals_, vectors, [&](Index first, Index count, std::span<double> sums) {
    tiles.project(first, weights.view(), y.view().rows_from(first, count));
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
    std::ranges::fill(products.entries(), 0.0);
    tiles.spread(first, y.view().rows_from(first, count), products.view());
    for (Index j = 0; j < vectors; ++j)
      add_matrix(per_pair_, products.view().rows_from(j * rows, rows), place_, sums.row(j));
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

std::vector<double> co_spectrum(const LinearOperator& curvature, const Duals& duals, const Place& place) {
  const Comm& comm = curvature.comm();
  const auto d = centred_duals(comm, duals, curvature.range(), place);
  const Index pairs = d.rows();
  if (pairs == 0) return {};
  Matrix<double> gram(pairs, pairs);
  Matrix<double> products(std::min(vectors_at_once, pairs), d.cols());
  for (Index first = 0; first < pairs; first += vectors_at_once) {
    const Index count = std::min(vectors_at_once, pairs - first);
    curvature.apply(d.view().rows_from(first, count), products.top(count));
    fill_lower(1.0 / static_cast<double>(pairs), first, products.top(count), d.view(), gram.view());
  }
  MPI_Allreduce(MPI_IN_PLACE, gram.data(), static_cast<int>(pairs * pairs), MPI_DOUBLE, MPI_SUM, comm.get());
  return descending_eigenvalues(gram);
}

std::vector<double> co_spectrum(const Comm& comm, std::span<const double> values, ConstMultiVector vectors,
                                const Partition& block, const Duals& duals, const Place& place) {
  const auto d = centred_duals(comm, duals, block, place);
  const Index pairs = d.rows();
  if (pairs == 0) return {};
  Matrix<double> w(pairs, vectors.rows);
  gemm<double>(Op::none, Op::transpose, 1.0, d.view(), vectors, 0.0, w.view());
  MPI_Allreduce(MPI_IN_PLACE, w.data(), static_cast<int>(w.entries().size()), MPI_DOUBLE, MPI_SUM,
                comm.get());
  Matrix<double> curved = w, gram(pairs, pairs);
  for (Index k = 0; k < pairs; ++k)
    for (std::size_t n = 0; n < values.size(); ++n) curved(k, static_cast<Index>(n)) *= values[n];
  for (Index first = 0; first < pairs; first += vectors_at_once)
    fill_lower(1.0 / static_cast<double>(pairs), first,
               curved.view().rows_from(first, std::min(vectors_at_once, pairs - first)), w.view(),
               gram.view());
  return descending_eigenvalues(gram);
}

}  // namespace dualscape::duality
