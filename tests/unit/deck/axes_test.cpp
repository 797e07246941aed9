#include "decks.hpp"

namespace dualscape::deck::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string study_deck = "[training]\n[network]\nlayers = [{ units = 5 }, { units = 3 }]\n[study]\n";

/// The axis is in line 5.
std::vector<std::string> wrong(const std::string& axis) {
  return messages(study_deck + "axes = [" + axis + "]\n");
}

std::vector<AxisValue> values(const std::string& axis) {
  return read_deck(study_deck + "axes = [" + axis + "]\n", "deck.toml").study->axes.at(0).values;
}

using Values = std::vector<AxisValue>;

Values integers(std::initializer_list<std::int64_t> all) {
  return Values(all.begin(), all.end());
}
Values floats(std::initializer_list<double> all) {
  return Values(all.begin(), all.end());
}

TEST(AxisValues, KeepTheirTypes) {
  EXPECT_EQ(values("{ key = 'training.batch_size', values = [25, 100] }"), integers({25, 100}));
  EXPECT_EQ(values("{ key = 'training.learning_rate', values = [0.5, 1] }"), (Values{0.5, std::int64_t{1}}));
  EXPECT_EQ(values("{ key = 'network.bias', values = [true, false] }"), (Values{true, false}));
  EXPECT_EQ(values("{ key = 'network.loss', values = ['mse'] }"), Values{std::string("mse")});
  EXPECT_EQ(values("{ key = 'network.layers.0.units', values = [4] }"), integers({4}));
}

TEST(AxisValues, MustSuitTheKey) {
  EXPECT_THAT(
      wrong("{ key = 'training.batch_size', values = [25, 0, 'x'] }"),
      ElementsAre("deck.toml:5: in study.axes[0]: key 'training.batch_size' must be >= 1, found 0",
                  "deck.toml:5: in study.axes[0]: key 'training.batch_size': expected an integer, found the "
                  "string \"x\""));
  EXPECT_THAT(
      wrong("{ key = 'network.layers.0.activation', values = ['tahn'] }"),
      ElementsAre(
          "deck.toml:5: in study.axes[0]: key 'network.layers[0].activation' must be one of: relu, tanh, "
          "sigmoid, softplus, gelu, identity; found \"tahn\"; did you mean 'tanh'?"));
  EXPECT_THAT(wrong("{ key = 'network.layers.5.units', values = [4] }"),
              ElementsAre("deck.toml:5: in study.axes[0]: key 'network.layers' has no entry 5; its length is "
                          "2, counted from 0"));
  EXPECT_THAT(wrong("{ key = 'seed', values = [] }"),
              ElementsAre("deck.toml:5: key 'study.axes[0]' must have at least one value"));
  EXPECT_THAT(
      wrong("{ key = 'seed', values = [[1]] }"),
      ElementsAre("deck.toml:5: key 'study.axes[0].values[0]': expected a boolean, an integer, a float or a "
                  "string, found a list"));
}

TEST(AxisKey, IsAKeyOfTheDeck) {
  const auto key = [](const std::string& name) { return wrong("{ key = '" + name + "', values = [1] }"); };
  EXPECT_THAT(
      key("training.batchsize"),
      ElementsAre("deck.toml:5: key 'study.axes[0].key' names 'training.batchsize', which is no key of the "
                  "deck; did you mean 'training.batch_size'?"));
  EXPECT_THAT(key("batch_size"),
              ElementsAre("deck.toml:5: key 'study.axes[0].key' names 'batch_size', which is no key "
                          "of the deck; did you mean 'training.batch_size'?"));
  EXPECT_THAT(
      key("network.layers.0.unit"),
      ElementsAre(
          "deck.toml:5: key 'study.axes[0].key' names 'network.layers.0.unit', which is no key of the "
          "deck; did you mean 'network.layers.0.units'?"));
  EXPECT_THAT(
      key("colour"),
      ElementsAre("deck.toml:5: key 'study.axes[0].key' names 'colour', which is no key of the deck"));
  EXPECT_THAT(key("training"),
              ElementsAre("deck.toml:5: key 'study.axes[0].key' names 'training', which is a table; "
                          "name a key inside it"));
  EXPECT_THAT(key("study.repeats"),
              ElementsAre("deck.toml:5: key 'study.axes[0].key' names 'study.repeats': a study "
                          "does not vary itself"));
}

TEST(AxisRange, TakesAStep) {
  EXPECT_EQ(values("{ key = 'network.init_scale', from = 0.1, to = 0.5, step = 0.1 }"),
            floats({0.1, 0.2, 0.3, 0.4, 0.5}));
  // (0.7 - 0.1) / 0.1 is 5.999999999999999 in floating point, and 0.7 is meant to be reached.
  EXPECT_EQ(values("{ key = 'network.init_scale', from = 0.1, to = 0.7, step = 0.1 }"),
            floats({0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}));
  EXPECT_EQ(values("{ key = 'training.batch_size', from = 10, to = 45, step = 10 }"),
            integers({10, 20, 30, 40}));
  EXPECT_EQ(values("{ key = 'seed', from = 3, to = 1, step = -1 }"), integers({3, 2, 1}));
}

