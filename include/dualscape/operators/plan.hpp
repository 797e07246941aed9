#pragma once

#include <cstdint>
#include <optional>

#include "dualscape/base/kinds.hpp"
#include "dualscape/base/lanes.hpp"
#include "dualscape/nn/tangent.hpp"

/// What products with a curvature operator cost, known before anything is allocated: memory, exchanges and
/// arithmetic of each rank. Exact counts of what the operators do, but for the efficiency, which is a model.
namespace dualscape::operators {

struct Work {
  const nn::Network& network;
  const nn::BlockLayout& block;
  Curvature curvature = Curvature::hessian;
  Lanes lanes;
  std::size_t number_bytes = sizeof(double);  ///< of the network's precision
  std::size_t input_bytes = 1;                ///< of an entry of a sample, as its source holds it
  std::optional<std::uint64_t> cache_bytes;   ///< of a rank; unset: everything is kept
  Index tile = 0;                             ///< samples; 0: automatic_tile
  Index vectors = 1;                          ///< of a product
  Index basis = 0;                            ///< vectors of the solver and of its results, in double
};

/// Bytes a rank holds at its peak, by what they are for.
struct MemoryPlan {
  std::uint64_t data = 0;        ///< inputs and labels of its samples, as their source holds them
  std::uint64_t cache = 0;       ///< activities, deltas and derivatives that are kept
  std::uint64_t scratch = 0;     ///< of the tile at work
  std::uint64_t weights = 0;     ///< parameters, in double and in the network's precision
  std::uint64_t directions = 0;  ///< the directions of a product, whole
  std::uint64_t lane_sums = 0;   ///< the sums of lanes that wait for their siblings
  std::uint64_t exchange = 0;    ///< messages; none on a single rank
  std::uint64_t basis = 0;       ///< this rank's share of the vectors
  std::uint64_t dense = 0;       ///< matrices of a complete spectrum; not of memory_plan
  std::uint64_t process = 0;     ///< program, libraries and what else is held before; not of memory_plan

  std::uint64_t total() const {
    return data + cache + scratch + weights + directions + lane_sums + exchange + basis + dense + process;
  }
};
MemoryPlan memory_plan(const Work& work, int rank, int ranks);

/// Bytes that assemble_layer_hessian holds at its peak beside samples, weights and what is kept of the
/// activities: packed sums of lanes and a tile's packed products, or the sums and the whole matrix.
std::uint64_t assembly_memory(const Work& work, Index layer, int rank, int ranks);

/// One product with work.vectors directions, as a rank sees it.
struct ProductCost {
  double gathered = 0;       ///< bytes received of the directions, its own share included
  double reduced = 0;        ///< bytes received of the lanes' sums, its own share and the status included
  double multiply_adds = 0;  ///< in GEMMs
};
ProductCost product_cost(const Work& work, int rank, int ranks);

/// What the model of the efficiency assumes of a machine.
struct Machine {
  double multiply_adds = 25e9;  ///< a second and rank, in GEMMs
  double bandwidth = 2e9;       ///< bytes a second that a rank receives while all do
  double memory = 8e9;          ///< bytes a second that a rank adds or copies
  double latency = 2e-6;        ///< seconds a message
};

/// Predicted seconds of a product, by the rank with the most samples: GEMMs, additions of lanes, then both
/// exchanges, which overlap with nothing; a gather takes log2(R) messages' latency, a reduction R.
double product_seconds(const Work& work, int ranks, const Machine& machine);

}  // namespace dualscape::operators
