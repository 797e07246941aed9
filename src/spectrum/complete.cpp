#include "dualscape/spectrum/complete.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "probes.hpp"

namespace dualscape::spectrum {
namespace {

/// Which entries of a block of `vectors` packed vectors belong to which rank.
struct Packing {
  Packing(const Partition& partition, Index vectors) {
    for (int rank = 0; rank < partition.ranks(); ++rank) {
      counts.push_back(static_cast<int>(vectors * partition.count(rank)));
      starts.push_back(static_cast<int>(vectors * partition.begin(rank)));
    }
  }
  std::vector<int> counts;
  std::vector<int> starts;
};

/// Calls copy(packed, whole) for each rank's part of each of the vectors, whole ones in the rows of `whole`.
template <class Copy>
void for_each_part(const Partition& partition, MatrixView<double> whole, double* packed, Copy&& copy) {
  for (int rank = 0; rank < partition.ranks(); ++rank)
    for (Index j = 0; j < whole.rows; ++j) {
      const auto part = whole.row(j).subspan(static_cast<std::size_t>(partition.begin(rank)),
                                             static_cast<std::size_t>(partition.count(rank)));
      copy(std::span<double>(packed, part.size()), part);
      packed += part.size();
    }
}

/// Row j of `whole` on rank 0 gets vector j. `packed`: room for all of it on rank 0.
void gather_on_root(const Comm& comm, const Partition& partition, ConstMultiVector parts,
                    MatrixView<double> whole, std::vector<double>& packed) {
  const Packing packing(partition, parts.rows);
  MPI_Gatherv(parts.data, static_cast<int>(parts.rows * parts.cols), MPI_DOUBLE, packed.data(),
              packing.counts.data(), packing.starts.data(), MPI_DOUBLE, 0, comm.get());
  if (comm.is_root())
    for_each_part(partition, whole, packed.data(),
                  [](auto from, auto to) { std::ranges::copy(from, to.begin()); });
}

/// The parts of the vectors in the rows of `whole` on rank 0. `packed`: room for all of it on rank 0.
void scatter_from_root(const Comm& comm, const Partition& partition, MatrixView<double> whole,
                       MultiVector parts, std::vector<double>& packed) {
  const Packing packing(partition, parts.rows);
  if (comm.is_root())
    for_each_part(partition, whole, packed.data(),
                  [](auto to, auto from) { std::ranges::copy(from, to.begin()); });
  MPI_Scatterv(packed.data(), packing.counts.data(), packing.starts.data(), MPI_DOUBLE, parts.data,
               static_cast<int>(parts.rows * parts.cols), MPI_DOUBLE, 0, comm.get());
}

/// Replaces a matrix by its symmetric part, after a look at what that drops.
void symmetrise(Matrix<double>& a, double rounding) {
  double largest = 0;
  double defect = 0;
  bool finite = true;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index j = 0; j <= i; ++j) {
      finite = finite && std::isfinite(a(i, j)) && std::isfinite(a(j, i));
      largest = std::max({largest, std::abs(a(i, j)), std::abs(a(j, i))});
      defect = std::max(defect, std::abs(a(i, j) - a(j, i)));
      a(i, j) = a(j, i) = 0.5 * (a(i, j) + a(j, i));
    }
  if (!finite)
    throw ComputationError(
        "the matrix of the operator holds numbers that are not finite (NaN or infinity): "
        "the weights or the data it is made from may be too large");
  // Sums over many samples lose digits; four are more than they lose in practice.
  if (defect > 1e4 * rounding * largest)
    throw ComputationError(
        fmt::format("the matrix of the operator is not symmetric: it differs from its "
                    "transpose by {:.1e} of its largest entry, where rounding explains {:.1e}",
                    defect / largest, 1e4 * rounding));
}

/// Rayleigh quotients and residuals of the vectors in the rows of `vectors`.
void measure(ConstMatrixView<double> a, ConstMatrixView<double> vectors, Eigenpairs& into) {
  const Index width = std::min(block_width(a.rows), a.rows);
  Matrix<double> images(width, a.cols);
  for (Index first = 0; first < vectors.rows; first += width) {
    const Index count = std::min(width, vectors.rows - first);
    const auto block = vectors.rows_from(first, count);
    gemm<double>(Op::none, Op::none, 1.0, block, a, 0.0, images.top(count));
    for (Index j = 0; j < count; ++j) {
      const auto v = block.row(j);
      const auto rest = images.row(j);
      const double theta = dot(v, rest) / dot(v, v);
      axpy(-theta, v, rest);
      into.values[static_cast<std::size_t>(first + j)] = theta;
      into.residuals[static_cast<std::size_t>(first + j)] = norm(rest) / norm(v);
    }
  }
}

/// Largest |<u, H v> - <v, H u>| of two of the vectors, scaled to length 1, whose `products` with H are
/// given.
double asymmetry_of_probes(MatrixView<double> vectors, ConstMatrixView<double> products) {
  Matrix<double> together(vectors.rows, vectors.rows);
  gemm<double>(Op::none, Op::transpose, 1.0, vectors, products, 0.0, together.view());
  std::vector<double> lengths;
  for (Index i = 0; i < vectors.rows; ++i) lengths.push_back(norm(vectors.row(i)));
  for (Index i = 0; i < vectors.rows; ++i)
    for (Index j = 0; j < vectors.rows; ++j)
      together(i, j) /= lengths[static_cast<std::size_t>(i)] * lengths[static_cast<std::size_t>(j)];
  return asymmetry(together.view());
}

}  // namespace

