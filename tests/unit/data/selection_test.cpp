#include "dualscape/data/selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "dualscape/base/error.hpp"
#include "support/error_of.hpp"

namespace dualscape::data {
namespace {

using ::dualscape::testing::error_of;
using ::testing::ElementsAre;

std::vector<Index> cyclic(Index samples, Index classes) {
  std::vector<Index> labels;
  for (Index i = 0; i < samples; ++i) labels.push_back(i % classes);
  return labels;
}

std::vector<Index> first_classes(Index count) {
  std::vector<Index> classes(static_cast<std::size_t>(count));
  std::iota(classes.begin(), classes.end(), 0);
  return classes;
}

std::map<int, Index> wrong_by_class(const SampleSet& set) {
  std::map<int, Index> wrong;
  for (Index i = 0; i < set.count(); ++i)
    if (!set.label_correct(i)) ++wrong[set.true_label[static_cast<std::size_t>(i)]];
  return wrong;
}

/// FNV-1a over the numbers, for comparison with a value written down.
std::uint64_t hash_of(const SampleSet& set) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  const auto add = [&](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3ULL; };
  for (const Index i : set.source_index) add(static_cast<std::uint64_t>(i));
  for (const int label : set.label) add(static_cast<std::uint64_t>(label));
  return hash;
}

TEST(Classes, AreThoseFoundUnlessGiven) {
  const std::vector<Index> labels = {7, 3, 3, 5};
  EXPECT_THAT(select_classes({}, labels, "L"), ElementsAre(3, 5, 7));
  EXPECT_THAT(select_classes(std::vector<Index>{7, 3}, labels, "L"), ElementsAre(7, 3));
  EXPECT_EQ(error_of<DataError>([&] {
              select_classes(std::vector<Index>{7, 4}, labels, "'L'");
            }),
            "class 4 of data.classes does not occur in 'L', which has the classes 3, 5, 7");
  EXPECT_EQ(error_of<UsageError>([&] {
              select_classes(std::vector<Index>{7, 3, 7}, labels, "'L'");
            }),
            "data.classes names class 7 twice");
}

TEST(TrainingSelection, TakesTheNumberAskedForOfEachClass) {
  const auto labels = cyclic(200, 10);
  const auto set = select_training(labels, std::vector<Index>{4, 2}, 5, 0.0, 1, "L");
  EXPECT_EQ(set.count(), 10);
  EXPECT_TRUE(std::ranges::is_sorted(set.source_index));
  EXPECT_EQ(std::ranges::adjacent_find(set.source_index), set.source_index.end())
      << "a sample was taken twice";
  std::map<int, int> counts;
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(labels[static_cast<std::size_t>(set.source_index[i])], set.label[i] == 0 ? 4 : 2);
    EXPECT_EQ(set.true_label[i], set.label[i]);
    ++counts[set.label[i]];
  }
  EXPECT_EQ(counts[0], 5);
  EXPECT_EQ(counts[1], 5);
}

