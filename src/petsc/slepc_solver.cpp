#include "slepc_solver.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "basis_room.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/petsc/shell_matrix.hpp"
#include "dualscape/petsc/views.hpp"

namespace dualscape::petsc {
namespace {

/// SLEPc's solvers that find either end of a spectrum by products alone. Not here: `lanczos`, which was seen
/// to miss eigenvalues; `jd`, which was seen to give up at the lower end; `subspace`, `power` and `rqcg`,
/// which know one kind of end; `lapack`, which asks for the whole matrix; `arpack`, whose tolerance is
/// relative to each eigenvalue; and those that need a factorisation or are not in every SLEPc.
constexpr std::array<std::string_view, 4> offered = {EPSKRYLOVSCHUR, EPSARNOLDI, EPSGD, EPSLOBPCG};
/// Of these, solvers for preconditioned matrices.
constexpr std::array<std::string_view, 2> preconditioned = {EPSLOBPCG, EPSGD};

template <class Names>
bool among(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// What the callbacks of an EPS see and leave.
struct Watch {
  const ShellMatrix* matrix = nullptr;
  const ThickRestartOptions* options = nullptr;
  Index first_product = 0;
  double norm_estimate = 0.0;

  Index products() const { return matrix->products() - first_product; }
};

/// Residuals relative to the norm of the operator, as far as its Ritz values tell: relative to the eigenvalue
/// itself, a null space would never converge. Where only what lies beyond a value counts, a pair is settled
/// when its residual is a tenth of what separates it from that value.
PetscErrorCode relative_residual(EPS, PetscScalar value, PetscScalar, PetscReal residual, PetscReal* error,
                                 void* context) {
  auto& watch = *static_cast<Watch*>(context);
  watch.norm_estimate = std::max(watch.norm_estimate, std::abs(value));
  *error = watch.norm_estimate > 0 ? residual / watch.norm_estimate : residual;
  if (!watch.options->beyond) return 0;
  const double short_of = *watch.options->beyond - value;
  if (10 * residual < (watch.options->largest ? short_of : -short_of)) *error = 0;
  return 0;
}

PetscErrorCode watch_products(EPS eps, PetscInt restarts, PetscInt max_restarts, PetscInt converged,
                              PetscInt wanted, EPSConvergedReason* reason, void* context) {
  return guarded([&] {
    const auto& watch = *static_cast<const Watch*>(context);
    check(EPSStoppingBasic(eps, restarts, max_restarts, converged, wanted, reason, nullptr),
          "EPSStoppingBasic");
    if (*reason == EPS_CONVERGED_ITERATING && watch.products() >= watch.options->max_products)
      *reason = EPS_DIVERGED_ITS;
  });
}

PetscErrorCode monitor(EPS, PetscInt, PetscInt converged, PetscScalar* values, PetscScalar*, PetscReal*,
                       PetscInt known, void* context) {
  return guarded([&] {
    auto& watch = *static_cast<Watch*>(context);
    for (PetscInt i = 0; i < known; ++i)
      watch.norm_estimate = std::max(watch.norm_estimate, std::abs(values[i]));
    if (watch.options->on_look) watch.options->on_look(converged);
  });
}

std::string describe(EPSConvergedReason reason, Index products) {
  switch (reason) {
    case EPS_DIVERGED_ITS:
      return fmt::format("stopped after {} products", products);
    case EPS_DIVERGED_BREAKDOWN:
      return "the solver broke down";
    case EPS_DIVERGED_SYMMETRY_LOST:
      return "the operator is not symmetric to working precision";
    default:
      return "converged";
  }
}

class SlepcSolver {
 public:
  SlepcSolver(ShellMatrix& matrix, const ThickRestartOptions& options, const std::string& prefix)
      : matrix_(matrix), options_(options), prefix_(prefix) {
    watch_ = {&matrix, &options, matrix.products(), options.norm_estimate};
    make();
  }

  SlepcResult solve();

 private:
  Index size() const { return matrix_.op().range().size(); }
  void make();
  void read_options();
  void set_from_options();
  void require_offered(std::string_view type) const;
  std::vector<VecHandle> deflated() const;
  VecHandle start_vector() const;
  std::vector<RitzPair> converged_pairs() const;

  ShellMatrix& matrix_;
  const ThickRestartOptions& options_;
  std::string prefix_;
  Watch watch_;
  EPSHandle eps_;
};

void SlepcSolver::make() {
  const auto pairs = static_cast<PetscInt>(options_.pairs);
  // SLEPc wants a basis larger than the pairs, even where deflation has left no more than these.
  const auto basis = static_cast<PetscInt>(std::min(std::max(options_.basis, options_.pairs + 1), size()));
  const Comm& comm = matrix_.op().comm();
  eps_ = EPSHandle::create("EPSCreate", [&](EPS* out) { return EPSCreate(comm.get(), out); });
  check(EPSSetOptionsPrefix(eps_.get(), prefix_.c_str()), "EPSSetOptionsPrefix");
  check(EPSSetOperators(eps_.get(), matrix_.get(), nullptr), "EPSSetOperators");
  check(EPSSetProblemType(eps_.get(), EPS_HEP), "EPSSetProblemType");
  check(EPSSetType(eps_.get(), EPSKRYLOVSCHUR), "EPSSetType");
  check(EPSKrylovSchurSetRestart(eps_.get(), 0.7), "EPSKrylovSchurSetRestart");
  check(EPSSetDimensions(eps_.get(), pairs, basis, PETSC_DEFAULT), "EPSSetDimensions");
  check(EPSSetConvergenceTestFunction(eps_.get(), &relative_residual, &watch_, nullptr),
        "EPSSetConvergenceTestFunction");
  check(EPSSetStoppingTestFunction(eps_.get(), &watch_products, &watch_, nullptr),
        "EPSSetStoppingTestFunction");
  check(EPSMonitorSet(eps_.get(), &monitor, &watch_, nullptr), "EPSMonitorSet");
  // A restart takes at least one product: the limit on products always acts first.
  check(EPSSetTolerances(eps_.get(), options_.tolerance, static_cast<PetscInt>(options_.max_products)),
        "EPSSetTolerances");
  read_options();
  // The deck says which end, not the options.
  check(EPSSetWhichEigenpairs(eps_.get(), options_.largest ? EPS_LARGEST_REAL : EPS_SMALLEST_REAL),
        "EPSSetWhichEigenpairs");
}

void SlepcSolver::set_from_options() {
  try {
    check(EPSSetFromOptions(eps_.get()), "EPSSetFromOptions");
  } catch (const CallError& error) {
    throw UsageError(fmt::format("an option after '--' is not accepted: {}", error.what()));
  }
}

void SlepcSolver::require_offered(std::string_view type) const {
  if (!among(offered, type))
    throw UsageError(
        fmt::format("option -{}eps_type {}: this solver does not find the largest and the smallest "
                    "eigenvalues of a matrix known by its products alone; those that do: {}",
                    prefix_, type, fmt::join(offered, ", ")));
  // Its basis is three blocks, and must fit into what deflation leaves.
  const Index needed = 5 * options_.pairs + std::ssize(options_.deflated);
  if (type == EPSLOBPCG && size() < needed)
    throw UsageError(
        fmt::format("option -{}eps_type lobpcg: {} pairs at once need an operator of at least "
                    "{} parameters, and this one has {}",
                    prefix_, options_.pairs, needed, size()));
}

/// Options of SLEPc's database. The solvers for preconditioned matrices have no preconditioner here, and must
/// not solve inner systems with hidden products instead.
void SlepcSolver::read_options() {
  set_from_options();
  EPSType chosen = nullptr;
  check(EPSGetType(eps_.get(), &chosen), "EPSGetType");
  const std::string_view type = chosen;
  require_offered(type);
  if (type == EPSKRYLOVSCHUR) return;

  check(EPSSetDimensions(eps_.get(), static_cast<PetscInt>(options_.pairs), PETSC_DEFAULT, PETSC_DEFAULT),
        "EPSSetDimensions");
  if (among(preconditioned, type)) {
    ST transform = nullptr;
    KSP inner = nullptr;
    PC preconditioner = nullptr;
    check(EPSGetST(eps_.get(), &transform), "EPSGetST");
    check(STSetType(transform, STPRECOND), "STSetType");
    check(STGetKSP(transform, &inner), "STGetKSP");
    check(KSPSetType(inner, KSPPREONLY), "KSPSetType");
    check(KSPGetPC(inner, &preconditioner), "KSPGetPC");
    check(PCSetType(preconditioner, PCNONE), "PCSetType");
  }
  // One vector at a time it was seen not to converge at all.
  if (type == EPSGD && options_.pairs > 1)
    check(EPSGDSetBlockSize(eps_.get(), static_cast<PetscInt>(std::min<Index>(5, options_.pairs))),
          "EPSGDSetBlockSize");
  set_from_options();
}

std::vector<VecHandle> SlepcSolver::deflated() const {
  std::vector<VecHandle> vectors;
  for (const auto& vector : options_.deflated)
    vectors.push_back(VecHandle::create("VecCreateMPIWithArray", [&](Vec* out) {
      return VecCreateMPIWithArray(matrix_.op().comm().get(), 1, static_cast<PetscInt>(vector.size()),
                                   static_cast<PetscInt>(size()), vector.data(), out);
    }));
  return vectors;
}

VecHandle SlepcSolver::start_vector() const {
  auto vec = VecHandle::create("MatCreateVecs",
                               [&](Vec* out) { return MatCreateVecs(matrix_.get(), out, nullptr); });
  const LinearOperator& op = matrix_.op();
  const Random random(options_.seed, Stream::start_vector, options_.substream);
  const VecWriteView view(vec.get());
  const auto first = static_cast<std::uint64_t>(op.range().begin(op.comm().rank()));
  const auto entries = view.block().row(0);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = random.normal(first + i);
  return vec;
}

std::vector<RitzPair> SlepcSolver::converged_pairs() const {
  PetscInt converged = 0;
  check(EPSGetConverged(eps_.get(), &converged), "EPSGetConverged");
  auto vec = VecHandle::create("MatCreateVecs",
                               [&](Vec* out) { return MatCreateVecs(matrix_.get(), out, nullptr); });
  std::vector<RitzPair> pairs;
  for (PetscInt i = 0; i < converged; ++i) {
    RitzPair pair;
    check(EPSGetEigenpair(eps_.get(), i, &pair.value, nullptr, vec.get(), nullptr), "EPSGetEigenpair");
    check(EPSGetErrorEstimate(eps_.get(), i, &pair.residual), "EPSGetErrorEstimate");
    pair.residual *= watch_.norm_estimate;
    const VecReadView view(vec.get());
    const auto entries = view.block().row(0);
    pair.vector.assign(entries.begin(), entries.end());
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

SlepcResult SlepcSolver::solve() {
  PetscInt pairs = 0;
  PetscInt basis = 0;
  check(EPSGetDimensions(eps_.get(), &pairs, &basis, nullptr), "EPSGetDimensions");
  require_room_for(matrix_.op().comm(), size(), std::max(pairs, basis) + std::ssize(options_.deflated) + 1);
  const auto owned = deflated();
  std::vector<Vec> space;
  for (const VecHandle& vec : owned) space.push_back(vec.get());
  if (!space.empty())
    check(EPSSetDeflationSpace(eps_.get(), static_cast<PetscInt>(space.size()), space.data()),
          "EPSSetDeflationSpace");
  const VecHandle start = start_vector();
  Vec initial = start.get();
  check(EPSSetInitialSpace(eps_.get(), 1, &initial), "EPSSetInitialSpace");
  check(EPSSolve(eps_.get()), "EPSSolve");
  matrix_.require_finite();
  EPSConvergedReason reason = EPS_CONVERGED_ITERATING;
  check(EPSGetConvergedReason(eps_.get(), &reason), "EPSGetConvergedReason");
  return {.found = {.pairs = converged_pairs(),
                    .products = watch_.products(),
                    .norm_estimate = watch_.norm_estimate},
          .reason = describe(reason, matrix_.products())};
}

}  // namespace

bool asked_of_slepc(const std::string& prefix) {
  char* all = nullptr;
  check(PetscOptionsGetAll(nullptr, &all), "PetscOptionsGetAll");
  const std::string options = std::string(" ") + all;
  check(PetscFree(all), "PetscFree");
  return options.find(" -" + prefix + "eps_") != std::string::npos;
}

SlepcResult solve_by_slepc(ShellMatrix& matrix, const ThickRestartOptions& options,
                           const std::string& prefix) {
  try {
    return SlepcSolver(matrix, options, prefix).solve();
  } catch (const CallError&) {
    matrix.require_finite();
    throw;
  }
}

}  // namespace dualscape::petsc
