#pragma once

#include <gtest/gtest.h>
#include <mpi.h>

/// What every test binary needs to run under MPI.
namespace dualscape::testing {

/// Starts and ends MPI (in test binaries of PETSc modules: PETSc and SLEPc as well).
void begin_libraries(int* argc, char*** argv);
void end_libraries();

/// Whether `value` holds on every rank. @note Collective
inline bool all_true(bool value) {
  int flag = value ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &flag, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
  return flag == 1;
}

}  // namespace dualscape::testing

/// Ends the test on every rank when the condition fails on any: a plain ASSERT would leave the others waiting
/// in the next collective call.
#define ASSERT_ALL(condition)                                   \
  do {                                                          \
    const bool here = static_cast<bool>(condition);             \
    const bool everywhere = dualscape::testing::all_true(here); \
    if (!here)                                                  \
      ADD_FAILURE() << #condition " failed";                    \
    else if (!everywhere)                                       \
      ADD_FAILURE() << #condition " failed on another rank";    \
    if (!everywhere) return;                                    \
  } while (false)
