#include "dualscape/deck/suggest.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace dualscape::deck {
namespace {

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("units", "units"), 0);
  EXPECT_EQ(edit_distance("unit", "units"), 1);
  EXPECT_EQ(edit_distance("uunits", "units"), 1);
  EXPECT_EQ(edit_distance("unots", "units"), 1);
  EXPECT_EQ(edit_distance("untis", "units"), 1);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(EditDistance, IgnoresCaseAndTheKindOfDash) {
  EXPECT_EQ(edit_distance("Cross_Entropy", "cross-entropy"), 0);
}

TEST(Suggestion, TakesTheClosestCandidate) {
  const std::vector<std::string> keys = {"stop_loss", "stop_accuracy", "batch_size"};
  EXPECT_EQ(suggestion("stop_los", keys), "stop_loss");
  EXPECT_EQ(suggestion("batchsize", keys), "batch_size");
}

TEST(Suggestion, GivesNothingBeyondAThirdOfTheLetters) {
  const std::vector<std::string> keys = {"abcdef"};
  EXPECT_EQ(suggestion("abcdxy", keys), "abcdef");
  EXPECT_EQ(suggestion("abcxyz", keys), std::nullopt);
  EXPECT_EQ(suggestion("q", std::vector<std::string>{"w"}), std::nullopt);
}

TEST(Suggestion, TakesACandidateThatContainsTheWord) {
  const std::vector<std::string> keys = {"hessian", "gauss-newton", "zip"};
  EXPECT_EQ(suggestion("Gauss", keys), "gauss-newton");
  EXPECT_EQ(suggestion("zipped", keys), "zip");
  EXPECT_EQ(suggestion("ne", keys), std::nullopt);
}

TEST(DidYouMean, IsAClauseOrNothing) {
  const std::vector<std::string> keys = {"units"};
  EXPECT_EQ(did_you_mean("unit", keys), "; did you mean 'units'?");
  EXPECT_EQ(did_you_mean("momentum", keys), "");
}

}  // namespace
}  // namespace dualscape::deck
