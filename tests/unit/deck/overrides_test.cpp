#include "decks.hpp"

namespace dualscape::deck::testing {
namespace {

using ::testing::ElementsAre;

const std::string training_deck = "[training]\n[network]\nlayers = [{ units = 5 }, { units = 3 }]\n";

Config overridden(const std::vector<std::string>& overrides) {
  return read_deck(training_deck, "deck.toml", overrides);
}

TEST(Set, ReplacesAndAddsValues) {
  EXPECT_EQ(overridden({"training.batch_size=100"}).training->batch_size, 100);
  EXPECT_EQ(overridden({"seed = 4 "}).seed, 4u);
  EXPECT_EQ(overridden({"training.weight_decay.kind=l2"}).training->weight_decay.kind, WeightDecayKind::l2);
  EXPECT_EQ(overridden({"spectrum.block=all"}).spectrum->block, std::vector<std::string>{"all"});
}

TEST(Set, TakesEveryKindOfValue) {
  EXPECT_EQ(overridden({"data.classes=[1, 2]"}).data.classes, (std::vector<Index>{1, 2}));
  EXPECT_EQ(overridden({"network.bias=true"}).network.bias, true);
  EXPECT_EQ(overridden({"title=\"quoted = text\""}).title, "quoted = text");
  EXPECT_EQ(
      overridden({"training.weight_decay={ kind = \"norm\", strength = 1 }"}).training->weight_decay.strength,
      1.0);
}

TEST(Set, TakesWordsThatAreNoTomlAsStrings) {
  EXPECT_EQ(overridden({"network.loss=softmax-mse"}).network.loss, Loss::softmax_mse);
  EXPECT_EQ(overridden({"numerics.cache=4 GiB"}).numerics.cache, 4ull << 30);
  EXPECT_EQ(overridden({"data.path=~/data/a=b"}).data.path, "~/data/a=b");
  EXPECT_EQ(overridden({"data.path="}).data.path, "");
}

TEST(Set, ReachesElementsOfLists) {
  EXPECT_EQ(overridden({"network.layers.0.units=30"}).network.layers[0].units, 30);
  EXPECT_EQ(overridden({"network.layers[1].name=top"}).network.layers[1].name, "top");
}

TEST(Set, LetsTheLastOneWin) {
  EXPECT_EQ(overridden({"seed=4", "seed=5"}).seed, 5u);
}

TEST(Set, IsNamedByItsProblems) {
  EXPECT_THAT(
      messages(training_deck,
               {"training.batch_size=0", "trainign.momentum=0.5", "network.loss=mae", "data.scale=1x"}),
      ElementsAre(
          "--set trainign.momentum=0.5: key 'trainign' is not known; did you mean 'training'?",
          "--set data.scale=1x: key 'data.scale': expected a number, found the string \"1x\"",
          "--set network.loss=mae: key 'network.loss' must be one of: cross-entropy, mse, softmax-mse; "
          "found \"mae\"; did you mean 'mse'?",
          "--set training.batch_size=0: key 'training.batch_size' must be >= 1, found 0"));
}

TEST(Set, FollowsTheProblemsOfTheDeck) {
  EXPECT_THAT(messages("seed = -3\n" + training_deck, {"title=3"}),
              ElementsAre("deck.toml:1: key 'seed' must be >= 0, found -3",
                          "--set title=3: key 'title': expected a string, found the integer 3"));
}

TEST(Set, NeedsAKeyAndAValue) {
  EXPECT_THAT(messages(training_deck, {"training.batch_size"}),
              ElementsAre("--set training.batch_size: expected section.key=value"));
  EXPECT_THAT(messages(training_deck, {"=3"}), ElementsAre("--set =3: '' is not a key"));
  EXPECT_THAT(messages(training_deck, {"data..scale=3"}),
              ElementsAre("--set data..scale=3: 'data..scale' is not a key"));
  EXPECT_THAT(messages(training_deck, {"data.classes=[1,"}),
              ElementsAre("--set data.classes=[1,: cannot read [1, as a TOML value"));
  EXPECT_THAT(messages(training_deck, {"seed=1\ntitle='x'"}),
              ElementsAre("--set seed=1\ntitle='x': cannot read 1\ntitle='x' as a TOML value"));
}

TEST(Set, StaysWithinListsAndTables) {
  EXPECT_THAT(messages(training_deck, {"network.layers.2.units=3"}),
              ElementsAre("--set network.layers.2.units=3: key 'network.layers' has no entry 2; its length "
                          "is 2, counted from 0"));
  EXPECT_THAT(
      messages(training_deck, {"network.layers.dense1.units=3"}),
      ElementsAre(
          "--set network.layers.dense1.units=3: key 'network.layers' is a list: expected a position (0, "
          "1, ...), found 'dense1'"));
  EXPECT_THAT(messages("seed = 3\n" + training_deck, {"seed.value=3"}),
              ElementsAre("--set seed.value=3: key 'seed' is the integer 3, there is no 'value' inside it"));
}

}  // namespace
}  // namespace dualscape::deck::testing