TEST(TrainingSelection, TakesAllInTheOrderOfTheSource) {
  const auto set =
      select_training(std::vector<Index>{1, 0, 5, 1, 0}, std::vector<Index>{0, 1}, 0, 0.0, 1, "L");
  EXPECT_THAT(set.source_index, ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(set.label, ElementsAre(1, 0, 1, 0));
}

// The numbers a seed stands for must not change from version to version, nor with machine or ranks.
TEST(TrainingSelection, FollowsFromTheSeed) {
  const auto labels = cyclic(1000, 10);
  const auto with_seed = [&](std::uint64_t seed) {
    return hash_of(select_training(labels, first_classes(10), 30, 0.2, seed, "L"));
  };
  EXPECT_EQ(with_seed(1), 682544409193865612ULL);
  EXPECT_EQ(with_seed(2), 2867614376613699433ULL);
}

TEST(TrainingSelection, LargerOnesHoldSmallerOnes) {
  const auto labels = cyclic(1000, 10);
  const auto small = select_training(labels, first_classes(10), 20, 0.0, 3, "L");
  const auto large = select_training(labels, first_classes(10), 50, 0.0, 3, "L");
  EXPECT_TRUE(std::ranges::includes(large.source_index, small.source_index));
}

TEST(TrainingSelection, OfAClassIsTheSameWhateverTheOthers) {
  const auto labels = cyclic(300, 3);
  const auto one = select_training(labels, std::vector<Index>{2}, 20, 0.0, 3, "L");
  const auto all = select_training(labels, std::vector<Index>{0, 1, 2}, 20, 0.0, 3, "L");
  EXPECT_TRUE(std::ranges::includes(all.source_index, one.source_index));
}

TEST(TrainingSelection, IsUniform) {
  // 40 of 100 samples, 500 seeds: each sample is expected 200 times, standard deviation sqrt(500 x 0.24) =
  // 11; six of them are exceeded by none of 100 with probability 1 - 2e-7.
  std::vector<int> taken(100, 0);
  for (std::uint64_t seed = 0; seed < 500; ++seed)
    for (const Index i :
         select_training(std::vector<Index>(100, 0), std::vector<Index>{0}, 40, 0.0, seed, "L").source_index)
      ++taken[static_cast<std::size_t>(i)];
  for (const int times : taken) EXPECT_NEAR(times, 200, 66);
}

TEST(TrainingSelection, NamesTheClassWithTooFewSamples) {
  EXPECT_EQ(error_of<DataError>([] {
              select_training(std::vector<Index>{8, 9, 8}, std::vector<Index>{8, 9}, 2, 0.0, 1, "'L'");
            }),
            "class 9 has 1 samples in 'L', but data.train_per_class = 2");
}

TEST(LabelNoise, ChangesTheExactNumberOfEachClass) {
  // The sweep that leaves 400 correct ones a class: 440 with 1/11, 460 with 3/23, 480 with 1/6, 500 with 1/5.
  const auto labels = cyclic(5000, 10);
  for (const auto& [per_class, share] :
       std::map<Index, double>{{440, 1.0 / 11}, {460, 3.0 / 23}, {480, 1.0 / 6}, {500, 1.0 / 5}}) {
    const auto set = select_training(labels, first_classes(10), per_class, share, 1, "L");
    const auto wrong = wrong_by_class(set);
    EXPECT_EQ(wrong.size(), 10U);
    for (const auto& [label, count] : wrong) EXPECT_EQ(count, per_class - 400) << "class " << label;
  }
  EXPECT_TRUE(wrong_by_class(select_training(labels, first_classes(10), 440, 0.0, 1, "L")).empty());
}

TEST(LabelNoise, LeavesTheSelectionAndTheTrueLabels) {
  const auto labels = cyclic(200, 4);
  const auto clean = select_training(labels, first_classes(4), 30, 0.0, 5, "L");
  const auto noisy = select_training(labels, first_classes(4), 30, 0.5, 5, "L");
  EXPECT_EQ(noisy.source_index, clean.source_index);
  EXPECT_EQ(noisy.true_label, clean.true_label);
  EXPECT_EQ(clean.label, clean.true_label);
}

TEST(LabelNoise, NeverGivesTheTrueLabelAndSpreadsOverTheOthers) {
  // All 3000 labels of each of 5 classes are wrong: each other class is expected 750 times, standard
  // deviation sqrt(3000 x 3/16) = 24; six of them.
  const auto set = select_training(cyclic(15000, 5), first_classes(5), 0, 1.0, 1, "L");
  std::map<std::pair<int, int>, int> moves;
  for (std::size_t i = 0; i < set.label.size(); ++i) ++moves[{set.true_label[i], set.label[i]}];
  EXPECT_EQ(moves.size(), 20U);
  for (const auto& [move, times] : moves) {
    EXPECT_NE(move.first, move.second);
    EXPECT_NEAR(times, 750, 144);
  }
}

TEST(LabelNoise, MeetsEverySampleAlike) {
  // Half of 20 samples wrong, 400 seeds: each is expected 200 times, standard deviation 10; six of them.
  std::vector<int> wrong(20, 0);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto set = select_training(cyclic(40, 2), first_classes(2), 0, 0.5, seed, "L");
    for (Index i = 0; i < 20; ++i) wrong[static_cast<std::size_t>(i)] += set.label_correct(2 * i) ? 0 : 1;
  }
  for (const int times : wrong) EXPECT_NEAR(times, 200, 60);
}

TEST(LabelNoise, RefusesSharesWithoutMeaning) {
  const auto noise = [](double share, Index classes) {
    select_training(cyclic(10, classes), first_classes(classes), 0, share, 1, "L");
  };
  EXPECT_EQ(error_of<UsageError>([&] { noise(1.5, 2); }),
            "data.label_noise is 1.5; it must lie between 0 and 1");
  EXPECT_EQ(error_of<UsageError>([&] { noise(std::nan(""), 2); }),
            "data.label_noise is nan; it must lie between 0 and 1");
  EXPECT_EQ(error_of<UsageError>([&] { noise(0.1, 1); }), "data.label_noise needs at least two classes");
}

TEST(TestSelection, TakesTheFirstOnes) {
  const std::vector<Index> labels = {5, 1, 0, 1, 1, 0};
  const auto three = select_test(labels, std::vector<Index>{1, 0}, 3, "L");
  EXPECT_THAT(three.source_index, ElementsAre(1, 2, 3));
  EXPECT_THAT(three.label, ElementsAre(0, 1, 0));
  EXPECT_EQ(three.true_label, three.label);
  EXPECT_THAT(select_test(labels, std::vector<Index>{0, 1}, 0, "L").source_index, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(error_of<DataError>([&] {
              select_test(labels, std::vector<Index>{0, 1}, 6, "'L'");
            }),
            "'L' has 5 test samples of the classes asked for, but data.test_count = 6");
  EXPECT_EQ(error_of<DataError>([&] {
              select_test(labels, std::vector<Index>{7, 8}, 0, "'L'");
            }),
            "no test sample is left: 'L' has none of the classes 7, 8");
}

}  // namespace
}  // namespace dualscape::data
