#include "dualscape/spectrum/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "dualscape/base/blas.hpp"
#include "probes.hpp"

namespace dualscape::spectrum {
namespace {

/// Rayleigh quotients and residuals of vectors v (rows) with products hv; hv is overwritten.
void append_residuals(const Comm& comm, ConstMultiVector v, MultiVector hv, Residuals& into) {
  const auto count = static_cast<std::size_t>(v.rows);
  std::vector<double> sums(2 * count);
  for (Index j = 0; j < v.rows; ++j) {
    sums[static_cast<std::size_t>(2 * j)] = dot(v.row(j), v.row(j));
    sums[static_cast<std::size_t>(2 * j + 1)] = dot(v.row(j), hv.row(j));
  }
  sum_over_ranks(comm, sums);
  std::vector<double> squares(count);
  for (std::size_t j = 0; j < count; ++j) {
    const double theta = sums[2 * j + 1] / sums[2 * j];
    into.values.push_back(theta);
    const auto row = static_cast<Index>(j);
    axpy(-theta, v.row(row), hv.row(row));
    squares[j] = dot(hv.row(row), hv.row(row));
  }
  sum_over_ranks(comm, squares);
  for (std::size_t j = 0; j < count; ++j) into.residuals.push_back(std::sqrt(squares[j] / sums[2 * j]));
}

}  // namespace

Index block_width(Index size) {
  constexpr Index entries = Index{1} << 24;  // 128 MiB of doubles over all ranks
  return std::clamp<Index>(entries / std::max<Index>(size, 1), 1, 64);
}

Residuals fresh_residuals(const LinearOperator& op, ConstMultiVector vectors,
                          const ResidualDetails& details) {
  const Index width = std::min(block_width(op.range().size()), vectors.rows);
  Matrix<double> products(details.rest ? vectors.rows : width, vectors.cols);
  Matrix<double> together(details.together ? vectors.rows : 0, vectors.rows);
  Residuals result;
  for (Index first = 0; first < vectors.rows; first += width) {
    const Index count = std::min(width, vectors.rows - first);
    const auto block = vectors.rows_from(first, count);
    const auto images = products.view().rows_from(details.rest ? first : 0, count);
    op.apply(block, images);
    if (details.together)
      gemm<double>(Op::none, Op::transpose, 1.0, images, vectors, 0.0,
                   together.view().rows_from(first, count));
    append_residuals(op.comm(), block, images, result);
  }
  sum_over_ranks(op.comm(), together.entries());
  if (details.rest) *details.rest = std::move(products);
  if (details.together) *details.together = std::move(together);
  return result;
}

double asymmetry(ConstMatrixView<double> a) {
  double largest = 0;
  for (Index i = 0; i < a.rows; ++i)
    for (Index j = 0; j < i; ++j) largest = std::max(largest, std::abs(a(i, j) - a(j, i)));
  return largest;
}

namespace {

/// Distances of the pairs of one end to what was not computed, where a search with an operator at `distance`
/// found them. `end`: the pairs' positions, next to what was not computed first; `sign`: 1 for the upper end.
std::vector<double> distances_to_rest(const std::vector<double>& values, const std::vector<double>& residuals,
                                      std::span<const std::size_t> end, double sign, double distance) {
  std::vector<double> distances;
  double reach = -std::numeric_limits<double>::infinity();
  bool within = true;
  for (const std::size_t n : end) {
    const double value = sign * values[n];
    within = within && (distances.empty() || value - residuals[n] <= reach);
    if (within) reach = value + residuals[n] + 2 * distance;
    distances.push_back(within ? 0 : value - reach);
  }
  return distances;
}

}  // namespace

Bounds error_bounds(const std::vector<double>& values, const std::vector<double>& residuals, Index upper,
                    Index size, double norm, double rounding, double distance, double shift) {
  const std::size_t count = values.size();
  const double floor = residual_floor(norm, rounding);
  const bool complete = std::ssize(values) == size;
  const auto last_upper = static_cast<std::size_t>(upper) - 1;  // wraps to no index when there is none
  const auto first_lower = static_cast<std::size_t>(upper);

  std::vector<double> to_rest(count, std::numeric_limits<double>::infinity());
  if (distance > 0 && !complete) {
    std::vector<std::size_t> positions(count);
    std::iota(positions.begin(), positions.end(), std::size_t{0});
    std::reverse(positions.begin(), positions.begin() + upper);
    const auto all = std::span<const std::size_t>(positions);
    to_rest = distances_to_rest(values, residuals, all.first(first_lower), 1.0, distance);
    std::ranges::reverse(to_rest);
    const auto lower = distances_to_rest(values, residuals, all.subspan(first_lower), -1.0, distance);
    to_rest.insert(to_rest.end(), lower.begin(), lower.end());
  }

  Bounds bounds;
  for (std::size_t n = 0; n < count; ++n) {
    const double r = residuals[n] + floor;
    double d = to_rest[n] - floor;
    for (std::size_t j = 0; j < count; ++j)
      if (j != n) d = std::min(d, std::abs(values[n] - values[j]) - residuals[j] - floor);
    if (!complete && (n == last_upper || n == first_lower)) d = 0;
    bounds.value_bounds.push_back((r < d - shift ? std::min(r, r * r / (d - shift) + shift) : r) + floor);
    bounds.angle_bounds.push_back(r < d ? std::min(1.0, r / d + residual_floor(1, rounding)) : 1.0);

    const auto continues = [&] {
      const double apart = values[n - 1] - values[n];
      return apart < 1e-6 * std::max(std::abs(values[n - 1]), std::abs(values[n])) ||
             apart <= residuals[n - 1] + residuals[n] + floor;
    };
    bounds.clusters.push_back(n == 0 ? 0 : bounds.clusters.back() + (continues() ? 0 : 1));
  }
  return bounds;
}

double orthogonality_defect(const Comm& comm, ConstMultiVector vectors) {
  constexpr Index most = 256;
  Matrix<double> gram(std::min(most, vectors.rows), vectors.rows);
  double defect = 0;
  for (Index first = 0; first < vectors.rows; first += most) {
    const Index count = std::min(most, vectors.rows - first);
    // The matrix is symmetric: each block of rows begins at its diagonal.
    const Index rest = vectors.rows - first;
    const MatrixView<double> block(gram.data(), count, rest);
    gemm(Op::none, Op::transpose, 1.0, vectors.rows_from(first, count), vectors.rows_from(first, rest), 0.0,
         block);
    sum_over_ranks(comm, gram.entries().first(static_cast<std::size_t>(count * rest)));
    for (Index i = 0; i < count; ++i)
      for (Index j = 0; j < rest; ++j)
        defect = std::max(defect, std::abs(block(i, j) - (i == j ? 1.0 : 0.0)));
  }
  return defect;
}

double symmetry_defect(const LinearOperator& op, double norm, std::uint64_t seed) {
  const Comm& comm = op.comm();
  const Index first = op.range().begin(comm.rank());
  const Index length = op.range().count(comm.rank());
  Matrix<double> vectors(2, length);
  Matrix<double> products(2, length);
  draw_normals(seed, Stream::probe, 0, first, vectors.view());
  op.apply(vectors.view(), products.view());
  std::vector<double> sums = {dot(vectors.row(0), products.row(1)), dot(vectors.row(1), products.row(0)),
                              dot(vectors.row(0), vectors.row(0)), dot(vectors.row(1), vectors.row(1))};
  sum_over_ranks(comm, sums);
  const double difference = std::abs(sums[0] - sums[1]) / std::sqrt(sums[2] * sums[3]);
  return norm > 0 ? difference / norm : difference;
}

void fix_signs(const Comm& comm, const Partition& partition, MultiVector vectors) {
  const auto count = static_cast<std::size_t>(vectors.rows);
  const Index first = partition.begin(comm.rank());
  std::vector<double> largest(count);
  for (Index j = 0; j < vectors.rows; ++j)
    for (double x : vectors.row(j))
      largest[static_cast<std::size_t>(j)] = std::max(largest[static_cast<std::size_t>(j)], std::abs(x));
  MPI_Allreduce(MPI_IN_PLACE, largest.data(), static_cast<int>(count), MPI_DOUBLE, MPI_MAX, comm.get());

  // Position and sign of the deciding entry in one number, so that the smallest over the ranks brings both.
  std::vector<std::int64_t> deciding(count, std::numeric_limits<std::int64_t>::max());
  for (std::size_t j = 0; j < count; ++j) {
    const auto row = vectors.row(static_cast<Index>(j));
    const auto found =
        std::ranges::find_if(row, [&](double x) { return std::abs(x) >= (1 - 1e-8) * largest[j]; });
    if (found != row.end()) deciding[j] = 2 * (first + (found - row.begin())) + (*found < 0 ? 1 : 0);
  }
  MPI_Allreduce(MPI_IN_PLACE, deciding.data(), static_cast<int>(count), MPI_INT64_T, MPI_MIN, comm.get());
  for (std::size_t j = 0; j < count; ++j)
    if (deciding[j] % 2 == 1)
      for (double& x : vectors.row(static_cast<Index>(j))) x = -x;
}

}  // namespace dualscape::spectrum
