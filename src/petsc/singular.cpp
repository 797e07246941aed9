#include "dualscape/petsc/singular.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/petsc/shell_matrix.hpp"
#include "dualscape/petsc/views.hpp"

namespace dualscape::petsc {
namespace {

struct Triplet {
  double value = 0.0;
  double residual = 0.0;  ///< the solver's estimate
  std::vector<double> left;
  std::vector<double> right;
};

/// A (1 - V V^T) for the right singular vectors V found so far: A without what is known of it.
class Deflated final : public LinearOperator {
 public:
  Deflated(const LinearOperator& inner, const std::vector<Triplet>& found) : inner_(inner), found_(found) {}

  const Comm& comm() const override { return inner_.comm(); }
  Partition range() const override { return inner_.range(); }
  Partition domain() const override { return inner_.domain(); }
  bool symmetric() const override { return false; }

  void apply(ConstMultiVector in, MultiVector out) const override {
    Matrix<double> rest(in.rows, in.cols);
    for (Index j = 0; j < in.rows; ++j) std::ranges::copy(in.row(j), rest.row(j).begin());
    project(rest.view());
    inner_.apply(rest.view(), out);
  }
  void apply_transpose(ConstMultiVector in, MultiVector out) const override {
    inner_.apply_transpose(in, out);
    project(out);
  }

 private:
  void project(MultiVector vectors) const {
    if (found_.empty()) return;
    std::vector<double> along;
    for (Index j = 0; j < vectors.rows; ++j)
      for (const Triplet& triplet : found_) along.push_back(dot(triplet.right, vectors.row(j)));
    MPI_Allreduce(MPI_IN_PLACE, along.data(), static_cast<int>(along.size()), MPI_DOUBLE, MPI_SUM,
                  comm().get());
    auto share = along.begin();
    for (Index j = 0; j < vectors.rows; ++j)
      for (const Triplet& triplet : found_) axpy(-*share++, triplet.right, vectors.row(j));
  }

  const LinearOperator& inner_;
  const std::vector<Triplet>& found_;
};

class SingularSolver {
 public:
  SingularSolver(const LinearOperator& op, const SingularOptions& options)
      : op_(op),
        options_(options),
        deflated_(op, found_),
        matrix_(deflated_),
        smaller_(std::min(op.range().size(), op.domain().size())),
        limit_(options.max_products > 0 ? options.max_products
                                        : std::max<Index>(10000, 200 * options.count)) {}

  SingularVectors solve();

 private:
  struct Request {
    Index count = 1;
    Index basis = 1;
    const char* prefix = "";
  };
  static PetscErrorCode relative_residual(SVD, PetscReal value, PetscReal residual, PetscReal* error,
                                          void* context);
  static PetscErrorCode watch_products(SVD svd, PetscInt restarts, PetscInt most, PetscInt converged,
                                       PetscInt wanted, SVDConvergedReason* reason, void* context);
  static PetscErrorCode monitor(SVD, PetscInt, PetscInt converged, PetscReal*, PetscReal*, PetscInt,
                                void* context);
  std::pair<VecHandle, VecHandle> vectors() const;
  void draw(Vec vec, Index first);
  std::vector<Triplet> run(const Request& request);
  std::vector<Triplet> converged(SVD svd);
  void search(Index wanted);
  SingularVectors result() const;

