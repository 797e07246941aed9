#include "dualscape/petsc/thick_restart.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <slepceps.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "dualscape/base/lanes.hpp"
#include "dualscape/petsc/handle.hpp"
#include "dualscape/petsc/session.hpp"
#include "dualscape/petsc/shell_matrix.hpp"
#include "dualscape/petsc/views.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::petsc {
namespace {

using testing::error_of;
using testing::fourfold;
using ::testing::HasSubstr;
using testing::KnownSpectrum;
using testing::with_tail;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

/// Ten values from 10 to 1, geometric, and ten from -4 to -0.4 likewise, then 0.9/k.
std::vector<double> slow_decay(Index size) {
  std::vector<double> values;
  for (int i = 0; i < 10; ++i) values.push_back(10 * std::pow(0.1, i / 9.0));
  for (int i = 0; i < 10; ++i) values.push_back(-4 * std::pow(0.1, i / 9.0));
  return with_tail(values, size, 0.9);
}

ThickRestartResult solve(const LinearOperator& op, const ThickRestartOptions& options,
                         const RestartState& from = {}) {
  ShellMatrix matrix(op);
  return thick_restart(matrix, options, from);
}

/// Values at the wanted end, and vectors that are eigenvectors and orthonormal. A residual within `tolerance`
/// |H| leaves errors of its square in well separated values, of the tolerance in those just resolved.
void expect_pairs(const std::vector<RitzPair>& pairs, const KnownSpectrum& op,
                  const ThickRestartOptions& options) {
  ASSERT_ALL(std::ssize(pairs) >= options.pairs);
  // Beyond those asked for, pairs converge as they come.
  const auto count = static_cast<std::size_t>(options.pairs);
  auto truth = op.eigenvalues();
  std::ranges::sort(truth);
  if (options.largest) std::ranges::reverse(truth);
  const double norm = 10;
  const Index local = op.range().count(op.comm().rank());
  Matrix<double> product(1, local);
  for (std::size_t n = 0; n < count; ++n) {
    EXPECT_NEAR(pairs[n].value, truth[n], options.tolerance * norm + 50 * epsilon * norm) << n;
    op.apply({pairs[n].vector.data(), 1, local}, product.view());
    axpy(-pairs[n].value, pairs[n].vector, product.row(0));
    std::vector<double> sums = {dot(product.row(0), product.row(0))};
    for (std::size_t m = 0; m <= n; ++m) sums.push_back(dot(pairs[m].vector, pairs[n].vector));
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM,
                  op.comm().get());
    EXPECT_NEAR(std::sqrt(sums[0]), pairs[n].residual, 100 * epsilon * norm) << n;
    EXPECT_LE(pairs[n].residual, options.tolerance * norm);
    for (std::size_t m = 0; m <= n; ++m) EXPECT_NEAR(sums[m + 1], m == n ? 1.0 : 0.0, 100 * epsilon);
  }
}

/// Products of SLEPc's Krylov-Schur with the same start vector, basis and rules.
Index krylov_schur_products(const KnownSpectrum& op, const ThickRestartOptions& options) {
  ShellMatrix matrix(op);
  const auto eps = EPSHandle::create("EPSCreate", [&](EPS* out) { return EPSCreate(op.comm().get(), out); });
  check(EPSSetOperators(eps.get(), matrix.get(), nullptr), "EPSSetOperators");
  check(EPSSetProblemType(eps.get(), EPS_HEP), "EPSSetProblemType");
  check(EPSSetType(eps.get(), EPSKRYLOVSCHUR), "EPSSetType");
  check(EPSKrylovSchurSetRestart(eps.get(), options.keep), "EPSKrylovSchurSetRestart");
  check(EPSSetDimensions(eps.get(), static_cast<PetscInt>(options.pairs),
                         static_cast<PetscInt>(options.basis), PETSC_DEFAULT),
        "EPSSetDimensions");
  check(EPSSetWhichEigenpairs(eps.get(), options.largest ? EPS_LARGEST_REAL : EPS_SMALLEST_REAL),
        "EPSSetWhichEigenpairs");
  double norm = 0;
  const auto relative = [](EPS, PetscScalar value, PetscScalar, PetscReal residual, PetscReal* error,
                           void* context) {
    auto& largest = *static_cast<double*>(context);
    largest = std::max(largest, std::abs(value));
    *error = residual / largest;
    return PetscErrorCode{0};
  };
  check(EPSSetConvergenceTestFunction(eps.get(), relative, &norm, nullptr), "EPSSetConvergenceTestFunction");
  // The norm is known from the first restart on, whichever end is wanted.
  const auto note_norm = [](EPS, PetscInt, PetscInt, PetscScalar* values, PetscScalar*, PetscReal*,
                            PetscInt known, void* context) {
    auto& largest = *static_cast<double*>(context);
    for (PetscInt i = 0; i < known; ++i) largest = std::max(largest, std::abs(values[i]));
    return PetscErrorCode{0};
  };
  check(EPSMonitorSet(eps.get(), note_norm, &norm, nullptr), "EPSMonitorSet");
  check(EPSSetTolerances(eps.get(), options.tolerance, 10000), "EPSSetTolerances");
  const auto start =
      VecHandle::create("MatCreateVecs", [&](Vec* out) { return MatCreateVecs(matrix.get(), out, nullptr); });
  {
    const Random random(options.seed, Stream::start_vector, options.substream);
    const VecWriteView view(start.get());
    const auto first = static_cast<std::uint64_t>(op.range().begin(op.comm().rank()));
    const auto entries = view.block().row(0);
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = random.normal(first + i);
  }
  Vec initial = start.get();
  check(EPSSetInitialSpace(eps.get(), 1, &initial), "EPSSetInitialSpace");
  check(EPSSolve(eps.get()), "EPSSolve");
  return matrix.products();
}

