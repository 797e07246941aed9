#include <limits>

#include "decks.hpp"
#include "dualscape/deck/schema.hpp"

namespace dualscape::deck::testing {
namespace {

TEST(BooleanValue, IsTrueOrFalse) {
  EXPECT_TRUE(read_with("network.bias", "true").network.bias);
  EXPECT_FALSE(read_with("output.eigenvectors", "false").output.eigenvectors);
  EXPECT_EQ(complaint("network.bias", "1"),
            "key 'network.bias': expected true or false, found the integer 1");
}

TEST(IntegerValue, IsReadWithinItsBounds) {
  EXPECT_EQ(read_with("training.batch_size", "100").training->batch_size, 100);
  EXPECT_EQ(complaint("training.batch_size", "0"), "key 'training.batch_size' must be >= 1, found 0");
  EXPECT_EQ(complaint("seed", "-1"), "key 'seed' must be >= 0, found -1");
  EXPECT_EQ(complaint("spectrum.count", "0"), "key 'spectrum.count' must be >= 1, found 0");
}

TEST(IntegerValue, OfAnotherTypeIsRefused) {
  EXPECT_EQ(complaint("seed", "\"abc\""), "key 'seed': expected an integer, found the string \"abc\"");
  EXPECT_EQ(complaint("seed", "2.5"), "key 'seed': expected an integer, found the float 2.5");
  EXPECT_EQ(complaint("seed", "2.0"), "key 'seed': expected an integer, found the float 2.0");
  EXPECT_EQ(complaint("seed", "true"), "key 'seed': expected an integer, found the boolean true");
  EXPECT_EQ(complaint("seed", "[1]"), "key 'seed': expected an integer, found a list");
  EXPECT_EQ(complaint("seed", "{ a = 1 }"), "key 'seed': expected an integer, found a table");
}

TEST(IntegerValue, MustFitItsMember) {
  EXPECT_EQ(read_with("seed", "9223372036854775807").seed, 9223372036854775807u);
  EXPECT_EQ(read_with("numerics.threads", "2147483647").numerics.threads, std::numeric_limits<int>::max());
  EXPECT_EQ(complaint("numerics.threads", "2147483648"),
            "key 'numerics.threads' must be <= 2147483647, found 2147483648");
}

TEST(IntegerValue, MayBeBoundToPowersOfTwo) {
  for (const int lanes : {0, 1, 2, 64, 1024})
    EXPECT_EQ(read_with("numerics.lanes", std::to_string(lanes)).numerics.lanes, lanes);
  EXPECT_EQ(complaint("numerics.lanes", "12"), "key 'numerics.lanes' must be 0 or a power of two, found 12");
  EXPECT_EQ(complaint("numerics.lanes", "-2"), "key 'numerics.lanes' must be 0 or a power of two, found -2");
}

TEST(FloatValue, TakesIntegersToo) {
  EXPECT_EQ(read_with("training.learning_rate", "0.05").training->learning_rate, 0.05);
  EXPECT_EQ(read_with("training.learning_rate", "1").training->learning_rate, 1.0);
  EXPECT_EQ(complaint("training.learning_rate", "'0.1'"),
            "key 'training.learning_rate': expected a number, found the string \"0.1\"");
}

TEST(FloatValue, IsHeldToItsBounds) {
  EXPECT_EQ(complaint("training.learning_rate", "-1"), "key 'training.learning_rate' must be > 0, found -1");
  EXPECT_EQ(complaint("training.learning_rate", "0.0"),
            "key 'training.learning_rate' must be > 0, found 0.0");
  EXPECT_EQ(complaint("data.label_noise", "1.0"), "key 'data.label_noise' must be >= 0 and < 1, found 1.0");
  EXPECT_EQ(read_with("data.label_noise", "0").data.label_noise, 0.0);
  EXPECT_EQ(complaint("training.stop_accuracy", "1.5"),
            "key 'training.stop_accuracy' must be >= 0 and <= 1, found 1.5");
  EXPECT_EQ(read_with("training.stop_accuracy", "1").training->stop_accuracy, 1.0);
}

TEST(FloatValue, MustBeFinite) {
  EXPECT_EQ(complaint("data.scale", "inf"),
            "key 'data.scale': expected a finite number, found the float inf");
  EXPECT_EQ(complaint("data.scale", "-inf"),
            "key 'data.scale': expected a finite number, found the float -inf");
  EXPECT_EQ(complaint("data.scale", "nan"),
            "key 'data.scale': expected a finite number, found the float nan");
}

TEST(DatesAndTimes, AreNoValueOfAnyKey) {
  EXPECT_EQ(complaint("data.scale", "1979-05-27"),
            "key 'data.scale': expected a number, found the date 1979-05-27");
  EXPECT_EQ(complaint("title", "07:32:00"), "key 'title': expected a string, found the time 07:32:00");
  EXPECT_EQ(complaint("seed", "1979-05-27T07:32:00Z"),
            "key 'seed': expected an integer, found the date 1979-05-27T07:32:00Z");
}

TEST(StringValue, KeepsQuotesLineBreaksAndUnicode) {
  EXPECT_EQ(read_with("title", R"("a \"b\" \n \u00e9 ✓")").title, "a \"b\" \n é ✓");
  EXPECT_EQ(complaint("title", "7"), "key 'title': expected a string, found the integer 7");
}

TEST(PathValue, IsAString) {
  EXPECT_EQ(read_with("data.path", "'some/where'").data.path, "some/where");
  EXPECT_EQ(complaint("data.path", "7"), "key 'data.path': expected a string, found the integer 7");
}

TEST(ChoiceValue, IsOneOfTheNames) {
  EXPECT_EQ(read_with("network.loss", "'softmax-mse'").network.loss, Loss::softmax_mse);
  EXPECT_EQ(
      complaint("network.loss", "'cross-entrpy'"),
      "key 'network.loss' must be one of: cross-entropy, mse, softmax-mse; found \"cross-entrpy\"; did you "
      "mean 'cross-entropy'?");
  EXPECT_EQ(complaint("network.loss", "'hinge'"),
            "key 'network.loss' must be one of: cross-entropy, mse, softmax-mse; found \"hinge\"");
  EXPECT_EQ(complaint("numerics.precision", "64"),
            "key 'numerics.precision' must be one of: double, single, mixed; found the integer 64");
}

TEST(ListOfIntegers, IsCheckedEntryByEntry) {
  EXPECT_EQ(read_with("data.classes", "[3, 1]").data.classes, (std::vector<Index>{3, 1}));
  EXPECT_EQ(read_with("data.classes", "[]").data.classes, std::vector<Index>{});
  EXPECT_EQ(complaint("data.classes", "3"), "key 'data.classes': expected a list, found the integer 3");
  EXPECT_THAT(messages(deck_with("data.classes", "[0, -1, 'a']")),
              ::testing::ElementsAre(
                  "deck.toml:1: key 'data.classes[1]' must be >= 0, found -1",
                  "deck.toml:1: key 'data.classes[2]': expected an integer, found the string \"a\""));
}

TEST(OneOrMoreStrings, TakesAStringOrAList) {
  EXPECT_EQ(read_with("spectrum.block", "'dense2'").spectrum->block, std::vector<std::string>{"dense2"});
  EXPECT_EQ(read_with("spectrum.block", "['dense1', 'dense2']").spectrum->block,
            (std::vector<std::string>{"dense1", "dense2"}));
  EXPECT_EQ(complaint("spectrum.block", "2"),
            "key 'spectrum.block': expected a string or a list of strings, found the integer 2");
  EXPECT_EQ(complaint("spectrum.block", "['dense2', 1]"),
            "key 'spectrum.block[1]': expected a string, found the integer 1");
}

TEST(ByteSize, TakesUnitsNumbersAndAuto) {
  const auto cache = [](const std::string& value) {
    return read_with("numerics.cache", value).numerics.cache;
  };
  EXPECT_EQ(cache("'auto'"), std::nullopt);
  EXPECT_EQ(cache("'4 GiB'"), 4ull << 30);
  EXPECT_EQ(cache("'4GiB'"), 4ull << 30);
  EXPECT_EQ(cache("'1.5 KiB'"), 1536u);
  EXPECT_EQ(cache("'2 MB'"), 2'000'000u);
  EXPECT_EQ(cache("'0 B'"), 0u);
  EXPECT_EQ(cache("1000"), 1000u);
}

TEST(ByteSize, NamesTheUnitsItKnows) {
  const std::string expected =
      "key 'numerics.cache': expected a size such as \"4 GiB\" (B, kB, KiB, MB, MiB, GB, GiB, TB, TiB), a "
      "number of "
      "bytes or \"auto\", found ";
  EXPECT_EQ(complaint("numerics.cache", "'4 GiBs'"), expected + "the string \"4 GiBs\"");
  EXPECT_EQ(complaint("numerics.cache", "'4'"), expected + "the string \"4\"");
  EXPECT_EQ(complaint("numerics.cache", "'-4 GiB'"), expected + "the string \"-4 GiB\"");
  EXPECT_EQ(complaint("numerics.cache", "'99999999 TiB'"), expected + "the string \"99999999 TiB\"");
  EXPECT_EQ(complaint("numerics.cache", "'inf GiB'"), expected + "the string \"inf GiB\"");
  EXPECT_EQ(complaint("numerics.cache", "4.5"), expected + "the float 4.5");
  EXPECT_EQ(complaint("numerics.cache", "-1"), "key 'numerics.cache' must be >= 0, found -1");
}

TEST(InlineTable, IsReadKeyByKey) {
  const auto decay =
      read_with("training.weight_decay", "{ kind = 'norm', strength = 0.01 }").training->weight_decay;
  EXPECT_EQ(decay, (WeightDecay{WeightDecayKind::norm, 0.01, 200}));
  EXPECT_EQ(complaint("training.weight_decay", "0.01"),
            "key 'training.weight_decay': expected a table, found the float 0.01");
  EXPECT_EQ(complaint("training.weight_decay", "{ strength = -1 }"),
            "key 'training.weight_decay.strength' must be >= 0, found -1");
}

TEST(ListOfTables, IsReadInBothSpellings) {
  const auto inline_form = read_with("network.layers", "[{ units = 4 }, { units = 2, bias = true }]");
  EXPECT_EQ(inline_form.network.layers[1].bias, true);
  const auto headers = read_deck(
      "[training]\n[[network.layers]]\nunits = 4\n[[network.layers]]\nunits = 2\nbias = true\n", "deck.toml");
  EXPECT_EQ(inline_form.network.layers, headers.network.layers);
  EXPECT_EQ(complaint("network.layers", "3"),
            "key 'network.layers': expected a list of tables, found the integer 3");
  EXPECT_EQ(complaint("network.layers", "[{ units = 5 }, 3, { units = 3 }]"),
            "key 'network.layers[1]': expected a table, found the integer 3");
}

TEST(OptionalValue, StaysUnsetWhenLeftOut) {
  const auto layers =
      read_with("network.layers", "[{ units = 4, activation = 'tanh' }, { units = 2 }]").network.layers;
  EXPECT_EQ(layers[0].activation, Activation::tanh);
  EXPECT_EQ(layers[0].bias, std::nullopt);
  EXPECT_EQ(layers[1].activation, std::nullopt);
  EXPECT_EQ(complaint("network.layers", "[{ units = 4, bias = 'no' }, { units = 2 }]"),
            "key 'network.layers[0].bias': expected true or false, found the string \"no\"");
}

TEST(OptionalTable, IsThereWhenTheDeckHasIt) {
  const std::string network = "network.weights = 'w.h5'\nnetwork.layers = [{ units = 3 }]\n";
  const auto bare = read_deck(network, "deck.toml");
  EXPECT_FALSE(bare.training || bare.spectrum || bare.duality || bare.study);
  const auto trained = read_deck(network + "[training]\n", "deck.toml");
  EXPECT_EQ(trained.training, Training{});
}

TEST(MissingKeys, TakeTheDefaultsOfConfig) {
  const auto config = read_deck("[training]\n[network]\nlayers = [{ units = 3 }]\n", "deck.toml");
  Config expected;
  expected.training.emplace();
  expected.network.layers = {Layer{.units = 3, .name = "dense1", .activation = {}, .bias = {}}};
  EXPECT_EQ(config, expected);
}

TEST(LayerHelpers, FallBackOnTheNetwork) {
  const auto network =
      read_deck(
          "training.momentum = 0.5\nnetwork.activation = 'tanh'\nnetwork.bias = true\nnetwork.layers = "
          "[{ units = 4 }, { units = 4, activation = 'gelu', bias = false }, { units = 2 }]\n",
          "deck.toml")
          .network;
  EXPECT_EQ(layer_activation(network, 0), Activation::tanh);
  EXPECT_EQ(layer_activation(network, 1), Activation::gelu);
  EXPECT_EQ(layer_activation(network, 2), Activation::identity);
  EXPECT_TRUE(layer_bias(network, 0));
  EXPECT_FALSE(layer_bias(network, 1));
  EXPECT_TRUE(layer_bias(network, 2));
}

}  // namespace
}  // namespace dualscape::deck::testing