  const LinearOperator& op_;
  const SingularOptions& options_;
  std::vector<Triplet> found_;  ///< descending
  Deflated deflated_;
  ShellMatrix matrix_;
  Index smaller_;
  Index limit_;
  double largest_ = 0.0;
  double worst_ = -1.0;  ///< in a search: what a missed value must surpass
  std::uint32_t starts_ = 0;
  Index check_products_ = 0;
  std::string reason_ = "converged";
};

/// Relative to the largest singular value. A search is over as soon as a value is settled to be no missed
/// one.
PetscErrorCode SingularSolver::relative_residual(SVD, PetscReal value, PetscReal residual, PetscReal* error,
                                                 void* context) {
  auto& solver = *static_cast<SingularSolver*>(context);
  solver.largest_ = std::max(solver.largest_, value);
  *error = solver.largest_ > 0 ? residual / solver.largest_ : residual;
  if (solver.worst_ >= 0 && 10 * residual < solver.worst_ - value) *error = 0;
  return 0;
}

PetscErrorCode SingularSolver::watch_products(SVD svd, PetscInt restarts, PetscInt most, PetscInt converged,
                                              PetscInt wanted, SVDConvergedReason* reason, void* context) {
  return guarded([&] {
    const auto& solver = *static_cast<const SingularSolver*>(context);
    check(SVDStoppingBasic(svd, restarts, most, converged, wanted, reason, nullptr), "SVDStoppingBasic");
    if (*reason == SVD_CONVERGED_ITERATING && solver.matrix_.products() >= solver.limit_)
      *reason = SVD_DIVERGED_ITS;
  });
}

PetscErrorCode SingularSolver::monitor(SVD, PetscInt, PetscInt converged, PetscReal*, PetscReal*, PetscInt,
                                       void* context) {
  return guarded([&] {
    const auto& solver = *static_cast<const SingularSolver*>(context);
    if (solver.options_.monitor)
      solver.options_.monitor(solver.matrix_.products(), std::ssize(solver.found_) + converged);
  });
}

/// Right and left ones.
std::pair<VecHandle, VecHandle> SingularSolver::vectors() const {
  Vec right = nullptr, left = nullptr;
  check(MatCreateVecs(matrix_.get(), &right, &left), "MatCreateVecs");
  return {VecHandle(right), VecHandle(left)};
}

void SingularSolver::draw(Vec vec, Index first) {
  const Random random(options_.seed, Stream::singular_start, starts_++);
  const VecWriteView view(vec);
  const auto entries = view.block().row(0);
  for (std::size_t i = 0; i < entries.size(); ++i)
    entries[i] = random.normal(static_cast<std::uint64_t>(first) + i);
}

/// Options of SLEPc's database. Its solvers by way of an eigenproblem take no tests of ours.
void read_options(SVD svd) {
  try {
    check(SVDSetFromOptions(svd), "SVDSetFromOptions");
  } catch (const CallError& error) {
    throw UsageError(std::string("an option after '--' is not accepted: ") + error.what());
  }
  SVDType chosen = nullptr;
  check(SVDGetType(svd, &chosen), "SVDGetType");
  if (const std::string_view type = chosen; type == SVDTRLANCZOS || type == SVDLANCZOS) return;
  check(SVDSetConvergenceTest(svd, SVD_CONV_REL), "SVDSetConvergenceTest");
  check(SVDSetStoppingTest(svd, SVD_STOP_BASIC), "SVDSetStoppingTest");
}

std::vector<Triplet> SingularSolver::run(const Request& request) {
  const auto count = static_cast<PetscInt>(request.count);
  const auto basis = static_cast<PetscInt>(std::max(request.basis, request.count));
  auto handle = SVDHandle::create("SVDCreate", [&](SVD* out) { return SVDCreate(op_.comm().get(), out); });
  SVD svd = handle.get();
  check(SVDSetOptionsPrefix(svd, request.prefix), "SVDSetOptionsPrefix");
  check(SVDSetOperators(svd, matrix_.get(), nullptr), "SVDSetOperators");
  check(SVDSetImplicitTranspose(svd, PETSC_TRUE), "SVDSetImplicitTranspose");
  check(SVDSetType(svd, SVDTRLANCZOS), "SVDSetType");
  check(SVDTRLanczosSetRestart(svd, 0.7), "SVDTRLanczosSetRestart");
  check(SVDSetDimensions(svd, count, basis, PETSC_DEFAULT), "SVDSetDimensions");
  check(SVDSetConvergenceTestFunction(svd, &relative_residual, this, nullptr),
        "SVDSetConvergenceTestFunction");
  check(SVDSetStoppingTestFunction(svd, &watch_products, this, nullptr), "SVDSetStoppingTestFunction");
  check(SVDMonitorSet(svd, &monitor, this, nullptr), "SVDMonitorSet");
  check(SVDSetTolerances(svd, options_.tolerance, static_cast<PetscInt>(limit_)), "SVDSetTolerances");
  read_options(svd);
  check(SVDSetWhichSingularTriplets(svd, SVD_LARGEST), "SVDSetWhichSingularTriplets");
  // Which of the two is used depends on which dimension is the smaller one.
  const auto [right, left] = vectors();
  const int me = op_.comm().rank();
  draw(right.get(), op_.domain().begin(me));
  draw(left.get(), op_.range().begin(me));
  Vec initial_right = right.get(), initial_left = left.get();
  check(SVDSetInitialSpaces(svd, 1, &initial_right, 1, &initial_left), "SVDSetInitialSpaces");
  try {
    check(SVDSolve(svd), "SVDSolve");
  } catch (const CallError&) {
    matrix_.require_finite();
    throw;
  }
  matrix_.require_finite();
  return converged(svd);
}

std::vector<Triplet> SingularSolver::converged(SVD svd) {
  PetscInt count = 0;
  check(SVDGetConverged(svd, &count), "SVDGetConverged");
  const auto [right, left] = vectors();
  std::vector<Triplet> triplets;
  for (PetscInt i = 0; i < count; ++i) {
    Triplet triplet;
    check(SVDGetSingularTriplet(svd, i, &triplet.value, left.get(), right.get()), "SVDGetSingularTriplet");
    const auto take = [](Vec vec) {
      const VecReadView view(vec);
      const auto entries = view.block().row(0);
      return std::vector<double>(entries.begin(), entries.end());
    };
    triplet.left = take(left.get());
    triplet.right = take(right.get());
    largest_ = std::max(largest_, triplet.value);
    triplets.push_back(std::move(triplet));
  }
  return triplets;
}

/// Copies of a multiple value that one Krylov space does not hold.
void SingularSolver::search(Index wanted) {
  const Index before = matrix_.products();
  limit_ = before + std::max<Index>(200, 2 * before);
  bool inserted = true;
  while (inserted && std::ssize(found_) < smaller_) {
    inserted = false;
    const Index left = smaller_ - std::ssize(found_);
    worst_ = found_[static_cast<std::size_t>(wanted - 1)].value;
    auto more = run({.count = 1, .basis = std::min<Index>(10 + wanted / 8, left), .prefix = "check_"});
    if (more.empty())
      reason_ += "; the search for missed singular values stopped undecided after " +
                 std::to_string(matrix_.products() - before) + " products";
    for (Triplet& triplet : more) {
      // What lies closer than that is not resolved from the last one kept.
      if (triplet.value - worst_ <= options_.tolerance * largest_) continue;
      const auto place = std::ranges::upper_bound(found_, triplet.value, std::greater<>(), &Triplet::value);
      found_.insert(place, std::move(triplet));
      inserted = true;
    }
  }
  check_products_ = matrix_.products() - before;
}

SingularVectors SingularSolver::solve() {
  const Index wanted = std::min(options_.count + 1, smaller_);
  auto triplets =
      run({.count = wanted, .basis = std::min(wanted + std::max<Index>(8, wanted / 2), smaller_)});
  std::ranges::stable_sort(triplets, std::greater<>(), &Triplet::value);
  found_ = std::move(triplets);
  if (std::ssize(found_) < wanted)
    reason_ = "stopped after " + std::to_string(matrix_.products()) + " products";
  else
    search(wanted);
  if (std::ssize(found_) > wanted) found_.resize(static_cast<std::size_t>(wanted));
  return result();
}

SingularVectors SingularSolver::result() const {
  const int me = op_.comm().rank();
  const auto count = std::ssize(found_);
  SingularVectors result{.left = Matrix<double>(count, op_.range().count(me)),
                         .right = Matrix<double>(count, op_.domain().count(me)),
                         .products = matrix_.products(),
                         .check_products = check_products_,
                         .reason = reason_};
  for (Index n = 0; n < count; ++n) {
    std::ranges::copy(found_[static_cast<std::size_t>(n)].left, result.left.row(n).begin());
    std::ranges::copy(found_[static_cast<std::size_t>(n)].right, result.right.row(n).begin());
  }
  return result;
}

}  // namespace

SingularVectors solve_singular(const LinearOperator& op, const SingularOptions& options) {
  if (options.count < 1 || options.count > std::min(op.range().size(), op.domain().size()))
    throw std::logic_error("solve_singular: impossible number of singular values");
  return SingularSolver(op, options).solve();
}

}  // namespace dualscape::petsc
