#include "dualscape/spectrum/spectrum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/spectrum/certificate.hpp"
#include "dualscape/spectrum/complete.hpp"
#include "dualscape/spectrum/stand_in.hpp"

namespace dualscape::spectrum {
namespace {

/// The pairs before their certificate, guards among them.
struct Candidates {
  Matrix<double> vectors;
  Index upper = 0;
  Residuals residuals;      ///< of fresh products; bounds on these where all pairs were asked for
  double distance = 0.0;    ///< of the operator they were sought with, from the one asked for
  double asymmetry = -1.0;  ///< of the operator asked for, as far as products with it told; -1: they did not
  double sought_asymmetry = 0.0;  ///< of the operator they were sought with
  double rounding = 0.0;          ///< unit roundoff of its products
  double shift = 0.0;             ///< of the values, from Rayleigh quotients of the operator asked for
};

Candidates solve_densely(const LinearOperator& op, const Options& options, Spectrum& spectrum) {
  Matrix<double> matrix = options.assemble ? options.assemble() : assemble(op);
  if (!options.assemble) spectrum.matvecs = spectrum.size;
  if (!op.comm().is_root()) matrix = {};
  // LAPACK wants larger pieces than the assembly has left.
  release_freed_memory();
  Eigenpairs pairs = complete_spectrum(op.comm(), op.range(), matrix, options.rounding);
  const auto [distance, asymmetry] = probe_matrix(op, matrix.view(), options.seed);
  spectrum.matvecs += distance.probes;
  spectrum.matrix_distance = distance;
  spectrum.reason = "dense";
  // |H v - theta v| <= |A v - theta v| + |H - A|, and theta = <v, A v> is as far from <v, H v> at most.
  for (double& residual : pairs.residuals) residual += distance.bound;
  return {.vectors = std::move(pairs.vectors),
          .upper = spectrum.size,
          .residuals = {.values = std::move(pairs.values), .residuals = std::move(pairs.residuals)},
          .asymmetry = asymmetry,
          .shift = distance.bound};
}

petsc::EigenOptions eigen_options(const Options& options) {
  return {.which = options.which,
          .count = options.count,
          .tolerance = options.tolerance,
          .seed = options.seed,
          .block = options.block,
          .max_products = options.max_products,
          .monitor = options.monitor};
}

/// Says where the solve with one of the operators stands, `spectrum` what was before it.
std::function<void(const petsc::EigenState&, bool)> reporter(const Options& options, Index number,
                                                             const Spectrum& spectrum) {
  if (!options.on_restart) return nullptr;
  Stage stage{static_cast<const Products&>(spectrum), number};
  return [&options, stage](const petsc::EigenState& state, bool stopping) {
    options.on_restart(stage, state, stopping);
  };
}

/// A solve as one that goes on from it would find it: over.
petsc::EigenState finished(ConstMultiVector vectors, Index upper, Index products, Index check_products,
                           double norm_estimate, const std::string& reason) {
  petsc::EigenState state{.phase = petsc::EigenState::Phase::done,
                          .products = products,
                          .check_products = check_products,
                          .norm_estimate = norm_estimate,
                          .reason = reason};
  for (Index n = 0; n < vectors.rows; ++n) {
    const auto entries = vectors.row(n);
    petsc::RitzPair pair{.vector = {entries.begin(), entries.end()}};
    if (n < upper)
      state.upper.push_back(std::move(pair));
    else
      state.lowest.insert(state.lowest.begin(), std::move(pair));
  }
  return state;
}

/// Products by one of the stand-ins, in the counts.
void count_products(const StandIn& stand_in, const Options& options, Index products, Spectrum& spectrum) {
  if (stand_in.of_fewer_samples) {
    spectrum.pruned_matvecs += products;
    return;
  }
  spectrum.matvecs += products;
  if (stand_in.rounding > options.rounding) spectrum.single_matvecs += products;
}

/// Pairs by one of the stand-ins; none where it does not get there.
std::optional<Candidates> solve_by(const StandIn& stand_in, const LinearOperator& op, const Options& options,
                                   Index number, Spectrum& spectrum) {
  const bool last = number + 1 == std::ssize(options.stand_ins);
  StandInOptions rounds{.solve = eigen_options(options),
                        .rounding = stand_in.rounding,
                        .near = stand_in.distance == 0,
                        .as_they_are = last && options.take_last_stand_in};
  rounds.solve.on_restart = reporter(options, number, spectrum);
  rounds.interrupted = [&](const StandInSolve& solve) {
    spectrum.matvecs += solve.products;
    const auto report = reporter(options, number, spectrum);
    const petsc::Eigenpairs& pairs = solve.pairs;
    if (report)
      report(finished(pairs.vectors.view(), pairs.upper, solve.stand_in_products, pairs.check_products,
                      pairs.norm_estimate, pairs.reason),
             true);
  };
  const bool continued = number == options.from.stage.number;
  StandInSolve found =
      solve_by_stand_in(op, *stand_in.op, rounds, continued ? options.from.state : petsc::EigenState{});
  spectrum.matvecs += found.products;
  count_products(stand_in, options, found.stand_in_products, spectrum);
  if (!stand_in.of_fewer_samples) spectrum.check_matvecs += found.pairs.check_products;
  if (!found.settled && !rounds.as_they_are) return std::nullopt;
  spectrum.norm_estimate = found.pairs.norm_estimate;
  spectrum.reason = found.pairs.reason;
  Candidates candidates{.vectors = std::move(found.pairs.vectors),
                        .upper = found.pairs.upper,
                        .residuals = std::move(found.residuals),
                        .distance = stand_in.distance,
                        .asymmetry = found.asymmetry,
                        .sought_asymmetry = found.pairs.asymmetry,
                        .rounding = stand_in.rounding};
  // A lower precision moves eigenvalues by its rounding, for which certificate.hpp has this measure.
  if (stand_in.rounding > options.rounding)
    candidates.distance += residual_floor(spectrum.norm_estimate, stand_in.rounding);
  return candidates;
}

Candidates solve_iteratively(const LinearOperator& op, const Options& options, Spectrum& spectrum) {
  static_cast<Products&>(spectrum) = options.from.stage;
  const Index stand_ins = std::ssize(options.stand_ins);
  for (Index number = options.from.stage.number; number < stand_ins; ++number)
    if (auto found =
            solve_by(options.stand_ins[static_cast<std::size_t>(number)], op, options, number, spectrum))
      return *std::move(found);

  petsc::EigenOptions resumable = eigen_options(options);
  resumable.on_restart = reporter(options, stand_ins, spectrum);
  const bool continued = options.from.stage.number == stand_ins;
  auto pairs = petsc::solve_ends(op, resumable, continued ? options.from.state : petsc::EigenState{});
  // Products of blocks want larger pieces than the solve has left.
  release_freed_memory();
  spectrum.matvecs += pairs.solve_products + pairs.check_products;
  spectrum.check_matvecs += pairs.check_products;
  spectrum.norm_estimate = pairs.norm_estimate;
  spectrum.reason = pairs.reason;
  Candidates candidates{.vectors = std::move(pairs.vectors), .upper = pairs.upper};
  try {
    Matrix<double> together;
    candidates.residuals = fresh_residuals(op, candidates.vectors.view(), {.together = &together});
    if (pairs.asymmetry >= 0) candidates.asymmetry = std::max(pairs.asymmetry, asymmetry(together.view()));
  } catch (const Interrupted&) {
    if (resumable.on_restart)
      resumable.on_restart(
          finished(candidates.vectors.view(), candidates.upper, pairs.solve_products + pairs.check_products,
                   pairs.check_products, pairs.norm_estimate, pairs.reason),
          true);
    throw;
  }
  spectrum.matvecs += candidates.vectors.rows();
  return candidates;
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
void certify(const Options& options, Candidates& candidates, Spectrum& spectrum) {
  auto [values, residuals] = std::move(candidates.residuals);
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t at) { return values[at]; });
  keep(values, order);
  keep(residuals, order);
  keep_rows(candidates.vectors, order);

