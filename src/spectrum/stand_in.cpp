#include "dualscape/spectrum/stand_in.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "dualscape/base/blas.hpp"

namespace dualscape::spectrum {
namespace {

void sum_over_ranks(const Comm& comm, std::span<double> values) {
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_SUM,
                comm.get());
}

/// A v = residual + theta v for each vector.
Matrix<double> products_of(ConstMultiVector vectors, const Residuals& found, Matrix<double> residuals) {
  for (Index j = 0; j < vectors.rows; ++j)
    axpy(found.values[static_cast<std::size_t>(j)], vectors.row(j), residuals.row(j));
  return residuals;
}

}  // namespace

Corrected::Corrected(const LinearOperator& stand_in, Matrix<double> vectors, Matrix<double> products)
    : stand_in_(stand_in),
      vectors_(std::move(vectors)),
      errors_(std::move(products)),
      together_(vectors_.rows(), vectors_.rows()) {
  const Index count = vectors_.rows();
  const Index width = std::min(block_width(range().size()), count);
  Matrix<double> cheap(width, vectors_.cols());
  for (Index first = 0; first < count; first += width) {
    const Index rows = std::min(width, count - first);
    stand_in.apply(vectors_.view().rows_from(first, rows), cheap.top(rows));
    for (Index j = 0; j < rows; ++j) axpy(-1.0, cheap.row(j), errors_.row(first + j));
  }
  Matrix<double> half(count, count);
  gemm<double>(Op::none, Op::transpose, 1.0, vectors_.view(), errors_.view(), 0.0, half.view());
  sum_over_ranks(comm(), half.entries());
  // Symmetric but for rounding; exactly so, the operator is symmetric.
  for (Index i = 0; i < count; ++i)
    for (Index j = 0; j < count; ++j) together_(i, j) = 0.5 * (half(i, j) + half(j, i));
}

void Corrected::apply(ConstMultiVector in, MultiVector out) const {
  const Index count = vectors_.rows();
  // Rows: V^T x, then (E V)^T x, of each x.
  Matrix<double> shares(2 * in.rows, count);
  const auto along = shares.view().rows_from(0, in.rows);
  const auto errors = shares.view().rows_from(in.rows, in.rows);
  gemm<double>(Op::none, Op::transpose, 1.0, in, vectors_.view(), 0.0, along);
  gemm<double>(Op::none, Op::transpose, 1.0, in, errors_.view(), 0.0, errors);
  sum_over_ranks(comm(), shares.entries());
  gemm<double>(Op::none, Op::none, -1.0, along, together_.view(), 1.0, errors);
  stand_in_.apply(in, out);
  gemm<double>(Op::none, Op::none, 1.0, along, errors_.view(), 1.0, out);
  gemm<double>(Op::none, Op::none, 1.0, errors, vectors_.view(), 1.0, out);
}

StandInSolve solve_by_stand_in(const LinearOperator& op, const LinearOperator& stand_in,
                               const petsc::EigenOptions& options) {
  constexpr int rounds = 8;
  petsc::EigenOptions with_stand_in = options;
  // The other half is for what the stand-in is off by.
  with_stand_in.tolerance = 0.5 * options.tolerance;
  StandInSolve solve;
  std::optional<Corrected> corrected;
  double last = std::numeric_limits<double>::infinity();
  for (int round = 0; round < rounds; ++round) {
    const LinearOperator& cheap = corrected ? static_cast<const LinearOperator&>(*corrected) : stand_in;
    solve.pairs = petsc::solve_ends(cheap, with_stand_in);
    solve.stand_in_products += solve.pairs.solve_products + solve.pairs.check_products;
    if (solve.pairs.reason != "converged") return solve;

    Matrix<double> rest;
    solve.residuals = fresh_residuals(op, solve.pairs.vectors.view(), &rest);
    solve.products += solve.pairs.vectors.rows();
    double norm = 0;
    for (const double value : solve.residuals.values) norm = std::max(norm, std::abs(value));
    norm = std::max(norm, solve.pairs.norm_estimate);
    const double worst = std::ranges::max(solve.residuals.residuals);
    solve.settled = worst <= options.tolerance * norm;
    if (solve.settled || !(worst <= 0.5 * last)) return solve;
    last = worst;

    auto products = products_of(solve.pairs.vectors.view(), solve.residuals, std::move(rest));
    corrected.emplace(stand_in, solve.pairs.vectors, std::move(products));
    solve.stand_in_products += solve.pairs.vectors.rows();
  }
  return solve;
}

}  // namespace dualscape::spectrum