TEST(ThickRestart, TakesAsManyProductsAsKrylovSchur) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, slow_decay(2000));
  for (const bool largest : {true, false})
    for (const double tolerance : {1e-4, 1e-8, 1e-12})
      for (const auto& [pairs, basis] : {std::pair<Index, Index>{10, 15}, {10, 20}, {10, 40}, {3, 12}}) {
        const ThickRestartOptions options{.largest = largest,
                                          .pairs = pairs,
                                          .basis = basis,
                                          .tolerance = tolerance,
                                          .max_products = 20000};
        const Index theirs = krylov_schur_products(op, options);
        const auto found = solve(op, options);
        EXPECT_NEAR(found.products, theirs, basis) << "within one cycle";
        expect_pairs(found.pairs, op, options);
      }
}

/// A state as a checkpoint keeps it: its vectors whole, on every rank of the world.
struct StoredState {
  RestartState state;
  Matrix<double> vectors;
};

StoredState store(const Comm& comm, const Partition& partition, const RestartState& state) {
  StoredState stored{.state = state, .vectors = Matrix<double>(state.vectors.rows, partition.size())};
  gather_all(comm, partition, state.vectors, stored.vectors.view());
  return stored;
}

/// The states that rank 0 has, on every rank: rounding depends on the number of ranks, and one and the same
/// state must continue everywhere.
void share(const Comm& world, std::vector<StoredState>& stored) {
  stored.resize(world.broadcast_value(stored.size()));
  for (auto& [state, vectors] : stored) {
    for (Index* number : {&state.cycle, &state.products, &state.draws})
      *number = world.broadcast_value(*number);
    state.norm_estimate = world.broadcast_value(state.norm_estimate);
    world.broadcast(state.values);
    const Index rows = world.broadcast_value(vectors.rows());
    const Index cols = world.broadcast_value(vectors.cols());
    if (!world.is_root()) vectors = Matrix<double>(rows, cols);
    world.broadcast(vectors.entries());
  }
}

/// Continues a solve made on the first `before` ranks from each of its restarts, on the first `after` ranks;
/// the other ranks do the same in a group of their own.
void expect_continued(const Comm& world, const std::vector<double>& values, int before, int after,
                      ThickRestartOptions options, Index slack) {
  const Comm first = world.split(world.rank() < before ? 0 : 1);
  const Comm second = world.split(world.rank() < after ? 0 : 1);
  std::vector<StoredState> stored;
  const KnownSpectrum whole(first, values);
  options.on_restart = [&](const RestartState& state, bool stopping) {
    EXPECT_FALSE(stopping);
    stored.push_back(store(first, whole.range(), state));
  };
  const Index undisturbed = world.broadcast_value(solve(whole, options).products);
  options.on_restart = nullptr;
  share(world, stored);
  ASSERT_GE(stored.size(), 2U);

  const KnownSpectrum op(second, values);
  const Index begin = op.range().begin(second.rank());
  for (auto& [state, vectors] : stored) {
    state.vectors = vectors.view().cols_from(begin, op.range().count(second.rank()));
    op.products = 0;
    const auto found = solve(op, options, state);
    EXPECT_NEAR(found.products, undisturbed, slack) << before << " ranks, then " << after;
    EXPECT_EQ(op.products, found.products - state.products);
    expect_pairs(found.pairs, op, options);
  }
}

