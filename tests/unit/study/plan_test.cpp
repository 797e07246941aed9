#include "dualscape/study/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/deck/reader.hpp"

namespace dualscape::study {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string base = R"(seed = 5
[data]
source = "hdf5"
path = "data.h5"
[network]
layers = [{ units = 4 }, { units = 3 }]
[training]
[study]
)";

std::string message(const std::string& study) {
  try {
    Plan(base + study, "deck.toml", {});
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Plan, VariesTheLastAxisOfAGridFastestAndRepeatsFasterStill) {
  const Plan plan(base + R"(repeats = 2
axes = [{ key = "training.batch_size", values = [10, 20] }, { key = "network.layers.0.units", from = 2, to = 4, step = 1 }])",
                  "deck.toml", {});
  ASSERT_EQ(plan.runs(), 12);
  for (Index run = 0; run < 12; ++run) {
    const deck::Config config = plan.config(run, "here");
    EXPECT_EQ(config.training->batch_size, run < 6 ? 10 : 20);
    EXPECT_EQ(config.network.layers[0].units, 2 + run / 2 % 3);
    EXPECT_EQ(config.output.directory, "here");
    EXPECT_FALSE(config.study.has_value());
    EXPECT_EQ(plan.point_of(run), run / 2);
    EXPECT_EQ(plan.repeat_of(run), run % 2);
  }
  EXPECT_EQ(plan.describe(11), "training.batch_size = 20, network.layers.0.units = 4, repeat 1");
}

TEST(Plan, TakesZippedAxesTogether) {
  const Plan plan(base + R"(mode = "zip"
axes = [{ key = "data.train_per_class", values = [400, 500] }, { key = "data.label_noise", values = [0, 0.2] }])",
                  "deck.toml", {});
  ASSERT_EQ(plan.runs(), 2);
  EXPECT_EQ(plan.config(0, "").data.label_noise, 0.0);
  EXPECT_EQ(plan.config(1, "").data.train_per_class, 500);
  EXPECT_EQ(plan.config(1, "").data.label_noise, 0.2);
}

TEST(Plan, OfADeckWithoutAxesIsItsRepeats) {
  const Plan plan(base + "repeats = 3\n", "deck.toml", {"training.batch_size=7"});
  EXPECT_EQ(plan.runs(), 3);
  EXPECT_EQ(plan.config(2, "").training->batch_size, 7);
  EXPECT_EQ(plan.describe(2), "the deck as it is, repeat 2");
}

TEST(Plan, ReadsBackFromTheResolvedDeck) {
  const Plan plan(base + R"(repeats = 2
axes = [{ key = "training.learning_rate", from = 0.001, to = 0.1, count = 3, log = true }])",
                  "deck.toml", {});
  const Plan again(deck::resolved_deck(plan.deck()), "deck.resolved", {});
  ASSERT_EQ(again.runs(), plan.runs());
  for (Index run = 0; run < plan.runs(); ++run) EXPECT_EQ(again.config(run, ""), plan.config(run, ""));
}

TEST(Plan, OfWhatARunWritesIsTheRunItself) {
  const Plan plan(base + R"(repeats = 2
axes = [{ key = "training.batch_size", values = [10, 20] }])",
                  "deck.toml", {});
  const deck::Config config = plan.config(3, "there");
  EXPECT_EQ(deck::read_deck(deck::resolved_deck(config), "deck.resolved"), config);
}

TEST(Plan, SharesSeedsBetweenPointsAndNotBetweenRepeats) {
  const Plan plan(base + R"(repeats = 50
axes = [{ key = "training.batch_size", values = [10, 20] }])",
                  "deck.toml", {});
  std::set<std::uint64_t> seeds;
  for (Index repeat = 0; repeat < 50; ++repeat) {
    EXPECT_EQ(plan.seed_of(repeat), plan.seed_of(50 + repeat));
    EXPECT_LT(plan.seed_of(repeat), std::uint64_t{1} << 53);
    seeds.insert(plan.seed_of(repeat));
  }
  EXPECT_EQ(seeds.size(), 50);
  EXPECT_EQ(plan.seed_of(0), 5);
  EXPECT_EQ(plan.seed_of(7), Random(5, Stream::repeat).bits(7) >> 11);
  EXPECT_EQ(plan.config(57, "").seed, plan.seed_of(7));
}

TEST(Plan, IsWrongAtAnyPointBeforeAnythingRuns) {
  EXPECT_THAT(message(R"(axes = [{ key = "data.label_noise", values = [0, 2] }])"), HasSubstr("label_noise"));
  // Each value is allowed, but not with the rest of the deck.
  const auto text = message(R"(axes = [{ key = "network.layers.0.name", values = ["a", "dense2"] }])");
  EXPECT_THAT(text, HasSubstr("repeats the name \"dense2\""));
  EXPECT_THAT(text, HasSubstr("at network.layers.0.name = \"dense2\""));
  EXPECT_THAT(message(R"(axes = [{ key = "output.directory", values = ["a", "b"] }])"),
              HasSubstr("each run has a folder of its own"));
  EXPECT_THAT(message("repeats = 2000000\n"), HasSubstr("more than 1000000 runs"));
  EXPECT_THROW(
      Plan("[data]\nsource = \"mnist\"\n[network]\nlayers = [{ units = 3 }]\n[training]\n", "deck.toml", {}),
      UsageError);
}

