#include <limits>

#include "decks.hpp"

namespace dualscape::deck::testing {
namespace {

/// A Config with no value at its default.
Config unusual() {
  Config config;
  config.title = "quotes \" and \\, a tab\t, lines\r\n, a bell\x07, a delete\x7f, é and ✓";
  config.seed = std::numeric_limits<std::int64_t>::max();
  config.data = {Source::hdf5, "some where/data.h5", {7, 1}, 400, 1000, 1.0 / 3.0, 1e22};
  config.network = {Loss::mse, Activation::softplus, true, 5e-324, {}, "weights.h5"};
  config.network.layers = {{LayerKind::dense, 30, "first", Activation::gelu, false, 0.1},
                           {LayerKind::dense, 20, "second", std::nullopt, true, 0.0},
                           {LayerKind::dense, 10, "top", std::nullopt, std::nullopt, 0.0}};
  config.training = {0.1 + 0.2, 0.9, 100, 17, 1e-300, 0.5, {WeightDecayKind::norm, 1e5, 3}};
  config.spectrum = {
      Curvature::empirical_fisher, {"first", "second+bias"}, Which::both, 3, 1.7976931348623157e308};
  config.duality = {{"second"},
                    PairingKind::nearest_activity,
                    Anchor::train,
                    DualKind::metric,
                    0.1,
                    4,
                    SharpBy::share,
                    1.0 / 3.0,
                    7,
                    {DualOperator::secant_moment, DualOperator::gap},
                    3,
                    2,
                    5,
                    500};
  config.numerics = {Precision::single, 4, (1ull << 40) + 1, 16, 100};
  config.output = {"runs/é", false};
  config.study = {10, 2, StudyMode::zip, {}};
  config.study->axes = {{"network.bias", {true, false}},
                        {"training.momentum", {std::int64_t{0}, 0.25}},
                        {"network.loss", {std::string("mse"), std::string("cross-entropy")}}};
  return config;
}

TEST(ResolvedDeck, ReadsBackToAnEqualConfig) {
  const auto text = resolved_deck(unusual());
  const auto again = read_deck(text, "deck.resolved");
  EXPECT_EQ(again, unusual()) << text;
  EXPECT_EQ(resolved_deck(again), text);
}

TEST(ResolvedDeck, LeavesOutWhatIsUnset) {
  const auto config = read_deck("[training]\n[network]\nlayers = [{ units = 3 }]\n", "deck.toml");
  const auto text = resolved_deck(config);
  for (const std::string absent : {"[spectrum]", "[duality]", "[study]", "activation = \"\""})
    EXPECT_EQ(text.find(absent), std::string::npos) << absent;
  EXPECT_EQ(read_deck(text, "deck.resolved"), config);
}

TEST(ResolvedDeck, WritesEveryDefault) {
  const auto text =
      resolved_deck(read_deck("[training]\n[network]\nlayers = [{ units = 3 }]\n", "deck.toml"));
  EXPECT_THAT(text,
              ::testing::HasSubstr("\n[training]\n"
                                   "learning_rate = 0.1\n"
                                   "momentum = 0.0\n"
                                   "batch_size = 25\n"
                                   "max_epochs = 1000\n"
                                   "stop_loss = 0.001\n"
                                   "stop_accuracy = 0.99\n"
                                   "weight_decay = { kind = \"none\", strength = 0.0, epochs = 200 }\n"));
  EXPECT_THAT(text,
              ::testing::HasSubstr("\nlayers = [\n"
                                   "  { type = \"dense\", units = 3, name = \"dense1\", dropout = 0.0 },\n"
                                   "]\n"));
}

TEST(TomlFloat, IsTheShortestThatReadsBack) {
  EXPECT_EQ(toml_float(0.1), "0.1");
  EXPECT_EQ(toml_float(255), "255.0");
  EXPECT_EQ(toml_float(1e-8), "1e-8");
  EXPECT_EQ(toml_float(1e22), "1e22");
  EXPECT_EQ(toml_float(1e100), "1e100");
  EXPECT_EQ(toml_float(-2.5e-7), "-2.5e-7");
  EXPECT_EQ(toml_float(0.1 + 0.2), "0.30000000000000004");
}

TEST(TomlString, EscapesWhatTomlForbids) {
  EXPECT_EQ(toml_string("a\"b\\c\n\t\r\x01\x7f é"), "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007F é\"");
}

TEST(ByteSizes, AreWrittenExactly) {
  auto config = read_deck("[training]\n[network]\nlayers = [{ units = 3 }]\n", "deck.toml");
  const auto written = [&](std::optional<std::uint64_t> bytes) {
    config.numerics.cache = bytes;
    const auto text = resolved_deck(config);
    EXPECT_EQ(read_deck(text, "deck.resolved").numerics.cache, bytes);
    const auto start = text.find("cache = ") + 8;
    return text.substr(start, text.find('\n', start) - start);
  };
  EXPECT_EQ(written(std::nullopt), "\"auto\"");
  EXPECT_EQ(written(4ull << 30), "\"4 GiB\"");
  EXPECT_EQ(written(1536), "1536");
  EXPECT_EQ(written(2048), "\"2 KiB\"");
  EXPECT_EQ(written(0), "0");
  EXPECT_EQ(written(9223372036854775807u), "9223372036854775807");
  EXPECT_EQ(written((1ull << 62) + (1ull << 12)), "\"4503599627370500 KiB\"");
}

}  // namespace
}  // namespace dualscape::deck::testing