TEST(ThickRestart, ContinuesAtAnyNumberOfRanksAsIfNeverStopped) {
  const Comm world(MPI_COMM_WORLD);
  for (const bool largest : {true, false})
    for (int before = 1; before <= world.size(); ++before)
      for (int after = 1; after <= world.size(); ++after) {
        expect_continued(world, slow_decay(600), before, after,
                         {.largest = largest, .pairs = 3, .basis = 9, .tolerance = 1e-11}, 0);
        expect_continued(world, slow_decay(600), before, after,
                         {.largest = largest, .pairs = 5, .basis = 20, .block = 4, .tolerance = 1e-11}, 0);
        // Rounding alone tells copies apart, and so in which cycle each of them is seen to have converged.
        expect_continued(world, fourfold(600), before, after,
                         {.largest = largest, .pairs = 5, .basis = 20, .block = 4, .tolerance = 1e-11}, 20);
      }
}

TEST(ThickRestart, FindsEveryCopyAsFarAsItsBlockIsWide) {
  const Comm comm(MPI_COMM_WORLD);
  for (const bool largest : {true, false})
    for (const double tolerance : {1e-4, 1e-8, 1e-12})
      for (const Index block : {4, 5, 8})
        for (const std::uint64_t seed : {1, 2, 3}) {
          const KnownSpectrum op(comm, fourfold(600));
          const ThickRestartOptions options{.largest = largest,
                                            .pairs = largest ? 8 : 5,
                                            .basis = 16 + 2 * block,
                                            .block = block,
                                            .tolerance = tolerance,
                                            .seed = seed};
          const auto found = solve(op, options);
          EXPECT_EQ(op.single_products, 0);
          EXPECT_EQ(op.products, found.products);
          // Seen: 28 to 136, in steps of the block.
          EXPECT_LE(found.products, tolerance < 1e-8 ? 40 * block : 24 * block);
          expect_pairs(found.pairs, op, options);
        }
}

TEST(ThickRestart, KeepsDeflatedVectorsOut) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, with_tail({20, 15, 10, 9, 8, 7}, 300, 1.0));
  const auto first = op.eigenvector(0);
  const auto second = op.eigenvector(1);
  for (const Index block : {1, 3}) {
    const ThickRestartOptions options{.pairs = 3, .basis = 12, .block = block, .deflated = {first, second}};
    const auto found = solve(op, options);
    ASSERT_ALL(found.pairs.size() >= 3);
    for (std::size_t n = 0; n < 3; ++n)
      EXPECT_NEAR(found.pairs[n].value, 10.0 - static_cast<double>(n), 1e-12);
  }
}

TEST(ThickRestart, EndsWithTheSpace) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Index block : {1, 2, 3, 9}) {
    const KnownSpectrum op(comm, {10, 5, 5, 1, 0, 0, -2});
    expect_pairs(solve(op, {.pairs = 7, .basis = 20, .block = block}).pairs, op, {.pairs = 7});
    const KnownSpectrum zero(comm, std::vector<double>(50, 0.0));
    expect_pairs(solve(zero, {.pairs = 4, .basis = 9, .block = block}).pairs, zero, {.pairs = 4});
  }
}

TEST(ThickRestart, SettlesWhatCannotReachAGivenValue) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, slow_decay(2000));
  const ThickRestartOptions plain{.pairs = 2, .basis = 8, .tolerance = 1e-12, .norm_estimate = 20};
  ThickRestartOptions beyond = plain;
  beyond.beyond = 12;
  const auto found = solve(op, beyond);
  EXPECT_LT(found.products, solve(op, plain).products);
  for (const RitzPair& pair : found.pairs) EXPECT_LT(10 * pair.residual, 12 - pair.value);
  EXPECT_EQ(found.norm_estimate, 20);
}

TEST(ThickRestart, IsOverAsSoonAsItsStartVectorTellsThatNothingLiesBeyond) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, slow_decay(500));
  // 10 is the largest value, -4 the smallest one.
  for (const bool largest : {true, false}) {
    ThickRestartOptions options{.largest = largest, .pairs = 2, .basis = 40, .tolerance = 1e-12};
    Index last = 1000;
    for (const double factor : {1.1, 2.0, 10.0}) {
      options.beyond = (largest ? 10 : -4) * factor;
      const Index products = solve(op, options).products;
      EXPECT_LT(products, last) << "the further off, the sooner";
      last = products;
    }
    // With each product p_j(b) grows by 12 or more: by x + sqrt(x^2 - 1) where b is x half ranges off.
    EXPECT_LE(last, 2 + std::ceil(std::log(std::sqrt(1000.0 / 3) / chance_of_a_miss) / std::log(12)));
    // Close to the value it must not be told before the value itself is seen.
    for (const double factor : {0.999, 0.9, 0.5}) {
      options.beyond = (largest ? 10 : -4) * factor;
      for (options.seed = 1; options.seed <= 20; ++options.seed) {
        const auto found = solve(op, options);
        ASSERT_ALL(!found.pairs.empty());
        EXPECT_NEAR(found.pairs.front().value, largest ? 10 : -4, 1e-9) << factor << " " << options.seed;
      }
    }
  }
}

