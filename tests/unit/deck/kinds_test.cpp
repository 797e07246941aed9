#include "dualscape/base/kinds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dualscape {
namespace {

using ::testing::ElementsAre;

/// Names in the order of the table; each must lead back to its value and have a help text.
template <class Enum>
std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& choice : choices<Enum>()) {
    all.emplace_back(choice.name);
    EXPECT_EQ(parse_choice<Enum>(choice.name), choice.value);
    EXPECT_EQ(name_of(choice.value), choice.name);
    EXPECT_FALSE(choice.help.empty()) << choice.name;
  }
  return all;
}

TEST(Kinds, HaveTheNamesUsersRelyOn) {
  EXPECT_THAT(names<Source>(), ElementsAre("fashion-mnist", "mnist", "cifar10", "idx", "hdf5"));
  EXPECT_THAT(names<Activation>(), ElementsAre("relu", "tanh", "sigmoid", "softplus", "gelu", "identity"));
  EXPECT_THAT(names<Loss>(), ElementsAre("cross-entropy", "mse", "softmax-mse"));
  EXPECT_THAT(names<WeightDecayKind>(), ElementsAre("none", "norm", "l2"));
  EXPECT_THAT(names<Curvature>(),
              ElementsAre("hessian", "gauss-newton", "fisher", "empirical-fisher", "gradient-covariance"));
  EXPECT_THAT(names<Which>(), ElementsAre("largest", "smallest", "both", "all"));
  EXPECT_THAT(names<PairingKind>(), ElementsAre("nearest-input", "nearest-activity", "random"));
  EXPECT_THAT(names<Anchor>(), ElementsAre("test", "train"));
  EXPECT_THAT(names<SharpBy>(), ElementsAre("count", "eigenvalue", "share"));
  EXPECT_THAT(names<DualOperator>(),
              ElementsAre("gap", "dual-covariance", "dual-moment", "secant-covariance", "secant-moment"));
  EXPECT_THAT(names<Precision>(), ElementsAre("double", "single", "mixed"));
  EXPECT_THAT(names<LayerKind>(), ElementsAre("dense"));
  EXPECT_THAT(names<StudyMode>(), ElementsAre("grid", "zip"));
}

TEST(Kinds, KnowNoOtherNames) {
  EXPECT_EQ(parse_choice<Loss>("MSE"), std::nullopt);
  EXPECT_EQ(parse_choice<Loss>(""), std::nullopt);
}

}  // namespace
}  // namespace dualscape