TEST(AxisRange, TakesACount) {
  EXPECT_EQ(values("{ key = 'data.label_noise', from = 0, to = 0.4, count = 5 }"),
            floats({0, 0.1, 0.2, 0.3, 0.4}));
  EXPECT_EQ(values("{ key = 'seed', from = 1, to = 4, count = 4 }"), integers({1, 2, 3, 4}));
}

TEST(AxisRange, MayHaveEqualRatios) {
  EXPECT_EQ(values("{ key = 'training.batch_size', from = 25, to = 400, count = 5, log = true }"),
            integers({25, 50, 100, 200, 400}));
  EXPECT_EQ(values("{ key = 'training.learning_rate', from = 1e-4, to = 0.1, count = 4, log = true }"),
            floats({1e-4, 1e-3, 1e-2, 1e-1}));
}

TEST(AxisRange, MustMakeSense) {
  const auto range = [](const std::string& text) { return wrong("{ key = 'data.scale', " + text + " }"); };
  const std::string axis = "deck.toml:5: key 'study.axes[0]' ";
  const std::string needs = axis + "needs either 'values', or 'from' and 'to' with 'step' or 'count'";
  EXPECT_THAT(wrong("{ key = 'data.scale' }"), ElementsAre(needs));
  EXPECT_THAT(range("from = 1, count = 3"), ElementsAre(needs));
  EXPECT_THAT(range("from = 1, to = 3"), ElementsAre(axis + "needs one of 'step' and 'count' for its range"));
  EXPECT_THAT(range("from = 1, to = 3, step = 1, count = 3"),
              ElementsAre(axis + "needs one of 'step' and 'count' for its range"));
  EXPECT_THAT(range("values = [1], from = 1"),
              ElementsAre(axis + "has both 'values' and a range; keep one of them"));
  EXPECT_THAT(range("from = 1, to = 3, step = -1"),
              ElementsAre(axis + "never gets from 1 to 3 in steps of -1"));
  EXPECT_THAT(range("from = 1, to = 3, step = 0"),
              ElementsAre(axis + "never gets from 1 to 3 in steps of 0"));
  EXPECT_THAT(range("from = 1, to = 3, step = 1e-9"), ElementsAre(axis + "has more than 10000 values"));
  EXPECT_THAT(range("from = 1, to = 3, count = 10001"), ElementsAre(axis + "has more than 10000 values"));
  EXPECT_THAT(range("from = 1, to = 3, step = 1, log = true"),
              ElementsAre(axis + "has log = true, which takes 'count' and not 'step'"));
  EXPECT_THAT(range("from = 0, to = 3, count = 3, log = true"),
              ElementsAre(axis + "has log = true, which takes 'from' and 'to' > 0"));
  EXPECT_THAT(range("from = 1, to = 3, count = 1"),
              ElementsAre("deck.toml:5: key 'study.axes[0].count' must be >= 2, found 1"));
  EXPECT_THAT(wrong("{ key = 'seed', from = 1, to = 3, count = 9 }"),
              ElementsAre(axis + "runs over integers, and rounding its 9 values repeats 1"));
  EXPECT_THAT(wrong("{ key = 'network.loss', from = 1, to = 3, count = 3 }"),
              ElementsAre(axis + "has a range, but 'network.loss' is no number; list its 'values'"));
  EXPECT_THAT(range("from = 1, to = -1, count = 3"),
              ElementsAre("deck.toml:5: in study.axes[0]: key 'data.scale' must be > 0, found 0.0",
                          "deck.toml:5: in study.axes[0]: key 'data.scale' must be > 0, found -1.0"));
}

TEST(Study, VariesEachKeyOnce) {
  EXPECT_THAT(wrong("{ key = 'network.layers.0.units', values = [1] }, { key = 'network.layers[0].units', "
                    "values = [2] }"),
              ElementsAre("deck.toml:5: key 'study.axes[1].key' repeats the axis 'network.layers[0].units'"));
}

TEST(Study, ZipsAxesOfEqualLength) {
  const std::string axes =
      "{ key = 'data.train_per_class', values = [400, 440, 460] }, { key = 'data.label_noise', "
      "values = [0, 0.1] }";
  EXPECT_THAT(wrong(axes), IsEmpty());
  EXPECT_THAT(
      messages(study_deck + "mode = 'zip'\naxes = [" + axes + "]\n"),
      ElementsAre(
          "deck.toml:6: key 'study.axes[1]' has 2 values and the first axis 3: with mode = \"zip\" all "
          "have equally many"));
  EXPECT_EQ(read_deck(study_deck + "mode = 'zip'\n", "deck.toml").study->mode, StudyMode::zip);
}

}  // namespace
}  // namespace dualscape::deck::testing