TEST(Cost, GrowsWithWhatTakesTime) {
  deck::Config config = Plan(base, "deck.toml", {}).config(0, "");
  const data::Sizes sizes{.train = 100, .test = 50, .features = 10, .classes = 3};
  const double trained = estimate(config, sizes).flops;
  // Weights 40 + 12: forward, both adjoints but that to the input, both evaluations, for 1000 epochs.
  EXPECT_DOUBLE_EQ(trained, 1000.0 * (100 * (6 * 52 - 2 * 40) + 150 * 2 * 52));
  config.spectrum = deck::Spectrum{.block = {"dense1"}, .count = 5};
  const double some = estimate(config, sizes).flops;
  EXPECT_GT(some, trained);
  config.spectrum->count = 20;
  EXPECT_GT(estimate(config, sizes).flops, some);
  config.duality = deck::Duality{.layer = {"dense1"}};
  EXPECT_GT(estimate(config, sizes).flops, some);
  config.training->max_epochs = 2000;
  EXPECT_GT(estimate(config, sizes).flops, 2 * trained);
  EXPECT_EQ(estimate(config, sizes).flops, estimate(config, sizes).most_flops);
}

TEST(Cost, ExpectsTrainingToEndAtItsStoppingRule) {
  const deck::Training training{
      .learning_rate = 0.1, .batch_size = 25, .max_epochs = 1000, .stop_loss = 1e-3};
  // 10,000 steps of 160 an epoch.
  EXPECT_EQ(expected_epochs(training, 4000), 63);
  const auto with = [&](auto&& change) {
    deck::Training changed = training;
    change(changed);
    return expected_epochs(changed, 4000);
  };
  EXPECT_EQ(with([](auto& t) { t.batch_size = 100; }), 250);
  EXPECT_EQ(with([](auto& t) { t.learning_rate = 0.05; }), 125);
  EXPECT_EQ(with([](auto& t) { t.momentum = 0.5; }), 32);
  EXPECT_EQ(with([](auto& t) { t.max_epochs = 50; }), 50);
  EXPECT_EQ(with([](auto& t) { t.stop_loss = 0; }), 1000);
  EXPECT_EQ(expected_epochs(training, 10), 1000);

  deck::Config config = Plan(base, "deck.toml", {}).config(0, "");
  config.training = training;
  const data::Sizes sizes{.train = 4000, .test = 500, .features = 10, .classes = 3};
  const Cost cost = estimate(config, sizes);
  EXPECT_DOUBLE_EQ(cost.flops * 1000, cost.most_flops * 63);
}

std::vector<Cost> costs_of(std::initializer_list<double> flops) {
  std::vector<Cost> costs;
  for (double value : flops) costs.push_back({.flops = value});
  return costs;
}

TEST(Choice, TakesTheLongestFirstAndEqualOnesByNumber) {
  EXPECT_THAT(choose_runs(costs_of({1, 3, 2, 3}), {}), ElementsAre(1, 3, 2, 0));
  EXPECT_THAT(choose_runs(costs_of({1, 3, 2, 3}), {.only = "0-1,3"}), ElementsAre(1, 3, 0));
  EXPECT_THAT(choose_runs(costs_of({1, 3, 2, 3}), {.only = "2"}), ElementsAre(2));
}

TEST(Choice, DealsOutPartsOfAboutEqualCost) {
  const auto costs = costs_of({8, 7, 6, 5, 4, 3, 2, 1});
  EXPECT_THAT(choose_runs(costs, {.part = "1/2"}), ElementsAre(0, 3, 4, 7));
  EXPECT_THAT(choose_runs(costs, {.part = "2/2"}), ElementsAre(1, 2, 5, 6));
  std::vector<Index> all;
  for (const char* part : {"1/3", "2/3", "3/3"})
    for (Index run : choose_runs(costs, {.part = part})) all.push_back(run);
  EXPECT_THAT(all, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(choose_runs(costs, {.part = "9/9"}), IsEmpty());
}

TEST(Choice, RefusesWhatIsNoChoice) {
  const auto costs = costs_of({1, 2, 3});
  for (const std::string only : {"3", "1-3", "a", "1,", ",1", "2-1", "-1", "1-", "1 2"})
    EXPECT_THROW(choose_runs(costs, {.only = only}), UsageError) << only;
  for (const std::string part : {"0/2", "3/2", "2", "a/b", "1/2/3", "/2", "-1/2"})
    EXPECT_THROW(choose_runs(costs, {.part = part}), UsageError) << part;
}

}  // namespace
}  // namespace dualscape::study
