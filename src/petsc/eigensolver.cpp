#include "dualscape/petsc/eigensolver.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "dualscape/base/random.hpp"
#include "dualscape/petsc/shell_matrix.hpp"
#include "dualscape/petsc/thick_restart.hpp"
#include "dualscape/petsc/views.hpp"

namespace dualscape::petsc {
namespace {

enum class End { upper, lower };

/// One run of a solver.
struct Request {
  End end = End::upper;
  Index pairs = 1;
  Index basis = 1;         ///< vectors in the Krylov basis
  Index max_products = 1;  ///< of the whole computation, when this run has to stop
  const char* prefix = "";
};

/// What the callbacks of an EPS see and leave.
struct Watch {
  const ShellMatrix* matrix = nullptr;
  const EigenOptions* options = nullptr;
  Index found_before = 0;
  Index max_products = 0;
  double norm_estimate = 0.0;
  /// In a search for missed pairs, what such a pair must surpass: in the direction `sign` from `worst`.
  bool searching = false;
  double sign = 1.0;
  double worst = 0.0;
};

/// Residuals relative to the norm of the operator, as far as its Ritz values tell: relative to the eigenvalue
/// itself, a null space would never converge. A search is over as soon as a pair is settled to be no missed
/// one: when its residual is a tenth of what separates it from those.
PetscErrorCode relative_residual(EPS, PetscScalar value, PetscScalar, PetscReal residual, PetscReal* error,
                                 void* context) {
  auto& watch = *static_cast<Watch*>(context);
  watch.norm_estimate = std::max(watch.norm_estimate, std::abs(value));
  *error = watch.norm_estimate > 0 ? residual / watch.norm_estimate : residual;
  if (watch.searching && 10 * residual < watch.sign * (watch.worst - value)) *error = 0;
  return 0;
}

PetscErrorCode watch_products(EPS eps, PetscInt restarts, PetscInt max_restarts, PetscInt converged,
                              PetscInt wanted, EPSConvergedReason* reason, void* context) {
  return guarded([&] {
    const auto& watch = *static_cast<const Watch*>(context);
    check(EPSStoppingBasic(eps, restarts, max_restarts, converged, wanted, reason, nullptr),
          "EPSStoppingBasic");
    if (*reason == EPS_CONVERGED_ITERATING && watch.matrix->products() >= watch.max_products)
      *reason = EPS_DIVERGED_ITS;
  });
}

PetscErrorCode monitor(EPS, PetscInt, PetscInt converged, PetscScalar* values, PetscScalar*, PetscReal*,
                       PetscInt known, void* context) {
  return guarded([&] {
    auto& watch = *static_cast<Watch*>(context);
    for (PetscInt i = 0; i < known; ++i)
      watch.norm_estimate = std::max(watch.norm_estimate, std::abs(values[i]));
    if (watch.options->monitor)
      watch.options->monitor(watch.matrix->products(), watch.found_before + converged);
  });
}

std::string describe(EPSConvergedReason reason, Index products) {
  switch (reason) {
    case EPS_DIVERGED_ITS:
      return "stopped after " + std::to_string(products) + " products";
    case EPS_DIVERGED_BREAKDOWN:
      return "the solver broke down";
    case EPS_DIVERGED_SYMMETRY_LOST:
      return "the operator is not symmetric to working precision";
    default:
      return "converged";
  }
}

/// Options of SLEPc's database. The solvers for preconditioned matrices have no preconditioner here, and must
/// not solve inner systems with hidden products instead.
void read_options(EPS eps, Index pairs) {
  const auto read = [eps] {
    try {
      check(EPSSetFromOptions(eps), "EPSSetFromOptions");
    } catch (const CallError& error) {
      throw UsageError(std::string("an option after '--' is not accepted: ") + error.what());
    }
  };
  read();
  EPSType chosen = nullptr;
  check(EPSGetType(eps, &chosen), "EPSGetType");
  const std::string_view type = chosen;
  if (type == EPSKRYLOVSCHUR) return;

  check(EPSSetDimensions(eps, static_cast<PetscInt>(pairs), PETSC_DEFAULT, PETSC_DEFAULT),
        "EPSSetDimensions");
  constexpr std::array<std::string_view, 4> preconditioned = {EPSLOBPCG, EPSRQCG, EPSGD, EPSJD};
  if (std::ranges::find(preconditioned, type) != preconditioned.end()) {
    ST transform = nullptr;
    KSP inner = nullptr;
    PC preconditioner = nullptr;
    check(EPSGetST(eps, &transform), "EPSGetST");
    check(STSetType(transform, STPRECOND), "STSetType");
    check(STGetKSP(transform, &inner), "STGetKSP");
    if (type != EPSJD) check(KSPSetType(inner, KSPPREONLY), "KSPSetType");
    check(KSPGetPC(inner, &preconditioner), "KSPGetPC");
    check(PCSetType(preconditioner, PCNONE), "PCSetType");
  }
  read();
}

/// Whether options of SLEPc's database set up the solver of this prefix.
bool asked_of_slepc(const std::string& prefix) {
  char* all = nullptr;
  check(PetscOptionsGetAll(nullptr, &all), "PetscOptionsGetAll");
  const std::string options = std::string(" ") + all;
  check(PetscFree(all), "PetscFree");
  return options.find(" -" + prefix + "eps_") != std::string::npos;
}

class EndSolver {
 public:
  EndSolver(const LinearOperator& op, const EigenOptions& options)
      : op_(op), options_(options), matrix_(op), me_(op.comm().rank()) {
    watch_ = {.matrix = &matrix_, .options = &options};
    max_products_ =
        options.max_products > 0 ? options.max_products : std::max<Index>(5000, 100 * options.count);
  }