TEST(ThickRestart, MeasuresHowFarTheOperatorIsFromSymmetric) {
  const Comm comm(MPI_COMM_WORLD);
  for (const Index block : {1, 3}) {
    const ThickRestartOptions options{.pairs = 4, .basis = 12, .block = block, .tolerance = 1e-10};
    KnownSpectrum op(comm, slow_decay(300));
    Index restarts = 0;
    ThickRestartOptions counted = options;
    counted.on_restart = [&](const RestartState&, bool) { ++restarts; };
    const auto symmetric = solve(op, counted);
    EXPECT_GT(restarts, 1);
    EXPECT_LT(symmetric.asymmetry, 100 * epsilon * 10);
    // <u, H v> - <v, H u> = delta (u_0 v_1 - v_0 u_1), entries of unit vectors.
    Matrix<double> in;
    op.before_product = [&](ConstMultiVector vectors) {
      in = Matrix<double>(vectors.rows, vectors.cols);
      for (Index j = 0; j < vectors.rows; ++j) std::ranges::copy(vectors.row(j), in.row(j).begin());
    };
    constexpr double delta = 1e-6;
    op.after_product = [&](MultiVector out) {
      for (Index j = 0; comm.is_root() && j < out.rows; ++j) out(j, 0) += delta * in(j, 1);
    };
    ThickRestartOptions loose = options;
    loose.tolerance = 1e-4;
    const double asymmetry = solve(op, loose).asymmetry;
    EXPECT_LE(asymmetry, delta);
    EXPECT_GE(asymmetry, 1e-3 * delta);
  }
}

TEST(ThickRestart, StopsAtTheLimitWithWhatHasConverged) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, slow_decay(2000));
  ThickRestartOptions options{.pairs = 10, .basis = 15, .tolerance = 1e-12, .max_products = 25};
  const auto found = solve(op, options);
  EXPECT_GE(found.products, 25);
  EXPECT_LE(found.products, 25 + 15);
  ASSERT_ALL(!found.pairs.empty() && found.pairs.size() < 10);
  options.pairs = std::ssize(found.pairs);
  expect_pairs(found.pairs, op, options);
}

TEST(ThickRestart, HandsOutItsLastRestartWhenInterrupted) {
  const Comm comm(MPI_COMM_WORLD);
  const auto values = slow_decay(2000);
  const KnownSpectrum calm(comm, values);
  ThickRestartOptions options{.pairs = 10, .basis = 15, .tolerance = 1e-10};
  const Index undisturbed = solve(calm, options).products;
  for (const Index at : {Index{7}, Index{20}, undisturbed}) {
    KnownSpectrum op(comm, values);
    op.after_product = [&](MultiVector) {
      if (op.products == at) throw Interrupted("stopped by a signal");
    };
    std::optional<StoredState> last;
    options.on_restart = [&](const RestartState& state, bool stopping) {
      if (stopping) last = store(comm, op.range(), state);
    };
    EXPECT_EQ(error_of<Interrupted>([&] { solve(op, options); }), "stopped by a signal");
    EXPECT_EQ(handles_alive(), 0);
    ASSERT_ALL(last.has_value());
    options.on_restart = nullptr;
    op.after_product = nullptr;
    op.products = 0;
    auto& [state, vectors] = *last;
    EXPECT_EQ(vectors.rows() == 0, at == 7) << "no restart yet";
    EXPECT_LT(at - state.products, 15) << "at most one cycle is lost";
    state.vectors = vectors.view().cols_from(op.range().begin(comm.rank()), op.range().count(comm.rank()));
    const auto found = solve(op, options, state);
    EXPECT_EQ(state.products + op.products, undisturbed);
    EXPECT_EQ(found.products, undisturbed);
    expect_pairs(found.pairs, op, options);
  }
}

TEST(ThickRestart, RefusesProductsThatAreNotFinite) {
  const Comm comm(MPI_COMM_WORLD);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const Index block : {1, 2}) {
      KnownSpectrum op(comm, slow_decay(200));
      op.after_product = [&](MultiVector out) {
        if (op.products >= 4 && comm.rank() == comm.size() - 1) out(0, 0) = bad;
      };
      EXPECT_THAT(error_of<ComputationError>([&] { solve(op, {.pairs = 3, .block = block}); }),
                  HasSubstr("product 4 with the operator holds numbers that are not finite"));
      EXPECT_EQ(handles_alive(), 0);
    }
}

}  // namespace
}  // namespace dualscape::petsc
