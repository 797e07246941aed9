#include "decks.hpp"

namespace dualscape::deck::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A sound deck: lines 1 to 4, with `more` from line 5.
std::vector<std::string> with(const std::string& more,
                              const std::string& layers = "[{ units = 5 }, { units = 3 }]") {
  return messages("[training]\n[network]\nlayers = " + layers + "\n\n" + more);
}

TEST(Layers, MustBeThere) {
  EXPECT_THAT(with("", "[]"), ElementsAre("deck.toml:3: key 'network.layers' must have at least one layer"));
}

TEST(LayerNames, AreUniqueWordsOtherThanAll) {
  const auto named = [](const std::string& name) {
    return with("", "[{ units = 5, name = '" + name + "' }, { units = 3 }]");
  };
  EXPECT_THAT(named("fc_1-a"), IsEmpty());
  const std::string start =
      "deck.toml:3: key 'network.layers[0].name' must be letters, digits, '_' and '-', and not "
      "\"all\", found ";
  EXPECT_THAT(named("all"), ElementsAre(start + "\"all\""));
  EXPECT_THAT(named("fc+bias"), ElementsAre(start + "\"fc+bias\""));
  EXPECT_THAT(named("a/b"), ElementsAre(start + "\"a/b\""));
  EXPECT_THAT(
      named("dense2"),
      ElementsAre(
          "deck.toml:3: key 'network.layers[1].name' repeats the name \"dense2\" of an earlier layer"));
}

TEST(LastLayer, GivesTheLogits) {
  EXPECT_THAT(
      with("", "[{ units = 5 }, { units = 3, activation = 'identity' }]"),
      ElementsAre(
          "deck.toml:3: key 'network.layers[1].activation' is not for the last layer: its outputs are "
          "the logits, which the loss takes as they are"));
  EXPECT_THAT(
      with("", "[{ units = 5, dropout = 0.1 }, { units = 3, dropout = 0.1 }]"),
      ElementsAre("deck.toml:3: key 'network.layers[1].dropout' is not for the last layer: it drops hidden "
                  "activities"));
}

TEST(Weights, AreTrainedOrGiven) {
  const std::string network = "[network]\nlayers = [{ units = 3 }]\n";
  EXPECT_THAT(messages(network),
              ElementsAre("deck.toml:1: a table [training] or the key 'network.weights' is "
                          "required: there are no weights to analyse"));
  EXPECT_THAT(messages(network + "weights = 'a.h5'\n"), IsEmpty());
}

TEST(DataPath, IsRequiredForUnnamedSources) {
  EXPECT_THAT(with("[data]\nsource = 'hdf5'\n"),
              ElementsAre("deck.toml:5: key 'data.path' is required with source = \"hdf5\""));
  EXPECT_THAT(with("[data]\nsource = 'idx'\npath = 'folder'\n"), IsEmpty());
}

TEST(Classes, AreDistinct) {
  EXPECT_THAT(with("[data]\nclasses = [4, 2, 4]\n"),
              ElementsAre("deck.toml:6: key 'data.classes[2]' repeats class 4"));
}

TEST(Estimates, TakeEnoughProductsForTheirErrors) {
  const auto spectrum = [&](const std::string& more) {
    return with("[spectrum]\nblock = 'dense1'\n" + more);
  };
  EXPECT_THAT(spectrum("density_probes = 2\ntrace_products = 6\ndiagonal_products = 2\n"), IsEmpty());
  EXPECT_THAT(spectrum("density_probes = 0\ntrace_products = 0\ndiagonal_products = 0\n"), IsEmpty());
  EXPECT_THAT(spectrum("density_probes = 1\ntrace_products = 5\ndiagonal_products = 1\n"),
              ElementsAre("deck.toml:7: key 'spectrum.density_probes' must be 0 or at least 2 vectors, for "
                          "error bars, found 1",
                          "deck.toml:8: key 'spectrum.trace_products' must be 0 or at least 6 products, "
                          "found 5",
                          "deck.toml:9: key 'spectrum.diagonal_products' must be 0 or at least 2 products, "
                          "for error bars, found 1"));
}

TEST(Block, NamesLayersOfTheNetwork) {
  const auto block = [](const std::string& value) { return with("[spectrum]\nblock = " + value + "\n"); };
  EXPECT_THAT(block("'dense1'"), IsEmpty());
  EXPECT_THAT(block("['dense1', 'dense2']"), IsEmpty());
  EXPECT_THAT(block("'all'"), IsEmpty());
  EXPECT_THAT(block("'dense3'"),
              ElementsAre("deck.toml:6: key 'spectrum.block' names \"dense3\", which is no layer; "
                          "the layers are: dense1, dense2; did you mean 'dense1'?"));
  EXPECT_THAT(
      block("['dense1', 'conv']"),
      ElementsAre("deck.toml:6: key 'spectrum.block[1]' names \"conv\", which is no layer; the layers are: "
                  "dense1, dense2"));
  EXPECT_THAT(
      block("'dense1+weight'"),
      ElementsAre(
          "deck.toml:6: key 'spectrum.block' must be a layer's name, or the name with \"+bias\", found "
          "\"dense1+weight\""));
  EXPECT_THAT(block("[]"), ElementsAre("deck.toml:6: key 'spectrum.block' must name at least one layer"));
  EXPECT_THAT(block("['all', 'dense1']"),
              ElementsAre("deck.toml:6: key 'spectrum.block[0]' is \"all\", which stands alone"));
}

