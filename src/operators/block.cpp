#include "dualscape/operators/block.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ranges>

#include "dualscape/base/error.hpp"

namespace dualscape::operators {
namespace {

struct Parts {
  bool weight = false;
  bool bias = false;
};

void select(const nn::Network& network, const std::string& name, std::vector<Parts>& selected) {
  constexpr std::string_view suffix = "+bias";
  if (name == "all") {
    for (Index l = 0; l < network.depth(); ++l)
      selected[static_cast<std::size_t>(l)] = {true, network.layer(l).bias};
    return;
  }
  const bool with_bias = name.ends_with(suffix);
  const Index l = network.find(with_bias ? name.substr(0, name.size() - suffix.size()) : name);
  if (l < 0) {
    const auto names = network.layers() | std::views::transform(&nn::Layer::name);
    throw UsageError(fmt::format("spectrum.block: the network has no layer '{}'; its layers are {}", name,
                                 fmt::join(names, ", ")));
  }
  if (with_bias && !network.layer(l).bias)
    throw UsageError(
        fmt::format("spectrum.block = \"{}\": layer '{}' has no bias", name, network.layer(l).name));
  selected[static_cast<std::size_t>(l)].weight = true;
  selected[static_cast<std::size_t>(l)].bias |= with_bias;
}

}  // namespace

nn::BlockLayout select_block(const nn::Network& network, const std::vector<std::string>& names) {
  if (names.empty()) throw UsageError("spectrum.block names no layer");
  std::vector<Parts> selected(static_cast<std::size_t>(network.depth()));
  for (const std::string& name : names) select(network, name, selected);

  nn::BlockLayout block;
  for (Index l = 0; l < network.depth(); ++l) {
    const auto [weight, bias] = selected[static_cast<std::size_t>(l)];
    block.weight_offset.push_back(weight ? block.size : nn::BlockLayout::absent);
    if (weight) block.size += network.layer(l).weight_size;
    block.bias_offset.push_back(bias ? block.size : nn::BlockLayout::absent);
    if (bias) block.size += network.layer(l).out;
  }
  return block;
}

std::string block_name(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ","));
}

std::vector<double> restrict_to_block(const nn::Network& network, const nn::BlockLayout& block,
                                      std::span<const double> parameters) {
  std::vector<double> part(static_cast<std::size_t>(block.size));
  const auto take = [&](Index from, Index count, Index to) {
    if (to != nn::BlockLayout::absent)
      std::ranges::copy_n(parameters.begin() + from, count, part.begin() + to);
  };
  for (Index l = 0; l < network.depth(); ++l) {
    const nn::Layer& layer = network.layer(l);
    take(layer.weight_offset, layer.weight_size, block.weight_offset[static_cast<std::size_t>(l)]);
    take(layer.bias_offset, layer.bias_size(), block.bias_offset[static_cast<std::size_t>(l)]);
  }
  return part;
}

}  // namespace dualscape::operators
