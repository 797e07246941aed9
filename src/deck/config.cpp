#include "dualscape/deck/config.hpp"

#include <algorithm>

namespace dualscape::deck {

Activation layer_activation(const Network& network, std::size_t l) {
  if (l + 1 == network.layers.size()) return Activation::identity;
  return network.layers.at(l).activation.value_or(network.activation);
}

bool layer_bias(const Network& network, std::size_t l) {
  return network.layers.at(l).bias.value_or(network.bias);
}

bool covers(const std::vector<std::string>& block, const std::string& layer) {
  return std::ranges::any_of(block, [&](const std::string& name) {
    return name == "all" || name == layer || name == layer + "+bias";
  });
}

bool covers_bias(const std::vector<std::string>& block, const std::string& layer) {
  return std::ranges::any_of(
      block, [&](const std::string& name) { return name == "all" || name == layer + "+bias"; });
}

std::vector<std::string> analysed_layers(const Config& config) {
  if (config.duality->layer != std::vector<std::string>{"all"}) return config.duality->layer;
  std::vector<std::string> names;
  for (const Layer& layer : config.network.layers)
    if (layer.type == LayerKind::dense && covers(config.spectrum->block, layer.name))
      names.push_back(layer.name);
  return names;
}

}  // namespace dualscape::deck
