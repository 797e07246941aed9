#include "dualscape/petsc/eigensolver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "basis_room.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/rounding.hpp"
#include "dualscape/petsc/shell_matrix.hpp"
#include "slepc_solver.hpp"

namespace dualscape::petsc {
namespace {

using Phase = EigenState::Phase;

/// Vectors of the Krylov basis. A tight basis costs the fewest products, since convergence is seen once a
/// restart; towards the lower end the basis must also hold the large eigenvalues unless they are deflated.
Index basis_size(bool lower, Index pairs, bool upper_deflated) {
  if (!lower) return pairs + std::max<Index>(8, pairs / 2);
  return 3 * pairs + (upper_deflated ? 16 : 28);
}

/// The same for the search for missed pairs, which wants the extreme pair of what is left.
Index search_basis_size(bool lower, Index pairs, bool upper_deflated) {
  if (!lower) return 8 + pairs / 8;
  return upper_deflated ? 16 : 38;
}

Index product_limit(const EigenOptions& options) {
  return options.max_products > 0 ? options.max_products : std::max<Index>(5000, 100 * options.count);
}

class EndSolver {
 public:
  EndSolver(const LinearOperator& op, const EigenOptions& options, EigenState from)
      : op_(op), options_(options), matrix_(op), state_(std::move(from)), earlier_(state_.products) {}

  void run();
  Eigenpairs result() const;

 private:
  Index size() const { return op_.range().size(); }
  Index found() const { return std::ssize(state_.upper) + std::ssize(state_.lowest); }
  Index products() const { return earlier_ + matrix_.products(); }
  std::vector<RitzPair>& kept() { return state_.lower ? state_.lowest : state_.upper; }

  Index wanted() const;
  void solve();
  void search();
  bool insert_missed(std::vector<RitzPair> candidates);
  ThickRestartOptions request(Index pairs, Index basis, Index limit);
  ThickRestartResult solve_end(ThickRestartOptions options, const std::string& prefix);
  void report(const RestartState& restart, bool stopping);
  void enter(Phase phase);

