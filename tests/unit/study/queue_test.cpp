#include "dualscape/study/queue.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace dualscape::study {
namespace {

const std::filesystem::path folder = std::filesystem::temp_directory_path();

Queue::Seat seat(const Comm& world) {
  return {.number = world.rank(), .of = world.size()};
}

TEST(Queue, HandsOutEveryPositionOnce) {
  const Comm world(MPI_COMM_WORLD);
  constexpr Index count = 5000;
  Queue queue(world, count, folder, seat(world));
  EXPECT_TRUE(queue.shared());
  std::vector<int> taken(count, 0);
  Index before = -1;
  bool ascending = true;
  while (const auto position = queue.take()) {
    ++taken[static_cast<std::size_t>(*position)];
    ascending = ascending && *position > before;
    before = *position;
    queue.finish(*position % 10 != 0, 3);
  }
  EXPECT_TRUE(ascending);
  MPI_Allreduce(MPI_IN_PLACE, taken.data(), count, MPI_INT, MPI_SUM, world.get());
  EXPECT_EQ(taken, std::vector<int>(count, 1));
  world.barrier();
  const auto counts = queue.counts();
  EXPECT_EQ(counts.done, count - count / 10);
  EXPECT_EQ(counts.failed, count / 10);
  EXPECT_EQ(counts.weight, 3 * count);
  EXPECT_FALSE(counts.stopped);
}

TEST(Queue, DealsOutWhatCannotBeShared) {
  const Comm world(MPI_COMM_WORLD);
  constexpr Index count = 50;
  Queue queue(world, count, folder, seat(world), Queue::Sharing::never);
  EXPECT_FALSE(queue.shared());
  std::vector<int> taken(count, 0);
  while (const auto position = queue.take()) {
    EXPECT_EQ(*position % world.size(), world.rank());
    ++taken[static_cast<std::size_t>(*position)];
  }
  MPI_Allreduce(MPI_IN_PLACE, taken.data(), count, MPI_INT, MPI_SUM, world.get());
  EXPECT_EQ(taken, std::vector<int>(count, 1));
}

TEST(Queue, GivesNothingOnceItIsStopped) {
  const Comm world(MPI_COMM_WORLD);
  Queue queue(world, 100, folder, seat(world));
  EXPECT_TRUE(queue.take().has_value());
  world.barrier();
  if (world.rank() == world.size() - 1) queue.stop();
  world.barrier();
  EXPECT_FALSE(queue.take().has_value());
  EXPECT_TRUE(queue.counts().stopped);
}

TEST(Queue, IsDueForOneRankAtATime) {
  const Comm world(MPI_COMM_WORLD);
  Queue queue(world, 0, folder, seat(world));
  EXPECT_FALSE(queue.take().has_value());
  EXPECT_FALSE(queue.due(9, 10));
  world.barrier();
  EXPECT_EQ(world.sum(queue.due(10, 10) ? 1 : 0), 1);
  EXPECT_EQ(world.sum(queue.due(19, 10) ? 1 : 0), 0);
  EXPECT_EQ(world.sum(queue.due(25, 10) ? 1 : 0), 1);
}

}  // namespace
}  // namespace dualscape::study
