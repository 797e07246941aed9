#include "dualscape/deck/cross_checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <span>

namespace dualscape::deck {

namespace {

constexpr std::string_view name_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

class CrossCheck {
 public:
  CrossCheck(const Config& config, const Node& root, Problems& problems)
      : config_(config), root_(root), problems_(problems) {}

  void run() {
    check_data();
    check_layers();
    check_work();
    check_spectrum();
    check_duality();
    check_study();
  }

 private:
  template <class... Paths>
  bool sound(const Paths&... paths) const {
    return !(problems_.failed(paths) || ...);
  }

  void complain(const std::string& path, const std::string& text) {
    problems_.add(nearest_origin(root_, path), path, fmt::format("key '{}' {}", path, text));
  }

  static std::string layer_path(std::size_t l, const char* key) {
    return fmt::format("network.layers[{}].{}", l, key);
  }

  std::vector<std::string> layer_names() const {
    std::vector<std::string> names;
    for (const auto& layer : config_.network.layers) names.push_back(layer.name);
    return names;
  }

  std::optional<std::size_t> find_layer(const std::string& name) const {
    const auto names = layer_names();
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names.begin());
  }

  bool names_known() const {
    const auto& layers = config_.network.layers;
    for (std::size_t l = 0; l < layers.size(); ++l)
      if (!sound(layer_path(l, "name"))) return false;
    return !layers.empty();
  }

  void check_data() {
    const auto& data = config_.data;
    const bool named = data.source != Source::idx && data.source != Source::hdf5;
    if (sound("data.source", "data.path") && !named && data.path.empty())
      complain("data.path", fmt::format("is required with source = \"{}\"", name_of(data.source)));
    std::set<Index> seen;
    for (std::size_t i = 0; sound("data.classes") && i < data.classes.size(); ++i)
      if (!seen.insert(data.classes[i]).second)
        complain(fmt::format("data.classes[{}]", i), fmt::format("repeats class {}", data.classes[i]));
  }

  void check_layers() {
    const auto& layers = config_.network.layers;
    if (sound("network.layers") && layers.empty()) complain("network.layers", "must have at least one layer");
    std::set<std::string> seen;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const auto path = layer_path(l, "name");
      if (!sound(path)) continue;
      const auto& name = layers[l].name;
      if (name == "all" || name.find_first_not_of(name_letters) != std::string::npos)
        complain(path, fmt::format("must be letters, digits, '_' and '-', and not \"all\", found {}",
                                   toml_string(name)));
      else if (!seen.insert(name).second)
        complain(path, fmt::format("repeats the name \"{}\" of an earlier layer", name));
    }
    if (!layers.empty()) check_last_layer(layers.size() - 1);
  }

  void check_last_layer(std::size_t last) {
    const auto& layer = config_.network.layers[last];
    if (const auto path = layer_path(last, "activation"); sound(path) && layer.activation)
      complain(path,
               "is not for the last layer: its outputs are the logits, which the loss takes as they are");
    if (const auto path = layer_path(last, "dropout"); sound(path) && layer.dropout > 0)
      complain(path, "is not for the last layer: it drops hidden activities");
  }

  void check_work() {
    if (sound("training", "network.weights") && !config_.training && config_.network.weights.empty())
      problems_.add(
          nearest_origin(root_, "network"), "training",
          "a table [training] or the key 'network.weights' is required: there are no weights to analyse");
  }

