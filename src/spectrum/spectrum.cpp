#include "dualscape/spectrum/spectrum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "dualscape/base/error.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "dualscape/spectrum/complete.hpp"
#include "dualscape/spectrum/stand_in.hpp"

namespace dualscape::spectrum {
namespace {

/// The pairs before their certificate, guards among them.
struct Candidates {
  Matrix<double> vectors;
  Index upper = 0;
  std::optional<Residuals> residuals;  ///< of fresh products, where there were some already
};

Candidates solve_densely(const LinearOperator& op, const Options& options, Spectrum& spectrum) {
  if (!options.assemble) spectrum.matvecs = op.range().size();
  auto dense = options.assemble ? options.assemble() : assemble(op);
  auto pairs = complete_spectrum(op.comm(), op.range(), std::move(dense), options.rounding);
  spectrum.reason = "dense";
  return {.vectors = std::move(pairs.vectors), .upper = std::ssize(pairs.values)};
}

Candidates solve_iteratively(const LinearOperator& op, const Options& options, Spectrum& spectrum) {
  const petsc::EigenOptions eigen_options{.which = options.which,
                                          .count = options.count,
                                          .tolerance = options.tolerance,
                                          .seed = options.seed,
                                          .block = options.block,
                                          .max_products = options.max_products,
                                          .monitor = options.monitor};
  if (options.stand_in && options.from.products == 0) {
    StandInSolve found = solve_by_stand_in(op, *options.stand_in, eigen_options);
    spectrum.stand_in_matvecs = found.stand_in_products;
    spectrum.matvecs = found.products;
    if (found.settled) {
      spectrum.norm_estimate = found.pairs.norm_estimate;
      spectrum.reason = found.pairs.reason;
      return {.vectors = std::move(found.pairs.vectors),
              .upper = found.pairs.upper,
              .residuals = std::move(found.residuals)};
    }
  }
  petsc::EigenOptions resumable = eigen_options;
  resumable.on_restart = options.on_restart;
  auto pairs = petsc::solve_ends(op, resumable, options.from);
  spectrum.matvecs += pairs.solve_products + pairs.check_products;
  spectrum.check_matvecs = pairs.check_products;
  spectrum.norm_estimate = pairs.norm_estimate;
  spectrum.reason = pairs.reason;
  return {.vectors = std::move(pairs.vectors), .upper = pairs.upper};
}

template <class T>
void keep(std::vector<T>& all, const std::vector<std::size_t>& positions) {
  std::vector<T> kept;
  for (std::size_t at : positions) kept.push_back(all[at]);
  all = std::move(kept);
}

/// Rows `positions` of a matrix, in that order.
void keep_rows(Matrix<double>& all, const std::vector<std::size_t>& positions) {
  const bool unchanged = std::ssize(positions) == all.rows() && std::ranges::is_sorted(positions);
  if (unchanged) return;
  Matrix<double> kept(std::ssize(positions), all.cols());
  for (Index row = 0; row < kept.rows(); ++row)
    std::ranges::copy(all.row(static_cast<Index>(positions[static_cast<std::size_t>(row)])),
                      kept.row(row).begin());
  all = std::move(kept);
}

/// Values, residuals and bounds of all candidates, in descending order of the Rayleigh quotients: these may
/// differ from the solver's order where values are equal to rounding.
void certify(const LinearOperator& op, const Options& options, Candidates& candidates, Spectrum& spectrum) {
  const bool known = candidates.residuals.has_value();
  auto [values, residuals] =
      known ? *std::move(candidates.residuals) : fresh_residuals(op, candidates.vectors.view());
  if (!known) spectrum.matvecs += std::ssize(values);
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t at) { return values[at]; });
  keep(values, order);
  keep(residuals, order);
  keep_rows(candidates.vectors, order);

  for (double value : values) spectrum.norm_estimate = std::max(spectrum.norm_estimate, std::abs(value));
  auto bounds = error_bounds(values, residuals, candidates.upper, spectrum.size, spectrum.norm_estimate,
                             options.rounding, known ? options.stand_in_distance : 0.0);
  spectrum.values = std::move(values);
  spectrum.residuals = std::move(residuals);
  spectrum.value_bounds = std::move(bounds.value_bounds);
  spectrum.angle_bounds = std::move(bounds.angle_bounds);
  spectrum.clusters = std::move(bounds.clusters);
}

/// The solve as one that goes on from it would find it: over.
petsc::EigenState finished(const Candidates& candidates, const Spectrum& spectrum) {
  petsc::EigenState state{.phase = petsc::EigenState::Phase::done,
                          .products = spectrum.matvecs,
                          .check_products = spectrum.check_matvecs,
                          .norm_estimate = spectrum.norm_estimate,
                          .reason = spectrum.reason};
  for (Index n = 0; n < candidates.vectors.rows(); ++n) {
    const auto entries = candidates.vectors.row(n);
    petsc::RitzPair pair{.vector = {entries.begin(), entries.end()}};
    if (n < candidates.upper)
      state.upper.push_back(std::move(pair));
    else
      state.lowest.insert(state.lowest.begin(), std::move(pair));
  }
  return state;
}

/// The certificate's products may be interrupted, too.
void certify_or_keep(const LinearOperator& op, const Options& options, Candidates& candidates,
                     Spectrum& spectrum) {
  try {
    certify(op, options, candidates, spectrum);
  } catch (const Interrupted&) {
    if (options.on_restart && options.which != Which::all)
      options.on_restart(finished(candidates, spectrum), true);
    throw;
  }
}