TEST(Block, TakesEachLayerOnce) {
  EXPECT_THAT(
      with("[spectrum]\nblock = ['dense1', 'dense1+bias']\n", "[{ units = 5, bias = true }, { units = 3 }]"),
      ElementsAre("deck.toml:6: key 'spectrum.block[1]' names the layer of \"dense1+bias\" again"));
}

TEST(Block, WithBiasNeedsALayerThatHasOne) {
  const std::string block = "[spectrum]\nblock = 'dense1+bias'\n";
  EXPECT_THAT(with(block),
              ElementsAre("deck.toml:6: key 'spectrum.block' is \"dense1+bias\", but that layer has no "
                          "bias; set its bias = true or use \"dense1\""));
  EXPECT_THAT(with(block, "[{ units = 5, bias = true }, { units = 3 }]"), IsEmpty());
  EXPECT_THAT(with(block, "[{ units = 5 }, { units = 3 }]\nbias = true"), IsEmpty());
}

TEST(Fisher, IsRefusedForSoftmaxMse) {
  const std::string spectrum = "[spectrum]\nblock = 'all'\noperator = 'fisher'\n";
  EXPECT_THAT(
      with(spectrum, "[{ units = 3 }]\nloss = 'softmax-mse'"),
      ElementsAre(
          "deck.toml:8: key 'spectrum.operator' cannot be \"fisher\" with network.loss = "
          "\"softmax-mse\", which is no log-likelihood; \"gauss-newton\" and \"empirical-fisher\" can"));
  EXPECT_THAT(with(spectrum, "[{ units = 3 }]\nloss = 'mse'"), IsEmpty());
}

TEST(Prune, IsForIterativeSolvesOfSamplesWithPartsOfTheirOwn) {
  const auto prune = [](const std::string& value, const std::string& more = "") {
    return with("[spectrum]\nblock = 'all'\nprune = " + value + "\n" + more);
  };
  EXPECT_THAT(prune("0.01"), IsEmpty());
  EXPECT_THAT(prune("0.0", "which = 'all'\n"), IsEmpty());
  EXPECT_THAT(prune("1.0"), ElementsAre("deck.toml:7: key 'spectrum.prune' must be >= 0 and < 1, found 1.0"));
  EXPECT_THAT(
      prune("0.01", "which = 'all'\n"),
      ElementsAre("deck.toml:7: key 'spectrum.prune' is for iterative solves, not for spectrum.which = "
                  "\"all\""));
  EXPECT_THAT(prune("0.01", "operator = 'gradient-covariance'\n"),
              ElementsAre("deck.toml:7: key 'spectrum.prune' cannot be used with spectrum.operator = "
                          "\"gradient-covariance\", in which no sample has a part of its own; "
                          "\"empirical-fisher\" can"));
}

TEST(Duality, NeedsASpectrum) {
  EXPECT_THAT(
      with("[duality]\nlayer = 'dense2'\n"),
      ElementsAre("deck.toml:5: table [duality] needs a table [spectrum]: the gap is decomposed along its "
                  "eigenvectors"));
}

TEST(Duality, NamesALayerOfTheNetwork) {
  EXPECT_THAT(
      with("[duality]\nlayer = 'dens2'\n[spectrum]\nblock = 'all'\n"),
      ElementsAre(
          "deck.toml:6: key 'duality.layer' names \"dens2\", which is no layer; the layers are: dense1, "
          "dense2; did you mean 'dense2'?"));
}

TEST(Duality, NeedsItsLayerInTheBlock) {
  const auto block = [](const std::string& value) {
    return with("[duality]\nlayer = 'dense2'\n[spectrum]\nblock = " + value + "\n",
                "[{ units = 5 }, { units = 3, bias = true }]");
  };
  EXPECT_THAT(
      block("'dense1'"),
      ElementsAre(
          "deck.toml:6: key 'duality.layer' is \"dense2\", which is not in spectrum.block: the gap is "
          "decomposed along that block's eigenvectors"));
  EXPECT_THAT(block("'dense2'"), IsEmpty());
  EXPECT_THAT(block("'dense2+bias'"), IsEmpty());
  EXPECT_THAT(block("['dense1', 'dense2']"), IsEmpty());
  EXPECT_THAT(block("'all'"), IsEmpty());
}

