#include "dualscape/duality/pairing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "dualscape/base/error.hpp"
#include "problem.hpp"

namespace dualscape::duality {
namespace {

using testing::Problem;

double distance(std::span<const double> x, std::span<const double> y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return std::sqrt(sum);
}

/// The definition, in loops.
Match expected_match(const Problem& problem, Index test) {
  Match best{.anchor = test, .partner = -1, .distance = 1e300};
  for (Index i = 0; i < problem.train_count; ++i) {
    if (problem.train_y[static_cast<std::size_t>(i)] != problem.test_y[static_cast<std::size_t>(test)])
      continue;
    const double d = distance(problem.test_x.row(test), problem.train_x.row(i));
    if (d < best.distance) best = {.anchor = test, .partner = i, .distance = d};
  }
  return best;
}

TEST(Nearest, FindsTheNearestPartnerOfTheClass) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto matches = nearest(comm, problem.test(), problem.train(), false, "test", "training");
  ASSERT_EQ(std::ssize(matches), problem.test_count);
  for (Index t = 0; t < problem.test_count; ++t) {
    const Match& match = matches[static_cast<std::size_t>(t)];
    const Match expected = expected_match(problem, t);
    EXPECT_EQ(match.anchor, t);
    EXPECT_EQ(match.partner, expected.partner);
    EXPECT_DOUBLE_EQ(match.distance, expected.distance);
  }
}

TEST(Nearest, ATieGoesToTheLowestPosition) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem;
  // Pixels: sample 0 and its copies 3, 6, ... (the same class) are all equally near to every test sample.
  for (Index i = 0; i < problem.train_count; ++i)
    for (Index f = 0; f < problem.features; ++f)
      problem.train_x(i, f) = static_cast<double>((i % 3) * 50 + f);
  for (bool integral : {true, false})
    for (const Match& match : nearest(comm, problem.test(), problem.train(), integral, "test", "training"))
      EXPECT_EQ(match.partner, match.anchor % 3);
}

TEST(Nearest, IsExactOnPixelsAndLargerIntegers) {
  const Comm comm(MPI_COMM_WORLD);
  // Extreme pixels, so that the sums of single precision are as large as they get; then integers beyond.
  for (double top : {255.0, 4095.0}) {
    const Random random(17, Stream::probe);
    std::uint64_t draw = 0;
    const auto filled = [&](Index count) {
      Matrix<double> x(count, 1024);
      for (double& value : x.entries()) {
        const double u = random.uniform(draw++);
        value = u < 0.48 ? 0.0 : u < 0.96 ? top : std::floor(u * top);
      }
      return x;
    };
    const Matrix<double> test = filled(5), train = filled(12);
    const auto side = [](const Matrix<double>& x) {
      Side result{.positions = {},
                  .labels = std::vector<int>(static_cast<std::size_t>(x.rows())),
                  .rows = Problem::rows_of(x)};
      for (Index i = 0; i < x.rows(); ++i) result.positions.push_back(i);
      return result;
    };
    const auto matches = nearest(comm, side(test), side(train), true, "test", "training", 12);
    for (const Match& match : matches) {
      const double d = distance(test.row(match.anchor), train.row(match.partner));
      EXPECT_EQ(match.distance, d);
    }
    if (top > 255) continue;
    // As bytes, and with real numbers that must not be asked for.
    const auto bytes = [&](const Matrix<double>& x) {
      Side result = side(x);
      result.rows = nullptr;
      result.pixels = [&x](std::span<const Index> positions) {
        Matrix<std::uint8_t> out(std::ssize(positions), x.cols());
        for (Index i = 0; i < out.rows(); ++i)
          std::ranges::copy(x.row(positions[static_cast<std::size_t>(i)]), out.row(i).begin());
        return out;
      };
      return result;
    };
    const auto same = nearest(comm, bytes(test), bytes(train), true, "test", "training", 12);
    ASSERT_EQ(same.size(), matches.size());
    for (std::size_t i = 0; i < same.size(); ++i) {
      EXPECT_EQ(same[i].partner, matches[i].partner);
      EXPECT_EQ(same[i].distance, matches[i].distance);
    }
  }
}