/// Leaves the pairs asked for; the guards have done their service.
void drop_guards(const Options& options, Candidates& candidates, Spectrum& spectrum) {
  const Index found = spectrum.converged();
  const Index lower = found - candidates.upper;
  const Index keep_upper =
      options.which == Which::all ? candidates.upper : std::min(options.count, candidates.upper);
  const Index keep_lower = std::min(options.count, lower);
  const auto cut = [&](Index inside, Index outside) {
    return spectrum.clusters[static_cast<std::size_t>(inside)] ==
           spectrum.clusters[static_cast<std::size_t>(outside)];
  };
  spectrum.cluster_cut =
      (keep_upper > 0 && keep_upper < candidates.upper && cut(keep_upper - 1, keep_upper)) ||
      (keep_lower > 0 && keep_lower < lower && cut(found - keep_lower, found - keep_lower - 1));

  std::vector<std::size_t> kept;
  for (Index n = 0; n < found; ++n)
    if (n < keep_upper || n >= found - keep_lower) kept.push_back(static_cast<std::size_t>(n));
  keep(spectrum.values, kept);
  keep(spectrum.residuals, kept);
  keep(spectrum.value_bounds, kept);
  keep(spectrum.angle_bounds, kept);
  keep(spectrum.clusters, kept);
  keep_rows(candidates.vectors, kept);
  spectrum.upper = keep_upper;
  spectrum.vectors = std::move(candidates.vectors);
}

void doubt(Spectrum& spectrum, const std::string& why) {
  spectrum.reason = fmt::format("{}; {}", spectrum.reason, why);
  spectrum.doubtful = true;
}

/// Looks for the same pairs from start vectors of its own. Where the two differ by more than what both leave
/// open, one of them has missed a pair.
void compare_second_start(const LinearOperator& op, const Options& options, Spectrum& spectrum) {
  const auto again = petsc::solve_ends(op, {.which = options.which,
                                            .count = options.count,
                                            .tolerance = options.tolerance,
                                            .seed = options.seed,
                                            .start = 16384,
                                            .block = options.block,
                                            .max_products = options.max_products,
                                            .monitor = options.monitor});
  spectrum.second_matvecs = again.solve_products + again.check_products;
  spectrum.matvecs += spectrum.second_matvecs;
  const double open = (options.tolerance + 50 * options.rounding) * spectrum.norm_estimate;
  const Index lower = spectrum.converged() - spectrum.upper;
  for (Index n = 0; n < spectrum.converged(); ++n) {
    const double first = spectrum.values[static_cast<std::size_t>(n)];
    const Index other = n < spectrum.upper ? n : std::ssize(again.values) - lower + (n - spectrum.upper);
    const bool there = n < spectrum.upper ? n < again.upper : other >= again.upper;
    if (!there)
      return doubt(spectrum,
                   fmt::format("a second start did not find eigenvalue {} ({})", n + 1, again.reason));
    const double second = again.values[static_cast<std::size_t>(other)];
    if (std::abs(second - first) > open + spectrum.value_bounds[static_cast<std::size_t>(n)])
      return doubt(spectrum, fmt::format("a second start found {:.12g} as eigenvalue {}, the first {:.12g}",
                                         second, n + 1, first));
  }
}

/// Random vectors tell whether the operator is symmetric: to rounding, times what its sums add up.
void judge_symmetry(const Options& options, Spectrum& spectrum) {
  if (spectrum.symmetry_defect <= 1e4 * options.rounding) return;
  doubt(spectrum,
        fmt::format("the operator is not symmetric to rounding: |<u, H v> - <v, H u>| is {:.1e} |H| for "
                    "random unit vectors",
                    spectrum.symmetry_defect));
}

}  // namespace

void require_possible(Index size, const Options& options) {
  if (options.which == Which::all) return require_dense(size, options.dense_limit);
  if (options.count > size)
    throw UsageError(
        fmt::format("spectrum.count = {} is larger than the block ({} parameters)", options.count, size));
  if (options.which == Which::both && 2 * options.count > size)
    throw UsageError(fmt::format(
        "spectrum.count = {} at both ends is more than the block has ({} parameters)", options.count, size));
}

Spectrum compute(const LinearOperator& op, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  require_possible(op.range().size(), options);
  Spectrum spectrum;
  spectrum.which = options.which;
  spectrum.size = op.range().size();
  const Index ends = options.which == Which::both ? 2 : 1;
  spectrum.requested = options.which == Which::all ? spectrum.size : ends * options.count;

  Candidates candidates = options.which == Which::all ? solve_densely(op, options, spectrum)
                                                      : solve_iteratively(op, options, spectrum);
  certify_or_keep(op, options, candidates, spectrum);
  drop_guards(options, candidates, spectrum);
  fix_signs(op.comm(), op.range(), spectrum.vectors.view());
  spectrum.orthogonality_defect = orthogonality_defect(op.comm(), spectrum.vectors.view());
  spectrum.symmetry_defect = symmetry_defect(op, spectrum.norm_estimate, options.seed);
  spectrum.matvecs += 2;
  judge_symmetry(options, spectrum);
  if (options.second_start && options.which != Which::all) compare_second_start(op, options, spectrum);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  spectrum.seconds = op.comm().broadcast_value(elapsed.count());
  return spectrum;
}

}  // namespace dualscape::spectrum
