#include "dualscape/spectrum/stand_in.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/spectrum/refine.hpp"
#include "probes.hpp"

namespace dualscape::spectrum {
namespace {

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

namespace {

class Rounds {
 public:
  Rounds(const LinearOperator& op, const LinearOperator& stand_in, const StandInOptions& options)
      : op_(op), stand_in_(stand_in), options_(options), again_(options.solve) {
    const double asked = options.solve.tolerance;
    // The rest is for what the stand-in is off by, in directions that have nothing to do with the solve's
    // residuals: squares add up. A solve in a low precision need not go far below that.
    const double off = options.near ? std::min(0.5 * asked, noise()) : 0.5 * asked;
    again_.tolerance = std::max(std::sqrt(asked * asked - off * off), options.rounding / 32);
  }

  StandInSolve run(petsc::EigenState from) {
    count(petsc::solve_ends(stand_in_, again_, std::move(from)));
    again_.on_restart = nullptr;
    // Products in a higher precision want larger pieces than the solve has left.
    release_freed_memory();
    try {
      while (good_so_far() && !over()) improve();
    } catch (const Interrupted&) {
      if (options_.interrupted) options_.interrupted(solve_);
      throw;
    }
    return std::move(solve_);
  }

 private:
  /// Of residuals, relative to |A|, that the rounding of a product with the stand-in may leave.
  double noise() const { return 16 * options_.rounding; }

  void count(petsc::Eigenpairs found) {
    solve_.stand_in_products += found.solve_products + found.check_products;
    solve_.pairs = std::move(found);
  }
  bool good_so_far() const { return solve_.pairs.reason == "converged" || options_.as_they_are; }

  /// The largest residual of a pair asked for; guards may have larger ones.
  double worst() const {
    const Index found = std::ssize(solve_.residuals.values);
    const Index upper = solve_.pairs.upper;
    const Index count = options_.solve.count;
    double worst = 0;
    for (Index n = 0; n < found; ++n)
      if (n < std::min(count, upper) || n >= found - std::min(count, found - upper))
        worst = std::max(worst, solve_.residuals.residuals[static_cast<std::size_t>(n)]);
    return worst;
  }

  /// Products with the operator tell whether there is an end to it.
  bool over() {
    const auto vectors = solve_.pairs.vectors.view();
    Matrix<double> together;
    solve_.residuals = fresh_residuals(
        op_, vectors, {.rest = options_.as_they_are ? nullptr : &rest_, .together = &together});
    solve_.asymmetry = asymmetry(together.view());
    solve_.products += vectors.rows;
    norm_ = solve_.pairs.norm_estimate;
    for (const double value : solve_.residuals.values) norm_ = std::max(norm_, std::abs(value));
    solve_.settled = worst() <= options_.solve.tolerance * norm_;
    if (solve_.settled || options_.as_they_are || !(worst() <= 0.5 * last_)) return true;
    last_ = worst();
    return false;
  }

  void improve() {
    auto products = products_of(solve_.pairs.vectors.view(), solve_.residuals, std::move(rest_));
    if (last_ <= noise() * norm_) {
      const double worst = std::ranges::max(solve_.residuals.residuals);
      refine(op_.comm(), solve_.pairs.vectors.view(), products.view(), worst);
      return;
    }
    const Corrected corrected(stand_in_, solve_.pairs.vectors, std::move(products));
    solve_.stand_in_products += solve_.pairs.vectors.rows();
    count(petsc::solve_ends(corrected, again_));
  }

  const LinearOperator& op_;
  const LinearOperator& stand_in_;
  const StandInOptions& options_;
  petsc::EigenOptions again_;
  StandInSolve solve_;
  Matrix<double> rest_;  ///< residual vectors
  double norm_ = 0.0;
  double last_ = std::numeric_limits<double>::infinity();
};

}  // namespace

StandInSolve solve_by_stand_in(const LinearOperator& op, const LinearOperator& stand_in,
                               const StandInOptions& options, petsc::EigenState from) {
  return Rounds(op, stand_in, options).run(std::move(from));
}

}  // namespace dualscape::spectrum
