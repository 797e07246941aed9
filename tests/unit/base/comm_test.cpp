#include "dualscape/base/comm.hpp"

#include <gtest/gtest.h>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"
#include "support/collective.hpp"

namespace dualscape {
namespace {

TEST(Comm, CountsWhatIsAlive) {
  const int before = Comm::alive();
  {
    Comm a(MPI_COMM_WORLD);
    Comm b = std::move(a);
    EXPECT_EQ(Comm::alive(), before + 1);
    Comm c = b.split(b.rank() % 2);
    EXPECT_EQ(Comm::alive(), before + 2);
    b = std::move(c);
    EXPECT_EQ(Comm::alive(), before + 1);
  }
  EXPECT_EQ(Comm::alive(), before);
}

TEST(Comm, BroadcastsTextsAndVectors) {
  const Comm comm(MPI_COMM_WORLD);
  std::string text = comm.is_root() ? "from the root" : "";
  comm.broadcast(text);
  EXPECT_EQ(text, "from the root");
  std::vector<double> numbers;
  if (comm.is_root()) numbers.assign(3, 2.5);
  comm.broadcast(numbers);
  EXPECT_EQ(numbers, std::vector<double>(3, 2.5));
}

TEST(Collectively, TheLowestFailingRankSpeaksForAll) {
  const Comm comm(MPI_COMM_WORLD);
  try {
    collectively(comm, [&] {
      if (comm.rank() + 2 >= comm.size()) throw DataError("rank " + std::to_string(comm.rank()) + " failed");
    });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_EQ(error.what(), "rank " + std::to_string(std::max(0, comm.size() - 2)) + " failed");
  }
}

TEST(Collectively, KeepsTheExitCodeOfEachKindOfError) {
  const Comm comm(MPI_COMM_WORLD);
  EXPECT_THROW(on_root(comm, [] { throw UsageError("u"); }), UsageError);
  EXPECT_THROW(on_root(comm, [] { throw Interrupted("i"); }), Interrupted);
  EXPECT_THROW(on_root(comm, [] { throw std::runtime_error("r"); }), ComputationError);
  EXPECT_NO_THROW(on_root(comm, [] {}));
}

TEST(StopPoint, ThrowsOnEveryRankWhenOneWasAsked) {
  const Comm comm(MPI_COMM_WORLD);
  EXPECT_NO_THROW(stop_point(comm, "here"));
  if (comm.is_root()) request_stop();
  EXPECT_THROW(stop_point(comm, "here"), Interrupted);
  request_stop(false);
}

}  // namespace
}  // namespace dualscape
