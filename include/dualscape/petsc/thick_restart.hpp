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
  double asymmetry = 0.0;      ///< as in ThickRestartResult, so far
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
  /// Where all that counts is what lies beyond this value, whatever the vectors are: the solve is over as
  /// soon as the random vector that it began with tells that nothing does (thick_restart below); and at a
  /// restart a pair is also settled when its residual is a tenth of what separates it from the value on the
  /// other side.
  std::optional<double> beyond;
  Index max_products = 0;                         ///< 0: no limit; looked at once a restart
  std::uint64_t seed = 1;                         ///< of the random vectors
  std::uint32_t substream = 0;                    ///< of the random vectors; below 65536
  std::vector<std::span<const double>> deflated;  ///< orthonormal vectors to be kept out
  std::function<void(Index converged)> on_look;   ///< hears how many pairs have converged
  /// Hears of each restart; and once more, with `stopping`, when a product throws Interrupted: of the last
  /// restart, which is all that needs to be kept. The vectors are those of the solver, for the length of the
  /// call.
  std::function<void(const RestartState& state, bool stopping)> on_restart;
};

/// Converged pairs beyond those asked for that a solve hands out: each is a vector of memory.
inline constexpr Index surplus = 2;

struct ThickRestartResult {
  /// The wanted end first; fewer than asked only at the limit of products, at most `surplus` more.
  std::vector<RitzPair> pairs;
  Index products = 0;          ///< of this solve, those before a continuation included
  double norm_estimate = 0.0;  ///< largest |Ritz value| seen
  /// Largest |<q_i, H q_j> - <q_j, H q_i>| over the vectors of each basis, from the coefficients that make
  /// these orthogonal: a symmetric operator leaves rounding.
  double asymmetry = 0.0;
};

/// How likely it is, over its random start vector, that a solve says that no eigenvalue lies beyond a given
/// value where one does.
inline constexpr double chance_of_a_miss = 1e-6;

/// Pairs of one end of the spectrum of a symmetric operator: the same numbers of products, and the same pairs
/// but for rounding, at any number of ranks and however often stopped and continued from `from`. Ritz values
/// settle from the wanted end on, and are looked at once a restart; a block keeps a basis of at most `basis`
/// + `block` vectors.
///
/// With `beyond` they are looked at after each product. Where b = *beyond is past all Ritz values, the share
/// of the start vector x in the eigenspaces beyond b, |P x|^2, is at most rho = 1 / sum_(j < k) p_j(b)^2
/// after k products, p_j Lanczos' orthonormal polynomials (the kernel polynomial that takes the value 1 at b
/// grows beyond it, and its mean square over x's spectral measure is rho). An eigenvector u has <x, u>^2 <=
/// rho with a probability of at most sqrt(2 n rho / pi), x being uniform on the sphere of n dimensions:
/// nothing is beyond b, or chance_of_a_miss has come true, once that is below it.
///
/// Throws ComputationError when a product is not finite, CallError when SLEPc fails, whatever the products
/// throw. @note Collective
ThickRestartResult thick_restart(ShellMatrix& matrix, const ThickRestartOptions& options,
                                 const RestartState& from = {});

}  // namespace dualscape::petsc
