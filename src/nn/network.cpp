#include "dualscape/nn/network.hpp"

#include <cmath>

#include "dualscape/base/error.hpp"
#include "dualscape/base/random.hpp"

namespace dualscape::nn {

Network::Network(Index features, const std::vector<LayerSpec>& layers, Loss loss) : loss_(loss) {
  if (layers.empty()) throw UsageError("a network needs at least one layer");
  Index in = features;
  for (const LayerSpec& spec : layers) {
    if (in < 1 || spec.units < 1) throw UsageError("layer '" + spec.name + "' of the network is empty");
    Layer layer{.kind = spec.kind,
                .name = spec.name,
                .activation = spec.activation,
                .bias = spec.bias,
                .dropout = spec.dropout,
                .in = in,
                .out = spec.units,
                .weight_size = in * spec.units,
                .weight_offset = parameters_};
    layer.bias_offset = layer.weight_offset + layer.weight_size;
    parameters_ = layer.bias_offset + layer.bias_size();
    in = layer.out;
    layers_.push_back(std::move(layer));
  }
  // The last layer gives logits: the loss has its own nonlinearity.
  layers_.back().activation = Activation::identity;
}

Index Network::find(const std::string& name) const {
  for (Index l = 0; l < depth(); ++l)
    if (layer(l).name == name) return l;
  return -1;
}

std::vector<double> Network::initial_parameters(std::uint64_t seed, double scale) const {
  std::vector<double> parameters(static_cast<std::size_t>(parameters_));
  for (Index l = 0; l < depth(); ++l) {
    const Layer& at = layer(l);
    const Random random(seed, Stream::initial_weights, static_cast<std::uint32_t>(l));
    const double bound = 1.0 / std::sqrt(static_cast<double>(at.in));
    for (Index i = 0; i < at.weight_size + at.bias_size(); ++i)
      parameters[static_cast<std::size_t>(at.weight_offset + i)] =
          scale * bound * (2.0 * random.uniform(static_cast<std::uint64_t>(i)) - 1.0);
  }
  return parameters;
}

}  // namespace dualscape::nn
