#include "dualscape/petsc/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dualscape/petsc/eigensolver.hpp"
#include "support/collective.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::petsc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::KnownSpectrum;
using testing::with_tail;

/// Products SLEPc asks for in blocks while it finds 4 eigenpairs.
Index block_products_of_a_solve(const Comm& comm) {
  const KnownSpectrum op(comm, with_tail({9, 8, 7, 6, 5}, 200, 1.0));
  const auto pairs = solve_ends(op, {.which = Which::largest, .count = 4, .tolerance = 1e-6});
  EXPECT_EQ(pairs.reason, "converged");
  return op.block_products;
}

TEST(Session, UserOptionsChooseTheSolver) {
  const Comm comm(MPI_COMM_WORLD);
  {
    const Session session;
    EXPECT_EQ(block_products_of_a_solve(comm), 0) << "Krylov-Schur multiplies one vector at a time";
  }
  {
    const Session session({"-eps_type", "lobpcg"});
    EXPECT_GT(block_products_of_a_solve(comm), 0) << "LOBPCG multiplies blocks";
    EXPECT_THAT(session.unused_options(), IsEmpty());
  }
  EXPECT_EQ(handles_alive(), 0);
}

TEST(Session, ListsOptionsNothingHasRead) {
  const Comm comm(MPI_COMM_WORLD);
  const Session session({"-eps_ncvv", "30", "-eps_ncv", "30", "-no_such_flag"});
  EXPECT_THAT(session.unused_options(), ElementsAre("-eps_ncvv", "-eps_ncv", "-no_such_flag"));
  block_products_of_a_solve(comm);
  EXPECT_THAT(session.unused_options(), ElementsAre("-eps_ncvv", "-no_such_flag"));
}

TEST(Session, IsSilentAboutItsOwnDefaults) {
  const Session session;
  EXPECT_THAT(session.unused_options(), IsEmpty());
}

}  // namespace
}  // namespace dualscape::petsc
