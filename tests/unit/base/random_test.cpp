#include "dualscape/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace dualscape {
namespace {

TEST(Random, IsAFunctionOfSeedStreamSubstreamAndIndex) {
  const Random a(1, Stream::selection);
  EXPECT_EQ(a.bits(5), Random(1, Stream::selection).bits(5));
  std::set<std::uint64_t> different = {a.bits(5),
                                       a.bits(6),
                                       Random(2, Stream::selection).bits(5),
                                       Random(1, Stream::dropout).bits(5),
                                       Random(1, Stream::selection, 1).bits(5),
                                       Random(1ull << 32, Stream::selection).bits(5),
                                       a.bits(5ull << 32)};
  EXPECT_EQ(different.size(), 7u);
}

TEST(Random, KeepsItsNumbersForever) {
  // Philox4x32-10 of counter 0 and key 0, from the known-answer tests of its authors: 6627e8d5 e169c58d ...
  // The stream number occupies the third counter word, so stream 0 reproduces them.
  EXPECT_EQ(Random(0, static_cast<Stream>(0)).bits(0), 0xe169c58d6627e8d5ull);
}

TEST(Random, UniformHasTheMomentsOfTheUniformDistribution) {
  const Random random(7, Stream::probe);
  const int n = 100'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform(static_cast<std::uint64_t>(i));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  // Six standard errors of the mean of u (0.289) and of u^2 (0.298).
  EXPECT_NEAR(sum / n, 0.5, 6 * 0.289 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1.0 / 3.0, 6 * 0.298 / std::sqrt(n));
}

TEST(Random, NormalHasTheMomentsOfTheNormalDistribution) {
  const Random random(7, Stream::probe);
  const int n = 100'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal(static_cast<std::uint64_t>(i));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.0, 6 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1.0, 6 * std::sqrt(2.0 / n));
}

TEST(Random, BelowReachesEveryValueAboutEquallyOften) {
  const Random random(3, Stream::label_noise);
  std::vector<int> counts(10);
  for (std::uint64_t i = 0; i < 10'000; ++i) ++counts.at(random.below(i, 10));
  // Six standard deviations of a binomial count with n = 10,000, p = 0.1.
  for (int count : counts) EXPECT_NEAR(count, 1000, 6 * 30);
}

TEST(Random, PermutationHoldsEachItemOnce) {
  const Random random(3, Stream::batch_order);
  auto order = random.permutation(1000);
  EXPECT_NE(order, random.permutation(1000, 1000));
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  for (Index i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

}  // namespace
}  // namespace dualscape
