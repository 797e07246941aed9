#include "dualscape/operators/plan.hpp"

#include <algorithm>
#include <cmath>

#include "dualscape/operators/layer_hessian.hpp"

namespace dualscape::operators {
namespace {

/// The lanes of a rank.
struct OwnLanes {
  int first;
  int last;
  Index samples;
};

OwnLanes own_lanes(const Lanes& lanes, int rank, int ranks) {
  const int first = lanes.first_lane(rank, ranks);
  const int last = lanes.first_lane(rank + 1, ranks);
  return {first, last, lanes.begin(last) - lanes.begin(first)};
}

Index tile_limit(const Work& work) {
  return work.tile > 0 ? work.tile : nn::automatic_tile(work.network, work.number_bytes);
}

/// Bytes a sample takes in the cache.
std::uint64_t bytes_per_sample(const Work& work) {
  return work.number_bytes == sizeof(float) ? nn::Linearisation<float>::bytes_per_sample(work.network)
                                            : nn::Linearisation<double>::bytes_per_sample(work.network);
}

/// Samples of this rank that the budget keeps, tile by tile, and the largest tile.
struct Kept {
  Index samples = 0;
  Index largest_tile = 0;
};

Kept kept_samples(const Work& work, const OwnLanes& own) {
  Kept kept;
  bool full = false;
  const std::uint64_t each = bytes_per_sample(work);
  for (int lane = own.first; lane < own.last; ++lane) {
    const Index size = work.lanes.end(lane) - work.lanes.begin(lane);
    const Index step = nn::even_tile(size, tile_limit(work));
    for (Index first = 0; first < size; first += step) {
      const Index count = std::min(step, size - first);
      kept.largest_tile = std::max(kept.largest_tile, count);
      full = full || (work.cache_bytes &&
                      each * static_cast<std::uint64_t>(kept.samples + count) > *work.cache_bytes);
      if (!full) kept.samples += count;
    }
  }
  return kept;
}

bool has_part(const nn::BlockLayout& block, Index layer) {
  const auto at = static_cast<std::size_t>(layer);
  return block.weight_offset[at] != nn::BlockLayout::absent;
}

/// Multiply-adds of a product with one direction, for a sample whose activities are kept.
double sample_work(const Work& work) {
  const Index lowest = work.block.first_layer();
  const bool gradients_only =
      work.curvature == Curvature::empirical_fisher || work.curvature == Curvature::gradient_covariance;
  double sum = 0;
  for (Index l = lowest; l < work.network.depth(); ++l) {
    double units = has_part(work.block, l) ? 2 : 0;
    if (l > lowest && !gradients_only) units += 2;
    if (l > lowest && work.curvature == Curvature::hessian && has_part(work.block, l)) units += 2;
    sum += units * static_cast<double>(work.network.layer(l).weight_size);
  }
  return sum * static_cast<double>(work.vectors);
}

/// Of making a sample's activities and deltas anew.
double recomputed_work(const nn::Network& network) {
  double sum = 0;
  for (Index l = 0; l < network.depth(); ++l)
    sum += (l == 0 ? 1.0 : 2.0) * static_cast<double>(network.layer(l).weight_size);
  return sum;
}

int all_nodes(const Work& work, int ranks) {
  int nodes = 0;
  for (int r = 0; r < ranks; ++r)
    nodes += LaneSum::nodes(work.lanes.first_lane(r, ranks), work.lanes.first_lane(r + 1, ranks));
  return nodes;
}

}  // namespace

MemoryPlan memory_plan(const Work& work, int rank, int ranks) {
  const OwnLanes own = own_lanes(work.lanes, rank, ranks);
  const Kept kept = kept_samples(work, own);
  const auto bytes = static_cast<std::uint64_t>(work.number_bytes);
  const auto vectors = static_cast<std::uint64_t>(work.vectors);
  const auto size = static_cast<std::uint64_t>(work.block.size);
  const auto share = static_cast<std::uint64_t>(Partition(work.block.size, ranks).count(rank));
  const auto samples = static_cast<std::uint64_t>(own.samples);
  const auto tile = static_cast<std::uint64_t>(kept.largest_tile);

  std::uint64_t outs = 0;  // rz, rd, and ra above a curved activation from the lowest layer on
  std::uint64_t all_outs = 0;
  for (Index l = 0; l < work.network.depth(); ++l) {
    const nn::Layer& layer = work.network.layer(l);
    const auto out = static_cast<std::uint64_t>(layer.out);
    const bool last = l + 1 == work.network.depth();
    all_outs += out;
    if (l >= work.block.first_layer()) outs += (last || nn::piecewise_linear(layer.activation) ? 2 : 3) * out;
  }

  MemoryPlan plan;
  plan.data =
      samples * (static_cast<std::uint64_t>(work.network.features()) * work.input_bytes + sizeof(int));
  plan.cache = bytes_per_sample(work) * static_cast<std::uint64_t>(kept.samples);
  plan.scratch = tile * bytes * vectors * outs;
  if (kept.samples < own.samples) plan.scratch += tile * (bytes_per_sample(work) + bytes * all_outs);
  plan.weights = static_cast<std::uint64_t>(work.network.parameters()) * (sizeof(double) + bytes);
  plan.directions = vectors * size * bytes;
  plan.lane_sums = vectors * size * bytes * static_cast<std::uint64_t>(LaneSum::buffers(own.first, own.last));
  if (ranks > 1) {
    const auto sent = static_cast<std::uint64_t>(LaneSum::nodes(own.first, own.last));
    const auto received = static_cast<std::uint64_t>(all_nodes(work, ranks));
    // What arrives is kept while the tree is finished on it.
    plan.exchange = vectors * bytes * (sent * size + 2 * received * share);
  }
  plan.basis = static_cast<std::uint64_t>(work.basis) * share * sizeof(double);
  return plan;
}

std::uint64_t assembly_memory(const Work& work, Index layer, int rank, int ranks) {
  const OwnLanes own = own_lanes(work.lanes, rank, ranks);
  const Index tile = kept_samples(work, own).largest_tile;
  const bool bias = work.block.bias_offset[static_cast<std::size_t>(layer)] != nn::BlockLayout::absent;
  const PackedSizes packed(work.network.layer(layer), bias);
  const Index sum = packed.rows * packed.cols;
  const Index sums = sum * LaneSum::buffers(own.first, own.last);
  // From above: a sample's M of the layer above, once and twice times its weight, and the layer's.
  Index hessians = 0;
  for (Index l = layer; l < work.network.depth(); ++l) {
    const Index out = work.network.layer(l).out;
    const Index up = l + 1 < work.network.depth() ? work.network.layer(l + 1).out : out;
    hessians = std::max(hessians, tile * (up * up + 2 * up * out + out * out));
  }
  const Index sides = tile * packed.rows * 2 + std::min(tile, packed.samples) * (packed.rows + packed.cols);
  const Index in_lanes = sums + sum + std::max(hessians, sides);
  Index after = sums + sum + work.block.size * work.block.size;
  if (ranks > 1) {
    const Index share = Partition(sum, ranks).count(rank);
    after += LaneSum::nodes(own.first, own.last) * sum + 2 * all_nodes(work, ranks) * share;
  }
  return static_cast<std::uint64_t>(std::max(in_lanes, after)) * sizeof(double);
}

ProductCost product_cost(const Work& work, int rank, int ranks) {
  const OwnLanes own = own_lanes(work.lanes, rank, ranks);
  const Kept kept = kept_samples(work, own);
  ProductCost cost;
  if (ranks > 1) {
    const auto number = static_cast<double>(work.number_bytes);
    const auto vectors = static_cast<double>(work.vectors);
    const auto share = static_cast<double>(Partition(work.block.size, ranks).count(rank));
    cost.gathered = number * vectors * static_cast<double>(work.block.size);
    cost.reduced = number * (vectors * share * all_nodes(work, ranks) + ranks);
  }
  cost.multiply_adds = static_cast<double>(own.samples) * sample_work(work) +
                       static_cast<double>(own.samples - kept.samples) * recomputed_work(work.network);
  return cost;
}

double product_seconds(const Work& work, int ranks, const Machine& machine) {
  double gemms = 0;
  int lanes = 0;
  for (int r = 0; r < ranks; ++r) {
    gemms = std::max(gemms, product_cost(work, r, ranks).multiply_adds);
    lanes = std::max(lanes, work.lanes.first_lane(r + 1, ranks) - work.lanes.first_lane(r, ranks));
  }
  // A lane's buffer is cleared, and added to another one: four passes over it.
  const double sums = 4.0 * lanes * static_cast<double>(work.vectors * work.block.size) *
                      static_cast<double>(work.number_bytes);
  double seconds = gemms / machine.multiply_adds + sums / machine.memory;
  if (ranks > 1) {
    const ProductCost cost = product_cost(work, 0, ranks);
    seconds +=
        (cost.gathered + cost.reduced) / machine.bandwidth + machine.latency * (std::log2(ranks) + ranks - 1);
  }
  return seconds;
}

}  // namespace dualscape::operators