  const LinearOperator& op_;
  const EigenOptions& options_;
  ShellMatrix matrix_;
  EigenState state_;
  Index earlier_;  ///< products made before a continuation
  std::string failure_;
};

/// Pairs of this end and its guard; the other end is left as many as it is to have.
Index EndSolver::wanted() const {
  const Index others = state_.lower ? std::ssize(state_.upper) : 0;
  const Index reserved = options_.which == Which::both && !state_.lower ? options_.count : 0;
  return std::min(options_.count + 1, size() - others - reserved);
}

void EndSolver::enter(Phase phase) {
  state_.phase = phase;
  state_.phase_began = products();
  state_.products = products();
  state_.restart = {};
}

/// Tells where to go on from: from a restart, or from the beginning of a solve.
void EndSolver::report(const RestartState& restart, bool stopping) {
  if (!options_.on_restart) return;
  state_.restart = restart;
  options_.on_restart(state_, stopping);
  state_.restart.vectors = {};
}

ThickRestartOptions EndSolver::request(Index pairs, Index basis, Index limit) {
  ThickRestartOptions request{.largest = !state_.lower,
                              .pairs = pairs,
                              .basis = std::min(std::max(basis, pairs + 1), size() - found()),
                              .tolerance = options_.tolerance,
                              .norm_estimate = state_.norm_estimate,
                              .seed = options_.seed};
  for (const auto* of_end : {&state_.upper, &state_.lowest})
    for (const RitzPair& pair : *of_end) request.deflated.push_back(pair.vector);
  request.on_look = [&](Index converged) {
    if (options_.monitor) options_.monitor(products(), found() + converged);
  };
  const Index began = state_.products - state_.restart.products;
  request.max_products = std::max<Index>(1, limit - began);
  request.substream = static_cast<std::uint32_t>(options_.start + state_.solves);
  request.on_restart = [this, began](const RestartState& restart, bool stopping) {
    state_.products = began + restart.products;
    report(restart, stopping);
  };
  return request;
}

/// One run of a solver, which goes on from the restart in the state.
ThickRestartResult EndSolver::solve_end(ThickRestartOptions options, const std::string& prefix) {
  failure_.clear();
  const RestartState from = std::move(state_.restart);
  ThickRestartResult found;
  if (asked_of_slepc(prefix)) {
    state_.products = products();
    report({}, false);
    try {
      auto [pairs, reason] = solve_by_slepc(matrix_, options, prefix);
      found = std::move(pairs);
      if (reason != "converged") failure_ = reason;
    } catch (const Interrupted&) {
      report({}, true);
      throw;
    }
  } else {
    const Index vectors = options.basis + options.block + std::ssize(options.deflated);
    require_room_for(op_.comm(), size(), vectors);
    // The last solve's basis, where it was large, must not be there beside this one's.
    constexpr Index large = 1 << 20;
    if (vectors * op_.range().count(op_.comm().rank()) > large) release_freed_memory();
    if (from.vectors.rows == 0) report({}, false);
    found = thick_restart(matrix_, options, from);
    state_.asymmetry = std::max(state_.asymmetry, found.asymmetry);
    if (std::ssize(found.pairs) < options.pairs)
      failure_ = fmt::format("stopped after {} products", products());
  }
  state_.norm_estimate = found.norm_estimate;
  state_.restart = {};
  state_.products = products();
  ++state_.solves;
  return found;
}

void EndSolver::solve() {
  const Index pairs = wanted();
  auto asked = request(pairs, basis_size(state_.lower, pairs, !state_.upper.empty()),
                       state_.phase_began + product_limit(options_));
  asked.block = std::min(options_.block, size() - found());
  kept() = solve_end(std::move(asked), "").pairs;
  state_.solve_products = products() - state_.phase_began;
  if (!failure_.empty()) state_.reason = failure_;
}

/// Takes what belongs among the pairs kept; whether there was anything.
bool EndSolver::insert_missed(std::vector<RitzPair> candidates) {
  const double sign = state_.lower ? -1.0 : 1.0;
  const double worst = kept()[static_cast<std::size_t>(wanted() - 1)].value;
  bool inserted = false;
  for (RitzPair& pair : candidates) {
    // What lies closer than its residual is not resolved from the worst pair kept.
    if (sign * (pair.value - worst) <= std::max(residual_floor(state_.norm_estimate), pair.residual))
      continue;
    const auto place = std::ranges::upper_bound(kept(), sign * pair.value, std::greater<>(),
                                                [&](const RitzPair& other) { return sign * other.value; });
    kept().insert(place, std::move(pair));
    inserted = true;
  }
  kept().resize(std::min(kept().size(), static_cast<std::size_t>(wanted() + surplus)));
  return inserted;
}

void EndSolver::search() {
  const Index pairs = wanted();
  const Index limit = state_.phase_began + std::max<Index>(100, 2 * state_.solve_products);
  bool inserted = true;
  while (inserted && found() < size()) {
    const Index left = size() - found();
    auto asked =
        request(std::min<Index>(2, left),
                std::min(search_basis_size(state_.lower, pairs, !state_.upper.empty()), left), limit);
    asked.beyond = kept()[static_cast<std::size_t>(pairs - 1)].value;
    auto found_now = solve_end(std::move(asked), "check_").pairs;
    if (!failure_.empty() && found_now.empty())
      state_.reason += fmt::format("; the search for missed eigenvalues stopped undecided after {} products",
                                   products() - state_.phase_began);
    inserted = insert_missed(std::move(found_now));
  }
  kept().resize(static_cast<std::size_t>(pairs));
  state_.check_products += products() - state_.phase_began;
}

void EndSolver::run() {
  if (options_.which == Which::smallest) state_.lower = true;
  while (state_.phase != Phase::done) {
    if (state_.phase == Phase::solve) {
      solve();
      // Too few pairs are not searched for more.
      if (std::ssize(kept()) >= wanted()) {
        enter(Phase::search);
        continue;
      }
    } else {
      search();
    }
    const bool another = options_.which == Which::both && !state_.lower;
    state_.lower = state_.lower || another;
    enter(another ? Phase::solve : Phase::done);
    if (!another) report({}, false);
  }
}

Eigenpairs EndSolver::result() const {
  Eigenpairs result;
  result.vectors = Matrix<double>(found(), op_.range().count(op_.comm().rank()));
  const auto append = [&](const RitzPair& pair) {
    std::ranges::copy(pair.vector, result.vectors.row(std::ssize(result.values)).begin());
    result.values.push_back(pair.value);
  };
  std::ranges::for_each(state_.upper, append);
  std::for_each(state_.lowest.rbegin(), state_.lowest.rend(), append);
  result.upper = std::ssize(state_.upper);
  result.check_products = state_.check_products;
  result.solve_products = products() - state_.check_products;
  result.norm_estimate = state_.norm_estimate;
  result.asymmetry = state_.asymmetry;
  result.reason = state_.reason;
  return result;
}

}  // namespace

Eigenpairs solve_ends(const LinearOperator& op, const EigenOptions& options, EigenState from) {
  const Index ends = options.which == Which::both ? 2 : 1;
  if (options.which == Which::all) throw std::logic_error("solve_ends: a complete spectrum has no ends");
  if (!op.symmetric() || op.range() != op.domain())
    throw std::logic_error("solve_ends: the operator is not symmetric");
  if (options.count < 1 || ends * options.count > op.range().size())
    throw std::logic_error("solve_ends: impossible number of eigenpairs");
  EndSolver solver(op, options, std::move(from));
  solver.run();
  return solver.result();
}

double norm_by_lanczos(const LinearOperator& op, Index products, std::uint64_t seed) {
  ShellMatrix matrix(op);
  // Whatever one cycle comes to will do.
  return thick_restart(matrix, {.basis = products, .tolerance = 1.0, .seed = seed}).norm_estimate;
}

void require_room(const Comm& comm, Index size, const EigenOptions& options) {
  const Index pairs = std::min(options.count + 1, size);
  const auto vectors = [&](bool lower, Index found) {
    return std::min(std::max(basis_size(lower, pairs, found > 0), pairs + 1) + options.block, size) + found;
  };
  Index most = 0;
  if (options.which != Which::smallest) most = vectors(false, 0);
  if (options.which != Which::largest)
    most = std::max(most, vectors(true, options.which == Which::both ? pairs : 0));
  require_room_for(comm, size, most);
}

}  // namespace dualscape::petsc
