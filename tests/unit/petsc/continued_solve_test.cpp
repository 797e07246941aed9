#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dualscape/base/error.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/petsc/eigensolver.hpp"
#include "support/collective.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::petsc {
namespace {

using testing::KnownSpectrum;
using testing::with_tail;

/// Copies at both ends, so that the search finds pairs too, and values that take several restarts.
std::vector<double> spectrum() {
  std::vector<double> values = {10, 10, 10, -9, -9};
  for (int i = 0; i < 60; ++i) {
    values.push_back(8 * std::pow(0.94, i));
    values.push_back(-7 * std::pow(0.94, i));
  }
  return with_tail(values, 300, 0.1);
}

const EigenOptions asked{.which = Which::both, .count = 4, .tolerance = 1e-8, .seed = 3};

/// A state as a checkpoint keeps it: vectors whole, on every rank.
struct Stored {
  EigenState state;
  Matrix<double> found;  ///< upper, then lower
  Matrix<double> kept;
};

Stored store(const Comm& comm, const Partition& partition, const EigenState& state) {
  Stored stored{
      .state = state, .found = {}, .kept = Matrix<double>(state.restart.vectors.rows, partition.size())};
  gather_all(comm, partition, state.restart.vectors, stored.kept.view());
  const Index pairs = std::ssize(state.upper) + std::ssize(state.lowest);
  stored.found = Matrix<double>(pairs, partition.size());
  Index row = 0;
  for (const auto* end : {&state.upper, &state.lowest})
    for (const RitzPair& pair : *end)
      gather_all(comm, partition, {pair.vector.data(), 1, std::ssize(pair.vector)},
                 stored.found.view().rows_from(row++, 1));
  return stored;
}

/// On the ranks of another group. `kept` gets what the state's restart refers to.
EigenState restore(const Stored& stored, const Partition& partition, int rank) {
  EigenState state = stored.state;
  const auto first = static_cast<std::size_t>(partition.begin(rank));
  const auto count = static_cast<std::size_t>(partition.count(rank));
  Index row = 0;
  for (auto* end : {&state.upper, &state.lowest})
    for (RitzPair& pair : *end) {
      const auto part = stored.found.row(row++).subspan(first, count);
      pair.vector.assign(part.begin(), part.end());
    }
  state.restart.vectors = stored.kept.view().cols_from(partition.begin(rank), partition.count(rank));
  return state;
}

std::vector<Stored> all_states(const Comm& comm, const EigenOptions& options, Eigenpairs& found) {
  const KnownSpectrum op(comm, spectrum());
  std::vector<Stored> states;
  EigenOptions watched = options;
  watched.on_restart = [&](const EigenState& state, bool stopping) {
    EXPECT_FALSE(stopping);
    states.push_back(store(comm, op.range(), state));
  };
  found = solve_ends(op, watched);
  return states;
}

/// From every state of a solve, all ranks, and each alone, come to the same pairs in as many products.
TEST(ContinuedSolve, ComesToTheSameFromEveryPointInEveryPhase) {
  const Comm world(MPI_COMM_WORLD);
  for (const Index block : {1, 2}) {
    EigenOptions options = asked;
    options.block = block;
    Eigenpairs undisturbed;
    const auto states = all_states(world, options, undisturbed);
    ASSERT_ALL(states.size() > 8);
    const auto phases = [&](EigenState::Phase phase, bool lower) {
      return std::ranges::any_of(states, [&](const Stored& s) {
        return s.state.phase == phase && s.state.lower == lower &&
               (s.state.restart.cycle > 0 || phase == EigenState::Phase::search);
      });
    };
    EXPECT_TRUE(phases(EigenState::Phase::solve, false) && phases(EigenState::Phase::search, false) &&
                phases(EigenState::Phase::solve, true) && phases(EigenState::Phase::search, true));
    const Comm alone = world.split(world.rank());
    for (const Comm* comm : {&world, &alone}) {
      const KnownSpectrum op(*comm, spectrum());
      for (const Stored& stored : states) {
        op.products = 0;
        const auto again = solve_ends(op, options, restore(stored, op.range(), comm->rank()));
        // Rounding may add or save a cycle where copies are told apart from what is missing.
        const Index slack = comm->size() == world.size() ? 0 : 16;
        EXPECT_NEAR(again.solve_products, undisturbed.solve_products, slack);
        EXPECT_NEAR(again.check_products, undisturbed.check_products, slack);
        EXPECT_EQ(op.products, again.solve_products + again.check_products - stored.state.products);
        ASSERT_ALL(again.values.size() == undisturbed.values.size());
        for (std::size_t n = 0; n < again.values.size(); ++n)
          EXPECT_NEAR(again.values[n], undisturbed.values[n], 1e-7) << "the tolerance times the norm";
        EXPECT_EQ(again.reason, "converged");
      }
    }
  }
}

TEST(ContinuedSolve, LosesAtMostACycleWhereverItIsInterrupted) {
  const Comm comm(MPI_COMM_WORLD);
  Eigenpairs undisturbed;
  all_states(comm, asked, undisturbed);
  const Index total = undisturbed.solve_products + undisturbed.check_products;
  for (Index at = 1; at < total; at += 7) {
    KnownSpectrum op(comm, spectrum());
    op.after_product = [&](MultiVector) {
      if (op.products == at) throw Interrupted("stopped by a signal");
    };
    std::optional<Stored> last;
    EigenOptions options = asked;
    options.on_restart = [&](const EigenState& state, bool stopping) {
      if (stopping) last = store(comm, op.range(), state);
    };
    EXPECT_THROW(solve_ends(op, options), Interrupted);
    ASSERT_ALL(last.has_value());
    // The largest basis, of 5 pairs at the lower end.
    EXPECT_LE(at - last->state.products, 31);
    op.after_product = nullptr;
    const auto again = solve_ends(op, asked, restore(*last, op.range(), comm.rank()));
    EXPECT_EQ(again.solve_products + again.check_products, total) << at;
  }
}

}  // namespace
}  // namespace dualscape::petsc
