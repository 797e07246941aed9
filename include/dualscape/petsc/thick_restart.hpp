#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "dualscape/base/linear_operator.hpp"

/// Thick-restart block Lanczos on SLEPc's basis vectors, which unlike SLEPc's own solvers multiplies blocks
/// and can be stopped and continued.
namespace dualscape::petsc {

class ShellMatrix;

/// A computed eigenpair.
struct RitzPair {
  double value = 0.0;
  double residual = 0.0;       ///< the solver's estimate of |H v - value v|
  std::vector<double> vector;  ///< this rank's part, of unit norm
};

/// All a solve needs to go on from a restart: the decomposition H V = V diag(values) + W B, where the rows of
/// `vectors` are first V, one for each value, then the continuation W. B is the first thing the next product
/// tells. A default one stands before the first product.
struct RestartState {
  Index cycle = 0;     ///< restarts so far
  Index products = 0;  ///< of this solve so far
  Index draws = 0;     ///< random vectors used so far
  double norm_estimate = 0.0;
  std::vector<double> values;  ///< Ritz values kept, the wanted end first
  ConstMultiVector vectors;    ///< this rank's parts, orthonormal
};

struct ThickRestartOptions {
  bool largest = true;  ///< which end of the spectrum
  Index pairs = 1;
  Index basis = 16;            ///< vectors multiplied before a restart; at least pairs + block
  Index block = 1;             ///< vectors multiplied at once; as many copies of an eigenvalue are found
  double keep = 0.7;           ///< fraction of the vectors not yet converged that a restart keeps
  double tolerance = 1e-8;     ///< of a residual, relative to the largest |Ritz value| seen
  double norm_estimate = 0.0;  ///< such a value seen before
  /// Where all that counts is what lies beyond this value: a pair is also settled as soon as its residual is
  /// a tenth of what separates it from the value on the other side.
  std::optional<double> beyond;
  Index max_products = 0;                         ///< 0: no limit; looked at once a restart
  std::uint64_t seed = 1;                         ///< of the random vectors
  std::uint32_t substream = 0;                    ///< of the random vectors; below 65536
  std::vector<std::span<const double>> deflated;  ///< orthonormal vectors to be kept out
  std::function<void(Index converged)> on_cycle;  ///< hears of each cycle's end
  /// Hears of each restart; and once more, with `stopping`, when a product throws Interrupted: of the last
  /// restart, which is all that needs to be kept. The vectors are those of the solver, for the length of the
  /// call.
  std::function<void(const RestartState& state, bool stopping)> on_restart;
};

struct ThickRestartResult {
  std::vector<RitzPair> pairs;  ///< the wanted end first; fewer than asked only at the limit of products
  Index products = 0;           ///< of this solve, those before a continuation included
  double norm_estimate = 0.0;   ///< largest |Ritz value| seen
};

/// Pairs of one end of the spectrum of a symmetric operator: the same numbers of products, and the same pairs
/// but for rounding, at any number of ranks and however often stopped and continued from `from`. Ritz values
/// settle from the wanted end on; a block keeps a basis of at most `basis` + `block` vectors.
///
/// Throws ComputationError when a product is not finite, CallError when SLEPc fails, whatever the products
/// throw. @note Collective
ThickRestartResult thick_restart(ShellMatrix& matrix, const ThickRestartOptions& options,
                                 const RestartState& from = {});

}  // namespace dualscape::petsc
