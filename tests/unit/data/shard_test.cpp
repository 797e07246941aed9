#include "dualscape/data/shard.hpp"

#include <gmock/gmock.h>

#include "files.hpp"

namespace dualscape::data {
namespace {

using ::testing::ElementsAre;

class ShardTest : public FilesTest {};

TEST_F(ShardTest, GivesEachRankTheSamplesOfItsLanes) {
  write([&] { write_idx_source(folder_.path(), 40, 10); });
  Options options = idx_options();
  options.label_noise = 0.2;
  const Dataset dataset = load(comm_, options);
  const auto positions = correct_positions(dataset.train);
  ASSERT_EQ(positions.size(), 32U);
  const Lanes lanes(32, 4);
  const auto samples = make_samples<float>(comm_, dataset.train, positions, lanes, 255.0);

  const Index first = lanes.first_sample(comm_.rank(), comm_.size());
  const Index count = lanes.first_sample(comm_.rank() + 1, comm_.size()) - first;
  EXPECT_EQ(samples.lanes.samples(), 32);
  ASSERT_EQ(std::ssize(samples.labels), count);
  Matrix<float> inputs(count, 6);
  samples.inputs(0, inputs.view());
  for (Index i = 0; i < count; ++i) {
    const Index position = positions[static_cast<std::size_t>(first + i)];
    EXPECT_EQ(samples.labels[static_cast<std::size_t>(i)], position % 4);
    for (Index j = 0; j < 6; ++j) EXPECT_EQ(inputs(i, j), static_cast<float>(pixel(position, j) / 255.0));
  }
  if (count < 3) return;
  Matrix<float> part(2, 6);
  samples.inputs(1, part.view());
  EXPECT_TRUE(std::ranges::equal(part.row(0), inputs.row(1)));
  EXPECT_TRUE(std::ranges::equal(part.row(1), inputs.row(2)));
}

TEST_F(ShardTest, CountsOnlyCorrectLabels) {
  SampleSet set;
  set.source_index = {5, 6, 9};
  set.label = {0, 1, 2};
  set.true_label = {0, 2, 2};
  EXPECT_THAT(correct_positions(set), ElementsAre(0, 2));
  EXPECT_THAT(all_positions(3), ElementsAre(0, 1, 2));
  EXPECT_TRUE(all_positions(0).empty());
}

}  // namespace
}  // namespace dualscape::data
