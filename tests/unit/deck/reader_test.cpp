#include "decks.hpp"

namespace dualscape::deck::testing {
namespace {

using ::testing::ElementsAre;

TEST(Reader, ReportsEveryProblemInTheOrderOfTheLines) {
  const auto all = messages(
      "[training]\n"
      "momentum = 1.0\n"
      "batchsize = 5\n"
      "\n"
      "[network]\n"
      "loss = 'hinge'\n"
      "layers = [\n"
      "  { units = 0 },\n"
      "  { unit = 3 },\n"
      "]\n"
      "[data]\n"
      "source = 7\n");
  EXPECT_THAT(
      all,
      ElementsAre("deck.toml:2: key 'training.momentum' must be >= 0 and < 1, found 1.0",
                  "deck.toml:3: key 'training.batchsize' is not known; did you mean 'batch_size'?",
                  "deck.toml:6: key 'network.loss' must be one of: cross-entropy, mse, softmax-mse; found "
                  "\"hinge\"",
                  "deck.toml:8: key 'network.layers[0].units' must be >= 1, found 0",
                  "deck.toml:9: key 'network.layers[1].unit' is not known; did you mean 'units'?",
                  "deck.toml:9: key 'network.layers[1].units' is required",
                  "deck.toml:12: key 'data.source' must be one of: fashion-mnist, mnist, cifar10, idx, hdf5; "
                  "found the integer 7"));
}

TEST(Reader, ThrowsAUsageErrorWithOneLineAProblem) {
  try {
    read_deck("seed = -1\ntitle = 2\n[training]\n[network]\nlayers = [{ units = 3 }]", "decks/a.toml");
    FAIL() << "the deck was read";
  } catch (const UsageError& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_STREQ(error.what(),
                 "decks/a.toml:1: key 'seed' must be >= 0, found -1\n"
                 "decks/a.toml:2: key 'title': expected a string, found the integer 2");
  }
}

TEST(UnknownKey, IsComparedWithItsNeighbours) {
  EXPECT_EQ(complaint("sed", "1"), "key 'sed' is not known; did you mean 'seed'?");
  EXPECT_EQ(complaint("trainign", "{ momentum = 0.5 }"),
            "key 'trainign' is not known; did you mean 'training'?");
  EXPECT_EQ(complaint("training.weight_decay", "{ knid = 'l2' }"),
            "key 'training.weight_decay.knid' is not known; did you mean 'kind'?");
  EXPECT_EQ(complaint("network.colour", "'red'"), "key 'network.colour' is not known");
}

TEST(UnknownKey, MayBelongToAnotherTable) {
  EXPECT_EQ(complaint("network.learning_rate", "0.1"),
            "key 'network.learning_rate' is not known; did you mean 'training.learning_rate'?");
  EXPECT_EQ(complaint("dropout", "0.1"),
            "key 'dropout' is not known; did you mean 'network.layers[i].dropout'?");
}

TEST(RequiredKey, IsNamedWithTheTableThatLacksIt) {
  EXPECT_THAT(messages("seed = 1\n\n[training]\n"),
              ElementsAre("deck.toml:1: key 'network.layers' is required"));
  EXPECT_THAT(messages("[training]\n[spectrum]\ncount = 3\n[duality]\n[network]\nlayers = [{ units = 3 }]\n"),
              ElementsAre("deck.toml:2: key 'spectrum.block' is required",
                          "deck.toml:4: key 'duality.layer' is required"));
}

TEST(EmptyDeck, LacksLayersAndWeights) {
  EXPECT_THAT(messages(""),
              ElementsAre("deck.toml:1: key 'network.layers' is required",
                          "deck.toml:1: a table [training] or the key 'network.weights' is required: "
                          "there are no weights to analyse"));
}

TEST(SyntaxError, NamesItsLineAndReason) {
  EXPECT_THAT(
      messages("seed = 1\nseed = 2\n"),
      ElementsAre(
          "deck.toml:2: Error while parsing key-value pair: cannot redefine existing integer 'seed'"));
  EXPECT_THAT(
      messages("[data]\n\n[data]\n"),
      ElementsAre("deck.toml:3: Error while parsing table header: cannot redefine existing table 'data'"));
  EXPECT_THAT(messages("[data]\nclasses = [1, 2"),
              ElementsAre("deck.toml:2: Error while parsing array: encountered end-of-file"));
  EXPECT_THAT(messages("[network]\nloss = mse\n"),
              ElementsAre("deck.toml:2: Error while parsing value: could not determine value type"));
  EXPECT_THAT(messages("title = \"\\q\"\n"),
              ElementsAre("deck.toml:1: Error while parsing string: unknown escape sequence '\\q'"));
}

TEST(LayerNames, AreFilledInByPosition) {
  const auto config = read_deck(
      "[training]\n[network]\nlayers = [{ units = 9 }, { units = 8, name = 'middle' }, { units = 3 }]\n",
      "deck.toml");
  std::vector<std::string> names;
  for (const auto& layer : config.network.layers) names.push_back(layer.name);
  EXPECT_THAT(names, ElementsAre("dense1", "middle", "dense3"));
}

}  // namespace
}  // namespace dualscape::deck::testing
