#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/partition.hpp"

/// A deck as typed values: what every other part of the program reads. Names, defaults, bounds, units and
/// help texts are in the schema (deck/schema.hpp), which binds each key to its member here once.
namespace dualscape::deck {

struct Data {
  Source source = Source::fashion_mnist;
  std::filesystem::path path;  ///< empty: the usual places of a named source
  std::vector<Index> classes;  ///< empty: every class found, in ascending order
  Index train_per_class = 0;   ///< 0: all
  Index test_count = 0;        ///< 0: all
  double label_noise = 0.0;
  double scale = 255.0;

  bool operator==(const Data&) const = default;
};

struct WeightDecay {
  WeightDecayKind kind = WeightDecayKind::none;
  double strength = 0.0;
  Index epochs = 200;

  bool operator==(const WeightDecay&) const = default;
};

struct Layer {
  LayerKind type = LayerKind::dense;
  Index units = 0;
  std::string name;                      ///< empty in the deck: filled in as dense1, dense2, ...
  std::optional<Activation> activation;  ///< unset: the network's; the last layer has none
  std::optional<bool> bias;              ///< unset: the network's
  double dropout = 0.0;

  bool operator==(const Layer&) const = default;
};

struct Network {
  Loss loss = Loss::cross_entropy;
  Activation activation = Activation::relu;
  bool bias = false;
  double init_scale = 1.0;
  std::vector<Layer> layers;
  std::filesystem::path weights;  ///< empty: start from random weights

  bool operator==(const Network&) const = default;
};

struct Training {
  double learning_rate = 0.1;
  double momentum = 0.0;
  Index batch_size = 25;
  Index max_epochs = 1000;
  double stop_loss = 1e-3;
  double stop_accuracy = 0.99;
  WeightDecay weight_decay;

  bool operator==(const Training&) const = default;
};

struct Spectrum {
  Curvature curvature = Curvature::hessian;  ///< key: operator
  std::vector<std::string> block;            ///< names of layers, "name+bias", or the single entry "all"
  Which which = Which::largest;
  Index count = 50;
  double tolerance = 1e-8;
  Index density_probes = 0;  ///< 0: no density
  Index density_steps = 80;
  double density_width = 0.05;
  Index trace_products = 0;     ///< 0: no trace
  Index diagonal_products = 0;  ///< 0: no diagonal
  Index ntk = 0;                ///< eigenvalues of the tangent kernel; 0: none
  Index solver_block = 1;
  bool second_start = false;
  double prune = 0.0;  ///< share of |H| that samples left out of the solve may make up

  bool operator==(const Spectrum&) const = default;
};

struct Duality {
  std::vector<std::string> layer;  ///< names of layers, or the single entry "all"
  PairingKind pairing = PairingKind::nearest_input;
  Anchor anchor = Anchor::test;
  DualKind dual = DualKind::minimal;
  double ridge = 1e-3;
  Index sharp = 10;
  SharpBy sharp_by = SharpBy::count;
  double sharp_share = 0.9;
  Index bootstrap = 1000;
  std::vector<DualOperator> operators;
  Index operator_count = 10;
  Index neighbours = 1;
  Index neighbour_rank = 1;
  Index co_spectrum = 0;  ///< largest number of pairs; 0: none

  bool operator==(const Duality&) const = default;
};

struct Numerics {
  Precision precision = Precision::double_;
  int threads = 1;
  std::optional<std::uint64_t> cache;  ///< bytes a rank; unset = "auto"
  int lanes = 0;             ///< partial sums a sum over samples is made of; 0: by the number of samples
  Index tile = 0;            ///< samples whose products are done at once; 0: by the network's widths
  Index dense_limit = 4096;  ///< largest block size of a complete spectrum
  double checkpoint_seconds = 60.0;  ///< between two checkpoints

  bool operator==(const Numerics&) const = default;
};

struct Output {
  std::filesystem::path directory;
  bool eigenvectors = true;

  bool operator==(const Output&) const = default;
};

using AxisValue = std::variant<bool, std::int64_t, double, std::string>;

struct Axis {
  std::string key;
  std::vector<AxisValue> values;

  bool operator==(const Axis&) const = default;
};

struct Study {
  Index repeats = 1;
  int ranks_per_run = 1;
  StudyMode mode = StudyMode::grid;
  std::vector<Axis> axes;

  bool operator==(const Study&) const = default;
};

struct Config {
  std::string title;
  std::uint64_t seed = 1;
  Data data;
  Network network;
  std::optional<Training> training;  ///< unset: nothing is trained
  std::optional<Spectrum> spectrum;
  std::optional<Duality> duality;
  Numerics numerics;
  Output output;
  std::optional<Study> study;

  bool operator==(const Config&) const = default;
};

/// Activation after layer `l` (from 0): the layer's own, else the network's; none after the last layer, whose
/// outputs are the logits.
Activation layer_activation(const Network& network, std::size_t l);
/// Whether layer `l` has a bias: the layer's own choice, else the network's.
bool layer_bias(const Network& network, std::size_t l);
/// Whether a block contains a layer's weight.
bool covers(const std::vector<std::string>& block, const std::string& layer);
/// Whether a block contains a layer's bias, if it has one.
bool covers_bias(const std::vector<std::string>& block, const std::string& layer);
/// Names of the layers whose duality the deck asks for: those it lists, or for "all" the dense layers that
/// spectrum.block covers. Needs [duality] and [spectrum].
std::vector<std::string> analysed_layers(const Config& config);

}  // namespace dualscape::deck
