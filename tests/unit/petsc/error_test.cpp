#include "dualscape/petsc/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dualscape/petsc/handle.hpp"
#include "dualscape/petsc/session.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"

namespace dualscape::petsc {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

VecHandle make_vec(PetscInt size) {
  return VecHandle::create("VecCreateMPI",
                           [&](Vec* out) { return VecCreateMPI(MPI_COMM_WORLD, PETSC_DECIDE, size, out); });
}

TEST(Check, NamesTheCallAndGivesPetscsText) {
  const VecHandle vec = make_vec(7);
  const PetscInt outside = 99;
  const PetscScalar value = 1;
  const std::string message = error_of<CallError>(
      [&] { check(VecSetValues(vec.get(), 1, &outside, &value, INSERT_VALUES), "VecSetValues"); });
  EXPECT_THAT(message, HasSubstr("VecSetValues failed with PETSc's code 63"));
  EXPECT_THAT(message, HasSubstr("Out of range index value 99 maximum 7"));
}

TEST(Check, ThrowsACallbacksExceptionAgainAndForgetsIt) {
  const int code = guarded([] { throw DataError("the file a.h5 has no dataset x"); });
  EXPECT_NE(code, 0);
  EXPECT_EQ(error_of<DataError>([&] { check(code, "EPSSolve"); }), "the file a.h5 has no dataset x");
  EXPECT_THAT(error_of<CallError>([&] { check(code, "EPSSolve"); }), HasSubstr("EPSSolve failed"));
}

TEST(Check, IsPassedByGoodCodes) {
  EXPECT_NO_THROW(check(guarded([] {}), "nothing"));
}

TEST(Handle, CountsLiveObjectsThroughMoves) {
  const int before = handles_alive();
  {
    VecHandle a = make_vec(5);
    VecHandle b = make_vec(6);
    EXPECT_EQ(handles_alive(), before + 2);
    const VecHandle c = std::move(a);
    EXPECT_EQ(a.get(), nullptr);
    EXPECT_EQ(handles_alive(), before + 2);
    b = VecHandle();
    EXPECT_EQ(handles_alive(), before + 1);
  }
  EXPECT_EQ(handles_alive(), before);
}

TEST(Handle, OwnsNothingWhenCreationFails) {
  const int before = handles_alive();
  const std::string message =
      error_of<CallError>([] { VecHandle::create("VecCreateMPI", [](Vec*) { return PETSC_ERR_MEM; }); });
  EXPECT_THAT(message, HasSubstr("VecCreateMPI failed with PETSc's code 55: Out of memory"));
  EXPECT_EQ(handles_alive(), before);
}

}  // namespace
}  // namespace dualscape::petsc
