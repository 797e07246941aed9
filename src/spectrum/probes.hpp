#pragma once

#include <cmath>
#include <vector>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/comm.hpp"
#include "dualscape/base/matrix.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::spectrum {

inline void sum_over_ranks(const Comm& comm, std::span<double> values) {
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_SUM,
                comm.get());
}

/// Row j: this rank's part, from entry `begin` on, of probe `first` + j: random signs, the same at any number
/// of ranks. Of all probes with independent entries of unit variance these scatter least.
inline void draw_signs(std::uint64_t seed, Stream stream, Index first, Index begin, MultiVector out) {
  for (Index j = 0; j < out.rows; ++j) {
    const Random random(seed, stream, static_cast<std::uint32_t>(first + j));
    for (Index i = 0; i < out.cols; ++i) {
      const auto entry = static_cast<std::uint64_t>(begin + i);
      const std::uint64_t word = random.bits(entry / 64);
      out(j, i) = ((word >> (entry % 64)) & 1U) != 0 ? 1.0 : -1.0;
    }
  }
}

/// Row j: this rank's part, from entry `begin` on, of vector `first` + j of independent standard normal
/// entries, the same at any number of ranks.
inline void draw_normals(std::uint64_t seed, Stream stream, Index first, Index begin, MultiVector out) {
  for (Index j = 0; j < out.rows; ++j) {
    const Random random(seed, stream, static_cast<std::uint32_t>(first + j));
    for (Index i = 0; i < out.cols; ++i) out(j, i) = random.normal(static_cast<std::uint64_t>(begin + i));
  }
}

/// <a_j, b_j> of every row. @note Collective
inline std::vector<double> row_dots(const Comm& comm, ConstMultiVector a, ConstMultiVector b) {
  std::vector<double> sums;
  for (Index j = 0; j < a.rows; ++j) sums.push_back(dot(a.row(j), b.row(j)));
  sum_over_ranks(comm, sums);
  return sums;
}

/// vectors -= their components along the orthonormal rows of `basis`. @note Collective
inline void project_off(const Comm& comm, ConstMultiVector basis, MultiVector vectors) {
  if (basis.rows == 0) return;
  Matrix<double> along(vectors.rows, basis.rows);
  gemm(Op::none, Op::transpose, 1.0, ConstMultiVector(vectors), basis, 0.0, along.view());
  sum_over_ranks(comm, along.entries());
  gemm(Op::none, Op::none, -1.0, ConstMultiVector(along.view()), basis, 1.0, vectors);
}

/// Row j: this rank's part of direction `first` + j, uniform on the unit sphere of the complement of the
/// orthonormal rows of `basis`, the same at any number of ranks. `begin`: this rank's first entry. @note
/// Collective
inline void draw_directions(const Comm& comm, std::uint64_t seed, Stream stream, Index first, Index begin,
                            ConstMultiVector basis, MultiVector out) {
  draw_normals(seed, stream, first, begin, out);
  for (int pass = 0; pass < 2; ++pass) project_off(comm, basis, out);
  const auto squares = row_dots(comm, out, out);
  for (Index j = 0; j < out.rows; ++j)
    for (double& x : out.row(j)) x /= std::sqrt(squares[static_cast<std::size_t>(j)]);
}

}  // namespace dualscape::spectrum