/// Samples of classes in turn until each has its number, with few distinct coordinates: full of ties.
Side mixed_classes(std::vector<Index> left, Matrix<double>& x, std::uint32_t stream) {
  const Random random(5, Stream::probe, stream);
  Side side;
  while (std::ranges::any_of(left, [](Index n) { return n > 0; }))
    for (std::size_t c = 0; c < left.size(); ++c) {
      if (left[c]-- <= 0) continue;
      side.positions.push_back(std::ssize(side.positions));
      side.labels.push_back(static_cast<int>(c));
    }
  x = Matrix<double>(std::ssize(side.positions), 3);
  for (std::size_t i = 0; i < x.entries().size(); ++i)
    x.entries()[i] = static_cast<double>(random.below(i, 40));
  side.rows = Problem::rows_of(x);
  return side;
}

TEST(Nearest, SearchesManyOfSeveralClasses) {
  const Comm comm(MPI_COMM_WORLD);
  // Searched together are the first three classes, then the last; each has several blocks of partners at any
  // number of ranks. One class has more anchors than partners, one a single partner.
  Matrix<double> test_x, train_x;
  const Side test = mixed_classes({600, 300, 20, 900}, test_x, 0);
  const Side train = mixed_classes({4300, 200, 1, 4500}, train_x, 1);
  for (bool integral : {true, false}) {
    const auto matches = nearest(comm, test, train, integral, "test", "training");
    ASSERT_EQ(matches.size(), test.positions.size());
    for (std::size_t t = 0; t < matches.size(); ++t) {
      Match best{.anchor = static_cast<Index>(t), .partner = -1, .distance = 1e300};
      for (std::size_t i = 0; i < train.positions.size(); ++i) {
        if (train.labels[i] != test.labels[t]) continue;
        const double d = distance(test_x.row(best.anchor), train_x.row(static_cast<Index>(i)));
        if (d < best.distance) best = {best.anchor, static_cast<Index>(i), d};
      }
      ASSERT_EQ(matches[t].anchor, best.anchor);
      ASSERT_EQ(matches[t].partner, best.partner) << "anchor " << t;
      ASSERT_DOUBLE_EQ(matches[t].distance, best.distance);
    }
  }
}

TEST(Nearest, TellsNeighboursApartThatAGemmCannot) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem;
  // Far from the origin, |x|^2 + |y|^2 - 2 x.y loses the distances of 1e-3 and 2e-3 in its rounding (1e14 eps
  // = 0.02).
  for (Index i = 0; i < problem.train_count; ++i)
    for (Index f = 0; f < problem.features; ++f)
      problem.train_x(i, f) = 1e7 + (f == 0 ? 2e-3 * static_cast<double>(i) : 0.0);
  for (Index t = 0; t < problem.test_count; ++t)
    for (Index f = 0; f < problem.features; ++f)
      problem.test_x(t, f) = 1e7 + (f == 0 ? 2e-3 * static_cast<double>(t) + 0.5e-3 : 0.0);
  for (const Match& match : nearest(comm, problem.test(), problem.train(), false, "test", "training"))
    EXPECT_EQ(match.partner, match.anchor);
}

TEST(Nearest, FindsTheNearestFewInTheirOrder) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  constexpr Index neighbours = 4;
  for (bool integral : {true, false}) {
    const auto matches =
        nearest(comm, problem.test(), problem.train(), integral, "test", "training", neighbours);
    ASSERT_EQ(std::ssize(matches), neighbours * problem.test_count);
    for (Index t = 0; t < problem.test_count; ++t) {
      std::vector<std::pair<double, Index>> all;
      for (Index i = t % 3; i < problem.train_count; i += 3)
        all.emplace_back(distance(problem.test_x.row(t), problem.train_x.row(i)), i);
      std::ranges::sort(all);
      for (Index j = 0; j < neighbours; ++j) {
        const Match& match = matches[static_cast<std::size_t>(neighbours * t + j)];
        EXPECT_EQ(match.anchor, t);
        EXPECT_EQ(match.partner, all[static_cast<std::size_t>(j)].second);
        EXPECT_NEAR(match.distance, all[static_cast<std::size_t>(j)].first, 1e-12);
      }
    }
  }
}

