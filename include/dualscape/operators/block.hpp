#pragma once

#include <string>
#include <vector>

#include "dualscape/nn/network.hpp"
#include "dualscape/nn/tangent.hpp"

namespace dualscape::operators {

/// The parameters `names` select from a network: a layer's weight by its name, weight and bias by
/// "name+bias", every parameter by "all". They keep the order they have in the network. Throws UsageError for
/// no name at all, an unknown one or a bias that is not there.
nn::BlockLayout select_block(const nn::Network& network, const std::vector<std::string>& names);

/// How a block is called in files: its names joined by ",".
std::string block_name(const std::vector<std::string>& names);

/// The entries of a full parameter vector that belong to a block, in the block's order.
std::vector<double> restrict_to_block(const nn::Network& network, const nn::BlockLayout& block,
                                      std::span<const double> parameters);

}  // namespace dualscape::operators
