#include "dualscape/base/lanes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <utility>

#include "dualscape/base/error.hpp"
#include "dualscape/base/signals.hpp"
#include "support/collective.hpp"

namespace dualscape {
namespace {

/// Terms whose sum depends on the order of additions in its last bits.
double term(Index sample, Index vector, Index entry) {
  return std::sin(1.0 + static_cast<double>(sample * 131 + vector * 17 + entry)) *
         std::pow(10.0, static_cast<double>(sample % 13));
}

void fill_lanes(LaneSum& sum, const Lanes& lanes, const Comm& comm, Index vectors, Index length) {
  for (int lane = lanes.first_lane(comm.rank(), comm.size());
       lane < lanes.first_lane(comm.rank() + 1, comm.size()); ++lane) {
    auto buffer = sum.next_lane();
    for (Index s = lanes.begin(lane); s < lanes.end(lane); ++s)
      for (Index v = 0; v < vectors; ++v)
        for (Index i = 0; i < length; ++i) buffer(v, i) += term(s, v, i);
  }
}

Matrix<double> lane_sum(const Comm& comm, const Lanes& lanes, Index vectors, Index length) {
  LaneSum sum(comm, lanes, vectors, length);
  fill_lanes(sum, lanes, comm, vectors, length);
  Matrix<double> out(vectors, length);
  sum.all_reduce(out.view());
  return out;
}

TEST(Lanes, CoverTheSamplesOnceAtAnyNumberOfRanks) {
  for (Index samples : {0, 1, 5, 8, 1000, 4001})
    for (int ranks : {1, 2, 3, 7, 20}) {
      const Lanes lanes(samples, 8);
      EXPECT_EQ(lanes.first_sample(0, ranks), 0);
      EXPECT_EQ(lanes.first_sample(ranks, ranks), samples);
      for (int r = 0; r < ranks; ++r)
        EXPECT_LE(lanes.first_sample(r, ranks), lanes.first_sample(r + 1, ranks));
    }
}

TEST(Lanes, AutomaticNumberIsAPowerOfTwoBetweenBounds) {
  EXPECT_EQ(Lanes::automatic(0), 8);
  EXPECT_EQ(Lanes::automatic(10'000), 8);
  EXPECT_EQ(Lanes::automatic(60'000), 16);
  EXPECT_EQ(Lanes::automatic(1'000'000), 64);
  EXPECT_THROW(Lanes(10, 6), std::logic_error);
}

TEST(LaneSum, HasTheSameBitsAsOnOneRank) {
  const Comm world(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  for (int lane_count : {1, 2, 8, 32})
    for (Index vectors : {1, 3}) {
      const Lanes lanes(1003, lane_count);
      const auto parallel = lane_sum(world, lanes, vectors, 11);
      const auto serial = lane_sum(self, lanes, vectors, 11);
      for (Index v = 0; v < vectors; ++v)
        for (Index i = 0; i < 11; ++i)
          EXPECT_EQ(parallel(v, i), serial(v, i)) << lane_count << " lanes, entry " << i;
    }
}

TEST(LaneSum, ScattersTheSameSumByPartition) {
  const Comm comm(MPI_COMM_WORLD);
  const Lanes lanes(77, 8);
  const Index length = 13;
  LaneSum sum(comm, lanes, 2, length);
  fill_lanes(sum, lanes, comm, 2, length);
  const Partition partition(length, comm.size());
  Matrix<double> part(2, partition.count(comm.rank()));
  sum.reduce_scatter(partition, part.view());
  const auto whole = lane_sum(comm, lanes, 2, length);
  for (Index v = 0; v < 2; ++v)
    for (Index i = 0; i < part.cols(); ++i) EXPECT_EQ(part(v, i), whole(v, partition.begin(comm.rank()) + i));
}

TEST(LaneSum, AFailureOnOneRankIsThrownOnEveryRank) {
  const Comm comm(MPI_COMM_WORLD);
  const Lanes lanes(16, 8);
  LaneSum sum(comm, lanes, 1, 4);
  if (comm.rank() == comm.size() - 1)
    sum.fail(std::make_exception_ptr(DataError("sample 3 is spoilt")));
  else
    fill_lanes(sum, lanes, comm, 1, 4);
  Matrix<double> out(1, 4);
  try {
    sum.all_reduce(out.view());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "sample 3 is spoilt");
    EXPECT_EQ(error.code(), ExitCode::data);
  }
}

TEST(LaneSum, AStopRequestOnOneRankStopsEveryRank) {
  const Comm comm(MPI_COMM_WORLD);
  const Lanes lanes(16, 8);
  if (comm.rank() == comm.size() - 1) request_stop();
  LaneSum sum(comm, lanes, 1, 4);
  fill_lanes(sum, lanes, comm, 1, 4);
  Matrix<double> out(1, 4);
  EXPECT_THROW(sum.all_reduce(out.view()), Interrupted);
  request_stop(false);
}

TEST(LaneSum, ALaneLeftUnfilledIsAnError) {
  const Comm comm(MPI_COMM_WORLD);
  LaneSum sum(comm, Lanes(16, 8), 1, 4);
  Matrix<double> out(1, 4);
  EXPECT_THROW(sum.all_reduce(out.view()), std::exception);
}

double entry(Index vector, Index i) {
  return 1e-9 + 1e6 * static_cast<double>(vector) + static_cast<double>(i);
}

/// This rank's part of vectors whose entries are all different, and not numbers of single precision.
Matrix<double> own_part(const Comm& comm, const Partition& partition, Index vectors) {
  Matrix<double> part(vectors, partition.count(comm.rank()));
  for (Index v = 0; v < vectors; ++v)
    for (Index i = 0; i < part.cols(); ++i) part(v, i) = entry(v, partition.begin(comm.rank()) + i);
  return part;
}

// In one exchange; in several, the last a shorter one; each vector on its own.
constexpr std::array<std::pair<Index, Index>, 4> vectors_of_sizes{
    {{1, 10}, {4, 10}, {5, 30'000}, {3, 140'000}}};

TEST(GatherAll, PutsThePartsOfEachVectorInOrder) {
  const Comm comm(MPI_COMM_WORLD);
  for (const auto& [vectors, size] : vectors_of_sizes)
    for (const Index gap : {0, 3}) {
      const Partition partition(size, comm.size());
      Matrix<double> whole(vectors, size + gap);
      gather_all(comm, partition, own_part(comm, partition, vectors).view(), whole.view().cols_from(0, size));
      for (Index v = 0; v < vectors; ++v)
        for (Index i = 0; i < size + gap; ++i) ASSERT_EQ(whole(v, i), i < size ? entry(v, i) : 0.0);
    }
}

template <class Real>
void check_pieces(const Comm& comm, Index vectors, Index size) {
  const Partition partition(size, comm.size());
  const std::vector<Index> pieces{3, size - 3};
  std::vector<Real> whole(static_cast<std::size_t>(vectors * size));
  gather_pieces<Real>(comm, partition, own_part(comm, partition, vectors).view(), pieces, whole);
  const auto* next = whole.data();
  for (Index begin : {Index{0}, Index{3}})
    for (Index v = 0; v < vectors; ++v)
      for (Index i = begin; i < (begin == 0 ? 3 : size); ++i)
        ASSERT_EQ(*next++, static_cast<Real>(entry(v, i))) << "vector " << v << ", entry " << i;
}

TEST(GatherPieces, PutsTheVectorsSharesOfEachPieceTogether) {
  const Comm comm(MPI_COMM_WORLD);
  for (const auto& [vectors, size] : vectors_of_sizes) {
    check_pieces<double>(comm, vectors, size);
    check_pieces<float>(comm, vectors, size);
  }
}

}  // namespace
}  // namespace dualscape