  void check_spectrum() {
    if (!config_.spectrum) return;
    const auto& spectrum = *config_.spectrum;
    if (sound("spectrum.operator", "network.loss") && spectrum.curvature == Curvature::fisher &&
        config_.network.loss == Loss::softmax_mse)
      complain("spectrum.operator",
               "cannot be \"fisher\" with network.loss = \"softmax-mse\", which is no log-likelihood; "
               "\"gauss-newton\" and \"empirical-fisher\" can");
    check_enough("spectrum.density_probes", spectrum.density_probes, 2, "vectors, for error bars");
    check_enough("spectrum.trace_products", spectrum.trace_products, 6, "products");
    check_enough("spectrum.diagonal_products", spectrum.diagonal_products, 2, "products, for error bars");
    check_pruning();
    check_tolerance();
    if (!sound("spectrum.block") || !names_known()) return;
    const auto& block = spectrum.block;
    if (block.empty()) complain("spectrum.block", "must name at least one layer");
    std::set<std::string> seen;
    for (std::size_t i = 0; i < block.size(); ++i) {
      const auto path = block_path(i);
      if (block[i] == "all") {
        if (block.size() > 1) complain(path, "is \"all\", which stands alone");
        continue;
      }
      check_block_name(path, block[i]);
      if (!seen.insert(block[i].substr(0, block[i].find('+'))).second)
        complain(path, fmt::format("names the layer of \"{}\" again", block[i]));
    }
  }

  /// A number that is zero for nothing, and otherwise has a least value.
  void check_enough(const char* path, Index value, Index least, const char* what) {
    if (sound(path) && value > 0 && value < least)
      complain(path, fmt::format("must be 0 or at least {} {}, found {}", least, what, value));
  }

  /// Residuals are no smaller than a product's rounding, about ten units of the last place.
  void check_tolerance() {
    const auto& spectrum = *config_.spectrum;
    const bool single = config_.numerics.precision == Precision::single;
    const double possible = single ? 1e-6 : 1e-14;
    if (!sound("spectrum.tolerance", "numerics.precision") || spectrum.which == Which::all ||
        spectrum.tolerance >= possible)
      return;
    complain("spectrum.tolerance",
             fmt::format("is {:g}, below what products in {} precision can give: {:g}{}", spectrum.tolerance,
                         single ? "single" : "double", possible,
                         single ? "; numerics.precision = \"mixed\" or \"double\" can give 1e-14" : ""));
  }

  void check_pruning() {
    const auto& spectrum = *config_.spectrum;
    if (!sound("spectrum.prune", "spectrum.which") || !(spectrum.prune > 0)) return;
    if (spectrum.which == Which::all)
      complain("spectrum.prune", "is for iterative solves, not for spectrum.which = \"all\"");
    if (sound("spectrum.operator") && spectrum.curvature == Curvature::gradient_covariance)
      complain("spectrum.prune",
               "cannot be used with spectrum.operator = \"gradient-covariance\", in which no sample has a "
               "part of its own; \"empirical-fisher\" can");
  }

  std::string block_path(std::size_t i) const {
    const bool list = config_.spectrum->block.size() > 1;
    return list ? fmt::format("spectrum.block[{}]", i) : "spectrum.block";
  }

  void check_block_name(const std::string& path, const std::string& block) {
    const auto plus = block.find('+');
    const auto name = block.substr(0, plus);
    const auto layer = find_layer(name);
    if (plus != std::string::npos && block.substr(plus) != "+bias")
      complain(path, fmt::format("must be a layer's name, or the name with \"+bias\", found {}",
                                 toml_string(block)));
    else if (!layer)
      unknown_layer(path, name, true);
    else if (plus != std::string::npos && sound("network.bias", layer_path(*layer, "bias")) &&
             !layer_bias(config_.network, *layer))
      complain(path, fmt::format("is {}, but that layer has no bias; set its bias = true or use \"{}\"",
                                 toml_string(block), name));
  }

  void unknown_layer(const std::string& path, const std::string& name, bool or_all) {
    auto candidates = layer_names();
    const auto list = fmt::format("{}", fmt::join(candidates, ", "));
    if (or_all) candidates.emplace_back("all");
    complain(path, fmt::format("names {}, which is no layer; the layers are: {}{}", toml_string(name), list,
                               did_you_mean(name, candidates)));
  }