void require_dense(Index size, Index limit) {
  if (size <= limit) return;
  const double gigabytes = 8e-9 * dense_copies * static_cast<double>(size) * static_cast<double>(size);
  throw UsageError(
      fmt::format("the complete spectrum of a block of {} parameters would take {:.2g} GB on one rank, "
                  "and blocks up to numerics.dense_limit = {} are solved completely: choose a smaller "
                  "block, spectrum.which = \"largest\", or a larger numerics.dense_limit",
                  size, gigabytes, limit));
}

Matrix<double> assemble(const LinearOperator& op) {
  const Comm& comm = op.comm();
  const Partition partition = op.range();
  const Index size = partition.size();
  const Index begin = partition.begin(comm.rank());
  const Index length = partition.count(comm.rank());
  const Index width = std::min(block_width(size), size);
  Matrix<double> whole;
  std::vector<double> packed;
  on_root(comm, [&] {
    whole = Matrix<double>(size, size);
    packed.resize(static_cast<std::size_t>(width * size));
  });
  Matrix<double> products(width, length);
  for (Index first = 0; first < size; first += width) {
    const Index count = std::min(width, size - first);
    Matrix<double> units(count, length);
    for (Index j = 0; j < count; ++j)
      if (const Index at = first + j - begin; at >= 0 && at < length) units(j, at) = 1.0;
    op.apply(units.view(), products.top(count));
    const auto rows = comm.is_root() ? whole.view().rows_from(first, count) : MatrixView<double>();
    gather_on_root(comm, partition, products.top(count), rows, packed);
  }
  return whole;
}

Eigenpairs complete_spectrum(const Comm& comm, const Partition& partition, Matrix<double>& on_root_matrix,
                             double rounding) {
  const Index size = partition.size();
  const Index width = std::min(block_width(size), size);
  Matrix<double> vectors;
  std::vector<double> packed;
  Eigenpairs pairs;
  pairs.values.resize(static_cast<std::size_t>(size));
  pairs.residuals.resize(static_cast<std::size_t>(size));
  on_root(comm, [&] {
    if (on_root_matrix.rows() != size || on_root_matrix.cols() != size)
      throw std::logic_error("complete_spectrum: the matrix does not have the partition's size");
    symmetrise(on_root_matrix, rounding);
    vectors = on_root_matrix;
    symmetric_eigen(vectors.view());
    // What follows would leave the pieces of the workspace unused.
    release_freed_memory();
    measure(on_root_matrix.view(), vectors.view(), pairs);
    packed.resize(static_cast<std::size_t>(width * size));
  });
  // LAPACK's order is ascending.
  for (auto* numbers : {&pairs.values, &pairs.residuals}) {
    std::ranges::reverse(*numbers);
    comm.broadcast(std::span<double>(*numbers));
  }

  pairs.vectors = Matrix<double>(size, partition.count(comm.rank()));
  for (Index first = 0; first < size; first += width) {
    const Index count = std::min(width, size - first);
    const auto rows = comm.is_root() ? vectors.view().rows_from(first, count) : MatrixView<double>();
    // Ascending blocks go to the end of the descending result, each turned around there.
    const auto parts = pairs.vectors.view().rows_from(size - first - count, count);
    scatter_from_root(comm, partition, rows, parts, packed);
    for (Index j = 0; j < count / 2; ++j) std::ranges::swap_ranges(parts.row(j), parts.row(count - 1 - j));
  }
  return pairs;
}

Eigenpairs complete_spectrum(const LinearOperator& op, Index limit, double rounding) {
  require_dense(op.range().size(), limit);
  Matrix<double> matrix = assemble(op);
  return complete_spectrum(op.comm(), op.range(), matrix, rounding);
}

double bound_factor(Index probes, double failure) {
  const double chance = std::pow(failure, 1.0 / static_cast<double>(probes));
  // erf(6) is 1 in double precision.
  double below = 0;
  double above = 6;
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = 0.5 * (below + above);
    (std::erf(middle) <= chance ? below : above) = middle;
  }
  return 1 / (std::sqrt(2.0) * below);
}

ProbedMatrix probe_matrix(const LinearOperator& op, ConstMatrixView<double> on_root_matrix,
                          std::uint64_t seed) {
  constexpr Index probes = matrix_probes;
  const Comm& comm = op.comm();
  const Partition partition = op.range();
  const Index size = partition.size();
  Matrix<double> parts(probes, partition.count(comm.rank()));
  Matrix<double> products(probes, parts.cols());
  draw_normals(seed, Stream::matrix_probe, 0, partition.begin(comm.rank()), parts.view());
  op.apply(parts.view(), products.view());

  Matrix<double> whole;
  std::vector<double> packed;
  on_root(comm, [&] {
    whole = Matrix<double>(probes, size);
    packed.resize(static_cast<std::size_t>(probes * size));
  });
  gather_on_root(comm, partition, products.view(), whole.view(), packed);
  ProbedMatrix probed{.distance = {.probes = probes}};
  on_root(comm, [&] {
    Matrix<double> vectors(probes, size);
    draw_normals(seed, Stream::matrix_probe, 0, 0, vectors.view());
    probed.asymmetry = asymmetry_of_probes(vectors.view(), whole.view());
    gemm<double>(Op::none, Op::none, -1.0, vectors.view(), on_root_matrix, 1.0, whole.view());
    double largest = 0;
    for (Index j = 0; j < probes; ++j) {
      const double length = norm(whole.row(j));
      if (!std::isfinite(length))
        throw ComputationError(
            "products of the operator with random vectors hold numbers that are not finite (NaN or "
            "infinity): the weights or the data it is made from may be too large");
      largest = std::max(largest, length);
    }
    probed.distance.bound = bound_factor(probes, chance_of_failure) * largest;
  });
  probed.distance.bound = comm.broadcast_value(probed.distance.bound);
  probed.asymmetry = comm.broadcast_value(probed.asymmetry);
  return probed;
}

}  // namespace dualscape::spectrum