TEST(Duality, TakesAListOfLayersOrAll) {
  const auto layers = [](const std::string& value) {
    return with("[duality]\nlayer = " + value + "\n[spectrum]\nblock = ['dense1', 'dense3']\n",
                "[{ units = 5 }, { units = 4 }, { units = 3 }]");
  };
  EXPECT_THAT(layers("['dense1', 'dense3']"), IsEmpty());
  EXPECT_THAT(layers("'all'"), IsEmpty());
  EXPECT_THAT(layers("[]"), ElementsAre("deck.toml:6: key 'duality.layer' must name at least one layer"));
  EXPECT_THAT(
      layers("['dense1', 'dense2', 'dense1', 'all', 'dense9']"),
      ElementsAre(
          "deck.toml:6: key 'duality.layer[1]' is \"dense2\", which is not in spectrum.block: the gap is "
          "decomposed along that block's eigenvectors",
          "deck.toml:6: key 'duality.layer[2]' names \"dense1\" again",
          "deck.toml:6: key 'duality.layer[3]' is \"all\", which stands alone",
          "deck.toml:6: key 'duality.layer[4]' names \"dense9\", which is no layer; the layers are: dense1, "
          "dense2, dense3; did you mean 'dense1'?"));
}

TEST(Duality, NamesEachOperatorOnce) {
  const auto operators = [](const std::string& value) {
    return with("[duality]\nlayer = 'dense2'\noperators = " + value + "\n[spectrum]\nblock = 'all'\n");
  };
  EXPECT_THAT(operators("['gap', 'dual-covariance']"), IsEmpty());
  EXPECT_THAT(operators("['gap', 'dual-moment', 'gap']"),
              ElementsAre("deck.toml:7: key 'duality.operators[2]' names \"gap\" again"));
  EXPECT_THAT(
      operators("['gaps']"),
      ElementsAre("deck.toml:7: key 'duality.operators[0]' must be one of: gap, dual-covariance, "
                  "dual-moment, secant-covariance, secant-moment; found \"gaps\"; did you mean 'gap'?"));
}

TEST(CrossChecks, AugmentedDualsNeedTheBiasInTheBlock) {
  const auto of = [](const std::string& bias, const std::string& block, const std::string& layer) {
    return messages("[training]\n[network]\nbias = " + bias +
                    "\nlayers = [{ units = 3 }, { units = 3 }]\n[spectrum]\nblock = " + block +
                    "\n[duality]\nlayer = " + layer + "\ndual = 'augmented'\n");
  };
  EXPECT_THAT(of("true", "'dense2+bias'", "'dense2'"), ElementsAre());
  EXPECT_THAT(of("true", "'all'", "'all'"), ElementsAre());
  EXPECT_THAT(
      of("true", "['dense1+bias', 'dense2']", "'all'"),
      ElementsAre("deck.toml:9: key 'duality.dual' is \"augmented\", but spectrum.block has no bias of "
                  "\"dense2\": name \"dense2+bias\" there"));
  EXPECT_THAT(
      of("false", "'dense2'", "'dense2'"),
      ElementsAre("deck.toml:9: key 'duality.dual' is \"augmented\", but layer \"dense2\" has no bias"));
}

TEST(CrossChecks, RandomPartnersHaveNoRank) {
  EXPECT_THAT(
      with(
          "[duality]\nlayer = 'dense2'\npairing = 'random'\nneighbour_rank = 2\n[spectrum]\nblock = 'all'\n"),
      ElementsAre(
          "deck.toml:8: key 'duality.neighbour_rank' must be 1 with duality.pairing = \"random\", which "
          "knows no nearest"));
}

TEST(Duality, AllAreTheLayersOfTheBlock) {
  const auto layers = [](const std::string& block) {
    return analysed_layers(read_deck("[training]\n[duality]\nlayer = 'all'\n[spectrum]\nblock = " + block +
                                         "\n[network]\nlayers = [{ units = 5 }, { units = 4, bias = true }, "
                                         "{ units = 3 }]\n",
                                     "deck.toml"));
  };
  EXPECT_THAT(layers("'all'"), ElementsAre("dense1", "dense2", "dense3"));
  EXPECT_THAT(layers("['dense2+bias', 'dense3']"), ElementsAre("dense2", "dense3"));
}

TEST(CrossChecks, LeaveKeysAloneThatAreWrongAlready) {
  EXPECT_THAT(
      with("[duality]\nlayer = 7\n[spectrum]\nblock = 8\n"),
      ElementsAre(
          "deck.toml:6: key 'duality.layer': expected a string or a list of strings, found the integer 7",
          "deck.toml:8: key 'spectrum.block': expected a string or a list of strings, found the "
          "integer 8"));
}

}  // namespace
}  // namespace dualscape::deck::testing