  void check_duality() {
    if (!config_.duality) return;
    if (sound("spectrum") && !config_.spectrum)
      problems_.add(nearest_origin(root_, "duality"), "duality",
                    "table [duality] needs a table [spectrum]: the gap is decomposed along its eigenvectors");
    const auto& operators = config_.duality->operators;
    for (std::size_t i = 0; sound("duality.operators") && i < operators.size(); ++i)
      if (std::ranges::count(std::span(operators).first(i), operators[i]) > 0)
        complain(fmt::format("duality.operators[{}]", i),
                 fmt::format("names \"{}\" again", name_of(operators[i])));
    if (sound("duality.pairing", "duality.neighbour_rank") && config_.duality->neighbour_rank > 1 &&
        config_.duality->pairing == PairingKind::random)
      complain("duality.neighbour_rank",
               "must be 1 with duality.pairing = \"random\", which knows no nearest");
    if (!sound("duality.layer") || !names_known()) return;
    const auto& layers = config_.duality->layer;
    if (layers.empty()) complain("duality.layer", "must name at least one layer");
    std::set<std::string> seen;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto path = layers.size() > 1 ? fmt::format("duality.layer[{}]", i) : "duality.layer";
      if (layers[i] == "all") {
        if (layers.size() > 1)
          complain(path, "is \"all\", which stands alone");
        else if (config_.spectrum && sound("spectrum.block"))
          for (const auto& name : analysed_layers(config_)) check_analysed(path, name);
        continue;
      }
      check_analysed(path, layers[i]);
      if (!seen.insert(layers[i]).second) complain(path, fmt::format("names \"{}\" again", layers[i]));
    }
  }

  void check_analysed(const std::string& path, const std::string& layer) {
    if (!find_layer(layer))
      unknown_layer(path, layer, true);
    else if (config_.spectrum && sound("spectrum.block") && !covers(config_.spectrum->block, layer))
      complain(path, fmt::format("is \"{}\", which is not in spectrum.block: the gap is decomposed along "
                                 "that block's eigenvectors",
                                 layer));
    else if (sound("duality.dual") && config_.duality->dual == DualKind::augmented)
      check_augmented(*find_layer(layer));
  }

  /// Augmented duals change the bias too, which the block's eigenvectors must know.
  void check_augmented(std::size_t layer) {
    const auto& name = config_.network.layers[layer].name;
    if (!sound("network.bias", layer_path(layer, "bias"))) return;
    if (!layer_bias(config_.network, layer))
      complain("duality.dual", fmt::format("is \"augmented\", but layer \"{}\" has no bias", name));
    else if (config_.spectrum && sound("spectrum.block") && !covers_bias(config_.spectrum->block, name))
      complain("duality.dual", fmt::format("is \"augmented\", but spectrum.block has no bias of \"{0}\": "
                                           "name \"{0}+bias\" there",
                                           name));
  }

  void check_study() {
    if (!config_.study || !sound("study.axes")) return;
    const auto& axes = config_.study->axes;
    std::set<std::vector<std::string>> seen;
    for (std::size_t a = 0; a < axes.size(); ++a) {
      if (!seen.insert(split_path(axes[a].key)).second)
        complain(fmt::format("study.axes[{}].key", a), fmt::format("repeats the axis '{}'", axes[a].key));
      const auto length = axes[a].values.size();
      if (sound("study.mode") && config_.study->mode == StudyMode::zip && length != axes[0].values.size())
        complain(fmt::format("study.axes[{}]", a),
                 fmt::format("has {} values and the first axis {}: with mode = \"zip\" all have equally many",
                             length, axes[0].values.size()));
    }
  }

  const Config& config_;
  const Node& root_;
  Problems& problems_;
};

}  // namespace

void cross_check(const Config& config, const Node& root, Problems& problems) {
  CrossCheck(config, root, problems).run();
}

}  // namespace dualscape::deck
