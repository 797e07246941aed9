#include "dualscape/petsc/singular.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <petscsys.h>

#include <limits>

#include "dualscape/petsc/error.hpp"
#include "option.hpp"
#include "support/error_of.hpp"
#include "support/known_spectrum.hpp"

namespace dualscape::petsc {
namespace {

using testing::error_of;
using testing::KnownSpectrum;
using testing::Option;
using testing::with_tail;

/// A symmetric operator's singular values are the sizes of its eigenvalues.
std::vector<double> landscape() {
  return with_tail({-10, 8, 8, 8, -7, 6, -5}, 120, 1.0);
}

TEST(SolveSingular, OptionsChooseAnotherOfSlepcsSolvers) {
  const Comm comm(MPI_COMM_WORLD);
  for (const char* type : {"trlanczos", "lanczos", "cross", "cyclic"}) {
    SCOPED_TRACE(type);
    const Option main("-svd_type", type), search("-check_svd_type", type);
    const KnownSpectrum op(comm, landscape());
    const auto found = solve_singular(op, {.count = 5});
    EXPECT_EQ(found.reason, "converged");
    EXPECT_EQ(found.products, op.products);
    ASSERT_EQ(found.right.rows(), 6);  // the guard is one of them
    const double expected[] = {10, 8, 8, 8, 7, 6};
    Matrix<double> products(6, found.right.cols());
    op.apply(found.right.view(), products.view());
    for (Index n = 0; n < 6; ++n) {
      double value = dot(found.left.row(n), products.row(n));
      MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_SUM, comm.get());
      EXPECT_NEAR(value, expected[n], 1e-7) << n;
    }
  }
}

TEST(SolveSingular, RefusesOptionsSlepcDoesNotTakeAndImpossibleNumbers) {
  const Comm comm(MPI_COMM_WORLD);
  const KnownSpectrum op(comm, landscape());
  {
    const Option unknown("-svd_type", "magic");
    EXPECT_THAT(error_of<UsageError>([&] { solve_singular(op, {.count = 2}); }),
                ::testing::HasSubstr("an option after '--' is not accepted"));
  }
  for (Index count : {0, 121})
    EXPECT_THAT(error_of<std::logic_error>([&] { solve_singular(op, {.count = count}); }),
                ::testing::HasSubstr("impossible number of singular values"));
}

TEST(SolveSingular, TellsOfProductsThatAreNotFinite) {
  const Comm comm(MPI_COMM_WORLD);
  KnownSpectrum op(comm, landscape());
  op.after_product = [&](MultiVector out) {
    if (comm.rank() == comm.size() - 1) out(0, 0) = std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_THAT(error_of<ComputationError>([&] { solve_singular(op, {.count = 2}); }),
              ::testing::HasSubstr("with the operator holds numbers that are not finite"));
}

}  // namespace
}  // namespace dualscape::petsc
