#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/linear_operator.hpp"
#include "dualscape/petsc/thick_restart.hpp"

/// Eigenpairs at the ends of the spectrum of a symmetric operator.
namespace dualscape::petsc {

/// Where a whole solve stands: all it needs to go on, but for its options. A default one stands before the
/// first product.
struct EigenState {
  enum class Phase { solve, search, done };

  Phase phase = Phase::solve;    ///< a solve, or the search for pairs it missed
  bool lower = false;            ///< of the lower end
  std::vector<RitzPair> upper;   ///< found so far, descending
  std::vector<RitzPair> lowest;  ///< those of the lower end, ascending
  Index solves = 0;              ///< begun so far: each has random vectors of its own
  Index products = 0;            ///< so far
  Index check_products = 0;      ///< of these, those of searches that are over
  Index phase_began = 0;         ///< `products` at the start of this phase
  Index solve_products = 0;      ///< of the solve that this search follows
  double norm_estimate = 0.0;    ///< largest |Ritz value| seen by solves that are over
  double asymmetry = -1.0;       ///< as in Eigenpairs, of solves that are over
  std::string reason = "converged";
  RestartState restart;  ///< of the solve under way; empty: it begins anew
};

struct EigenOptions {
  Which which = Which::largest;  ///< largest, smallest or both (algebraically); not all
  Index count = 1;               ///< pairs per end
  double tolerance = 1e-8;       ///< of a residual, relative to the norm of the operator
  std::uint64_t seed = 1;        ///< of the start vectors
  Index start = 0;               ///< number of the first start vector, below 32768
  Index block = 1;               ///< vectors multiplied at once, but for the search for missed pairs
  Index max_products = 0;        ///< 0: max(5000, 100 count)
  /// Hears of each look at the pairs: products so far, pairs converged so far.
  std::function<void(Index products, Index converged)> monitor;
  /// Hears of each restart of our own solver, of the beginning of each solve and of the end; and once more,
  /// with `stopping`, when a product throws Interrupted: of where to go on from. What the state refers to
  /// lives for the length of the call.
  std::function<void(const EigenState& state, bool stopping)> on_restart;
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
  double asymmetry = -1.0;     ///< as in ThickRestartResult, of all solves; -1 where only SLEPc's solved
  std::string reason;          ///< "converged", or why there are fewer pairs than asked
};

/// Thick-restart Lanczos from start vectors that depend on the seed alone, never on the number of ranks;
/// options of SLEPc's database (-eps_...) set up one of SLEPc's solvers instead, Krylov-Schur where they do
/// not say which. `both` finds the largest pairs, then the smallest with the largest deflated.
///
/// A Krylov space holds one vector of a multiple eigenvalue, so that copies may be missing after a solve. A
/// search follows: all pairs found are deflated, a solver with a new start vector (SLEPc's with options
/// -check_eps_...) looks for what belongs among them, until nothing is found. That nothing belongs beyond the
/// guard is told by the start vector's share in it (thick_restart.hpp), by our solver in a few products.
///
/// `from` continues an earlier call with the same options, at any number of ranks, with the numbers of
/// products it would have come to; a solve of SLEPc's begins anew.
///
/// Fewer pairs than asked is a result, not an error; `reason` explains it. Throws UsageError for options
/// SLEPc does not take and solvers that cannot do what is asked, ComputationError when the solver fails, the
/// basis is too large for PETSc's integers or the memory, or a product is not finite, std::logic_error for an
/// operator that is not symmetric or a count beyond its size, and whatever the operator's products throw.
/// @note Collective
Eigenpairs solve_ends(const LinearOperator& op, const EigenOptions& options, EigenState from = {});

/// Largest |Ritz value| after so many products of Lanczos from a random vector: at most |H|, and close to it
/// where its largest eigenvalues stand out. Throws as solve_ends does. @note Collective
double norm_by_lanczos(const LinearOperator& op, Index products, std::uint64_t seed);

/// Throws ComputationError when the basis of such a solve, for an operator of this size, has more entries
/// than PETSc's integers can count, or takes more memory than a machine under these ranks has left: before
/// anything of it is allocated. @note Collective
void require_room(const Comm& comm, Index size, const EigenOptions& options);

}  // namespace dualscape::petsc
