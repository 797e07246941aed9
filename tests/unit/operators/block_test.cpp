#include "dualscape/operators/block.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "dualscape/base/error.hpp"
#include "support/error_of.hpp"

namespace dualscape::operators {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

constexpr Index absent = nn::BlockLayout::absent;

/// Weights and biases take positions 0-5, 6-7 | 8-13 | 14-16, 17.
nn::Network network() {
  return nn::Network(3,
                     {{.name = "low", .units = 2, .bias = true},
                      {.name = "middle", .units = 3},
                      {.name = "top", .units = 1, .bias = true}},
                     Loss::mse);
}

/// Positions in the network's parameter vector of a block's entries.
std::vector<double> positions(const std::vector<std::string>& names) {
  const auto net = network();
  std::vector<double> all(static_cast<std::size_t>(net.parameters()));
  std::iota(all.begin(), all.end(), 0.0);
  return restrict_to_block(net, select_block(net, names), all);
}

TEST(Block, SelectsWeightsAndBiases) {
  EXPECT_THAT(positions({"low"}), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(positions({"low+bias"}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(positions({"middle"}), ElementsAre(8, 9, 10, 11, 12, 13));
  EXPECT_THAT(positions({"top+bias"}), ElementsAre(14, 15, 16, 17));
  const auto all = positions({"all"});
  ASSERT_EQ(all.size(), 18U);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<double>(i));
}

TEST(Block, KeepsTheNetworksOrderWhateverTheNames) {
  EXPECT_THAT(positions({"top", "low"}), ElementsAre(0, 1, 2, 3, 4, 5, 14, 15, 16));
  EXPECT_THAT(positions({"top+bias", "low+bias"}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 14, 15, 16, 17));
}

TEST(Block, TellsWhereItsPartsLie) {
  const auto block = select_block(network(), {"middle", "top+bias"});
  EXPECT_THAT(block.weight_offset, ElementsAre(absent, 0, 6));
  EXPECT_THAT(block.bias_offset, ElementsAre(absent, absent, 9));
  EXPECT_EQ(block.size, 10);
  EXPECT_EQ(block.first_layer(), 1);
  EXPECT_EQ(select_block(network(), {"all"}).first_layer(), 0);
  EXPECT_EQ(select_block(network(), {"top"}).first_layer(), 2);
}

TEST(Block, NamesWhatItCannotFind) {
  EXPECT_THAT(
      error_of<UsageError>([] {
        select_block(network(), {"low", "hidden"});
      }),
      HasSubstr("spectrum.block: the network has no layer 'hidden'; its layers are low, middle, top"));
  EXPECT_THAT(error_of<UsageError>([] { select_block(network(), {"middle+bias"}); }),
              HasSubstr("spectrum.block = \"middle+bias\": layer 'middle' has no bias"));
  EXPECT_THAT(error_of<UsageError>([] { select_block(network(), {}); }),
              HasSubstr("spectrum.block names no layer"));
}

TEST(Block, IsCalledByItsNames) {
  EXPECT_EQ(block_name({"low"}), "low");
  EXPECT_EQ(block_name({"low+bias", "top"}), "low+bias,top");
}

}  // namespace
}  // namespace dualscape::operators
