#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/linear_operator.hpp"

/// Eigenpairs at the ends of the spectrum of a symmetric operator.
namespace dualscape::petsc {

struct EigenOptions {
  Which which = Which::largest;  ///< largest, smallest or both (algebraically); not all
  Index count = 1;               ///< pairs per end
  double tolerance = 1e-8;       ///< of a residual, relative to the norm of the operator
  std::uint64_t seed = 1;        ///< of the start vectors
  Index max_products = 0;        ///< 0: max(5000, 100 count)
  /// Hears of each restart: products so far, pairs converged so far.
  std::function<void(Index products, Index converged)> monitor;
};

/// What was found. One pair more than asked for is computed at each end where there is one: the guard, next
/// to the part of the spectrum that stays unknown.
struct Eigenpairs {
  std::vector<double> values;  ///< Ritz values, descending
  Matrix<double> vectors;      ///< row n: this rank's part of the unit eigenvector of value n
  Index upper = 0;             ///< the first `upper` pairs are of the upper end, the others of the lower
  Index solve_products = 0;    ///< products of the solves
  Index check_products = 0;    ///< products of the search for missed pairs
  double norm_estimate = 0.0;  ///< largest |Ritz value| seen: at most the norm of the operator
  std::string reason;          ///< "converged", or why there are fewer pairs than asked
};

/// Thick-restart Lanczos from start vectors that depend on the seed alone, never on the number of ranks;
/// options of SLEPc's database (-eps_...) set up one of SLEPc's solvers instead, Krylov-Schur where they do
/// not say which. `both` finds the largest pairs, then the smallest with the largest deflated.
///
/// A Krylov space holds one vector of a multiple eigenvalue, so that copies may be missing after a solve. A
/// search follows: all pairs found are deflated, a solver with a new start vector (SLEPc's with options
/// -check_eps_...) looks for what belongs among them, until nothing is found.
///
/// Fewer pairs than asked is a result, not an error; `reason` explains it. Throws UsageError for options
/// SLEPc does not take, ComputationError when the solver fails, the basis is too large for PETSc's integers
/// or a product is not finite, std::logic_error for an operator that is not symmetric or a count beyond its
/// size, and whatever the operator's products throw. @note Collective
Eigenpairs solve_ends(const LinearOperator& op, const EigenOptions& options);

}  // namespace dualscape::petsc
