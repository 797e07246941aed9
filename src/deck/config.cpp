#include "dualscape/deck/config.hpp"

namespace dualscape::deck {

Activation layer_activation(const Network& network, std::size_t l) {
  if (l + 1 == network.layers.size()) return Activation::identity;
  return network.layers.at(l).activation.value_or(network.activation);
}

bool layer_bias(const Network& network, std::size_t l) {
  return network.layers.at(l).bias.value_or(network.bias);
}

}  // namespace dualscape::deck