TEST(Nearest, MayLeaveOutTheFirst) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  for (bool integral : {true, false}) {
    const auto five = nearest(comm, problem.test(), problem.train(), integral, "test", "training", 5);
    const auto some = nearest(comm, problem.test(), problem.train(), integral, "test", "training", 2, 3);
    ASSERT_EQ(std::ssize(some), 2 * problem.test_count);
    for (std::size_t m = 0; m < some.size(); ++m) {
      EXPECT_EQ(some[m].partner, five[5 * (m / 2) + 2 + m % 2].partner);
      EXPECT_EQ(some[m].anchor, static_cast<Index>(m / 2));
    }
  }
}

TEST(Nearest, TiesAmongAFewGoToTheLowestPositions) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem;
  for (Index i = 0; i < problem.train_count; ++i)
    for (Index f = 0; f < problem.features; ++f)
      problem.train_x(i, f) = static_cast<double>((i % 3) * 50 + f);
  const auto matches = nearest(comm, problem.test(), problem.train(), true, "test", "training", 3);
  for (std::size_t m = 0; m < matches.size(); ++m)
    EXPECT_EQ(matches[m].partner, matches[m].anchor % 3 + 3 * static_cast<Index>(m % 3));
}

TEST(Nearest, SaysWhenThereAreFewerThanAsked) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  try {
    nearest(comm, problem.test(), problem.train(), false, "test", "training", 14);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(),
                 "test sample 1 has too few partners: 13 training samples are of its class (number 1 of "
                 "data.classes), duality.neighbours = 14 are asked for");
  }
  EXPECT_THROW(nearest(comm, problem.test(), problem.train(), false, "test", "training", 10, 5), DataError);
  EXPECT_NO_THROW(nearest(comm, problem.test(), problem.train(), false, "test", "training", 10, 4));
}

TEST(Nearest, NamesTheAnchorWithoutAPartner) {
  const Comm comm(MPI_COMM_WORLD);
  Problem problem;
  for (int& label : problem.train_y) label = std::min(label, 1);
  try {
    nearest(comm, problem.test(), problem.train(), false, "test", "training");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("test sample 2 has no partner: no training sample is of its class"));
  }
}

TEST(RandomMatch, StaysInTheClassAndDependsOnTheSeedAlone) {
  const Comm comm(MPI_COMM_WORLD);
  const Comm self(MPI_COMM_SELF);
  const Problem problem;
  const auto matches = random_match(comm, problem.test(), problem.train(), 5, "test", "training");
  const auto serial = random_match(self, problem.test(), problem.train(), 5, "test", "training");
  const auto other = random_match(comm, problem.test(), problem.train(), 6, "test", "training");
  bool differs = false;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    EXPECT_EQ(matches[i].partner, serial[i].partner);
    EXPECT_EQ(problem.train_y[static_cast<std::size_t>(matches[i].partner)], problem.test_y[i]);
    EXPECT_DOUBLE_EQ(matches[i].distance, distance(problem.test_x.row(static_cast<Index>(i)),
                                                   problem.train_x.row(matches[i].partner)));
    differs = differs || matches[i].partner != other[i].partner;
  }
  EXPECT_TRUE(differs);
}

TEST(RandomMatch, DrawsSeveralPartnersOfWhichTheFirstIsThatOfOne) {
  const Comm comm(MPI_COMM_WORLD);
  const Problem problem;
  const auto one = random_match(comm, problem.test(), problem.train(), 5, "test", "training");
  const auto three = random_match(comm, problem.test(), problem.train(), 5, "test", "training", 3);
  ASSERT_EQ(three.size(), 3 * one.size());
  std::size_t differing = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(three[3 * i].partner, one[i].partner);
    EXPECT_EQ(three[3 * i + 2].anchor, one[i].anchor);
    differing += three[3 * i].partner != three[3 * i + 1].partner;
  }
  EXPECT_GT(differing, one.size() / 2);
}

TEST(AsPairs, PutsTestAndTrainingWhereTheyBelong) {
  const std::vector<Match> matches = {{.anchor = 4, .partner = 9, .distance = 0.5}};
  EXPECT_EQ(as_pairs(matches, Anchor::test).front().test, 4);
  EXPECT_EQ(as_pairs(matches, Anchor::train).front().test, 9);
  EXPECT_EQ(as_pairs(matches, Anchor::train).front().train, 4);
}

}  // namespace
}  // namespace dualscape::duality
