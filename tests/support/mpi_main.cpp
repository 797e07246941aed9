#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>

#include "dualscape/base/live_objects.hpp"
#include "support/collective.hpp"

namespace {

/// Prints failures only, with the rank in front: rank 0 tells the rest.
class OtherRankPrinter : public testing::EmptyTestEventListener {
 public:
  explicit OtherRankPrinter(int rank) : rank_(rank) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s:%d\n%s\n", rank_, result.file_name() ? result.file_name() : "?",
                 result.line_number(), result.message());
  }

 private:
  int rank_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  dualscape::testing::begin_libraries(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank > 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new OtherRankPrinter(rank));
  }
  int failed = RUN_ALL_TESTS();
  // A filter or a broken registration that leaves no test must not look like a pass.
  if (testing::UnitTest::GetInstance()->test_to_run_count() == 0) failed = 1;
  if (const int left = dualscape::live_objects(); left != 0) {
    std::fprintf(stderr, "[rank %d] %d MPI, PETSc or HDF5 objects were left at exit\n", rank, left);
    failed = 1;
  }
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  dualscape::testing::end_libraries();
  return failed;
}