  for (double value : values) spectrum.norm_estimate = std::max(spectrum.norm_estimate, std::abs(value));
  auto bounds = error_bounds(values, residuals, candidates.upper, spectrum.size, spectrum.norm_estimate,
                             options.rounding, candidates.distance, candidates.shift);
  spectrum.values = std::move(values);
  spectrum.residuals = std::move(residuals);
  spectrum.value_bounds = std::move(bounds.value_bounds);
  spectrum.angle_bounds = std::move(bounds.angle_bounds);
  spectrum.clusters = std::move(bounds.clusters);
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
  const auto reach = [&](Index guard) {
    return spectrum.residuals[static_cast<std::size_t>(guard)] +
           residual_floor(spectrum.norm_estimate, options.rounding) + 2 * candidates.distance;
  };
  if (keep_upper > 0 && keep_upper < candidates.upper)
    spectrum.rest_below = spectrum.values[static_cast<std::size_t>(keep_upper)] + reach(keep_upper);
  if (const Index guard = found - keep_lower - 1; keep_lower > 0 && keep_lower < lower)
    spectrum.rest_above = spectrum.values[static_cast<std::size_t>(guard)] - reach(guard);

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
  const StandIn whole{.op = &op, .distance = 0.0, .rounding = options.rounding};
  const auto& stand_ins = options.stand_ins;
  const StandIn& with = stand_ins.empty() || stand_ins.back().of_fewer_samples ? whole : stand_ins.back();
  petsc::EigenOptions from_elsewhere = eigen_options(options);
  from_elsewhere.start = 16384;
  from_elsewhere.tolerance = std::max(options.tolerance, with.rounding);
  const auto again = petsc::solve_ends(*with.op, from_elsewhere);
  spectrum.second_matvecs = again.solve_products + again.check_products;
  count_products(with, options, spectrum.second_matvecs, spectrum);
  const double open = from_elsewhere.tolerance * spectrum.norm_estimate +
                      residual_floor(spectrum.norm_estimate, with.rounding);
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

/// The products of solve and certificate tell whether the operators are symmetric: to rounding, times what
/// its sums add up. Random vectors do where no products were kept that could.
void judge_symmetry(const LinearOperator& op, const Options& options, const Candidates& candidates,
                    Spectrum& spectrum) {
  const double norm = spectrum.norm_estimate;
  const auto relative = [&](double asymmetry) { return norm > 0 ? asymmetry / norm : asymmetry; };
  if (candidates.asymmetry < 0) {
    spectrum.symmetry_defect = symmetry_defect(op, norm, options.seed);
    spectrum.matvecs += 2;
  } else {
    spectrum.symmetry_defect = relative(candidates.asymmetry);
  }
  const auto judge = [&](double defect, double rounding, const char* which) {
    if (defect <= 1e4 * rounding) return;
    doubt(spectrum,
          fmt::format("the operator{} is not symmetric to rounding: |<u, H v> - <v, H u>| is {:.1e} "
                      "|H| for unit vectors",
                      which, defect));
  };
  judge(spectrum.symmetry_defect, options.rounding, "");
  judge(relative(candidates.sought_asymmetry), candidates.rounding, " that stood in for it");
}

/// A matrix further from its operator than the pairs may be from theirs was not assembled right; rounding,
/// times what its sums add up, is none of that.
void judge_matrix(const Options& options, Spectrum& spectrum) {
  const double allowed = std::max(options.tolerance, 1e4 * options.rounding) * spectrum.norm_estimate;
  const double bound = spectrum.matrix_distance->bound;
  if (bound <= allowed) return;
  doubt(spectrum, fmt::format("the matrix may differ from the operator by {:.1e} |H|, above {:.1e}",
                              bound / spectrum.norm_estimate, allowed / spectrum.norm_estimate));
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
  certify(options, candidates, spectrum);
  drop_guards(options, candidates, spectrum);
  fix_signs(op.comm(), op.range(), spectrum.vectors.view());
  spectrum.orthogonality_defect = orthogonality_defect(op.comm(), spectrum.vectors.view());
  judge_symmetry(op, options, candidates, spectrum);
  if (spectrum.matrix_distance) judge_matrix(options, spectrum);
  if (options.second_start && options.which != Which::all) compare_second_start(op, options, spectrum);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  spectrum.seconds = op.comm().broadcast_value(elapsed.count());
  return spectrum;
}

}  // namespace dualscape::spectrum