  /// Finds the pairs of one end and its guard, with all that was found before deflated; leaves at least
  /// `reserved` pairs to the other end.
  void find(End end, Index pairs, Index reserved);
  Eigenpairs result() const;

 private:
  Index size() const { return op_.range().size(); }
  Index found() const { return std::ssize(upper_) + std::ssize(lower_); }
  std::vector<RitzPair>& pairs_of(End end) { return end == End::upper ? upper_ : lower_; }

  EPSHandle make(const Request& request);
  void check_size(Index basis) const;
  VecHandle start_vector();
  std::vector<VecHandle> found_vectors() const;
  EPSConvergedReason solve(const Request& request);
  EPSConvergedReason solve_by_slepc(const Request& request);
  EPSConvergedReason solve_by_thick_restart(const Request& request);
  void take_converged(EPS eps);
  void search_for_missed(End end, Index pairs, Index main_products);

  const LinearOperator& op_;
  const EigenOptions& options_;
  ShellMatrix matrix_;
  Watch watch_;
  int me_;
  Index max_products_ = 0;
  std::uint32_t starts_ = 0;
  std::vector<RitzPair> upper_;  ///< descending
  std::vector<RitzPair> lower_;  ///< ascending
  std::vector<RitzPair> last_;   ///< of the last solve, the extreme one first
  Index check_products_ = 0;
  std::string reason_ = "converged";
};

/// Vectors of the Krylov basis. A tight basis costs the fewest products, since convergence is seen once a
/// restart; towards the lower end the basis must also hold the large eigenvalues unless they are deflated.
Index basis_size(End end, Index pairs, bool upper_deflated) {
  if (end == End::upper) return pairs + std::max<Index>(8, pairs / 2);
  return 3 * pairs + (upper_deflated ? 16 : 28);
}

/// The same for the search for missed pairs, which wants the extreme pair of what is left.
Index search_basis_size(End end, Index pairs, bool upper_deflated) {
  if (end == End::upper) return 8 + pairs / 8;
  return upper_deflated ? 16 : 38;
}

EPSHandle EndSolver::make(const Request& request) {
  const auto pairs = static_cast<PetscInt>(request.pairs);
  // SLEPc wants a basis larger than the pairs, even where deflation has left no more than these.
  const auto basis = static_cast<PetscInt>(std::min(std::max(request.basis, request.pairs + 1), size()));
  watch_.found_before = found();
  watch_.max_products = request.max_products;
  auto eps = EPSHandle::create("EPSCreate", [&](EPS* out) { return EPSCreate(op_.comm().get(), out); });
  check(EPSSetOptionsPrefix(eps.get(), request.prefix), "EPSSetOptionsPrefix");
  check(EPSSetOperators(eps.get(), matrix_.get(), nullptr), "EPSSetOperators");
  check(EPSSetProblemType(eps.get(), EPS_HEP), "EPSSetProblemType");
  check(EPSSetType(eps.get(), EPSKRYLOVSCHUR), "EPSSetType");
  check(EPSKrylovSchurSetRestart(eps.get(), 0.7), "EPSKrylovSchurSetRestart");
  check(EPSSetDimensions(eps.get(), pairs, basis, PETSC_DEFAULT), "EPSSetDimensions");
  check(EPSSetConvergenceTestFunction(eps.get(), &relative_residual, &watch_, nullptr),
        "EPSSetConvergenceTestFunction");
  check(EPSSetStoppingTestFunction(eps.get(), &watch_products, &watch_, nullptr),
        "EPSSetStoppingTestFunction");
  check(EPSMonitorSet(eps.get(), &monitor, &watch_, nullptr), "EPSMonitorSet");
  // A restart takes at least one product: the limit on products always acts first.
  check(EPSSetTolerances(eps.get(), options_.tolerance, static_cast<PetscInt>(request.max_products)),
        "EPSSetTolerances");
  read_options(eps.get(), request.pairs);
  // The deck says which end, not the options.
  check(EPSSetWhichEigenpairs(eps.get(), request.end == End::upper ? EPS_LARGEST_REAL : EPS_SMALLEST_REAL),
        "EPSSetWhichEigenpairs");
  return eps;
}

void EndSolver::check_size(Index basis) const {
  const Index vectors = basis + found() + 1;
  if (vectors <= std::numeric_limits<PetscInt>::max() / size()) return;
  throw ComputationError("a basis of " + std::to_string(vectors) + " vectors of " + std::to_string(size()) +
                         " entries has more entries than this PETSc can count (" +
                         std::to_string(std::numeric_limits<PetscInt>::max()) +
                         "): ask for fewer eigenpairs or a smaller block, or use a PETSc built with 64-bit "
                         "integers");
}

VecHandle EndSolver::start_vector() {
  auto vec = VecHandle::create("MatCreateVecs",
                               [&](Vec* out) { return MatCreateVecs(matrix_.get(), out, nullptr); });
  const Random random(options_.seed, Stream::start_vector, starts_++);
  const VecWriteView view(vec.get());
  const auto first = static_cast<std::uint64_t>(op_.range().begin(me_));
  const auto entries = view.block().row(0);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = random.normal(first + i);
  return vec;
}

std::vector<VecHandle> EndSolver::found_vectors() const {
  std::vector<VecHandle> vectors;
  for (const auto* pairs : {&upper_, &lower_})
    for (const RitzPair& pair : *pairs)
      vectors.push_back(VecHandle::create("VecCreateMPIWithArray", [&](Vec* out) {
        return VecCreateMPIWithArray(op_.comm().get(), 1, static_cast<PetscInt>(op_.range().count(me_)),
                                     static_cast<PetscInt>(size()), pair.vector.data(), out);
      }));
  return vectors;
}

EPSConvergedReason EndSolver::solve(const Request& request) {
  return asked_of_slepc(request.prefix) ? solve_by_slepc(request) : solve_by_thick_restart(request);
}

EPSConvergedReason EndSolver::solve_by_thick_restart(const Request& request) {
  ThickRestartOptions options{.largest = request.end == End::upper,
                              .pairs = request.pairs,
                              .basis = std::min(std::max(request.basis, request.pairs + 1), size() - found()),
                              .tolerance = options_.tolerance,
                              .norm_estimate = watch_.norm_estimate,
                              .max_products = std::max<Index>(1, request.max_products - matrix_.products()),
                              .seed = options_.seed,
                              .substream = starts_++};
  check_size(options.basis);
  if (watch_.searching) options.beyond = watch_.worst;
  for (const auto* pairs : {&upper_, &lower_})
    for (const RitzPair& pair : *pairs) options.deflated.push_back(pair.vector);
  options.on_cycle = [&](Index converged) {
    if (options_.monitor) options_.monitor(matrix_.products(), found() + converged);
  };
  auto result = thick_restart(matrix_, options);
  watch_.norm_estimate = result.norm_estimate;
  last_ = std::move(result.pairs);
  return std::ssize(last_) < request.pairs ? EPS_DIVERGED_ITS : EPS_CONVERGED_TOL;
}

EPSConvergedReason EndSolver::solve_by_slepc(const Request& request) {
  const EPSHandle eps = make(request);
  PetscInt pairs = 0;
  PetscInt basis = 0;
  check(EPSGetDimensions(eps.get(), &pairs, &basis, nullptr), "EPSGetDimensions");
  check_size(std::max(pairs, basis));
  const auto owned = found_vectors();
  std::vector<Vec> deflated;
  for (const VecHandle& vec : owned) deflated.push_back(vec.get());
  if (!deflated.empty())
    check(EPSSetDeflationSpace(eps.get(), static_cast<PetscInt>(deflated.size()), deflated.data()),
          "EPSSetDeflationSpace");
  const VecHandle start = start_vector();
  Vec initial = start.get();
  check(EPSSetInitialSpace(eps.get(), 1, &initial), "EPSSetInitialSpace");
  try {
    check(EPSSolve(eps.get()), "EPSSolve");
  } catch (const CallError&) {
    matrix_.require_finite();
    throw;
  }
  matrix_.require_finite();
  take_converged(eps.get());
  EPSConvergedReason reason = EPS_CONVERGED_ITERATING;
  check(EPSGetConvergedReason(eps.get(), &reason), "EPSGetConvergedReason");
  return reason;
}

void EndSolver::take_converged(EPS eps) {
  PetscInt converged = 0;
  check(EPSGetConverged(eps, &converged), "EPSGetConverged");
  auto vec = VecHandle::create("MatCreateVecs",
                               [&](Vec* out) { return MatCreateVecs(matrix_.get(), out, nullptr); });
  last_.clear();
  for (PetscInt i = 0; i < converged; ++i) {
    RitzPair pair;
    check(EPSGetEigenpair(eps, i, &pair.value, nullptr, vec.get(), nullptr), "EPSGetEigenpair");
    check(EPSGetErrorEstimate(eps, i, &pair.residual), "EPSGetErrorEstimate");
    pair.residual *= watch_.norm_estimate;
    const VecReadView view(vec.get());
    const auto entries = view.block().row(0);
    pair.vector.assign(entries.begin(), entries.end());
    last_.push_back(std::move(pair));
  }
}

void EndSolver::search_for_missed(End end, Index pairs, Index main_products) {
  auto& kept = pairs_of(end);
  const double sign = end == End::upper ? 1.0 : -1.0;
  const Index before = matrix_.products();
  const Index limit = before + std::max<Index>(100, 2 * main_products);
  bool inserted = true;
  while (inserted && found() < size()) {
    inserted = false;
    const Index left = size() - found();
    const double worst = kept[static_cast<std::size_t>(pairs - 1)].value;
    watch_.searching = true;
    watch_.sign = sign;
    watch_.worst = worst;
    const auto reason = solve({.end = end,
                               .pairs = std::min<Index>(2, left),
                               .basis = std::min(search_basis_size(end, pairs, !upper_.empty()), left),
                               .max_products = limit,
                               .prefix = "check_"});
    watch_.searching = false;
    if (reason < 0 && last_.empty())
      reason_ += "; the search for missed eigenvalues stopped undecided after " +
                 std::to_string(matrix_.products() - before) + " products";
    for (RitzPair& pair : last_) {
      // What lies closer than its residual is not resolved from the worst pair kept.
      const double rounding = 50 * std::numeric_limits<double>::epsilon() * watch_.norm_estimate;
      if (sign * (pair.value - worst) <= std::max(rounding, pair.residual)) continue;
      const auto place = std::ranges::upper_bound(kept, sign * pair.value, std::greater<>(),
                                                  [&](const RitzPair& other) { return sign * other.value; });
      kept.insert(place, std::move(pair));
      inserted = true;
    }
  }
  check_products_ += matrix_.products() - before;
}

void EndSolver::find(End end, Index pairs, Index reserved) {
  const Index before = matrix_.products();
  const Index left = size() - found();
  const Index wanted = std::min(pairs + 1, left - reserved);
  const auto reason = solve({.end = end,
                             .pairs = wanted,
                             .basis = std::min(basis_size(end, wanted, !upper_.empty()), left),
                             .max_products = before + max_products_});
  auto& kept = pairs_of(end);
  kept = std::move(last_);
  if (std::ssize(kept) >= wanted) {
    search_for_missed(end, wanted, matrix_.products() - before);
    kept.resize(static_cast<std::size_t>(wanted));
  }
  if (reason < 0) reason_ = describe(reason, matrix_.products());
}

Eigenpairs EndSolver::result() const {
  Eigenpairs result;
  result.vectors = Matrix<double>(found(), op_.range().count(me_));
  const auto append = [&](const RitzPair& pair) {
    std::ranges::copy(pair.vector, result.vectors.row(std::ssize(result.values)).begin());
    result.values.push_back(pair.value);
  };
  std::ranges::for_each(upper_, append);
  std::for_each(lower_.rbegin(), lower_.rend(), append);
  result.upper = std::ssize(upper_);
  result.check_products = check_products_;
  result.solve_products = matrix_.products() - check_products_;
  result.norm_estimate = watch_.norm_estimate;
  result.reason = reason_;
  return result;
}

}  // namespace

Eigenpairs solve_ends(const LinearOperator& op, const EigenOptions& options) {
  const Index ends = options.which == Which::both ? 2 : 1;
  if (options.which == Which::all) throw std::logic_error("solve_ends: a complete spectrum has no ends");
  if (!op.symmetric() || op.range() != op.domain())
    throw std::logic_error("solve_ends: the operator is not symmetric");
  if (options.count < 1 || ends * options.count > op.range().size())
    throw std::logic_error("solve_ends: impossible number of eigenpairs");
  EndSolver solver(op, options);
  if (options.which != Which::smallest) solver.find(End::upper, options.count, (ends - 1) * options.count);
  if (options.which != Which::largest) solver.find(End::lower, options.count, 0);
  return solver.result();
}

}  // namespace dualscape::petsc
